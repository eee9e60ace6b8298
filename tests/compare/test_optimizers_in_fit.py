"""Whole optimizers, with all that can be around their rules, inside a running fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import Report, lockstep
from manual.optimizers import DynamicScale, MultiOptimizer, Optimizer
from tests.compare import drawn_optimizers

rules, S = keras.optimizers, keras.optimizers.schedules
Make = Callable[[], Any]


def trained(optimizer: Any, table: bool = False, size: float = 1.0, **fit: Any) -> Report:
    """Compare nine steps: what has a scale or accumulates does something else in some of them."""
    keras.utils.set_random_seed(3)
    draw = np.random.default_rng(1)
    if table:
        inputs, x = keras.Input((3,), dtype="int32"), draw.integers(0, 5, (12, 3))
        h = keras.layers.Flatten()(keras.layers.Embedding(5, 3, name="first")(inputs))
    else:
        inputs, x = keras.Input((3,)), draw.normal(size=(12, 3))
        options = {"kernel_regularizer": "l2", "bias_constraint": "non_neg"}
        h = keras.layers.Dense(4, "tanh", name="first", **options)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(2, name="last")(h))
    model.compile(optimizer, "mse")
    y = draw.normal(size=(12, 2)) * size
    return lockstep(model, x, y, batch_size=4, epochs=3, **fit)


# ---------------------------------------------------------------------- drawn optimizers


def drawn(rule: str, seed: int, precision: str) -> None:
    """Compare six steps of an optimizer with any options, on weights of all ranks."""
    draw, table = np.random.default_rng([seed, *rule.encode()]), bool(seed % 2)
    optimizer = drawn_optimizers.optimizer(rule, draw, table, precision)
    model = drawn_optimizers.model(optimizer, draw, table)
    lockstep(model, *drawn_optimizers.data(draw, table), batch_size=4).raise_if_different()


@pytest.mark.parametrize("rule", drawn_optimizers.OF_RULES)
def test_any_options(rule: str, precision: str) -> None:
    drawn(rule, 1 if precision == "float32" else 2, precision)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3, 15))
@pytest.mark.parametrize("rule", drawn_optimizers.OF_RULES)
def test_many_options(rule: str, seed: int, precision: str) -> None:
    drawn(rule, seed, precision)


# ---------------------------------------------------------------------- the loss scale

SCALED: dict[str, tuple[Make, dict[str, Any]]] = {
    "as it is": (lambda: rules.SGD(0.1), {}),
    "growing": (lambda: rules.Adam(0.01), {"initial_scale": 8.0, "dynamic_growth_steps": 2}),
    "no power of 2": (
        lambda: rules.RMSprop(0.01),
        {"initial_scale": 7.3, "dynamic_growth_steps": 3},
    ),
    "too large": (
        lambda: rules.Adam(0.01, use_ema=True, ema_overwrite_frequency=2),
        {"initial_scale": 3e38, "dynamic_growth_steps": 2},
    ),
    "clipped": (lambda: rules.SGD(0.1, momentum=0.9, clipnorm=0.1), {}),
    "accumulating": (lambda: rules.Adam(gradient_accumulation_steps=2, global_clipnorm=0.1), {}),
    "averaging": (lambda: rules.SGD(0.1, use_ema=True, weight_decay=0.1, clipvalue=0.01), {}),
    "as a whole": (lambda: rules.Lamb(0.1), {}),
    "its own scale": (lambda: rules.SGD(0.1, loss_scale_factor=5.0), {}),
    "schedule": (lambda: rules.Nadam(S.CosineDecay(0.1, 5, warmup_target=0.2, warmup_steps=2)), {}),
}


def test_a_centered_rule_that_remembers_nothing() -> None:
    """What RMSprop divides by is v − ḡ² = 0 then, but for rounding: any update may come of it."""
    report = trained(rules.RMSprop(0.01, rho=0.0, centered=True, momentum=0.9))
    report.raise_if_different()


class Warming(S.LearningRateSchedule):
    """A user's own schedule, of which there is no configuration either."""

    def __call__(self, step: Any) -> Any:
        return 0.02 * keras.ops.cast(step + 1, "float32")


def test_a_schedule_of_the_user(precision: str) -> None:
    """Keras gives its rate, which nothing verifies; the update by this rate is verified."""
    report = trained(rules.SGD(Warming(), momentum=0.9))
    report.raise_if_different()
    assert report.unverified == ["Warming"]
    assert "Keras gives the rate of each step" in report.notes[0]
    assert ("optimizer slot", "learning_rate", "model.fit") not in report.quantities


def test_a_dynamic_loss_scale_of_several(precision: str) -> None:
    """One scale for all; one optimizer accumulates, the other has a schedule of the user's."""
    biases, others = rules.Adam(Warming()), rules.SGD(0.1, gradient_accumulation_steps=2)
    several = rules.MultiOptimizer(lambda v: biases if "bias" in v.path else others)
    scaled = rules.LossScaleOptimizer(several, initial_scale=7.3, dynamic_growth_steps=2)
    report = trained(scaled, table=precision == "float32")
    report.raise_if_different()
    assert ("optimizer slot", "all weights/dynamic_scale", "model.fit") in report.quantities


def test_muon_takes_a_share_of_a_scheduled_rate_in_float32() -> None:
    """In float64, where Keras rejects a schedule unless every weight goes by Adam."""
    rate = S.ExponentialDecay(0.013, 10, 0.9)
    optimizer = rules.Muon(rate, adam_lr_ratio=0.3, exclude_layers=["first", "last"])
    trained(optimizer).raise_if_different()


