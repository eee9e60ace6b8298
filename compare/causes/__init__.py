"""Why a number is wrong: one small function for every slip that people make."""

# What is true of one kind of layer comes before what may be true of any.
from compare.causes import (  # noqa: F401  (each registers its hypotheses)
    activation,
    arrangement,
    attention,
    dense,
    merging,
    reshaping,
    scored_attention,
)

# isort: split
from compare.causes import (  # noqa: F401
    factors,
    loss,
    optimizer,
    step,
)
from compare.causes.base import Candidate, Cause, Facts, Place, candidates, diagnose, hypothesis

__all__ = ["Candidate", "Cause", "Facts", "Place", "candidates", "diagnose", "hypothesis"]
