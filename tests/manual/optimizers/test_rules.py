"""Every rule, and what surrounds every rule, moves weights and slots as in Keras, step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compare.rounding.judge import judge
from manual.optimizers import tensors_of
from manual.registry import from_keras

CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "SGD": ("SGD", {}),
    "SGD, momentum": ("SGD", {"momentum": 0.9}),
    "SGD, Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}),
    "SGD, small momentum": ("SGD", {"momentum": 0.3}),
    "Adam": ("Adam", {}),
    "Adam, other betas": ("Adam", {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3}),
    "Adam, amsgrad": ("Adam", {"amsgrad": True}),
    "RMSprop": ("RMSprop", {}),
    "RMSprop, momentum": ("RMSprop", {"momentum": 0.9}),
    "RMSprop, centered": ("RMSprop", {"centered": True}),
    "RMSprop, both": (
        "RMSprop",
        {"momentum": 0.7, "centered": True, "rho": 0.8, "epsilon": 1e-4},
    ),
    "AdamW": ("AdamW", {}),
    "AdamW, amsgrad": ("AdamW", {"amsgrad": True, "weight_decay": 0.1}),
    "Adamax": ("Adamax", {}),
    "Adamax, other betas": ("Adamax", {"beta_1": 0.7, "beta_2": 0.8, "epsilon": 1e-3}),
    "Nadam": ("Nadam", {}),
    "Nadam, other betas": ("Nadam", {"beta_1": 0.7, "beta_2": 0.8, "epsilon": 1e-3}),
    "Adagrad": ("Adagrad", {}),
    "Adagrad, from 0.7": ("Adagrad", {"initial_accumulator_value": 0.7, "epsilon": 1e-2}),
    "Adadelta": ("Adadelta", {}),
    "Adadelta, rho": ("Adadelta", {"rho": 0.7, "epsilon": 1e-3}),
    "Lion": ("Lion", {}),
    "Lion, other betas": ("Lion", {"beta_1": 0.7, "beta_2": 0.6}),
    "Ftrl": ("Ftrl", {}),
    "Ftrl, all penalties": (
        "Ftrl",
        {
            "learning_rate_power": -0.7,
            "initial_accumulator_value": 0.3,
            "l1_regularization_strength": 0.05,
            "l2_regularization_strength": 0.07,
            "l2_shrinkage_regularization_strength": 0.03,
            "beta": 0.2,
        },
    ),
    "Lamb": ("Lamb", {}),
    "Lamb, decay": ("Lamb", {"weight_decay": 0.1, "beta_1": 0.7, "epsilon": 1e-3}),
    "Adafactor": ("Adafactor", {}),
    "Adafactor, no relative step": (
        "Adafactor",
        {"relative_step": False, "clip_threshold": 0.5, "beta_2_decay": -0.6, "epsilon_2": 0.1},
    ),
    "Muon": ("Muon", {}),
    "Muon, options": (
        "Muon",
        {
            "nesterov": False,
            "momentum": 0.8,
            "ns_steps": 3,
            "rms_rate": None,
            "adam_lr_ratio": 0.5,
            "exclude_layers": ["tall"],
            "weight_decay": None,
        },
    ),
    "ScheduleFreeAdamW": ("ScheduleFreeAdamW", {}),
    "ScheduleFreeAdamW, warm-up": ("ScheduleFreeAdamW", {"warmup_steps": 3, "beta_1": 0.7}),
    "weight decay": ("SGD", {"weight_decay": 0.03}),
    "weight decay, Adam": ("Adam", {"weight_decay": 0.03}),
    "clipnorm": ("SGD", {"clipnorm": 1.3, "momentum": 0.9}),
    "clipnorm, never reached": ("SGD", {"clipnorm": 1e6}),
    "global clipnorm": ("Adam", {"global_clipnorm": 2.1}),
    "global clipnorm, never reached": ("SGD", {"global_clipnorm": 1e6}),
    "clipvalue": ("RMSprop", {"clipvalue": 0.3}),
    "loss scale": ("SGD", {"loss_scale_factor": 1000.0, "clipnorm": 1e-3}),
    "accumulation": ("SGD", {"gradient_accumulation_steps": 2}),
    "accumulation, all": (
        "Adam",
        {"gradient_accumulation_steps": 3, "clipvalue": 0.2, "weight_decay": 0.1, "use_ema": True},
    ),
    "average": ("SGD", {"use_ema": True, "ema_momentum": 0.7}),
    "average, overwriting": (
        "SGD",
        {"use_ema": True, "ema_momentum": 0.7, "ema_overwrite_frequency": 2},
    ),
    "average, accumulation": (
        "SGD",
        {
            "use_ema": True,
            "ema_momentum": 0.7,
            "ema_overwrite_frequency": 2,
            "gradient_accumulation_steps": 2,
        },
    ),
    "Nadam, accumulation": ("Nadam", {"gradient_accumulation_steps": 2}),
    "Adafactor, clipnorm": ("Adafactor", {"clipnorm": 0.5, "use_ema": True}),
}


@pytest.mark.parametrize("name", CASES)
def test_every_step_equals_keras_and_so_does_the_end(
    name: str, ruler: Any, side_by_side: Any, found: Any
) -> None:
    """Each step from Keras's own state, so that no step's error hides in another's.

    Then the whole way on its own, with a memory of its own: on numbers whose noise grows with every
    step, and in place on plain arrays.
    """
    side = side_by_side(*CASES[name])
    by_hand, tensors = side.by_hand, side.tensors
    w, started = side.flat_state(side.state())
    slots = by_hand.new_slots(w, tensors)
    for slot, array in started.items():
        np.testing.assert_array_equal(slots[slot], array)
    noisy, memory = ruler.exact(w), {slot: ruler.exact(array) for slot, array in slots.items()}
    kept_w, kept_slots, moved = w, dict(slots), set()
    for taken in side.steps():
        side.agree(taken.after, *side.again(taken), f"after step {taken.iterations + 1}")
        kernels = (state[0]["layer/kernel"] for state in (taken.before, taken.after))
        moved.add(not np.array_equal(*kernels))
        side.move(by_hand, noisy, memory, taken)
        g = np.concatenate([np.ravel(one) for one in taken.gradients.values()])
        kept_g = g.copy()
        by_hand.apply(w, g, slots, tensors, by_hand.step(taken.iterations))
        np.testing.assert_array_equal(g, kept_g)
    assert moved == ({False, True} if by_hand.gradient_accumulation_steps else {True})
    side.agree(side.state(), noisy, memory, "at the end")
    assert w is kept_w and all(slots[slot] is array for slot, array in kept_slots.items())
    ruler.agrees(w, noisy, "weights, in place")
    for slot, array in slots.items():
        ruler.agrees(array, memory[slot], f"{slot}, in place")
    family, options = CASES[name][0], side.optimizer.get_config()
    found.agrees("optimizer", family, options, ruler.precision, ruler.largest)


def test_every_rule_is_tested(registered: Any) -> None:
    around = {"LossScaleOptimizer", "MultiOptimizer"}  # tested in a running fit
    assert {family for family, _ in CASES.values()} | around == set(registered("optimizer"))


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "no Nesterov": ("SGD, Nesterov", {"nesterov": False}),
    "PyTorch's epsilon": ("Adam", {"epsilon": 1e-8}),
    "beta_1": ("Adam", {"beta_1": 0.9 * (1 + 1e-4)}),
    "no amsgrad": ("Adam, amsgrad", {"amsgrad": False}),
    "rho": ("RMSprop", {"rho": 0.9 * (1 + 1e-4)}),
    "not centered": ("RMSprop, centered", {"centered": False}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_option_is_rejected(fault: str, side_by_side: Any) -> None:
    name, changed = FAULTS[fault]
    side = side_by_side(*CASES[name])
    wrong = side.twin(**changed)
    # dwindling, so that the largest v̂ is not the last
    agreed = [
        judge(side.flat_state(taken.after)[0], side.again(taken, wrong)[0]).agrees
        for taken in side.steps(sizes=10.0 ** -np.arange(4, 8))
    ]
    assert not all(agreed)


def test_excluded_weights_do_not_decay(ruler: Any, side_by_side: Any) -> None:
    side = side_by_side("SGD", {"weight_decay": 0.03})
    excluded = ["layer/bias", "tall/kernel"]
    side.optimizer.exclude_from_weight_decay([side.weights[name] for name in excluded])
    side.by_hand.excluded_from_weight_decay = frozenset(excluded)
    (taken,) = side.steps(sizes=[0.0])
    side.agree(taken.after, *side.again(taken), "")
    before, after = taken.before[0], taken.after[0]
    assert {name for name in after if np.array_equal(after[name], before[name])} == set(excluded)


def test_one_of_each_by_arithmetic() -> None:
    """Numbers that are exact in binary, so that nothing is rounded anywhere."""
    w, g = np.array([1.0, -2.0, 4.0]), np.array([3.0, 4.0, 0.5])
    tensors = tensors_of([("a", (2,)), ("b", (1,))])
    sgd = from_keras("optimizer", {"class_name": "SGD", "config": {"clipnorm": 2.5}})
    np.testing.assert_array_equal(sgd.clipped(g, tensors), [1.5, 2.0, 0.5])
    sgd = from_keras("optimizer", {"class_name": "SGD", "config": {"clipvalue": 2.0}})
    np.testing.assert_array_equal(sgd.clipped(-g, tensors), [-2.0, -2.0, -0.5])
    options = {"learning_rate": 0.5, "weight_decay": 0.25, "gradient_accumulation_steps": 2}
    sgd = from_keras("optimizer", {"class_name": "SGD", "config": options})
    slots = sgd.new_slots(w, tensors)
    sgd.apply(w, g, slots, tensors, sgd.step(0))
    np.testing.assert_array_equal(w, [1.0, -2.0, 4.0])
    np.testing.assert_array_equal(slots["gradient_accumulator"], g)
    sgd.apply(w, 3.0 * g, slots, tensors, sgd.step(1))
    np.testing.assert_array_equal(w, [0.875 - 3.0, -1.75 - 4.0, 3.5 - 0.5])
    np.testing.assert_array_equal(slots["gradient_accumulator"], 0.0)
