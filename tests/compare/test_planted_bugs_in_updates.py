"""Mistakes planted in update rules are found: where they are, when they begin, and only there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import pytest
from planting import FIT, TAPE, WEIGHTS, Model, assert_first, blamed, run, updated

from manual.constraints import NonNeg
from manual.optimizers import SGD, Adam, RMSprop, as_float32


def number(t: Any) -> float:
    """Read the step count, plain or with its rounding noise."""
    return float(getattr(t, "value", t))


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
