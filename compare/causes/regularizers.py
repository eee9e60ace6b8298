"""Slips in what a weight itself costs: in the loss, and in the gradient."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, candidates, hypothesis
from compare.causes.optimizers.state import as_asked
from compare.causes.penalties import cost
from manual.regularizers import L1L2


def slope(w: Any, l1: float, l2: float) -> Any:
    """R's derivative: λ₁ sign(w) + 2 λ₂ w."""
    return np.sign(w) * l1 + w * (2.0 * l2)


@hypothesis("weight gradient")
def in_the_gradient(place: Place) -> Iterator[Candidate]:
    """Propose a penalty's derivative that is forgotten, doubled, averaged or another one."""
    penalty = place.inputs.get("regularizer")
    if not isinstance(penalty, L1L2) or not place.has("w"):
        return
    w = place.inputs["w"]
    beneath = place.right - slope(w, penalty.l1, penalty.l2)
    exact = as_asked(penalty.l1), as_asked(penalty.l2)
    yield Candidate("Keras rounds λ to float32; the exact λ was used", beneath + slope(w, *exact))
    yield from _other_penalties(place, beneath, penalty.l1, penalty.l2)
    if place.right.unit <= 2.0**-53:  # who makes a slip has the exact λ, most likely
        yield from _other_penalties(place, beneath, *exact)


def _other_penalties(place: Place, beneath: Any, l1: float, l2: float) -> Iterator[Candidate]:
    w = place.inputs["w"]
    right = slope(w, l1, l2)
    yield Candidate("the regularizer is forgotten in the gradient", beneath, "dW = xᵀ dz")
    yield Candidate("the regularizer is applied twice", beneath + right + right, "dW + 2 dR")
    yield Candidate("the regularizer's gradient is subtracted", beneath - right, "dW − dR")
    if l2:
        half = slope(w, l1, l2 / 2.0)
        yield Candidate("the 2 of 2 λ w is missing, as with ½ λ w²", beneath + half, "dR = λ w")
        yield Candidate("a 2 too many before λ w", beneath + slope(w, l1, 2.0 * l2), "dR = 4 λ w")
        ones = slope(w, l1 + l2, 0.0)
        yield Candidate("L1 stands for L2", beneath + ones, "dR = λ sign(w)")
        size = np.sqrt((w * w).sum())
        rooted = slope(w, l1, 0.0) + w * l2 / size
        yield Candidate("the norm isn't squared", beneath + rooted, "dR = λ w / |w|")
        undone = slope(w, l1, 0.0) + w * w * l2
        yield Candidate("the penalty isn't differentiated", beneath + undone, "dR = λ w²")
    if l1:
        yield Candidate("L2 stands for L1", beneath + slope(w, 0.0, l1 + l2), "dR = 2 λ w")
        signless = slope(w, 0.0, l2) + l1
        yield Candidate("the sign is missing: λ is added everywhere", beneath + signless, "dR = λ")
        undone = slope(w, 0.0, l2) + np.abs(w) * l1
        yield Candidate("the penalty isn't differentiated", beneath + undone, "dR = λ |w|")
    if l1 and l2:
        yield Candidate("L1 is forgotten", beneath + slope(w, 0.0, l2), "dR = 2 λ₂ w")
        yield Candidate("L2 is forgotten", beneath + slope(w, l1, 0.0), "dR = λ₁ sign(w)")
        yield Candidate("λ₁ and λ₂ are swapped", beneath + slope(w, l2, l1))
    for factor, sentence in shares(place, w.size):
        yield Candidate(f"the regularizer's gradient is {sentence}", beneath + right * factor)


def shares(place: Place, size: int) -> Iterator[tuple[float, str]]:
    """Give the factors that a penalty doesn't have, though the rest of the loss may."""
    samples = place.facts.samples
    yield 1.0 / samples, f"divided by the batch size {samples}"
    yield float(samples), f"multiplied by the batch size {samples}"
    yield 1.0 / size, f"divided by the number of elements, {size}"
    yield place.facts.learning_rate, "multiplied by the learning rate"


@hypothesis("weight gradient")
def where_none_belongs(place: Place) -> Iterator[Candidate]:
    """Propose that another weight's regularizer acts on one that has none."""
    if place.inputs.get("regularizer") is not None or not place.has("w", "regularizers"):
        return
    for other in place.inputs["regularizers"]:
        if isinstance(other, L1L2):
            changed = place.right + slope(place.inputs["w"], other.l1, other.l2)
            yield Candidate("a weight without a regularizer is regularized", changed)


@hypothesis("weight gradient")
def beneath_the_penalty(place: Place) -> Iterator[Candidate]:
    """Propose every other slip, with the right penalty on top of it."""
    penalty = place.inputs.get("regularizer")
    if not isinstance(penalty, L1L2) or not place.has("w"):
        return
    right = slope(place.inputs["w"], penalty.l1, penalty.l2)
    inputs = {**place.inputs, "regularizer": None, "regularizers": None}
    for one in candidates(replace(place, right=place.right - right, inputs=inputs)):
        yield replace(one, value=one.value + right)


@hypothesis("loss")
def in_the_loss(place: Place) -> Iterator[Candidate]:
    """Propose a penalty that is missing in the loss, doubled, averaged or another one."""
    weights = place.inputs.get("regularized")
    if not weights or not all(isinstance(penalty, L1L2) for _, penalty in weights):
        return

    def total(by: Any) -> Any:
        parts = [by(w, penalty.l1, penalty.l2) for w, penalty in weights]
        return sum(parts[1:], parts[0])

    right = total(cost)
    data = place.right - right
    yield Candidate("the regularizer is forgotten in the loss", data, "L without R")
    yield Candidate("the regularizer is in the loss twice", place.right + right, "L + 2 R")
    yield Candidate("the regularizer is subtracted from the loss", data - right, "L − R")
    for factor, sentence in shares(place, sum(w.size for w, _ in weights)):
        yield Candidate(f"the regularizer is {sentence} in the loss", data + right * factor)
    for sentence, by in (
        ("½ λ w² stands for λ w²", lambda w, l1, l2: cost(w, l1, l2 / 2.0)),
        ("L1 stands for L2", lambda w, l1, l2: cost(w, l1 + l2, 0.0)),
        ("L2 stands for L1", lambda w, l1, l2: cost(w, 0.0, l1 + l2)),
        ("L1 is forgotten", lambda w, l1, l2: cost(w, 0.0, l2)),
        ("L2 is forgotten", lambda w, l1, l2: cost(w, l1, 0.0)),
        ("each penalty is a mean instead of a sum", lambda w, a, b: cost(w, a, b) / float(w.size)),
        ("the norm isn't squared", lambda w, a, b: cost(w, a, 0.0) + np.sqrt((w * w).sum()) * b),
        (
            "Keras rounds λ to float32; the exact λ was used",
            lambda w, l1, l2: cost(w, as_asked(l1), as_asked(l2)),
        ),
    ):
        yield Candidate(sentence, data + total(by))
    if len(weights) > 1:
        for index in range(len(weights)):
            w, penalty = weights[index]
            one = cost(w, penalty.l1, penalty.l2)
            yield Candidate("one weight's penalty is missing in the loss", place.right - one)
            yield Candidate("only one weight's penalty is in the loss", data + one)
