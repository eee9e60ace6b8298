"""Every schedule gives Keras's rates, step by step, in each of its options."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from manual.registry import from_keras

STEPS = [*range(12), 25, 40, 1000]
FALLING: dict[str, Any] = {"initial_learning_rate": 0.03, "decay_steps": 7}
CASES: list[tuple[str, dict[str, Any]]] = [
    *(
        (name, {**FALLING, "decay_rate": rate, "staircase": staircase})
        for name in ("ExponentialDecay", "InverseTimeDecay")
        for rate in (0.9, 0.3)
        for staircase in (False, True)
    ),
    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": 1, "decay_rate": 0.96}),
    *(
        (name, {"initial_learning_rate": 0.1, "decay_steps": 5, **options})
        for name, options in (
            ("InverseTimeDecay", {"decay_rate": 0.5}),
            ("PolynomialDecay", {"power": 1.5}),
            ("CosineDecay", {"alpha": 0.1}),
        )
    ),
    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 6}),
    ("PiecewiseConstantDecay", {"boundaries": [3, 9], "values": [0.3, 0.1, 0.03]}),
    ("PiecewiseConstantDecay", {"boundaries": [1], "values": [0.3, 0.7]}),
    ("PolynomialDecay", FALLING),
    *(
        ("PolynomialDecay", {**FALLING, "end_learning_rate": 0.002, "power": p, "cycle": cycle})
        for p in (0.5, 1.0, 2.0)
        for cycle in (False, True)
    ),
    *(
        ("CosineDecay", {**FALLING, "alpha": alpha, "warmup_target": target, "warmup_steps": warm})
        for alpha in (0.0, 0.2)
        for target, warm in ((None, 0), (0.1, 4), (0.1, 0))
    ),
    *(
        (
            "CosineDecayRestarts",
            {
                "initial_learning_rate": 0.03,
                "first_decay_steps": first,
                "t_mul": t_mul,
                "m_mul": m_mul,
                "alpha": alpha,
            },
        )
        for first, t_mul in ((5, 2.0), (7, 1.0), (3, 1.5))
        for m_mul, alpha in ((1.0, 0.0), (0.8, 0.1))
    ),
]


def both(name: str, options: dict[str, Any]) -> tuple[Any, Any]:
    theirs = getattr(keras.optimizers.schedules, name)(**options)
    return theirs, from_keras("schedule", {"class_name": name, "config": theirs.get_config()})


@pytest.mark.parametrize("precision", ["float32"], indirect=True)
@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_equals_keras(name: str, options: dict[str, Any], ruler: Any, found: Any) -> None:
    """In float32, in which Keras has them whatever the precision of a model."""
    theirs, ours = both(name, options)
    for steps in STEPS:
        ruler.agrees(theirs(steps), ours.rate(ruler.exact(float(steps))), f"after {steps} steps")
        assert ours(steps) == np.float32(ours(steps))
    found.agrees("schedule", name, theirs.get_config(), ruler.precision, ruler.largest)


def test_every_schedule_is_tested(registered: Any) -> None:
    assert {name for name, _ in CASES} == set(registered("schedule"))


@pytest.mark.parametrize("precision", ["float32"], indirect=True)
def test_one_step_too_many_is_seen(ruler: Any) -> None:
    for name, options in CASES:
        theirs, ours = both(name, options)
        with pytest.raises(AssertionError, match="slip"):
            for steps in STEPS:
                ruler.agrees(theirs(steps), ours.rate(ruler.exact(steps + 1.0)), "slip")
