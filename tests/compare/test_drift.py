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


def trained(model_of: Model, *, frozen: bool = False, **options: Any) -> Report:
    layers = [keras.layers.Dense(3, "tanh", name="hidden"), keras.layers.Dense(2, name="out")]
    if frozen:
        layers.insert(1, keras.layers.Dense(3, trainable=False, name="frozen"))
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


def loss_after(self: Network, x: Any, y: Any, sample_weight: Any = None) -> float:
    right_step(self, x, y, sample_weight)
    return float(self.loss(self.forward(x, training=True), y, sample_weight)[0])


def trains_what_is_frozen(self: Network, x: Any, y: Any, sample_weight: Any = None) -> float:
    loss = right_step(self, x, y, sample_weight)
    assert self.optimizer is not None
    for parameter in self.parameters.values():
        if not parameter.trainable:
            parameter.value -= self.optimizer.learning_rate * parameter.gradient
    return loss


def counts_nothing(self: Network) -> None:
    right_update(self)
    self.iterations -= 1


def updates_twice(self: Network) -> None:
    right_update(self)
    right_update(self)


right_step, right_update = Network.train_step, Network.update


@pytest.mark.parametrize(
    ("method", "function", "where", "cause"),
    [
        ("train_step", loss_after, ("loss", "total"), "the loss is taken after the update"),
        (
            "train_step",
            trains_what_is_frozen,
            ("weight", "frozen/kernel"),
            "a weight that isn't trained is updated",
        ),
        (
            "update",
            counts_nothing,
            ("state", "iterations"),
            "the step count isn't moved on",
        ),
        ("update", updates_twice, ("weight", "hidden/kernel"), "the update is made twice"),
    ],
)
def test_a_step_that_is_put_together_wrongly(
    method: str,
    function: Any,
    where: tuple[str, str],
    cause: str,
    precision: str,
    model_of: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Every map is right; what a step leaves behind, or reports, is not."""
    monkeypatch.setattr(Network, method, function)
    first = trained(model_of, frozen=True).first
    assert first is not None and first.diagnosis is not None
    assert (first.step, first.phase, first.name, first.source) == (1, *where, "manual.Network")
    sentences = [one.sentence for one in first.diagnosis.causes]
    assert any(sentence.startswith(cause) for sentence in sentences), str(first)


def test_a_slot_that_starts_from_another_number(
    precision: str, model_of: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Adagrad's accumulator starts at 0.1, and is Keras's own from the first step on."""

    def from_0(self: Any, w: Any, tensors: Any) -> dict[str, Any]:
        return {"accumulator": np.zeros_like(w)}

    monkeypatch.setattr(optimizers.Adagrad, "new_slots", from_0)
    first = trained(model_of, optimizer="adagrad").first
    assert first is not None and first.diagnosis is not None
    where = (0, "optimizer slot", "hidden/kernel/accumulator")
    assert (first.step, first.phase, first.name) == where
    assert first.diagnosis.causes[0].sentence == "the slot starts from 0"


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
    assert report.drift is not None and report.drift.now == np.inf
    assert str(report.drift) == ("the weights drift apart until, after 2 steps, not all are finite")
