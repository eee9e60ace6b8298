"""Every optimizer moves weights and slots as Keras's does, step by step, in both precisions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest

from compare.judge import judge
from compare.noise import Noisy
from manual.optimizers import SGD, Adam, Optimizer, RMSprop, as_float32

STEPS = 6
CASES: dict[str, tuple[str, dict[str, Any], tuple[str, ...]]] = {
    "SGD": ("SGD", {}, ()),
    "SGD, momentum": ("SGD", {"momentum": 0.9}, ("momentum",)),
    "SGD, Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, ("momentum",)),
    "SGD, small momentum": ("SGD", {"momentum": 0.3}, ("momentum",)),
    "Adam": ("Adam", {}, ("momentum", "velocity")),
    "Adam, other betas": (
        "Adam",
        {"beta_1": 0.8, "beta_2": 0.95, "epsilon": 1e-3},
        ("momentum", "velocity"),
    ),
    "Adam, amsgrad": ("Adam", {"amsgrad": True}, ("momentum", "velocity", "velocity_hat")),
    "RMSprop": ("RMSprop", {}, ("velocity",)),
    "RMSprop, momentum": ("RMSprop", {"momentum": 0.9}, ("velocity", "momentum")),
    "RMSprop, centered": ("RMSprop", {"centered": True}, ("velocity", "average_gradient")),
    "RMSprop, both": (
        "RMSprop",
        {"momentum": 0.7, "centered": True, "rho": 0.8, "epsilon": 1e-4},
        ("velocity", "momentum", "average_gradient"),
    ),
}
MADE = {"SGD": SGD, "Adam": Adam, "RMSprop": RMSprop}


def made_by_hand(name: str, learning_rate: float, **changed: Any) -> Optimizer:
    family, options, _ = CASES[name]
    optimizer: Optimizer = MADE[family](learning_rate=learning_rate, **{**options, **changed})
    return optimizer


def gradients(generator: np.random.Generator) -> list[np.ndarray]:
    """Draw a gradient for every step: of all sizes, some exactly 0, both signs."""
    sizes = 10.0 ** generator.uniform(-4, 2, (STEPS, 5, 4))
    drawn = generator.normal(size=(STEPS, 5, 4)) * sizes
    drawn[generator.random(drawn.shape) < 0.1] = 0.0
    return list(drawn)


def keras_steps(
    name: str, learning_rate: float, w: np.ndarray, gs: list[np.ndarray]
) -> Iterator[tuple[int, np.ndarray, dict[str, np.ndarray], np.ndarray, dict[str, np.ndarray]]]:
    """Yield the step number, then weights and slots before and after each of Keras's updates."""
    family, options, _ = CASES[name]
    optimizer = getattr(keras.optimizers, family)(learning_rate=learning_rate, **options)
    variable = keras.Variable(w, name="w")
    optimizer.build([variable])
    prefix = variable.path.replace("/", "_") + "_"
    slots = {
        slot.name.removeprefix(prefix): slot
        for slot in optimizer.variables
        if slot.name.startswith(prefix)
    }

    def state() -> tuple[np.ndarray, dict[str, np.ndarray]]:
        return variable.numpy().copy(), {key: slot.numpy() for key, slot in slots.items()}

    for step, g in enumerate(gs, start=1):
        before = state()
        optimizer.apply([keras.ops.convert_to_tensor(g)], [variable])
        yield step, *before, *state()


def by_hand_step(
    optimizer: Optimizer,
    learning_rate: float,
    step: int,
    w: np.ndarray,
    g: np.ndarray,
    slots: dict[str, np.ndarray],
    exact: Callable[[Any], Noisy],
) -> tuple[Noisy, dict[str, Noisy]]:
    """Take the step by hand from the same state, on numbers that carry noise."""
    noisy, memory = exact(w), {name: exact(slot) for name, slot in slots.items()}
    t, rate = exact(float(step)), exact(learning_rate)
    with np.errstate(all="ignore"):
        optimizer.update(noisy, exact(g), memory, t, rate)  # type: ignore[arg-type]
    return noisy, memory


