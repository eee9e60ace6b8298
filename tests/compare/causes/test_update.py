"""Every slip in an update and in a penalty is recognised, and not named where it nearly fits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from in_turn import in_turn

from compare.causes import Facts, Place, candidates, diagnose
from compare.causes.base import fits
from compare.causes.optimizers import State, rule_of
from compare.causes.optimizers.surroundings import one_step, surrounding_knobs
from compare.causes.processing import clipped
from compare.causes.regularizers import cost, slope
from compare.rounding.judge import BOUND, judge
from compare.rounding.noise import Noisy
from manual import constraints, optimizers, schedules
from manual.optimizers import as_float32
from manual.regularizers import L1L2

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
FACTS = Facts(samples=6, batch_size=10, learning_rate=0.03)
rng = np.random.default_rng(11)
W, G, OTHER = rng.normal(size=(4, 3)), 0.5 * rng.normal(size=(4, 3)), rng.normal(size=(2, 2))
SUMS = {"w": 0.3 * rng.normal(size=(4, 3)), "other": 0.2 * rng.normal(size=(2, 2))}
SIZES = rng.uniform(0.01, 1.0, (4, 3))
SHAPED = {
    "momentum": 0.1 * rng.normal(size=(4, 3)),
    "linear": 0.1 * rng.normal(size=(4, 3)),
    "average": rng.normal(size=(4, 3)),
    "u_product": np.array(0.3),
    "r": SIZES.mean(axis=-1),
    "c": SIZES.mean(axis=-2),
    "gradient_accumulator": SUMS["w"],
}
UPDATES: dict[str, tuple[optimizers.Optimizer, int]] = {
    "Adamax": (optimizers.Adamax(0.03, 0.8, 0.95, 1e-3), 2),
    "Nadam": (optimizers.Nadam(0.03, 0.8, 0.95, 1e-3), 2),
    "Lion": (optimizers.Lion(0.03, 0.8, 0.6), 2),
    "ScheduleFreeAdamW": (optimizers.ScheduleFreeAdamW(0.03, 0.8, 0.95, 1e-3, 7), 2),
    "Adagrad": (optimizers.Adagrad(0.03, epsilon=1e-3), 2),
    "Adadelta": (optimizers.Adadelta(0.03, 0.8, 1e-3), 2),
    "Ftrl": (optimizers.Ftrl(0.03, -0.7, 0.1, 0.02, 0.03, 0.04, 0.05), 2),
    "Lamb": (optimizers.Lamb(0.03, 0.8, 0.95, 1e-3), 2),
    "Adafactor": (optimizers.Adafactor(0.03, clip_threshold=0.5), 2),
    "Muon": (optimizers.Muon(0.03, weight_decay=None), 2),
    "Muon, by Adam": (optimizers.Muon(0.03, epsilon=1e-3, adam_lr_ratio=0.3), 2),
    "decay": (optimizers.Adam(0.03, 0.8, 0.95, 1e-3, weight_decay=0.2), 2),
    "SGD, decay": (optimizers.SGD(0.03, 0.8, weight_decay=0.2), 2),
    "average": (
        optimizers.SGD(0.03, use_ema=True, ema_momentum=0.7, ema_overwrite_frequency=3),
        2,
    ),
    "average, first": (optimizers.SGD(0.03, use_ema=True, ema_momentum=0.7), 0),
    "accumulating": (
        optimizers.Adam(0.03, 0.8, 0.95, 1e-3, gradient_accumulation_steps=3, clipnorm=0.4),
        3,
    ),
    "accumulated": (
        optimizers.Adam(0.03, 0.8, 0.95, 1e-3, gradient_accumulation_steps=3, global_clipnorm=0.3),
        5,
    ),
}
CONSTRAINTS: dict[str, constraints.Constraint] = {
    "MaxNorm": constraints.MaxNorm(0.9),
    "MinMaxNorm": constraints.MinMaxNorm(1.2, 1.5, rate=0.3),
    "UnitNorm": constraints.UnitNorm(),
    "NonNeg": constraints.NonNeg(),
}
CLIPPED: dict[str, dict[str, float]] = {
    "clipnorm": {"clipnorm": 0.7},
    "clipnorm, loose": {"clipnorm": 70.0},
    "global": {"global_clipnorm": 0.7},
    "clipvalue": {"clipvalue": 0.2},
    "scale": {"loss_scale_factor": 3.0, "clipnorm": 0.2},
}
RATES: dict[str, tuple[schedules.Schedule, int]] = {
    "exponential": (schedules.ExponentialDecay(0.1, 5, 0.6), 7),
    "inverse time": (schedules.InverseTimeDecay(0.1, 5, 0.6, staircase=True), 12),
    "piecewise": (schedules.PiecewiseConstantDecay([3, 8], [0.1, 0.03, 0.02]), 8),
    "polynomial": (schedules.PolynomialDecay(0.1, 9, 0.01, 2.0), 12),
    "polynomial, cycle": (schedules.PolynomialDecay(0.1, 9, 0.01, 2.0, cycle=True), 12),
    "cosine": (schedules.CosineDecay(0.1, 9, 0.2), 4),
    "cosine, warming up": (schedules.CosineDecay(0.01, 9, 0.2, 0.1, 5), 3),
    "cosine, warmed up": (schedules.CosineDecay(0.01, 9, 0.2, 0.1, 5), 7),
    "restarts": (schedules.CosineDecayRestarts(0.1, 4, 2.0, 0.7, 0.1), 15),
}


def right_step(optimizer: Any, state: State, knobs: Any = None) -> dict[str, Any]:
    """Return what one update makes of a state."""
    known = rule_of(type(optimizer).__name__, state)
    assert known is not None
    return one_step(state, known[0], knobs or {})


def settings(optimizer: Any) -> dict[str, Any]:
    numbers = {
        key: value
        for key, value in vars(optimizer).items()
        if value is None or isinstance(value, (int, float, bool))
    }
    if isinstance(optimizer, optimizers.Muon):
        adam = optimizer.adam
        numbers |= {"beta_1": adam.beta_1, "beta_2": adam.beta_2, "epsilon": adam.epsilon}
        numbers["other_weight_decay"] = optimizer.adam_weight_decay
    return numbers


def places(unit: float) -> dict[str, Place]:
    """Return a place of every kind, with everything that a hypothesis may ask for."""

    def exact(array: Any) -> Noisy:
        return Noisy(np.array(array), unit=unit)

    found: dict[str, Place] = {}
    gradients = {"w": exact(G), "other": exact(OTHER)}
    for name, (optimizer, iterations) in UPDATES.items():
        shaped = {slot: SHAPED.get(slot, SIZES) for slot in optimizer.slot_names}
        if name == "Muon":
            del shaped["velocity"]
        accumulators = {key: exact(one) for key, one in SUMS.items()}
        accumulating = optimizer.gradient_accumulation_steps
        state = State(
            exact(W),
            gradients["w"],
            {slot: exact(array) for slot, array in shaped.items()},
            float(optimizer.updates(iterations) + 1),
            0.03,
            settings(optimizer),
            name="w",
            gradients=gradients,
            accumulators=accumulators if accumulating else {},
            iterations=iterations,
            starts=optimizer.starts,
        )
        for quantity, value in right_step(optimizer, state).items():
            phase = "weight" if quantity == "weight" else "optimizer slot"
            around = {"state": state, "quantity": quantity}
            found[f"{name}: {quantity}"] = Place(phase, "w", value, optimizer, around, FACTS)
    for name, constraint in CONSTRAINTS.items():
        sgd = optimizers.SGD(0.03)
        state = State(exact(W), gradients["w"], {}, 1.0, 0.03, settings(sgd), constraint=constraint)
        around = {"state": state, "quantity": "weight", "regularizer": L1L2(0.3, 0.2)}
        right = right_step(sgd, state)["weight"]
        found[name] = Place("weight", "w", right, sgd, around, FACTS)
    for name, options in CLIPPED.items():
        sgd = optimizers.SGD(0.03, **options)  # type: ignore[arg-type]
        state = State(
            exact(W), gradients["w"], {}, 1.0, 0.03, settings(sgd), name="w", gradients=gradients
        )
        around = {"state": state, "quantity": "processed gradient"}
        right = clipped(state, {})
        found[name] = Place("processed gradient", "w", right, sgd, around, FACTS)
    for name, (schedule, steps) in RATES.items():
        single = Noisy(np.array(float(steps)), unit=UNITS["float32"])
        around = {"iterations": steps, "accumulation": 4, "epoch": 3}
        found[name] = Place(
            "optimizer slot", "learning_rate", schedule.rate(single), schedule, around, FACTS
        )
    for name, penalty in (("L1", L1L2(0.3)), ("L2", L1L2(0.0, 0.2)), ("L1L2", L1L2(0.3, 0.2))):
        by = (exact(W), penalty.l1, penalty.l2)
        around = {"w": by[0], "regularizer": penalty, "regularizers": [penalty]}
        right = gradients["w"] + slope(*by)
        found[f"{name} gradient"] = Place("weight gradient", "w", right, None, around, FACTS)
        weights = {"regularized": [(by[0], penalty), (gradients["other"], penalty)]}
        total = exact(1.5) + cost(*by) + cost(gradients["other"], penalty.l1, penalty.l2)
        found[f"{name} loss"] = Place("loss", "total", total, None, weights, FACTS)
    around = {"w": exact(W), "regularizer": None, "regularizers": [L1L2(0.3, 0.2)]}
    found["unregularized"] = Place("weight gradient", "w", gradients["w"], None, around, FACTS)
    return found


CASES = sorted(places(UNITS["float64"]))


@pytest.mark.parametrize(("case", "dtype"), in_turn((case,) for case in CASES))
def test_every_slip_is_recognised_and_no_near_miss(case: str, dtype: str) -> None:
    """What a hypothesis proposes is named where it stands; not if every number is off a little."""
    with np.errstate(all="ignore"):
        place = places(UNITS[dtype])[case]
        proposed = [
            one
            for one in candidates(place)
            if np.isfinite(one.value.value).all() and far(one.value, place.right)
        ]
        assert proposed
        for candidate in proposed:
            value = candidate.value.value
            cause = fits(candidate, value)
            assert cause is not None and cause.residual == 0.0
            wave = np.cos(np.arange(value.size) + 1.0).reshape(value.shape)
            noise = candidate.value.noise * place.right.unit  # in Muon's step more than thousandths
            off = 0.004 * np.abs(value) + 2 * BOUND * noise
            assert not np.any(value) or fits(candidate, value + off * wave) is None
        named = [cause.sentence for cause in diagnose(place, proposed[-1].value.value)]
        assert proposed[-1].sentence in named
        agreeing = [one for one in proposed if judge(proposed[-1].value.value, one.value).agrees]
        assert set(named) <= {one.sentence for one in agreeing}


def far(one: Noisy, other: Noisy) -> bool:
    """Say whether two arrays differ by far more than rounding."""
    apart = np.abs(one.value - other.value).max()
    return bool(apart > 2.0**-16 * np.abs(other.value).max())


def test_right_numbers_have_no_cause() -> None:
    for place in places(UNITS["float64"]).values():
        assert diagnose(place, place.right.value) == []


def test_random_numbers_have_no_cause() -> None:
    """A wrong guess is worse than none."""
    for case, place in places(UNITS["float32"]).items():
        value = place.right.value
        draw = rng.normal(size=value.shape) * (np.std(value) or 1.0)
        assert diagnose(place, draw) == [], case


PAIRS = {
    "decay": ("weight", "ε stands inside the root", "the bias correction is missing"),
    "accumulated": ("velocity", "v has |g| instead of g²", "the gradient is not clipped"),
    "Nadam": ("weight", "ε is forgotten", "the step count is one too large"),
    "Muon, by Adam": ("weight", "adam_lr_ratio is forgotten", "the weight decay is forgotten"),
    "Lamb": ("weight", "the norms aren't rooted", "the root of v is missing"),
}


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("case", PAIRS)
def test_two_slips_in_one_update_are_named_together(case: str, dtype: str) -> None:
    quantity, *sentences = PAIRS[case]
    with np.errstate(all="ignore"):
        place = places(UNITS[dtype])[f"{case}: {quantity}"]
        state = place.inputs["state"]
        known = rule_of(type(place.map).__name__, state)
        assert known is not None
        knobs = {**known[1], **surrounding_knobs(state)}
        both = {**knobs[sentences[0]], **knobs[sentences[1]]}
        wrong = one_step(state, known[0], both)[quantity].value
    causes = diagnose(place, wrong)
    assert causes and causes[0].slips == 2
    assert set(sentences) in [set(cause.sentence.split("; and ")) for cause in causes]
    off = 1.0 + 0.004 * np.cos(np.arange(wrong.size) + 1.0).reshape(wrong.shape)
    assert diagnose(place, wrong * off) == []


def test_a_slip_that_would_have_changed_a_slot_that_is_right_is_not_named() -> None:
    """At Adam's first step m⁺ = (1 − β₁) g: without the 1 − β₁, or with g for m, w⁺ is the same."""
    optimizer = optimizers.Adam(0.03, epsilon=1e-3)

    def exact(array: Any) -> Noisy:
        return Noisy(np.array(array), unit=UNITS["float32"])

    slots = {name: exact(0.0 * W) for name in optimizer.slot_names}
    state = State(exact(W), exact(G), slots, 1.0, 0.03, settings(optimizer))
    right = right_step(optimizer, state)["weight"]
    wrong = right_step(optimizer, state, {"plain_g": True})["weight"].value
    around = {"state": state, "quantity": "weight"}
    place = Place("weight", "w", right, optimizer, around, FACTS)
    undamped, plain = "1 − β₁ is missing before the gradient", "the gradient stands for its running"
    assert diagnose(place, wrong)[0].sentence == undamped
    place = Place("weight", "w", right, optimizer, {**around, "sound": ["momentum"]}, FACTS)
    assert [one.sentence[: len(plain)] for one in diagnose(place, wrong)] == [plain]


