"""What no single map shows: steps put together wrongly, and how two trainings drift apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import Report, lockstep
from manual import Network, optimizers

Model = Callable[..., keras.Model]


def trained(model_of: Model, **options: Any) -> Report:
    layers = keras.layers.Dense(3, "tanh", name="hidden"), keras.layers.Dense(2, name="out")
    model = model_of(4, *layers, **options)
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(12, 4)), generator.normal(size=(12, 2))
    return lockstep(model, x, y, batch_size=4, epochs=2, shuffle=False)


def test_right_halves_drift_apart_as_rounding_grows(precision: str, model_of: Model) -> None:
    report = trained(model_of)
    assert report.ok, str(report.first)
    assert report.drift is not None
    assert (report.drift.steps, report.drift.injected) == (6, 0)
    assert 0 <= report.drift.largest < (1e-5 if precision == "float32" else 1e-14)
    grown = "apart in 6 steps: grows as rounding does"
    same = "the weights stay the same to the last bit in 6 steps"
    assert str(report.drift).endswith(grown if report.drift.largest else same)
    assert report.as_dict()["drift"]["told"] == str(report.drift)


@pytest.mark.parametrize(
    ("optimizer", "where"),
    [("sgd", ("weight", "hidden/kernel")), ("adam", ("optimizer slot", "hidden/kernel/momentum"))],
)
def test_gradients_that_are_not_reset(
    optimizer: str,
    where: tuple[str, str],
    precision: str,
    model_of: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every map is right; only ``train_step`` forgets to begin afresh."""
    monkeypatch.setattr(Network, "clear_gradients", lambda self: None)
    first = trained(model_of, optimizer=optimizer).first
    assert first is not None and first.diagnosis is not None
    assert (first.step, first.phase, first.name) == (2, *where)
    assert first.source == "manual.Network"
    assert first.diagnosis.wrong == "the hand derivation"
    assert first.diagnosis.causes[0].sentence.startswith("the gradient isn't reset"), str(first)
    assert first.derivation.location.startswith("manual/network.py:")


def test_an_update_that_is_left_out(
    precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Network, "update", lambda self: None)
    first = trained(model_of).first
    assert first is not None and first.diagnosis is not None
    assert (first.step, first.phase, first.name) == (1, "weight", "hidden/kernel")
    assert first.diagnosis.causes[0].sentence == "the weight is not updated"


@pytest.mark.parametrize(
    ("wrong_at", "told"),
    [
        ({3}, "injected once, at step 3, in "),
        ({3, 4, 5, 6}, "injected at every step from step 3 on, in "),
        ({2, 5}, "injected at 2 steps, first at step 2, in "),
    ],
)
def test_when_an_error_was_injected(
    wrong_at: set[int], told: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: Any = optimizers.SGD.update

    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        right(self, w, g * (2.0 if int(getattr(t, "value", t)) in wrong_at else 1.0), slots, t, eta)

    monkeypatch.setattr(optimizers.SGD, "update", update)
    drift = trained(model_of).drift
    assert drift is not None
    assert told in str(drift)
    assert (drift.first, drift.last, drift.injected) == (
        min(wrong_at),
        max(wrong_at),
        len(wrong_at),
    )
    assert drift.layers == ["hidden", "out"]
    assert drift.after > 1e3 * drift.before


def test_a_learning_rate_that_a_callback_changes(model_of: Model) -> None:
    model = model_of(4, keras.layers.Dense(2))
    halved = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)
    x, y = np.ones((8, 4)), np.zeros((8, 2))
    report = lockstep(model, x, y, batch_size=4, epochs=3, callbacks=[halved])
    assert report.ok, str(report.first)
    assert report.drift is not None and report.drift.now < 1e-6


def test_the_first_number_that_is_not_finite_is_named(model_of: Model) -> None:
    model = model_of(2, keras.layers.Dense(2, name="line"), optimizer=keras.optimizers.SGD(1e20))
    report = lockstep(model, np.full((4, 2), 1e5), np.zeros((4, 2)), batch_size=4, epochs=9)
    assert report.ok, str(report.first)
    (note,) = report.notes
    assert note.startswith("both halves became non-finite at step 2, first ")
    assert "loss · total" in note or "activation · line" in note
