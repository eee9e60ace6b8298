"""The third opinion on values and updates: Keras's own map, alone and in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import Report, lockstep
from compare.findings.referee import Ruling, value_ruling
from compare.rounding.noise import Noisy
from keras_models.alone import Alone, CannotRun
from keras_models.stepper import Stepper
from manual import Dense, optimizers
from manual.layers import Masking

Model = Callable[..., keras.Model]
UNIT = 2.0**-24


def noisy(*numbers: float) -> Noisy:
    return Noisy(np.array(numbers), noise=np.ones(len(numbers)), unit=UNIT)


@pytest.mark.parametrize(
    ("alone", "by_keras", "by_hand", "supports"),
    [
        (1.0, 1.0, 2.0, "Keras"),
        (2.0, 1.0, 2.0, "the hand derivation"),
        (1.0, 1.0 + UNIT, 1.0 - UNIT, "both"),
        (3.0, 1.0, 2.0, "neither"),
        (1.0, 1.0 + 20 * UNIT, 2.0, "Keras"),  # more noise than by hand, but far nearer
        (1.0, 1.5, 1.0 + 20 * UNIT, "the hand derivation"),
        (np.inf, 1.0, 2.0, "nobody"),
    ],
)
def test_whom_a_value_supports(
    alone: float, by_keras: float, by_hand: float, supports: str
) -> None:
    ruling = value_ruling(np.array([alone, 0.5]), np.array([by_keras, 0.5]), noisy(by_hand, 0.5))
    assert ruling.supports == supports
    if supports == "Keras" and by_keras == 1.0:
        assert str(ruling) == "Keras's own map, alone in float64, 1, supports Keras"
    if supports == "nobody":
        assert str(ruling) == "cannot decide here: Keras's own map is not finite in float64"


def trained(model_of: Model, **options: Any) -> Report:
    hidden = keras.layers.Dense(3, "tanh", name="hidden")
    model = model_of(4, hidden, keras.layers.Dense(2, name="out"), **options)
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(8, 4)), generator.normal(size=(8, 2))
    return lockstep(model, x, y, batch_size=8)


def ruling_of(report: Report) -> Ruling:
    assert report.first is not None and report.first.diagnosis is not None
    assert report.first.diagnosis.ruling is not None
    return report.first.diagnosis.ruling


def test_a_wrong_forward_map(
    precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        Dense, "forward", lambda self, x, training=False: (x @ self.kernel.value, x)
    )
    report = trained(model_of)
    assert ruling_of(report).supports == "Keras"
    assert report.first is not None and report.first.inputs == 0.0
    assert "its inputs agree (0 × noise), so the fault is in 'hidden'" in str(report.first)
    assert "reproduce: compare.lockstep(model, x, y, batch_size=8, steps=1)" in str(report.first)


def test_a_wrong_update(precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    right: Any = optimizers.Adam.update
    monkeypatch.setattr(
        optimizers.Adam, "update", lambda self, w, g, s, t, eta: right(self, w, g, s, t + 1.0, eta)
    )
    report = trained(model_of, optimizer="adam")
    ruling = ruling_of(report)
    assert ruling.supports == "Keras"
    assert report.first is not None
    verdict = report.first.verdict
    assert abs(ruling.value - ruling.keras) <= verdict.bound * verdict.noise


@pytest.mark.parametrize("phase", ["activation", "weight"])
def test_where_keras_lost_the_digits(
    phase: str, precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Keras's numbers are tampered with; run alone, Keras doesn't stand by them."""
    own, name = Stepper.step, "hidden" if phase == "activation" else "hidden/kernel"

    def step(self: Any, *args: Any, **options: Any) -> Any:
        trace = own(self, *args, **options)
        trace[phase][name] = trace[phase][name] * 1.001
        return trace

    monkeypatch.setattr(Stepper, "step", step)
    report = trained(model_of)
    ruling = ruling_of(report)
    assert ruling.supports == "the hand derivation", ruling
    assert report.first is not None and report.first.diagnosis is not None
    assert report.first.diagnosis.wrong == "Keras"


def test_it_says_why_it_cannot_decide() -> None:
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dropout(0.5, name="drop")])
    model.compile("sgd", "mse")
    with pytest.raises(CannotRun, match="the layer draws random numbers"):
        Alone(model).activation("drop", [np.ones((2, 3))], {})
    model = keras.Sequential([keras.Input((4, 4, 4, 1)), keras.layers.MaxPooling3D(name="pool")])
    model.compile("sgd", "mse")
    with pytest.raises(CannotRun, match="Keras can't run it in float64: "):
        Alone(model).activation("pool", [np.ones((1, 4, 4, 4, 1))], {})
    assert keras.config.floatx() == "float32"


def test_where_masks_change_along_the_way(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is 0 is masked, and what is moved a little isn't: the loss can't tell of the mask."""
    monkeypatch.setattr(Masking, "backward", lambda self, dy, saved: dy)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3, 2)),
            layers.Dense(2, "relu", use_bias=False, name="below"),
            layers.Masking(name="masking"),
            layers.Flatten(),
            layers.Dense(1, name="out"),
        ]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    x = np.random.default_rng(1).normal(size=(6, 3, 2))
    x[::2, 1] = 0.0
    report = lockstep(model, x, x[:, 0, :1], batch_size=6)
    assert report.first is not None and report.first.name == "below"
    assert str(ruling_of(report)) == "cannot decide here: the masks change along the way"


CAUSAL = {"use_causal_mask": True}


@pytest.mark.parametrize(
    ("layer", "by_name", "options"),
    [
        (lambda: keras.layers.LSTM(3, return_sequences=True, name="l"), None, {}),
        (lambda: keras.layers.Attention(use_scale=True, name="l"), False, CAUSAL),
        (lambda: keras.layers.MultiHeadAttention(2, 3, name="l"), True, CAUSAL),
    ],
)
def test_keras_runs_alone_as_it_was_called(
    layer: Callable[[], keras.layers.Layer],
    by_name: bool | None,
    options: dict[str, Any],
    precision: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With its masks, its options, and its inputs by name; what it might draw, it doesn't."""
    own, generator = Stepper.step, np.random.default_rng(1)

    def step(self: Any, *args: Any, **options: Any) -> Any:
        trace = own(self, *args, **options)
        trace["activation"]["l"] = trace["activation"]["l"] * 1.001
        return trace

    monkeypatch.setattr(Stepper, "step", step)
    source = keras.Input((4, 3))
    x = keras.layers.Masking(name="masking")(source)
    taken = [x] if by_name is None else [x, x] if by_name else [[x, x]]
    model = keras.Model(source, layer()(*taken, **options))
    model.compile("sgd", "mse", run_eagerly=True)
    data = generator.normal(size=(6, 4, 3))
    data[::2, 3] = 0.0
    report = lockstep(model, data, data, batch_size=6)
    assert report.first is not None and (report.first.phase, report.first.name) == (
        "activation",
        "l",
    )
    ruling = ruling_of(report)
    assert ruling.supports == "the hand derivation", ruling
