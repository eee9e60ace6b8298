"""Every rule and everything around it, with one decision taken otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.constraints import constrained
from compare.causes.optimizers.rules import rule_of
from compare.causes.optimizers.state import Knobs, Rule, Slots, State, without_noise
from compare.causes.optimizers.surroundings import one_step, surrounding_knobs
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy


@hypothesis("optimizer slot", "weight")
def one_knob(place: Place) -> Iterator[Candidate]:
    """Propose every step that differs from the right one in one decision."""
    known = the_rule(place)
    if known is None:
        return
    rule, knobs = known
    state, quantity = place.inputs["state"], place.inputs["quantity"]
    exact = exact_knobs(knobs) if place.right.unit <= 2.0**-53 else {}
    for rounding in ({}, exact) if exact else ({},):
        plain = one_step(state, rule, rounding)
        for sentence, turned in {**knobs, **factors(place)}.items():
            if rounding and sentence.startswith(EXACT):
                continue
            moved = one_step(state, rule, {**rounding, **turned})
            # A knob that turns nothing here must not take the blame for a forgotten constraint.
            turns = quantity in moved and differs(moved[quantity], plain[quantity])
            if turns and leaves_the_sound_alone(place, moved, plain):
                yield Candidate(sentence, moved[quantity])


EXACT = "Keras rounds"
"""So begin the knobs of constants that Keras rounds to float32, in float64 too."""


def exact_knobs(knobs: Mapping[str, Knobs]) -> Knobs:
    """Turn all of them at once: the step as it is written in books."""
    turned: Knobs = {}
    for sentence, knob in knobs.items():
        if sentence.startswith(EXACT):
            turned = {**turned, **knob}
    return turned


def exactly(state: State, optimizer: Any) -> Any:
    """Return a weight after a step whose constants are as exact as they were asked for."""
    known = rule_of(type(optimizer).__name__, state)
    assert known is not None, "every optimizer that has a twin has a rule"
    rule, knobs = known
    return one_step(state, rule, exact_knobs({**knobs, **surrounding_knobs(state)}))["weight"]


@hypothesis("optimizer slot", "weight", last_resort=True)
def two_knobs(place: Place) -> Iterator[Candidate]:
    """Propose steps that differ from the right one in two decisions.

    There are hundreds of pairs. Tried in plain numbers, they cost little; only what comes near to
    the wrong numbers is computed with its noise.
    """
    known = the_rule(place)
    if known is None or place.wrong is None:
        return
    rule, knobs = known
    state, quantity, unit = place.inputs["state"], place.inputs["quantity"], place.right.unit
    bare = without_noise(state)

    def numbers(turned: Knobs) -> Any:
        return one_step(bare, rule, turned).get(quantity)

    right, plain = numbers({}), one_step(state, rule, {})
    effective = [
        turned for turned in knobs.items() if not near(numbers(turned[1]), right, 8 * unit)
    ]
    for (one, first), (other, second) in combinations(effective, 2):
        turned = {**first, **second}
        if len(turned) < len(first) + len(second):
            continue  # the same decision taken in two ways
        if near(numbers(turned), place.wrong, 256 * unit):
            moved = one_step(state, rule, turned)
            if leaves_the_sound_alone(place, moved, plain):
                yield Candidate(f"{one}; and {other}", moved[quantity], slips=2)


def leaves_the_sound_alone(place: Place, moved: Slots, plain: Slots) -> bool:
    """Say whether a slip changes no slot of the same weight that is known to be right."""
    slots = [slot for slot in place.inputs.get("sound", ()) if slot in moved]
    return not any(differs(moved[slot], plain[slot]) for slot in slots)


def the_rule(place: Place) -> tuple[Rule, dict[str, Knobs]] | None:
    """Return the rule of a place, and what can go wrong in it and around it."""
    if not place.has("state", "quantity"):
        return None
    state = place.inputs["state"]
    known = rule_of(type(place.map).__name__, state)
    if known is None:
        return None
    rule, knobs = known
    around = surrounding_knobs(state)
    of_its_own = place.inputs["quantity"] in ("average", "gradient_accumulator")
    return rule, {**around, **knobs} if of_its_own else {**knobs, **around}


def factors(place: Place) -> dict[str, Knobs]:
    """Return the constants that the step gives reason for."""
    samples, eta = place.facts.samples, place.inputs["state"].learning_rate
    known: dict[str, Knobs] = {
        f"the gradient is multiplied by the batch size {samples}": {"factor": samples},
        f"the gradient is divided by the batch size {samples}": {"factor": 1 / samples},
        "the learning rate is applied twice": {"eta": eta**2},
        "the learning rate is divided by the batch size": {"eta": eta / samples},
    }
    known["the learning rate is already in the gradient"] = {"factor": eta}
    if samples < place.facts.batch_size:
        sentence = "the last, small batch is averaged with the full batch size"
        known[sentence] = {"factor": samples / place.facts.batch_size}
    before = place.inputs.get("previous_rate")
    if before is not None:
        known["the learning rate is that of the step before"] = {"eta": before}
    return known


def near(one: Any, other: Any, tolerance: float) -> bool:
    """Say whether two arrays are the same to within a part of the largest number."""
    if one is None or np.shape(one) != np.shape(other):
        return False
    apart = float(np.max(np.abs(one - other), initial=0.0))
    return apart <= tolerance * float(np.max(np.abs(other), initial=0.0))


def differs(one: Any, other: Noisy) -> bool:
    """Say whether two arrays of one shape differ by more than rounding."""
    value = one.value if isinstance(one, Noisy) else one
    return np.shape(value) == other.shape and not judge(value, other).agrees


@hypothesis("weight")
def weight_slips(place: Place) -> Iterator[Candidate]:
    """Propose an update that did not happen, or happened twice."""
    if not place.has("state"):
        return
    state: State = place.inputs["state"]
    right = place.right
    yield Candidate("the weight is not updated", state.w, "w⁺ = w")
    yield Candidate("this is the gradient, not the weight after the update", state.g, "dW")
    yield Candidate("this is the step alone, without the weight", right - state.w, "w⁺ − w")
    yield Candidate("the update is applied twice", right + (right - state.w), "w⁺ = w + 2 Δw")
    others = () if state.constraint is not None else place.inputs.get("constraints", ())
    for other in others:
        projected = constrained(right, other, {})
        yield Candidate("a weight without a constraint is constrained", projected)


@hypothesis("optimizer slot")
def slot_slips(place: Place) -> Iterator[Candidate]:
    """Propose a memory that isn't kept."""
    if place.has("state", "quantity"):
        state: State = place.inputs["state"]
        old = state.slots.get(place.inputs["quantity"])
        if old is not None:
            yield Candidate("the slot is not updated", old)
