"""Slips in the scalar products of two inputs, and in the cosine between them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product as product_of
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from manual.layers import Dot


def lined_up(place: Place, axes: Sequence[int]) -> tuple[Any, Any]:
    """Return both inputs of Dot as (samples, other axes in one, the axis that is summed over)."""
    found = []
    for part, axis in zip(place.inputs["x"], axes, strict=True):
        last = np.moveaxis(part, axis, -1)
        found.append(last.reshape(last.shape[0], -1, last.shape[-1]))
    return found[0], found[1]


def squares(x: Any) -> Any:
    """Return the squared length along the last axis, which stays."""
    return (x * x).sum(axis=-1, keepdims=True)


def unit(x: Any) -> Any:
    """Divide by the length along the last axis."""
    return x / np.maximum(np.sqrt(squares(x)), 1e-7)


@hypothesis("activation", "activation gradient")
def scalar_products(place: Place) -> Iterator[Candidate]:
    """Propose scalar products without their normalisation, or with one that isn't asked for."""
    if not isinstance(place.map, Dot) or not place.has("x", "y"):
        return
    first, second = lined_up(place, place.map.axes)
    if place.phase == "activation":
        shape = place.right.shape
        for one, other, sentence in (
            (first, second, "the inputs are not normalised"),
            (unit(first), unit(second), "the inputs are normalised without being asked for"),
            (unit(first), second, "only the first input is normalised"),
            (first, unit(second), "only the second input is normalised"),
            (
                first / squares(first),
                second / squares(second),
                "the inputs are divided by their squared lengths: the root is forgotten",
            ),
        ):
            product = one @ np.moveaxis(other, -1, -2)
            yield Candidate(sentence, product.reshape(*shape))
        product, n = first @ np.moveaxis(second, -1, -2), float(first.shape[-1])
        yield Candidate("the mean is taken instead of the sum", (product / n).reshape(*shape))
        scaled = (product / np.sqrt(n)).reshape(*shape)
        yield Candidate("it is divided by √n, as in scaled attention", scaled, "y = Σ x₁ x₂ / √n")
        for axes in product_of(*(range(1, part.ndim) for part in place.inputs["x"])):
            first, second = lined_up(place, axes)
            if first.shape[-1] == second.shape[-1] and axes != tuple(place.map.axes):
                product = first @ np.moveaxis(second, -1, -2)
                if product.size == place.right.size:
                    sentence = f"the axes {axes[0]} and {axes[1]} are summed over"
                    yield Candidate(sentence, product.reshape(*shape))
        return
    if not place.has("dz", "which") or len(place.inputs["which"]) != 1:
        return
    where = place.inputs["which"][0]
    dy = place.inputs["dz"].reshape(first.shape[0], first.shape[1], second.shape[1])
    dy = dy if where == 0 else np.moveaxis(dy, -1, -2)
    mine, other = (first, second) if where == 0 else (second, first)
    axis, x = place.map.axes[where], place.inputs["x"][where]

    def shaped(gradient: Any) -> Any:
        moved = np.moveaxis(x, axis, -1)
        return np.moveaxis(gradient.reshape(*moved.shape), -1, axis)

    yield Candidate(
        "the input's own value stands for the other one", shaped(dy.sum(-1, keepdims=True) * mine)
    )
    if place.map.normalize:
        size = np.sqrt(squares(mine))
        dn, n = dy @ unit(other), mine / size
        turned = dn - n * (n * dn).sum(axis=-1, keepdims=True)
        yield Candidate("it is not divided by the length", shaped(turned), "dx = dn − n (n · dn)")
        yield Candidate(
            "the normalisation is left out on the way back", shaped(dy @ other), "dx = dy x₂"
        )
        yield Candidate("the derivative of the normalisation is missing", shaped(dn), "dx = dn")
        yield Candidate("the length is taken for a constant", shaped(dn / size), "dx = dn / ‖x‖")
