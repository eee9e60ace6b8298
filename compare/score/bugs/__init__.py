"""The catalogue of planted bugs: each a small patch of the hand-written half."""

from compare.score.bugs.activations import in_activations
from compare.score.bugs.base import Bug
from compare.score.bugs.convolution import in_convolutions
from compare.score.bugs.dense import in_dense_layers
from compare.score.bugs.losses import in_losses
from compare.score.bugs.optimizers import in_optimizers
from compare.score.bugs.pooling import in_pooling
from compare.score.bugs.traps import traps

__all__ = ["Bug", "catalogue"]


def catalogue() -> list[Bug]:
    """Return every bug."""
    return [
        *in_activations(),
        *in_convolutions(),
        *in_dense_layers(),
        *in_losses(),
        *in_optimizers(),
        *in_pooling(),
        *traps(),
    ]
