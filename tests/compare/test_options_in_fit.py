"""Options that change how a layer trains, each in a fit: gates, axes, corrections, masks joined."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from compare import lockstep

Layers = keras.layers


def test_attention_along_any_axes_and_renormalization(precision: str) -> None:
    inputs = keras.Input((4, 3))
    x = Layers.BatchNormalization(
        renorm=True, renorm_clipping={"rmax": 3.0, "dmax": 5.0}, momentum=0.8, renorm_momentum=0.7
    )(Layers.Dense(6)(inputs))
    x = Layers.MultiHeadAttention(2, 3, use_gate=True, dropout=0.2)(x, x)
    x = Layers.BatchNormalization(synchronized=True)(x)
    x = Layers.Reshape((2, 2, 6))(x)
    x = Layers.MultiHeadAttention(2, 3, attention_axes=(2,))(x, x)
    x = Layers.Reshape((4, 6))(Layers.MultiHeadAttention(2, 2)(x, x))
    x = Layers.GroupQueryAttention(2, 4, 2, use_gate=True)(x, x)
    model = keras.Model(inputs, Layers.Dense(2)(Layers.Flatten()(x)))
    _agrees(model, np.random.default_rng(0).normal(size=(20, 4, 3)), precision)


def test_masks_are_joined(precision: str) -> None:
    """One from an embedding, exact, and one from numbers that carry noise."""
    inputs = keras.Input((5,))
    one = Layers.Embedding(7, 4, mask_zero=True)(inputs)
    other = Layers.Masking()(Layers.Dense(4)(one))
    product = Layers.Multiply()([one, other])
    largest = Layers.Maximum()([one, other])
    smallest = Layers.Minimum()([product, largest, one])
    joined = Layers.Concatenate()([product, largest, smallest])
    model = keras.Model(inputs, Layers.Dense(2)(Layers.LSTM(3)(joined)))
    _agrees(model, np.random.default_rng(0).integers(0, 7, (20, 5)), precision)


def _agrees(model: Any, x: np.ndarray, precision: str) -> None:
    model.compile("sgd", "mse", run_eagerly=precision == "float64")  # a graph is slow to build
    y = np.random.default_rng(1).normal(size=(20, 2))
    report = lockstep(model, x, y, batch_size=8, epochs=2, validation_data=(x[:6], y[:6]))
    report.raise_if_different()
