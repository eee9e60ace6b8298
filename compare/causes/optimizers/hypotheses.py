"""Every rule and everything around it, with one decision taken otherwise."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.optimizers.rules import RULES
from compare.causes.optimizers.state import Knobs, State
from compare.causes.optimizers.surroundings import one_step, surrounding_knobs
from compare.judge import judge
from compare.noise import Noisy


@hypothesis("optimizer slot", "weight")
def one_knob(place: Place) -> Iterator[Candidate]:
    """Propose every step that differs from the right one in one decision."""
    name = type(place.map).__name__
    if name not in RULES or not place.has("state", "quantity"):
        return
    rule, knobs = RULES[name]
    state, quantity = place.inputs["state"], place.inputs["quantity"]
    facts = place.facts
    factors: dict[str, Knobs] = {
        f"the gradient is multiplied by the batch size {facts.samples}": {"factor": facts.samples},
        f"the gradient is divided by the batch size {facts.samples}": {"factor": 1 / facts.samples},
        "the learning rate is applied twice": {"eta": state.learning_rate**2},
        "the learning rate is divided by the batch size": {
            "eta": state.learning_rate / facts.samples
        },
    }
    try:
        plain = one_step(state, rule, {})
    except LookupError:
        return
    exact = exact_knobs(knobs, state.settings) if place.right.unit <= 2.0**-53 else {}
    for sentence, turned in {**knobs, **surrounding_knobs(state.settings), **factors}.items():
        for rounding in ({}, exact) if exact and not sentence.startswith(EXACT) else ({},):
            moved = one_step(state, rule, {**rounding, **turned})
            # A knob that turns nothing here must not take the blame for a forgotten constraint.
            if quantity in moved and differs(moved[quantity], plain[quantity]):
                yield Candidate(sentence, moved[quantity])


EXACT = "Keras rounds"
"""So begin the knobs of constants that Keras rounds to float32, in float64 too."""


def exact_knobs(knobs: Mapping[str, Knobs], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Turn all of them at once: the step as it is written in books."""
    turned: dict[str, Any] = {}
    for sentence, knob in {**knobs, **surrounding_knobs(settings)}.items():
        if sentence.startswith(EXACT):
            turned |= knob
    return turned


def exactly(state: State, optimizer: Any) -> Any:
    """Return a weight after a step whose constants are as exact as they were asked for."""
    rule, knobs = RULES[type(optimizer).__name__]
    return one_step(state, rule, exact_knobs(knobs, state.settings))["weight"]


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
    name = type(place.map).__name__
    if name in RULES and state.constrained is not None:
        try:  # what the constraint makes of it may be what is at fault, and isn't asked for
            alone = one_step(state, RULES[name][0], {"unconstrained": True})
        except LookupError:
            return
        yield Candidate("the constraint is forgotten", alone["weight"], "w⁺ of the update alone")


@hypothesis("optimizer slot")
def slot_slips(place: Place) -> Iterator[Candidate]:
    """Propose a memory that isn't kept."""
    if place.has("state", "quantity"):
        state: State = place.inputs["state"]
        old = state.slots.get(place.inputs["quantity"])
        if old is not None:
            yield Candidate("the slot is not updated", old)
