"""What stands around other optimizers: in a running fit, as there is no step of its own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep

MADE: dict[str, tuple[str, dict[str, Any]]] = {
    "plain": ("SGD", {}),
    "another inside": ("Adam", {}),
    "a small scale that grows": ("SGD", {"initial_scale": 8.0, "dynamic_growth_steps": 2}),
}
MAPPED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "by layer": ({"first/.*": "Adam"}, {}),
    "one weight": ({"last/bias": "Adam"}, {"loss_scale_factor": 64.0}),
}


def held(optimizer: Any) -> float:
    """Train a small model in lock-step; return how far weights and slots were off at most."""
    keras.utils.set_random_seed(3)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, "tanh", name="first")])
    model.add(keras.layers.Dense(1, name="last"))
    model.compile(optimizer, "mse")
    generator = np.random.default_rng(3)
    x, y = generator.normal(size=(12, 3)), generator.normal(size=(12, 1))
    report = lockstep(model, x, y, batch_size=3)
    assert report.ok, str(report.first)
    updated = ("processed gradient", "optimizer slot", "weight")
    return max(one.distance for (what, *_), one in report.quantities.items() if what in updated)


@pytest.mark.slow
@pytest.mark.parametrize("case", MADE)
def test_a_loss_scale_that_looks_for_itself(case: str, precision: str, found: Any) -> None:
    inner, options = MADE[case]
    optimizer = keras.optimizers.LossScaleOptimizer(getattr(keras.optimizers, inner)(), **options)
    told = {**optimizer.get_config(), "inner_optimizer": inner}
    found.agrees("optimizer", "LossScaleOptimizer", told, precision, held(optimizer))


@pytest.mark.slow
@pytest.mark.parametrize("case", MAPPED)
def test_several_optimizers(case: str, precision: str, found: Any) -> None:
    mapped, options = MAPPED[case]
    others = {name: getattr(keras.optimizers, rule)(0.01) for name, rule in mapped.items()}
    several = keras.optimizers.OptimizerMap(keras.optimizers.SGD(0.1, momentum=0.9), others)
    optimizer = keras.optimizers.MultiOptimizer(several, **options)
    told = {"optimizer_map": mapped, "loss_scale_factor": options.get("loss_scale_factor")}
    found.agrees("optimizer", "MultiOptimizer", told, precision, held(optimizer))
