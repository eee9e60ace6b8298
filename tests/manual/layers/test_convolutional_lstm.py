"""Convolutional LSTMs alone: equal to Keras in every option, and right derivatives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import ConvLSTM1D, ConvLSTM2D
from manual.layers.core import InputLayer
from manual.registry import NoTwin

MASK = np.array([[1, 0, 1], [0, 1, 0]], bool)
LINE, IMAGE, VOLUME = (2, 3, 5, 2), (2, 3, 4, 3, 2), (2, 2, 3, 2, 3, 1)

LAYERS: dict[str, tuple[Any, Any, bool]] = {
    "1D": (lambda: keras.layers.ConvLSTM1D(2, 3), LINE, False),
    "1D, dilated": (
        lambda: keras.layers.ConvLSTM1D(2, 2, dilation_rate=2, return_sequences=True),
        LINE,
        True,
    ),
    "1D, state given": (
        lambda: keras.layers.ConvLSTM1D(2, 2, padding="same", return_state=True),
        [LINE, (2, 5, 2), (2, 5, 2)],
        False,
    ),
    "2D, strides": (
        lambda: keras.layers.ConvLSTM2D(2, (2, 3), strides=(2, 1), padding="same"),
        IMAGE,
        False,
    ),
    "2D, channels first": (
        lambda: keras.layers.ConvLSTM2D(
            2,
            2,
            data_format="channels_first",
            return_sequences=True,
            return_state=True,
            unroll=True,  # a loop that XLA runs has no gradient outside it
        ),
        (2, 3, 2, 4, 3),
        False,
    ),
    "2D, rows of softmax along space": (
        lambda: keras.layers.ConvLSTM2D(
            2,
            2,
            data_format="channels_first",
            activation="softmax",
            recurrent_activation="log_softmax",
            unroll=True,
        ),
        (2, 2, 1, 3, 4),
        False,
    ),
    "2D, backwards": (
        lambda: keras.layers.ConvLSTM2D(
            1, 2, go_backwards=True, return_sequences=True, use_bias=False, activation="relu"
        ),
        IMAGE,
        True,
    ),
    "2D, carried": (lambda: keras.layers.ConvLSTM2D(1, 2, stateful=True), IMAGE, True),
    "3D": (lambda: keras.layers.ConvLSTM3D(1, 2, return_state=True), VOLUME, False),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    make, shapes, masked = LAYERS[name]
    layer_equals_keras(make, shapes, {"training": True, **({"mask": MASK} if masked else {})})


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    make, shapes, masked = LAYERS[name]
    layer_derivative(make, shapes, {"mask": MASK} if masked else {}, scale=0.25)


def test_in_lock_step_with_what_was_dropped_for_each_gate() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input(LINE[1:]),
            keras.layers.ConvLSTM1D(
                2, 2, dropout=0.3, recurrent_dropout=0.4, return_sequences=True, name="below"
            ),
            keras.layers.ConvLSTM1D(1, 2, dropout=0.2, kernel_regularizer="l2", name="above"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(8, *LINE[1:])), draw.normal(size=(8, 1))
    report = lockstep(model, x, y, batch_size=3)
    assert report.ok, str(report.first)
    gradients = {name for phase, name, *_ in report.quantities if phase == "weight gradient"}
    assert {"below/recurrent_kernel", "above/kernel", "above/bias"} <= gradients


def test_what_training_starts_from() -> None:
    layer = ConvLSTM2D(2, 2, name="film")
    layer(InputLayer(batch_shape=(None, *IMAGE[1:])).of_size(IMAGE[1:]))
    kernel, recurrent, bias = (parameter.value for parameter in layer.parameters)
    assert kernel.shape == recurrent.shape == (2, 2, 2, 8)
    turned = recurrent.reshape(8, 8)
    np.testing.assert_allclose(turned @ turned.T, np.eye(8), rtol=0, atol=64 * np.finfo(float).eps)
    np.testing.assert_array_equal(bias, [0, 0, 1, 1, 0, 0, 0, 0])


def test_what_has_no_twin_is_refused() -> None:
    with pytest.raises(NoTwin, match="layer 'film': the padding 'causal' has no hand-derived"):
        ConvLSTM1D(2, 2, padding="causal", name="film")