@pytest.mark.parametrize("learning_rate", [0.001, 0.3])
@pytest.mark.parametrize("name", CASES)
def test_six_steps_equal_keras(
    name: str, learning_rate: float, ruler: Any, generator: np.random.Generator
) -> None:
    """Each update alone, from Keras's own state, so that no step's error hides in another's."""
    w = generator.normal(size=(5, 4)).astype(ruler.precision)
    gs = [g.astype(ruler.precision) for g in gradients(generator)]
    rate = float(np.asarray(learning_rate, ruler.precision))
    optimizer = made_by_hand(name, rate)
    assert set(optimizer.slot_names) == set(CASES[name][2])
    for step, before, slots, after, slots_after in keras_steps(name, learning_rate, w, gs):
        assert set(slots) == set(optimizer.slot_names)
        expected, memory = by_hand_step(
            optimizer, rate, step, before, gs[step - 1], slots, ruler.exact
        )
        for slot, array in slots_after.items():
            ruler.agrees(array, memory[slot], f"{slot} after step {step}")
        ruler.agrees(after, expected, f"weight after step {step}")
        assert not np.array_equal(after, before)


@pytest.mark.parametrize("name", CASES)
def test_six_steps_on_its_own_end_where_keras_ends(
    name: str, ruler: Any, generator: np.random.Generator
) -> None:
    """The whole trajectory, slots carried along in place, its noise growing with it."""
    w = generator.normal(size=(5, 4)).astype(ruler.precision)
    gs = [g.astype(ruler.precision) for g in gradients(generator)]
    rate = float(np.asarray(0.05, ruler.precision))
    optimizer = made_by_hand(name, rate)
    noisy = ruler.exact(w)
    memory = {slot: ruler.exact(np.zeros_like(w)) for slot in optimizer.slot_names}
    last = list(keras_steps(name, 0.05, w, gs))[-1]
    for step, g in enumerate(gs, start=1):
        t, eta = ruler.exact(float(step)), ruler.exact(rate)
        with np.errstate(all="ignore"):
            optimizer.update(noisy, ruler.exact(g), memory, t, eta)
    *_, after, slots_after = last
    ruler.agrees(after, noisy, "weight")
    for slot, array in slots_after.items():
        ruler.agrees(array, memory[slot], slot)


FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    "no Nesterov": ("SGD, Nesterov", {"nesterov": False}),
    "PyTorch's epsilon": ("Adam", {"epsilon": 1e-8}),
    "beta_1": ("Adam", {"beta_1": 0.9 * (1 + 1e-4)}),
    "no amsgrad": ("Adam, amsgrad", {"amsgrad": False}),
    "rho": ("RMSprop", {"rho": 0.9 * (1 + 1e-4)}),
    "not centered": ("RMSprop, centered", {"centered": False}),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_option_is_rejected(fault: str, ruler: Any, generator: np.random.Generator) -> None:
    name, changed = FAULTS[fault]
    w = generator.normal(size=(5, 4)).astype(ruler.precision)
    sizes = 10.0 ** -np.arange(4, 4 + STEPS)  # dwindling, so that the largest v̂ is not the last
    gs = [(size * generator.normal(size=(5, 4))).astype(ruler.precision) for size in sizes]
    rate = float(np.asarray(0.3, ruler.precision))
    wrong = made_by_hand(name, rate, **changed)
    agreed = []
    for step, before, slots, after, _ in keras_steps(name, 0.3, w, gs):
        expected, _ = by_hand_step(wrong, rate, step, before, gs[step - 1], slots, ruler.exact)
        agreed.append(judge(after, expected).agrees)
    assert not all(agreed)


