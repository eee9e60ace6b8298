"""Bugs planted in the hand-written half: after a whole lock-step the cause is named first."""

from __future__ import annotations

from collections.abc import Callable
from itertools import cycle
from typing import Any

import keras
import numpy as np
import pytest

from compare import Report, lockstep
from compare.cases import load
from compare.cases.base import Settings
from compare.cases.casework import run_case
from manual.activations import ReLU, Sigmoid, Softmax, Tanh
from manual.constraints import Constant
from manual.layers import Dense
from manual.losses import CategoricalCrossentropy, Loss, MeanSquaredError
from manual.optimizers import SGD, Adam

Patch = Callable[..., Any]


def dense(kernel: Any = None, bias: Any = None, dx: Any = None) -> Patch:
    """Return Dense's derivative with one of its three lines replaced."""

    def backward(self: Any, dz: Any, x: Any) -> Any:
        W = self.kernel.value
        self.kernel.gradient += x.T @ dz if kernel is None else kernel(x, dz, W)
        self.bias.gradient += dz.sum(axis=0) if bias is None else bias(x, dz, W)
        return dz @ W.T if dx is None else dx(x, dz, W)

    return backward


def no_bias(self: Any, x: Any, *, training: bool = False) -> Any:
    return x @ self.kernel.value, x


