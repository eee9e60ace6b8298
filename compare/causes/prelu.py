"""Slips in the rectifier that learns its slope."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from manual.layers import PReLU


def _known(place: Place, *letters: str) -> bool:
    return isinstance(place.map, PReLU) and place.has("x", "alpha", *letters)


@hypothesis("activation")
def forward(place: Place) -> Iterator[Candidate]:
    """Propose another left piece."""
    if not _known(place):
        return
    x, alpha = place.inputs["x"], place.inputs["alpha"]
    right, left = np.maximum(x, 0.0), np.minimum(x, 0.0)
    yield Candidate("the negative slope is missing", right, "y = max(x, 0)")
    yield Candidate("the negative piece has the wrong sign", right - alpha * left)
    yield Candidate("the slope α is on both sides", alpha * x, "y = α x")
    yield Candidate("the slope α is on the right instead", alpha * right + left)
    yield Candidate("the slope α is applied twice", right + alpha * alpha * left)
    yield Candidate("the layer is not applied", x, "y = x")


@hypothesis("activation gradient")
def input_gradient(place: Place) -> Iterator[Candidate]:
    """Propose another local gradient."""
    if not _known(place, "dz"):
        return
    x, alpha, dy = (place.inputs[letter] for letter in ("x", "alpha", "dz"))
    positive, negative = 1.0 * (x > 0.0), 1.0 * (x < 0.0)
    yield Candidate("the negative slope is missing", dy * positive, "dx = dy · [x > 0]")
    yield Candidate("the derivative of the activation is missing", dy, "dx = dy")
    yield Candidate("the negative piece has the wrong sign", dy * (positive - alpha * negative))
    yield Candidate("the slope α is on both sides", dy * alpha, "dx = dy · α")
    yield Candidate("the slope α is on the right instead", dy * (alpha * positive + negative))
    yield Candidate("the slope α is applied twice", dy * (positive + alpha * alpha * negative))


@hypothesis("weight gradient")
def slope_gradient(place: Place) -> Iterator[Candidate]:
    """Propose other terms, and a sum over other axes."""
    if not _known(place, "dz"):
        return
    x, alpha, dy = (place.inputs[letter] for letter in ("x", "alpha", "dz"))
    left = np.minimum(x, 0.0)
    along = [axis for axis in range(1, x.ndim) if alpha.shape[axis - 1] == 1]
    shared = float(np.prod([x.shape[axis] for axis in along]))

    def summed(terms: Any) -> Any:
        return terms.sum(axis=(0, *along), keepdims=True).reshape(alpha.shape)

    yield Candidate("the positive inputs count, too", summed(dy * x), "dα = Σ dy · x")
    yield Candidate("the positive inputs count instead", summed(dy * np.maximum(x, 0.0)))
    yield Candidate("the size of x is left out", summed(dy * (x < 0.0)), "dα = Σ dy · [x < 0]")
    yield Candidate(
        "the gradient from the right is not multiplied in", summed(left), "dα = Σ min(x, 0)"
    )
    yield Candidate("α is multiplied in", alpha * summed(dy * left), "dα = α Σ dy · min(x, 0)")
    yield Candidate("the mean over the shared axes stands for the sum", summed(dy * left) / shared)
    yield Candidate("only the first sample's share is there", summed((dy * left)[:1]))
    yield Candidate("only the last sample's share is there", summed((dy * left)[-1:]))