EXACT = {
    "Adam": ("weight", {"exact_2": True}, "Keras rounds β₂ to float32 in β₂ᵗ; the exact β₂"),
    "SGD": ("momentum", {"exact_mu": True}, "Keras rounds μ to float32; the exact μ was used"),
    "Lion": ("momentum", {"exact": True}, "Keras rounds the betas to float32; the exact ones"),
    "decay": ("weight", {"exact_decay": True}, "Keras rounds the weight decay to float32"),
    "RMSprop": ("velocity", {"rounded_rho": True}, "ρ is rounded to float32; Keras has the exact"),
    "Adadelta": ("accumulated_grad", {"rounded": True}, "ρ is rounded to float32; Keras has"),
    "Adamax": ("weight", {"exact_1": True}, "Keras rounds β₁ to float32 in β₁ᵗ; the exact β₁"),
    "Nadam": ("u_product", {"rounded_product": True}, "β₁ and 0.96 are rounded to float32 in the"),
    "Lamb": (
        "weight",
        {"exact_1": True, "exact_2": True},
        "Keras rounds both betas to float32 in their powers",
    ),
    "average": ("average", {"rounded_mu": True}, "μ of the average is rounded to float32; Keras"),
}


@pytest.mark.parametrize("case", EXACT)
def test_a_constant_rounded_on_one_side_is_named_in_float64(case: str) -> None:
    """As far apart as float32 is coarse, some 1e-8: far beyond float64's rounding."""
    plain = {
        "Adam": optimizers.Adam(0.03, epsilon=1e-3),
        "SGD": optimizers.SGD(0.03, 0.9),
        "RMSprop": optimizers.RMSprop(0.03),
    }
    optimizer, iterations = (plain[case], 2) if case in plain else UPDATES[case]
    quantity, knobs, sentence = EXACT[case]
    unit = UNITS["float64"]

    def exact(array: Any) -> Noisy:
        return Noisy(np.array(array), unit=unit)

    slots = {slot: exact(SHAPED.get(slot, SIZES)) for slot in optimizer.slot_names}
    state = State(exact(W), exact(G), slots, 3.0, 0.03, settings(optimizer), iterations=iterations)
    right = right_step(optimizer, state)[quantity]
    wrong = right_step(optimizer, state, knobs)[quantity].value
    assert 0.0 < np.abs(wrong - right.value).max() < 1e-6
    phase = "weight" if quantity == "weight" else "optimizer slot"
    around = {"state": state, "quantity": quantity}
    causes = diagnose(Place(phase, "w", right, optimizer, around, FACTS), wrong)
    assert causes and causes[0].sentence.startswith(sentence), causes
    assert as_float32(0.9) != 0.9
