"""Every rule and everything around it, with one decision taken otherwise."""

from __future__ import annotations

from collections.abc import Iterator
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
    for sentence, turned in {**knobs, **surrounding_knobs(state.settings), **factors}.items():
        moved = one_step(state, rule, turned)
        # A knob that turns nothing here must not take the blame for a forgotten constraint.
        if quantity in moved and differs(moved[quantity], plain[quantity]):
            yield Candidate(sentence, moved[quantity])


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
