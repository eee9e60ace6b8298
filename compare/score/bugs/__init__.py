"""The catalogue of planted bugs: each a small patch of the hand-written half."""

from compare.score.bugs.activations import in_activations
from compare.score.bugs.base import Bug
from compare.score.bugs.dense import in_dense_layers
from compare.score.bugs.losses import in_losses
from compare.score.bugs.optimizers import in_optimizers
from compare.score.bugs.processing import in_processing, rounding
from compare.score.bugs.regularizers import in_regularizers
from compare.score.bugs.rules import in_rules
from compare.score.bugs.traps import traps

__all__ = ["Bug", "catalogue"]


def catalogue() -> list[Bug]:
    """Return every bug."""
    return [
        *in_activations(),
        *in_dense_layers(),
        *in_losses(),
        *in_regularizers(),
        *in_processing(),
        *in_optimizers(),
        *in_rules(),
        *rounding(),
        *traps(),
    ]
