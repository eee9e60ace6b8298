"""Every kind of mistake, planted on purpose, is found: where it is, when it begins, and only there.

A comparison from a ``GradientTape`` step is local, so there the blame has to stay with the one map
that was changed. The gradients and the loss out of ``fit`` are held against the whole hand-written
step; a fault on the way is seen in whatever it feeds into, and there only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
from planting import FIT, TAPE, WEIGHTS, Model, assert_first, blamed, of, run

import manual
from compare import lockstep
from keras_models import HalfSquaredSum
from manual.activations import Sigmoid, Tanh
from manual.layers import Dense
from manual.losses import MeanSquaredError
from manual.metrics import CategoricalAccuracy
from manual.optimizers import SGD


def test_without_a_fault_everything_agrees(precision: str, small: Model) -> None:
    report = run(small())
    assert report.ok, str(report.first)
    assert blamed(report) == set()


# ---------------------------------------------------------------------- activations


def test_tanh_derivative_without_its_square(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Tanh, "backward", lambda self, da, z, a: da * (1.0 - a))
    report = run(small())
    assert_first(report, 1, "activation gradient", "hidden/pre_activation", "hidden")
    assert blamed(report) == of("activation gradient", TAPE, ["hidden/pre_activation"]) | of(
        "weight gradient", FIT, WEIGHTS[:2]
    )


def test_sigmoid_slightly_off(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The activation is at fault, and with it its derivative, which is written with it."""
    monkeypatch.setattr(
        Sigmoid, "forward", lambda self, z: 1.0 / (1.0 + np.exp(z * -1.0)) * (1.0 + 2.0**-13)
    )
    report = run(small())
    assert_first(report, 1, "activation", "second", "second")
    assert blamed(report) == (
        of("activation", TAPE, ["second"])
        | of("activation gradient", TAPE, ["second/pre_activation"])
        | of("loss", FIT, ["total"])
        | of("weight gradient", FIT, WEIGHTS)
    )


# ---------------------------------------------------------------------- layers


def wrong_dense_backward(
    monkeypatch: pytest.MonkeyPatch, layer: str, change: Callable[..., Any]
) -> None:
    """Put ``change`` in the place of one layer's derivative."""
    right = Dense.backward

    def backward(self: Dense, dz: Any, saved: Any) -> Any:
        return change(self, dz, saved) if self.name == layer else right(self, dz, saved)

    monkeypatch.setattr(Dense, "backward", backward)