@pytest.mark.parametrize("case", SCALED)
def test_a_dynamic_loss_scale(case: str, precision: str) -> None:
    make, options = SCALED[case]
    of_table, size = precision == "float64", 30.0 if case == "too large" else 1.0
    report = trained(rules.LossScaleOptimizer(make(), **options), of_table, size)
    report.raise_if_different()
    assert report.steps == 9


def test_the_scale_by_arithmetic() -> None:
    """It doubles after two finite gradients in a row; one that isn't finite halves it."""
    slots = {"step_counter": np.zeros(1), "dynamic_scale": np.full(1, 8.0)}
    scale = DynamicScale(8.0, 2)
    found = []
    for finite in (True, True, True, False, True, True):
        (scale.grow if finite else scale.shrink)(slots)
        found.append((float(slots["dynamic_scale"][0]), float(slots["step_counter"][0])))
    assert found == [(8, 1), (16, 0), (16, 1), (8, 0), (8, 1), (16, 0)]


FAULTS_OF_SCALE: dict[str, tuple[Any, str, Any, str]] = {
    "never grows": (DynamicScale, "grow", lambda self, slots: None, "step_counter"),
    "isn't halved": (DynamicScale, "shrink", lambda self, slots: None, "dynamic_scale"),
    "is never skipped": (Optimizer, "skips", lambda self, g, slots: False, "first"),
}


@pytest.mark.parametrize("fault", FAULTS_OF_SCALE)
@pytest.mark.parametrize("precision", ["float32"], indirect=True)
def test_a_wrong_scale_is_found(
    fault: str, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner, method, wrong, where = FAULTS_OF_SCALE[fault]
    monkeypatch.setattr(owner, method, wrong)
    make, options = SCALED["too large"]
    first = trained(rules.LossScaleOptimizer(make(), **options), size=30.0).first
    assert first is not None and where in first.name, str(first)


# ---------------------------------------------------------------------- several optimizers


def by_layer(first: Any, last: Any) -> Any:
    return rules.MultiOptimizer(lambda variable: first if "first" in variable.path else last)


SEVERAL: dict[str, Make] = {
    "mapped": lambda: rules.MultiOptimizer(
        rules.OptimizerMap(rules.SGD(0.1, momentum=0.9), {"first/.*": rules.Adam(0.01)})
    ),
    "by a function": lambda: by_layer(rules.RMSprop(0.01), rules.Adam(0.02, weight_decay=0.1)),
    "two of one kind": lambda: by_layer(rules.Nadam(0.01), rules.Nadam(0.02)),
    "rates": lambda: by_layer(
        rules.SGD(S.CosineDecay(0.1, 5)), rules.Lamb(lambda: 0.02, clipnorm=0.1)
    ),
    "surroundings": lambda: by_layer(
        rules.SGD(0.1, gradient_accumulation_steps=2, global_clipnorm=0.1),
        rules.Adafactor(0.02, use_ema=True, ema_overwrite_frequency=2),
    ),
    "one weight": lambda: rules.MultiOptimizer(
        rules.OptimizerMap(rules.SGD(0.1, use_ema=True), {"last/bias": rules.Muon(0.01)})
    ),
    "unused": lambda: rules.MultiOptimizer(
        rules.OptimizerMap(rules.Adam(0.01), {"nothing": rules.SGD(0.1)})
    ),
}


@pytest.mark.parametrize("case", SEVERAL)
def test_several_optimizers(case: str, precision: str) -> None:
    trained(SEVERAL[case](), table=precision == "float64").raise_if_different()


def test_one_loss_scale_for_several(precision: str) -> None:
    mapped = rules.OptimizerMap(rules.Adam(0.01), {"last/.*": rules.SGD(0.1, clipnorm=0.3)})
    trained(rules.MultiOptimizer(mapped, loss_scale_factor=64.0)).raise_if_different()


@pytest.mark.parametrize("precision", ["float64"], indirect=True)
def test_weights_that_are_mapped_to_another_are_found(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = MultiOptimizer.rule_of
    monkeypatch.setattr(MultiOptimizer, "rule_of", lambda self, name: 1 - right(self, name))
    report = trained(by_layer(rules.SGD(0.1), rules.SGD(0.2)))
    assert report.first is not None and report.first.phase == "weight"


# ---------------------------------------------------------------------- rates that change


@pytest.mark.parametrize(
    "make", [rules.Adam, rules.Ftrl, lambda rate: rules.LossScaleOptimizer(rules.SGD(rate))]
)
def test_callbacks_change_the_rate(make: Any, precision: str) -> None:
    rates: list[float] = []
    callbacks = [
        keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.7 + 0.001 * epoch),
        keras.callbacks.ReduceLROnPlateau("loss", factor=0.3, patience=0, min_delta=1e9),
        keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: rates.append(float(logs["learning_rate"]))
        ),
    ]
    trained(make(0.1), callbacks=callbacks).raise_if_different()
    assert len(rates) == 3 and rates[0] > rates[1] > rates[2]


def test_a_function_as_rate(precision: str) -> None:
    rate = keras.Variable(0.05, trainable=False)
    trained(rules.SGD(lambda: rate * 0.5, momentum=0.9)).raise_if_different()