@pytest.mark.parametrize("name", ["SGD, momentum", "SGD, Nesterov"])
def test_keras_rounds_the_momentum_to_float32_in_float64(
    name: str, ruler: Any, generator: np.random.Generator
) -> None:
    """So does the twin; with the 0.9 that was asked for, the judge says no."""
    w = generator.normal(size=(5, 4)).astype(ruler.precision)
    gs = [np.ones((5, 4), ruler.precision)] * STEPS
    rate = float(np.asarray(0.1, ruler.precision))
    rounded, exact = made_by_hand(name, rate), made_by_hand(name, rate)
    assert rounded.momentum == float(np.float32(0.9)) != 0.9  # type: ignore[attr-defined]
    exact.momentum = 0.9  # type: ignore[attr-defined]
    agreed = []
    for step, before, slots, _, slots_after in keras_steps(name, 0.1, w, gs):
        g = gs[step - 1]
        _, memory = by_hand_step(rounded, rate, step, before, g, slots, ruler.exact)
        ruler.agrees(slots_after["momentum"], memory["momentum"])
        _, memory = by_hand_step(exact, rate, step, before, g, slots, ruler.exact)
        agreed.append(judge(slots_after["momentum"], memory["momentum"]).agrees)
    assert agreed[0], "the first step starts from 0, which no momentum changes"
    assert all(agreed) == (ruler.precision == "float32")


def test_keras_rounds_adams_betas_to_float32_in_their_powers_only(
    ruler: Any, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """β₁ᵗ and β₂ᵗ with rounded betas, in float64 too; 1 − β₁ and 1 − β₂ with those asked for."""
    w = generator.normal(size=(5, 4)).astype(ruler.precision)
    gs = [g.astype(ruler.precision) for g in gradients(generator)]
    rate = float(np.asarray(0.1, ruler.precision))
    twin = made_by_hand("Adam", rate)
    everywhere = made_by_hand("Adam", rate, beta_1=as_float32(0.9), beta_2=as_float32(0.999))
    agreed = {"nowhere": True, "everywhere": True}
    for step, before, slots, after, slots_after in keras_steps("Adam", 0.1, w, gs):
        state = (rate, step, before, gs[step - 1], slots, ruler.exact)
        expected, memory = by_hand_step(twin, *state)
        ruler.agrees(after, expected)
        ruler.agrees(slots_after["velocity"], memory["velocity"])
        _, memory = by_hand_step(everywhere, *state)
        agreed["everywhere"] &= judge(slots_after["velocity"], memory["velocity"]).agrees
        with monkeypatch.context() as patch:
            patch.setattr("manual.optimizers.adam.as_float32", float)
            expected, _ = by_hand_step(twin, *state)
        agreed["nowhere"] &= judge(after, expected).agrees
    if ruler.precision == "float64":
        assert agreed == {"nowhere": False, "everywhere": False}


@pytest.mark.parametrize("name", CASES)
def test_everything_happens_in_place_and_in_its_precision(name: str, precision: str) -> None:
    optimizer = made_by_hand(name, 0.1)
    w, g = np.ones(3, precision), np.array([1.0, -2.0, 0.0], precision)
    slots = {slot: np.zeros(3, precision) for slot in optimizer.slot_names}
    kept_w, kept_slots, kept_g = w, dict(slots), g.copy()
    optimizer.update(w, g, slots, 1, 0.1)
    assert w is kept_w
    assert w.dtype == precision
    np.testing.assert_array_equal(g, kept_g)
    assert w[0] < 1.0 < w[1]
    assert w[2] == 1.0
    for slot, array in slots.items():
        assert array is kept_slots[slot]
        assert array.dtype == precision
        assert array[1] != 0.0


def test_one_step_of_plain_descent_by_arithmetic() -> None:
    w, g = np.array([1.0, 2.0]), np.array([0.5, -4.0])
    SGD(0.25).update(w, g, {}, 1, 0.25)
    np.testing.assert_array_equal(w, [0.875, 3.0])