def test_kernel_gradient_transposed(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def transposed(self: Dense, dz: Any, x: Any) -> Any:
        self.kernel.gradient += dz.T @ x
        self.bias.gradient += dz.sum(axis=0)
        return dz @ self.kernel.value.T

    wrong_dense_backward(monkeypatch, "second", transposed)
    report = run(small())
    assert_first(report, 1, "weight gradient", "second/kernel", "second")
    assert blamed(report) == {
        ("weight gradient", "second/kernel", source) for source in (TAPE, FIT)
    }


def test_bias_gradient_dropped(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_bias(self: Dense, dz: Any, x: Any) -> Any:
        self.kernel.gradient += x.T @ dz
        return dz @ self.kernel.value.T

    wrong_dense_backward(monkeypatch, "out", without_bias)
    report = run(small())
    assert_first(report, 1, "weight gradient", "out/bias", "out")
    assert blamed(report) == {("weight gradient", "out/bias", source) for source in (TAPE, FIT)}


def test_input_gradient_with_the_kernel_not_transposed(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def not_transposed(self: Dense, dz: Any, x: Any) -> Any:
        self.kernel.gradient += x.T @ dz
        self.bias.gradient += dz.sum(axis=0)
        return dz @ self.kernel.value

    wrong_dense_backward(monkeypatch, "second", not_transposed)
    report = run(small())
    assert_first(report, 1, "activation gradient", "hidden", "second")
    assert blamed(report) == of("activation gradient", TAPE, ["hidden"]) | of(
        "weight gradient", FIT, WEIGHTS[:2]
    )


def test_one_element_among_ninety_thousand(
    precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def one_element_off(self: Dense, dz: Any, x: Any) -> Any:
        product = x.T @ dz
        product[17, 203] = product[17, 203] * 1.001
        self.kernel.gradient += product
        self.bias.gradient += dz.sum(axis=0)
        return dz @ self.kernel.value.T

    wrong_dense_backward(monkeypatch, "wide", one_element_off)
    model = model_of(300, keras.layers.Dense(300, name="wide"))
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(2, 4, 300))
    report = lockstep(model, x, y, batch_size=4)
    assert_first(report, 1, "weight gradient", "wide/kernel", "wide")
    assert report.first is not None
    assert report.first.worst_element == (17, 203)
    assert report.first.verdict.size == 90_000
    assert blamed(report) == {("weight gradient", "wide/kernel", source) for source in (TAPE, FIT)}


# ---------------------------------------------------------------------- losses


def test_batch_mean_missing(precision: str, small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        MeanSquaredError, "values_gradient", lambda self, dv, saved: 2.0 * saved / saved.shape[-1]
    )
    report = run(small())
    assert_first(report, 1, "activation gradient", "out", "MeanSquaredError")
    assert blamed(report) == of("activation gradient", TAPE, ["out"]) | of(
        "weight gradient", FIT, WEIGHTS
    )


def test_half_missing_from_the_loss(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        manual.HalfSquaredSum,
        "values",
        lambda self, y, p, logits: (((p - y) * (p - y)).sum(axis=-1), p - y),
    )
    report = run(small(loss=HalfSquaredSum()))
    assert_first(report, 1, "loss", "total", "HalfSquaredSum")
    assert blamed(report) == {("loss", "total", source) for source in (TAPE, FIT)}


def test_batch_size_taken_for_a_constant(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right for every full batch, wrong for the smaller one at the end."""
    monkeypatch.setattr(
        MeanSquaredError,
        "values_gradient",
        lambda self, dv, saved: 2.0 * saved / saved.shape[-1] / 8.0,
    )
    assert run(small(), samples=16).ok
    report = run(small(), samples=20)
    assert_first(report, 3, "activation gradient", "out", "MeanSquaredError")
    assert blamed(report) == of("activation gradient", TAPE, ["out"]) | of(
        "weight gradient", FIT, WEIGHTS
    )


# ---------------------------------------------------------------------- what stands around


def test_two_faults_are_both_found(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def transposed(self: Dense, dz: Any, x: Any) -> Any:
        self.kernel.gradient += dz.T @ x
        self.bias.gradient += dz.sum(axis=0)
        return dz @ self.kernel.value.T

    wrong_dense_backward(monkeypatch, "second", transposed)
    monkeypatch.setattr(Tanh, "backward", lambda self, da, z, a: da * (1.0 - a))
    report = run(small())
    assert_first(report, 1, "activation gradient", "hidden/pre_activation", "hidden")
    assert blamed(report) == (
        of("activation gradient", TAPE, ["hidden/pre_activation"])
        | of("weight gradient", TAPE, ["second/kernel"])
        | of("weight gradient", FIT, ["second/kernel", *WEIGHTS[:2]])
    )


def test_accuracy_of_the_wrong_class(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The targets are what the model says, so that the right accuracy isn't the wrong one's."""
    monkeypatch.setattr(
        CategoricalAccuracy,
        "values",
        lambda self, y, p: 1.0 * (y.argmax(axis=-1) == (p * -1.0).argmax(axis=-1)),
    )
    model = small(metrics=["categorical_accuracy"])
    x = np.random.default_rng(0).normal(size=(20, 5))
    y = np.eye(3)[model.predict(x, verbose=0).argmax(axis=-1)]
    report = lockstep(model, x, y, batch_size=8)
    assert_first(report, 3, "metric", "categorical_accuracy", "categorical_accuracy")
    assert blamed(report) == {("metric", "categorical_accuracy", FIT)}


def test_weights_that_are_not_those_of_keras(precision: str, small: Model) -> None:
    model = small()
    x = manual.Input((5,))
    hidden = manual.Dense(4, "tanh", name="hidden")(x)
    second = manual.Dense(4, "sigmoid", name="second")(hidden)
    network = manual.Network(x, manual.Dense(3, name="out")(second), dtype=precision)
    network.compile("mse", SGD())
    weights = model.get_weights()
    weights[2][1, 3] *= 1.001
    network.set_weights(weights)
    report = run(model, network=network)
    assert_first(report, 0, "input", "second/kernel", "the initial weights")
    assert report.first is not None
    assert report.first.worst_element == (1, 3)
    assert blamed(report) == {("input", "second/kernel", FIT)}


def test_another_way_that_is_wrong(precision: str, model_of: Model) -> None:
    def by_hand(weights: Mapping[str, Any], x: Any, y: Any) -> dict[str, Any]:
        """2/B Σ xᵀ (x W − y)."""
        return {"line/kernel": 2.0 * (x.T @ (x @ weights["line/kernel"] - y)) / len(x)}

    def without_the_two(weights: Mapping[str, Any], x: Any, y: Any) -> dict[str, Any]:
        """1/B Σ xᵀ (x W − y)."""
        return {"line/kernel": x.T @ (x @ weights["line/kernel"] - y) / len(x)}

    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(16, 3)), generator.normal(size=(16, 1))
    model = model_of(3, keras.layers.Dense(1, use_bias=False, name="line"))
    ways = {"written down": by_hand, "half of it": without_the_two}
    report = lockstep(model, x, y, batch_size=8, other_ways=ways)
    assert_first(report, 1, "weight gradient", "line/kernel", "half of it")
    assert report.first is not None
    assert report.first.derivation.formula == "1/B Σ xᵀ (x W − y)."
    assert blamed(report) == {("weight gradient", "line/kernel", "half of it")}
    agreeing = report.quantities["weight gradient", "line/kernel", "written down"]
    assert (agreeing.compared, agreeing.disagreed) == (2, 0)
