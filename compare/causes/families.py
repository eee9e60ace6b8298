"""All families of hypotheses, by name: they are loaded when something is to be explained.

Most comparisons find nothing to explain, and are over before so many files are read.
"""

from importlib import import_module

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


def loaded() -> list[str]:
    """Import them all, which registers their hypotheses; return the modules' names in order."""
    package = __name__.rpartition(".")[0]
    return [import_module(f"{package}.{family}").__name__ for family in FAMILIES]
