"""How the tests of facts ask Keras, alone and in float64, what it does."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compare.rounding.judge import BOUND

EXACT = BOUND * 2.0**-53
"""As far as a few roundings go."""
MASK = (True, True, False)


def rounded(number: float) -> float:
    """Return what float32 makes of a number."""
    return float(np.float32(number))


def moved(optimizer: Any, *gradients: float, start: float = 1.0) -> float:
    """Return what becomes of a weight after some updates."""
    weight = keras.Variable([start], dtype="float64")
    optimizer.build([weight])
    for gradient in gradients:
        optimizer.apply([tf.constant([gradient], tf.float64)], [weight])
    return float(np.asarray(weight)[0])


def fitted(model: Any, x: Any, y: Any, loss: Any = "mse", **options: Any) -> Any:
    """Train a model on all samples at once, eagerly, and return it."""
    model.compile(options.pop("optimizer", keras.optimizers.SGD(1.0)), loss, run_eagerly=True)
    model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0, **options)
    return model


def slope(function: Callable[..., Any], *points: Any) -> np.ndarray:
    """Return the gradient that the tape has at the first of the points."""
    variables = [tf.Variable(point, dtype=tf.float64) for point in points]
    with tf.GradientTape() as tape:
        y = function(*variables)
    return np.asarray(tape.gradient(y, variables[0]))


def masked(x: Any, mask: Any = (MASK,)) -> tf.Tensor:
    """Return a tensor that carries a mask, as the output of a Masking layer does."""
    x = tf.constant(x, tf.float64)
    x._keras_mask = tf.constant(mask)
    return x
