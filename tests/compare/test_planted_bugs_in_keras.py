"""Mistakes planted in the Keras half are found as those of the hand-written one are."""

from __future__ import annotations

from typing import Any

import keras
import pytest
from planting import FIT, TAPE, WEIGHTS, Model, assert_first, blamed, of, run, updated


def test_keras_activation_at_fault(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def call(self: keras.layers.Dense, inputs: Any, training: Any = None) -> Any:
        x = keras.ops.add(keras.ops.matmul(inputs, self.kernel), self.bias)
        x = self.activation(x)
        return x * (1.0 + 2.0**-13) if self.name == "hidden" else x

    monkeypatch.setattr(keras.layers.Dense, "call", call)
    report = run(small())
    assert_first(report, 1, "activation", "hidden", "hidden")
    assert blamed(report) == (
        of("activation", TAPE, ["hidden"])
        | of("activation gradient", TAPE, ["hidden/pre_activation"])
        | of("loss", FIT, ["total"])
        | of("weight gradient", FIT, WEIGHTS)
    )


def test_keras_loss_at_fault(precision: str, small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    right = keras.losses.MeanSquaredError.call
    monkeypatch.setattr(
        keras.losses.MeanSquaredError,
        "call",
        lambda self, y_true, y_pred: right(self, y_true, y_pred) * 3.0,
        raising=False,
    )
    report = run(small(loss=keras.losses.MeanSquaredError()))
    assert_first(report, 1, "loss", "total", "MeanSquaredError")
    assert blamed(report) == (
        {("loss", "total", source) for source in (TAPE, FIT)}
        | of("activation gradient", TAPE, ["out"])
        | of("weight gradient", FIT, WEIGHTS)
    )


def test_keras_optimizer_at_fault(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = keras.optimizers.SGD.update_step
    monkeypatch.setattr(
        keras.optimizers.SGD,
        "update_step",
        lambda self, gradient, variable, learning_rate: right(
            self, gradient, variable, learning_rate * 1.001
        ),
    )
    report = run(small())
    assert_first(report, 1, "weight", "hidden/kernel", "SGD")
    assert blamed(report) == updated()


def test_keras_mean_loss_over_batches_of_different_sizes(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mean that forgets that the last batch is smaller is wrong; planted in Keras itself."""
    right = keras.metrics.Mean.update_state
    monkeypatch.setattr(
        keras.metrics.Mean,
        "update_state",
        lambda self, values, sample_weight=None: right(self, values),
    )
    assert run(small(), samples=16).ok
    report = run(small())
    assert_first(report, 3, "metric", "loss", "loss")
    assert blamed(report) == {("metric", "loss", FIT)}
