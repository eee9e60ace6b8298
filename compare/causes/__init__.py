"""Why a number is wrong: one small function for every slip that people make."""

from importlib import import_module

from compare.causes.base import (
    Candidate,
    Cause,
    Facts,
    Place,
    candidates,
    diagnose,
    hypothesis,
    put_in_order,
)

FAMILIES = (
    "regularizers",
    "rows",
    "activation",
    "reshaping",
    "arrangement",
    "attention",
    "calls",
    "convolution",
    "dense",
    "dropout",
    "einsum_dense",
    "inference",
    "masks",
    "merging",
    "scalar_products",
    "metrics",
    "occurrences",
    "normalization",
    "normalization_gradients",
    "moving_averages",
    "lengths",
    "pooling",
    "global_pooling",
    "prelu",
    "recurrent",
    "scored_attention",
    "loss",
    "fused",
    "factors",
    "other_losses",
    "optimizers",
    "processing",
    "step",
)
"""The modules that register hypotheses, in the order in which equally simple causes are named: what
is true of one kind of layer comes before what may be true of any number. Penalties come first of
all: a layer's slip that changes nothing leaves a gradient without its penalty."""

for family in FAMILIES:
    import_module(f"{__name__}.{family}")
put_in_order([f"{__name__}.{family}" for family in FAMILIES])

__all__ = ["Candidate", "Cause", "Facts", "Place", "candidates", "diagnose", "hypothesis"]
