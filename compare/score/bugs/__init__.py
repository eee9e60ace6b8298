"""The catalogue of planted bugs: each a small patch of the hand-written half."""

from compare.score.bugs.activations import in_activations
from compare.score.bugs.attention import in_attention
from compare.score.bugs.base import Bug
from compare.score.bugs.conventions import in_conventions
from compare.score.bugs.convolution import in_convolutions
from compare.score.bugs.dense import in_dense_layers
from compare.score.bugs.dropout import in_dropout
from compare.score.bugs.einsum_dense import in_einsum_dense
from compare.score.bugs.lengths import in_lengths
from compare.score.bugs.losses import in_losses
from compare.score.bugs.masks import with_masks
from compare.score.bugs.merging import in_merging
from compare.score.bugs.more_activations import in_more_activations
from compare.score.bugs.more_losses import in_more_losses
from compare.score.bugs.more_updates import in_more_updates
from compare.score.bugs.normalization import in_normalization
from compare.score.bugs.normalization_weights import in_normalization_weights
from compare.score.bugs.optimizers import in_optimizers
from compare.score.bugs.pooling import in_pooling
from compare.score.bugs.processing import in_processing, rounding
from compare.score.bugs.recurrent import in_recurrent_layers
from compare.score.bugs.regularizers import in_regularizers
from compare.score.bugs.reshaping import in_reshaping
from compare.score.bugs.rules import in_rules
from compare.score.bugs.together import together
from compare.score.bugs.traps import traps

__all__ = ["Bug", "catalogue"]


def catalogue() -> list[Bug]:
    """Return every bug."""
    return [
        *in_activations(),
        *in_attention(),
        *in_conventions(),
        *in_convolutions(),
        *in_dense_layers(),
        *in_dropout(),
        *in_einsum_dense(),
        *in_lengths(),
        *in_losses(),
        *with_masks(),
        *in_merging(),
        *in_more_activations(),
        *in_more_losses(),
        *in_more_updates(),
        *in_normalization(),
        *in_normalization_weights(),
        *in_optimizers(),
        *in_pooling(),
        *in_processing(),
        *rounding(),
        *in_recurrent_layers(),
        *in_regularizers(),
        *in_reshaping(),
        *in_rules(),
        *together(),
        *traps(),
    ]
