"""Losses that tutorials use and Keras doesn't have."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("KerasLockstep")
class HalfSquaredSum(keras.losses.Loss):
    """E = Σ ½ (y − p)², summed over outputs and samples.

    The error that most backpropagation tutorials differentiate. Keras's own ``mse`` averages over
    both, so that it gives the same step at the tutorial's learning rate × batch × outputs / 2.

    Parameters
    ----------
    reduction : str
        As for any Keras loss; ``"sum"`` by default.
    name : str
    """

    def __init__(self, reduction: str = "sum", name: str = "half_squared_sum") -> None:
        super().__init__(name=name, reduction=reduction)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return one value per sample, for arrays of shape ``(samples, outputs)``."""
        return 0.5 * ops.sum(ops.square(y_true - y_pred), axis=-1)
