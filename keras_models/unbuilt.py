"""What Keras would make only within a step, made beforehand."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


def build_metrics(model: keras.Model, outputs: int, batch: Any, *, compiled: bool = True) -> None:
    """Let Keras make what its metrics keep: made in a traced step, that would be traced twice.

    Parameters
    ----------
    model : keras.Model
    outputs : int
        How many it has: of several, each has a mean of its loss.
    batch : nest of tensors or of their specifications
        x, y, and sample weights if there are any.
    compiled : bool
        Whether the metrics that the model was compiled with are needed, too.
    """
    if outputs == 1 and not (compiled and model._compile_metrics is not None):
        return
    if all(isinstance(one, (tf.TensorSpec, tf.Tensor)) for one in tf.nest.flatten(batch)):
        with tf.init_scope():
            model._symbolic_build(data_batch=batch)
