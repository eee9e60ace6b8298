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

import manual
from compare import Report, lockstep
from keras_models import HalfSquaredSum
from manual.activations import Sigmoid, Tanh
from manual.constraints import NonNeg
from manual.layers import Dense
from manual.losses import MeanSquaredError
from manual.metrics import CategoricalAccuracy
from manual.optimizers import SGD, Adam, RMSprop, as_float32

WEIGHTS = ["hidden/kernel", "hidden/bias", "second/kernel", "second/bias", "out/kernel", "out/bias"]
TAPE, FIT = "GradientTape", "model.fit"

Key = tuple[str, str, str]
Model = Callable[..., keras.Model]


def blamed(report: Report) -> set[Key]:
    """Return every quantity that disagreed at any step."""
    return {key for key, largest in report.quantities.items() if largest.disagreed}


def of(phase: str, source: str, names: Any) -> set[Key]:
    return {(phase, name, source) for name in names}


@pytest.fixture
def small(model_of: Model) -> Model:
    """Build three layers, the second of which is square."""

    def build(**options: Any) -> keras.Model:
        return model_of(
            5,
            keras.layers.Dense(4, "tanh", name="hidden", **options.pop("hidden", {})),
            keras.layers.Dense(4, "sigmoid", name="second"),
            keras.layers.Dense(3, name="out"),
            **options,
        )

    return build


def run(model: keras.Model, samples: int = 20, **options: Any) -> Report:
    """Train for three steps, the last of which has fewer samples."""
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(samples, 5)), generator.normal(size=(samples, 3))
    return lockstep(model, x, y, batch_size=8, shuffle=False, **options)


def number(t: Any) -> float:
    """Read the step count, plain or with its rounding noise."""
    return float(getattr(t, "value", t))


def assert_first(report: Report, step: int, phase: str, name: str, layer: str) -> None:
    assert not report.ok
    assert report.first is not None
    found = (report.first.step, report.first.phase, report.first.name)
    assert (*found, report.first.derivation.layer) == (step, phase, name, layer)


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


# ---------------------------------------------------------------------- optimizers


def updated(*slots: str, weights: bool = True) -> set[Key]:
    """Return what a wrong update rule shows in: the slots, and the weights, of both sources."""
    names = [f"{name}/{slot}" for name in WEIGHTS for slot in slots]
    return {
        key
        for source in (TAPE, FIT)
        for key in of("optimizer slot", source, names)
        | (of("weight", source, WEIGHTS) if weights else set())
    }


def test_momentum_with_the_wrong_sign(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def update(self: SGD, w: Any, g: Any, slots: Any, t: Any, learning_rate: Any) -> None:
        m = slots["momentum"]
        m *= self.momentum
        m += learning_rate * g
        w += m

    monkeypatch.setattr(SGD, "update", update)
    report = run(small(optimizer=keras.optimizers.SGD(0.1, momentum=0.9)))
    assert_first(report, 1, "optimizer slot", "hidden/kernel/momentum", "SGD")
    assert blamed(report) == updated("momentum")


def test_nesterov_forgotten(precision: str, small: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def update(self: SGD, w: Any, g: Any, slots: Any, t: Any, learning_rate: Any) -> None:
        m = slots["momentum"]
        m *= self.momentum
        m -= learning_rate * g
        w += m

    monkeypatch.setattr(SGD, "update", update)
    report = run(small(optimizer=keras.optimizers.SGD(0.1, momentum=0.9, nesterov=True)))
    assert_first(report, 1, "weight", "hidden/kernel", "SGD")
    assert blamed(report) == updated()


def test_a_fault_that_begins_at_the_third_step(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def update(self: SGD, w: Any, g: Any, slots: Any, t: Any, learning_rate: Any) -> None:
        w -= learning_rate * g * (1.0 if number(t) < 3 else 1.001)

    monkeypatch.setattr(SGD, "update", update)
    assert run(small(), samples=16).ok
    report = run(small())
    assert_first(report, 3, "weight", "hidden/kernel", "SGD")
    assert blamed(report) == updated()


def adam(
    *,
    t: Callable[[Any], Any] = lambda t: t,
    corrected: bool = True,
    swapped: bool = False,
    inside: bool = False,
) -> Callable[..., None]:
    """Return Adam's rule with one of its usual mistakes."""

    def update(self: Adam, w: Any, g: Any, slots: Any, step: Any, learning_rate: Any) -> None:
        m, v, count = slots["momentum"], slots["velocity"], t(step)
        beta_1, beta_2 = (self.beta_1, self.beta_2)[:: -1 if swapped else 1]
        alpha = learning_rate
        if corrected:
            alpha = alpha * (1.0 - as_float32(beta_2) ** count) ** 0.5
            alpha = alpha / (1.0 - as_float32(beta_1) ** count)
        m += (g - m) * (1.0 - beta_1)
        v += (g * g - v) * (1.0 - beta_2)
        root = np.sqrt(v + self.epsilon) if inside else np.sqrt(v) + self.epsilon
        w -= m * alpha / root

    return update


def test_the_rule_that_the_faults_are_planted_in_is_right(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Adam, "update", adam())
    report = run(small(optimizer=keras.optimizers.Adam(0.01)))
    assert report.ok, str(report.first)


@pytest.mark.parametrize(
    ("fault", "slots", "step"),
    [
        ({"corrected": False}, (), 1),
        ({"inside": True}, (), 1),
        ({"t": lambda t: t + 1}, (), 1),
        ({"t": lambda t: 1}, (), 2),
        ({"swapped": True}, ("momentum", "velocity"), 1),
    ],
    ids=[
        "no bias correction",
        "epsilon inside the root",
        "step count one ahead",
        "step count stands still",
        "betas swapped",
    ],
)
def test_adam(
    fault: Mapping[str, Any],
    slots: tuple[str, ...],
    step: int,
    precision: str,
    small: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Adam, "update", adam(**fault))
    report = run(small(optimizer=keras.optimizers.Adam(0.01, epsilon=1e-3)))
    first = ("optimizer slot", f"hidden/kernel/{slots[0]}") if slots else ("weight", WEIGHTS[0])
    assert_first(report, step, *first, "Adam")
    assert blamed(report) == updated(*slots)


def test_rmsprop_with_epsilon_outside_the_root(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    def update(self: RMSprop, w: Any, g: Any, slots: Any, t: Any, learning_rate: Any) -> None:
        v = slots["velocity"]
        v *= self.rho
        v += (1.0 - self.rho) * (g * g)
        w -= learning_rate * g / (np.sqrt(v) + self.epsilon)

    monkeypatch.setattr(RMSprop, "update", update)
    report = run(small(optimizer=keras.optimizers.RMSprop(0.01, epsilon=1e-3)))
    assert_first(report, 1, "weight", "hidden/kernel", "RMSprop")
    assert blamed(report) == updated()


def test_constraint_forgotten(
    precision: str, small: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(NonNeg, "apply", lambda self, w: None)
    report = run(small(hidden={"kernel_constraint": keras.constraints.NonNeg()}))
    assert_first(report, 1, "weight", "hidden/kernel", "NonNeg")
    assert blamed(report) == {("weight", "hidden/kernel", source) for source in (TAPE, FIT)}


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


# ---------------------------------------------------------------------- faults in the Keras half


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
