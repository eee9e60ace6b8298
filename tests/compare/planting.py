"""What the tests of planted bugs share: a small network, three steps of it, and who is blamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from compare import Report, lockstep

WEIGHTS = ["hidden/kernel", "hidden/bias", "second/kernel", "second/bias", "out/kernel", "out/bias"]
TAPE, FIT = "GradientTape", "model.fit"

Key = tuple[str, str, str]
Model = Callable[..., keras.Model]


def blamed(report: Report) -> set[Key]:
    """Return every quantity that disagreed at any step."""
    return {key for key, largest in report.quantities.items() if largest.disagreed}


def of(phase: str, source: str, names: Any) -> set[Key]:
    return {(phase, name, source) for name in names}


def run(model: keras.Model, samples: int = 20, **options: Any) -> Report:
    """Train for three steps, the last of which has fewer samples."""
    generator = np.random.default_rng(1)
    x, y = generator.normal(size=(samples, 5)), generator.normal(size=(samples, 3))
    return lockstep(model, x, y, batch_size=8, shuffle=False, **options)


def assert_first(report: Report, step: int, phase: str, name: str, layer: str) -> None:
    assert not report.ok
    assert report.first is not None
    found = (report.first.step, report.first.phase, report.first.name)
    assert (*found, report.first.derivation.layer) == (step, phase, name, layer)


def updated(*slots: str, weights: bool = True) -> set[Key]:
    """Return what a wrong update rule shows in: the slots, and the weights, of both sources."""
    names = [f"{name}/{slot}" for name in WEIGHTS for slot in slots]
    return {
        key
        for source in (TAPE, FIT)
        for key in of("optimizer slot", source, names)
        | (of("weight", source, WEIGHTS) if weights else set())
    }
