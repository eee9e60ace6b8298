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


def loss_config(loss: Any) -> dict[str, Any]:
    """Return a loss's configuration with all its options.

    Keras leaves some out: δ of Huber's loss, the axis of the cosine similarity.
    """
    config: dict[str, Any] = keras.losses.serialize(loss)
    options = getattr(loss, "_fn_kwargs", None)
    if options and isinstance(config, dict):
        return {**config, "config": {**options, **config["config"]}}
    return config


def with_all_options(serialized: Any, loss: Any) -> Any:
    """Add the options that Keras leaves out to a model's serialised loss, or losses."""
    if isinstance(loss, keras.losses.Loss):
        return loss_config(loss)
    if isinstance(loss, dict):
        return {name: with_all_options(serialized[name], one) for name, one in loss.items()}
    if isinstance(loss, (list, tuple)):
        return [with_all_options(*pair) for pair in zip(serialized, loss, strict=True)]
    return serialized
