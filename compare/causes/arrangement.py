"""The right numbers in the wrong places: transposed, mirrored, swapped."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis


@hypothesis("activation", "activation gradient", "weight gradient")
def rearranged(place: Place) -> Iterator[Candidate]:
    """Propose every order of the axes that keeps the shape, and every axis reversed."""
    right: Any = place.right
    axes = range(right.ndim)
    for order in permutations(axes):
        if order != tuple(axes) and right.ndim <= 4:
            sentence = (
                "the matrix is transposed"
                if right.ndim == 2
                else f"the axes are permuted to {list(order)}"
            )
            turned: Any = np.transpose(right, order)
            yield Candidate(sentence, turned)
    for axis in axes:
        if right.shape[axis] > 1:
            sentence = f"axis {axis} runs backwards: flipped or swapped"
            yield Candidate(sentence, right[(slice(None),) * axis + (slice(None, None, -1),)])


@hypothesis("weight gradient", "activation gradient")
def nothing_there(place: Place) -> Iterator[Candidate]:
    """Propose that nothing was computed at all."""
    yield Candidate("the gradient is never computed: it stays 0", place.right * 0.0, "0")


@hypothesis("weight gradient")
def gradient_of_another_weight(place: Place) -> Iterator[Candidate]:
    """Propose the gradients of the other weights of this shape."""
    for name, gradient in place.inputs.get("other_gradients", {}).items():
        if name != place.name:
            yield Candidate(f"this is the gradient of {name}", gradient)


@hypothesis("weight gradient")
def not_reset(place: Place) -> Iterator[Candidate]:
    """Propose that the gradient of the step before was left in and added to."""
    if place.has("previous_gradient"):
        yield Candidate(
            "the gradient isn't reset: the one of the step before is still in it",
            place.right + place.inputs["previous_gradient"],
            "dW⁺ = dW + dW of the step before",
        )
