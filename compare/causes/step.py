"""Slips in what puts a training step together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.optimizers import RULES
from compare.causes.optimizers.surroundings import one_step


@hypothesis("optimizer slot", "weight")
def left_over(place: Place) -> Iterator[Candidate]:
    """Propose that the gradient of the step before was left in and added to."""
    name = type(place.map).__name__
    if name not in RULES or not place.has("state", "previous_gradient"):
        return
    state, quantity = place.inputs["state"], place.inputs["quantity"]
    rule, _ = RULES[name]
    g = state.g + place.inputs["previous_gradient"]
    added_to = replace(state, g=g, gradients={**state.gradients, state.name: g})
    try:
        moved = one_step(added_to, rule, {})
    except LookupError:
        return
    if quantity in moved:
        yield Candidate(
            "the gradient isn't reset: the one of the step before is still in it",
            moved[quantity],
            "g = dW + dW of the step before",
        )
