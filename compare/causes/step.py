"""Slips in what puts a training step together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.optimizers import State, rule_of
from compare.causes.optimizers.surroundings import one_step
from compare.causes.regularizers import slope
from manual.layers import Add, Dense, Identity, Subtract
from manual.regularizers import L1L2


@hypothesis("optimizer slot", "weight")
def another_gradient(place: Place) -> Iterator[Candidate]:
    """Propose the gradient of the step before, or one with a penalty too many or too few."""
    if not place.has("state", "quantity"):
        return
    state, before = place.inputs["state"], place.inputs.get("previous_gradient")
    if before is not None:
        yield from moved_by(
            place,
            state.g + before,
            "the gradient isn't reset: the one of the step before is still in it",
            "g = dW + dW of the step before",
        )
        sentence = "the weights move by the gradient of the step before: the update comes too early"
        yield from moved_by(place, before, sentence, "g = dW of the step before")
    if place.inputs.get("own"):
        sentence = (
            "the gradient is counted twice: backward runs twice, or its result is added twice"
        )
        yield from moved_by(place, state.g * 2.0, sentence, "g = 2 dW")
    penalty = place.inputs.get("regularizer")
    if isinstance(penalty, L1L2):
        part = slope(state.w, penalty.l1, penalty.l2)
        yield from moved_by(
            place, state.g + part, "the penalty's gradient is added twice", "dW + dR"
        )
        yield from moved_by(place, state.g - part, "the penalty's gradient is missing", "dW − dR")


@hypothesis("optimizer slot", "weight")
def two_updates(place: Place) -> Iterator[Candidate]:
    """Propose that a step makes its update twice, the second from what the first has left."""
    if not place.has("state", "quantity"):
        return
    state: State = place.inputs["state"]
    known = rule_of(type(place.map).__name__, state)
    if known is None or state.settings.get("gradient_accumulation_steps"):
        return
    once = one_step(state, known[0], {})
    weight = once.pop("weight")
    again = replace(state, w=weight, slots=once, t=state.t + 1.0, iterations=state.iterations + 1)
    quantity = place.inputs["quantity"]
    twice = one_step(again, known[0], {})
    if quantity in twice:
        yield Candidate("the update is made twice in one step", twice[quantity])


@hypothesis("weight")
def trained_all_the_same(place: Place) -> Iterator[Candidate]:
    """Propose that a frozen weight is updated as the others are, from a memory that is empty."""
    if not place.has("frozen"):
        return
    state: State = place.inputs["frozen"]
    known = rule_of(type(place.map).__name__, state)
    if known is not None:
        moved = one_step(state, known[0], {})["weight"]
        yield Candidate("a weight that isn't trained is updated", moved)


@hypothesis("state")
def step_count(place: Place) -> Iterator[Candidate]:
    """Propose a count of the steps that stands still, or runs ahead."""
    if place.name == "iterations":
        yield Candidate("the step count isn't moved on", place.right - 1.0, "n⁺ = n")
        yield Candidate("the step count is moved on twice", place.right + 1.0, "n⁺ = n + 2")


@hypothesis("optimizer slot")
def start_of_a_slot(place: Place) -> Iterator[Candidate]:
    """Propose another beginning of what the optimizer remembers."""
    if place.has("w_first"):
        w = place.inputs["w_first"]
        yield Candidate("the slot starts from 0", w * 0.0, "0")
        yield Candidate("the slot starts from 1", w * 0.0 + 1.0, "1")
        yield Candidate("the slot starts from the weight itself", w, "w")


@hypothesis("loss")
def after_the_update(place: Place) -> Iterator[Candidate]:
    """Propose that the loss which a step reports is that of the weights that it leaves."""
    if place.has("loss_after"):
        yield Candidate("the loss is taken after the update", place.inputs["loss_after"], "L(w⁺)")


def moved_by(place: Place, g: Any, sentence: str, formula: str) -> Iterator[Candidate]:
    """Propose what an update makes of another gradient."""
    state, quantity = place.inputs["state"], place.inputs["quantity"]
    known = rule_of(type(place.map).__name__, state)
    if known is None:
        return
    other = replace(state, g=g, processed=None, gradients={**state.gradients, state.name: g})
    moved = one_step(other, known[0], {})
    if quantity in moved:
        yield Candidate(sentence, moved[quantity], formula)


PASS_ON = (Add, Subtract, Identity)
"""Layers through which a gradient rightly passes unchanged."""


@hypothesis("activation gradient")
def passed_on(place: Place) -> Iterator[Candidate]:
    """Propose that a layer is skipped on the way back; a Dense layer has its own words for it."""
    if place.has("dz") and not isinstance(place.map, (Dense, *PASS_ON)):
        skipped = "the layer is skipped on the way back: the gradient passes unchanged"
        yield Candidate(skipped, place.inputs["dz"], "dx = dy")
