"""A whole lock-step, in a graph and without, for each thing that is done around an update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep

optimizers, schedules = keras.optimizers, keras.optimizers.schedules
CASES: dict[str, Callable[[], Any]] = {
    "clipped, decaying": lambda: optimizers.Adam(0.01, global_clipnorm=0.1, weight_decay=0.1),
    "loss scale": lambda: optimizers.SGD(0.1, clipnorm=0.1, loss_scale_factor=1000.0),
    "accumulated, averaged": lambda: optimizers.SGD(
        0.1, use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=2
    ),
    "schedule": lambda: optimizers.Nadam(schedules.CosineDecay(0.1, 4)),
    "tensor by tensor": lambda: optimizers.Adafactor(0.01),
}


@pytest.mark.parametrize("case", CASES)
def test_every_number_agrees(case: str, precision: str) -> None:
    keras.utils.set_random_seed(3)
    hidden = keras.layers.Dense(
        5, "tanh", kernel_constraint="NonNeg", kernel_regularizer="l2", name="hidden"
    )
    model = keras.Sequential([keras.Input((4,)), hidden, keras.layers.Dense(3, name="last")])
    model.compile(CASES[case](), "mse", run_eagerly=precision == "float64")
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(24, 4)), generator.normal(size=(24, 3))
    report = lockstep(model, x, y, batch_size=8)
    assert report.ok, str(report.first)
    assert report.steps == 3
