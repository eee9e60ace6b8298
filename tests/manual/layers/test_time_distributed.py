"""TimeDistributed alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import Dense, TimeDistributed

LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Dense": (lambda: keras.layers.TimeDistributed(keras.layers.Dense(3)), (2, 4, 3)),
    "Dense, tanh": (
        lambda: keras.layers.TimeDistributed(keras.layers.Dense(2, activation="tanh")),
        (2, 3, 3),
    ),
    "Conv2D": (
        lambda: keras.layers.TimeDistributed(keras.layers.Conv2D(2, 2, activation="silu")),
        (2, 2, 3, 3, 2),
    ),
    "LSTM": (lambda: keras.layers.TimeDistributed(keras.layers.LSTM(2)), (2, 3, 4, 2)),
    "Bidirectional": (
        lambda: keras.layers.TimeDistributed(
            keras.layers.Bidirectional(keras.layers.GRU(2)), name="steps"
        ),
        (2, 2, 3, 2),
    ),
    "TimeDistributed": (
        lambda: keras.layers.TimeDistributed(
            keras.layers.TimeDistributed(keras.layers.Dense(2, activation="tanh"))
        ),
        (2, 2, 3, 2),
    ),
    "Flatten": (lambda: keras.layers.TimeDistributed(keras.layers.Flatten()), (2, 3, 2, 2)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


def test_in_lock_step_through_a_fit_step_by_step() -> None:
    """Each step draws anew, and moves the moving averages on."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((4, 3)),
            keras.layers.TimeDistributed(
                keras.layers.Dense(4, activation="relu", kernel_regularizer="l2")
            ),
            keras.layers.TimeDistributed(keras.layers.BatchNormalization()),
            keras.layers.TimeDistributed(keras.layers.Dropout(0.4)),
            keras.layers.GRU(2),
        ]
    )
    model.compile("adam", "mse")
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(20, 4, 3)), draw.normal(size=(20, 2))
    report = lockstep(model, x, y, batch_size=8)
    assert report.ok, str(report.first)
    assert any(phase == "state" and "moving_mean" in name for phase, name, _ in report.quantities)


def test_the_formulas_are_those_of_the_layer() -> None:
    dense = {"class_name": "Dense", "config": keras.layers.Dense(2).get_config()}
    layer = TimeDistributed(dense, name="steps")
    layer.build((3, 2), np.random.default_rng(0))
    assert layer.derivation["kernel gradient"] == Dense.derivation["kernel gradient"]
    assert layer.derivation["forward"] == TimeDistributed.derivation["forward"]
