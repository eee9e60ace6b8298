"""Dropout, against Keras on the numbers that Keras drew, and on its own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import Dropout


@pytest.mark.parametrize("way", [{}, {"run_eagerly": True}, {"jit_compile": True}])
@pytest.mark.parametrize("noise_shape", [None, (None, 1, 5)])
def test_a_step_is_replayed_exactly(way: dict[str, bool], noise_shape: Any, precision: str) -> None:
    inputs = keras.Input((3, 4))
    dropped = keras.layers.Dropout(0.3, noise_shape=noise_shape)
    x = dropped(keras.layers.Dense(5, "tanh")(inputs))
    x = dropped(keras.layers.Dense(5, "relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile("adam", "mse", **way)
    generator = np.random.default_rng(0)
    data, targets = generator.normal(size=(20, 3, 4)), generator.normal(size=(20, 3, 2))
    report = lockstep(model, data, targets, batch_size=8)
    report.raise_if_different()
    # The half that trains alone draws nothing of its own either: its weights stay Keras's.
    assert report.history[-1].weight_drift < (1e-5 if precision == "float32" else 1e-13)


def test_another_draw_of_the_mask_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manual.randomness.Draws.replay", lambda self, arrays: None)
    layer = keras.layers.Dropout(0.5, name="drop")
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    first = lockstep(model, np.ones((8, 4)), np.ones((8, 1)), batch_size=8).first
    assert first is not None
    assert (first.phase, first.name) == ("activation", "drop")


def test_on_its_own_it_draws_and_keeps_the_mean() -> None:
    x = np.ones((200, 500))
    layer = Dropout(0.25)
    y, saved = layer.forward(x, training=True)
    assert set(np.unique(y)) == {0.0, 1.0 / 0.75}
    assert abs(y.mean() - 1.0) < 6 * np.sqrt(0.25 / 0.75 / x.size)  # six standard deviations
    np.testing.assert_array_equal(layer.backward(x, saved), y)
    assert layer.forward(x)[0] is x
    assert not layer.forward(x[:1], training=True)[0].all()


def test_the_precision_stays(precision: str) -> None:
    x = np.ones((4, 5), precision)
    y, saved = Dropout(0.25).forward(x, training=True)
    assert y.dtype == precision
    assert Dropout(0.25).backward(x, saved).dtype == precision
