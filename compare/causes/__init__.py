"""Why a number is wrong: one small function for every slip that people make."""

from importlib import import_module

from compare.causes.base import Candidate, Cause, Facts, Place, candidates, diagnose, hypothesis

FAMILIES = (
    "activation",
    "rows",
    "arrangement",
    "attention",
    "calls",
    "convolution",
    "dense",
    "dropout",
    "inference",
    "masks",
    "merging",
    "metrics",
    "occurrences",
    "normalization",
    "normalization_gradients",
    "pooling",
    "prelu",
    "recurrent",
    "reshaping",
    "scored_attention",
    "loss",
    "factors",
    "other_losses",
    "optimizers",
    "processing",
    "regularizers",
    "step",
)
"""The modules that register hypotheses, in the order in which equally simple causes are named: what
is true of one kind of layer comes before what may be true of any number."""

for family in FAMILIES:
    import_module(f"{__name__}.{family}")

__all__ = ["Candidate", "Cause", "Facts", "Place", "candidates", "diagnose", "hypothesis"]