def uphill(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
    w += eta * g


def no_correction(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
    m, v = slots["momentum"], slots["velocity"]
    m += (g - m) * (1.0 - self.beta_1)
    v += (g * g - v) * (1.0 - self.beta_2)
    w -= m * eta / (np.sqrt(v) + self.epsilon)


def other_share(self: Any, values: Any, sample_weight: Any) -> float:
    return 8.0  # the batch size, also where the last batch is smaller


PLANTED: dict[str, tuple[type, str, Patch, dict[str, Any], str]] = {
    "tanh without its derivative": (
        Tanh,
        "backward",
        lambda self, da, z, a: da,
        {},
        "the derivative of the activation is missing",
    ),
    "tanh: 1 − a": (
        Tanh,
        "backward",
        lambda self, da, z, a: da * (1.0 - a),
        {},
        "1 − a stands for the derivative",
    ),
    "sigmoid of z": (
        Sigmoid,
        "backward",
        lambda self, da, z, a: da * z * (1.0 - z),
        {"activation": "sigmoid"},
        "a (1 − a) is computed from the pre-activation instead of the activation",
    ),
    "relu twice": (
        ReLU,
        "backward",
        lambda self, da, z, a: da * a,
        {"activation": "relu"},
        "the activation stands for its derivative",
    ),
    "softmax's diagonal": (
        Softmax,
        "backward",
        lambda self, da, z, a: da * a * (1.0 - a),
        {"last": "softmax"},
        "only the diagonal of softmax's derivative is used",
    ),
    "mean missing": (
        Loss,
        "_divisor",
        lambda self, values, w: 1.0,
        {},
        "the batch mean is missing",
    ),
    "last batch": (
        Loss,
        "_divisor",
        other_share,
        {},
        "the last, small batch is averaged with the full batch size",
    ),
    "no 2": (
        MeanSquaredError,
        "values_gradient",
        lambda self, dv, saved: dv[..., None] * saved / saved.shape[-1],
        {},
        "the 2 of the square's derivative is missing",
    ),
    "sign": (
        MeanSquaredError,
        "values_gradient",
        lambda self, dv, saved: dv[..., None] * (-2.0 * saved) / saved.shape[-1],
        {},
        "the sign is reversed",
    ),
    "p − y for a softmax's logits": (
        CategoricalCrossentropy,
        "values_gradient",
        lambda self, dv, saved: dv[..., None] * (saved[1] - saved[0]),
        {"last": "softmax", "loss": "categorical_crossentropy"},
        "this is the derivative of ½ (p − y)²",
    ),
    "kernel gradient transposed": (
        Dense,
        "backward",
        dense(kernel=lambda x, dz, W: (x.T @ dz).T),
        {},
        "the matrix is transposed",
    ),
    "bias gradient of one sample": (
        Dense,
        "backward",
        dense(bias=lambda x, dz, W: dz[0]),
        {},
        "only the first sample's share is there",
    ),
    "bias gradient forgotten": (
        Dense,
        "backward",
        dense(bias=lambda x, dz, W: dz.sum(axis=0) * 0.0),
        {},
        "the gradient is never computed: it stays 0",
    ),
    "kernel not transposed": (
        Dense,
        "backward",
        dense(dx=lambda x, dz, W: dz @ W),
        {},
        "the kernel is not transposed",
    ),
    "bias forgotten": (Dense, "forward", no_bias, {}, "the bias is forgotten"),
    "uphill": (SGD, "update", uphill, {"optimizer": "sgd"}, "the step goes uphill"),
    "no bias correction": (
        Adam,
        "update",
        no_correction,
        {"optimizer": "adam"},
        "the bias correction is missing",
    ),
}


def run(
    activation: str = "tanh", last: str | None = None, loss: str = "mse", optimizer: str = "sgd"
) -> Report:
    """Train two square layers and a last one for three steps, the last of them with 3 samples."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(4, activation, name="first", bias_initializer="random_normal"),
            keras.layers.Dense(4, activation, name="second", bias_initializer="random_normal"),
            keras.layers.Dense(4, last, name="last", bias_initializer="random_normal"),
        ]
    )
    model.compile(optimizer, loss, run_eagerly=True)
    generator = np.random.default_rng(5)
    x, y = generator.normal(size=(19, 4)), generator.dirichlet(np.ones(4), size=19)
    return lockstep(model, x, y, batch_size=8, shuffle=False)


@pytest.mark.parametrize(
    ("name", "precision"), list(zip(PLANTED, cycle(["float32", "float64"]))), indirect=["precision"]
)
def test_the_cause_is_named_first(
    name: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, method, patch, options, sentence = PLANTED[name]
    monkeypatch.setattr(owner, method, patch)
    first = run(**options).first
    assert first is not None
    assert first.diagnosis is not None, str(first)
    assert first.diagnosis.causes, str(first)
    assert first.diagnosis.causes[0].sentence.startswith(sentence), str(first)
    assert first.diagnosis.wrong == "the hand derivation"
    if "gradient" in first.phase:
        assert first.diagnosis.ruling is not None
        assert first.diagnosis.ruling.supports == "Keras", str(first)


def test_a_forgotten_constraint(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The frozen biases of a tutorial are trained after all."""
    monkeypatch.setattr(Constant, "apply", lambda self, w: None)
    result = run_case(load("mazur"), Settings(steps=1, dtype=precision))
    first = result.reports[0].first
    assert first is not None and first.diagnosis is not None
    assert (first.phase, first.name) == ("weight", "hidden/bias")
    assert first.diagnosis.causes[0].sentence == "the constraint is forgotten", str(first)


def test_where_keras_is_wrong_the_referee_says_so(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras's kernel gradient is tampered with: the referee supports the hand derivation."""
    import keras_models.stepper as stepper

    own = stepper.Stepper.step

    def step(self: Any, *args: Any, **options: Any) -> Any:
        trace = own(self, *args, **options)
        trace["weight gradient"]["last/kernel"] = trace["weight gradient"]["last/kernel"] * 2
        return trace

    monkeypatch.setattr(stepper.Stepper, "step", step)
    first = run().first
    assert first is not None and first.diagnosis is not None
    assert first.diagnosis.ruling is not None
    assert first.diagnosis.ruling.supports == "the hand derivation"
    assert first.diagnosis.wrong == "Keras"
    assert first.diagnosis.causes[0].sentence.startswith("the ½ of ½ (p − y)² is missing")
