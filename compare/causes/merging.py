"""Slips where branches join: skip connections, and layers with several inputs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, candidates, hypothesis
from manual.layers.masked_merging import Extreme, Maximum, Minimum, Multiply
from manual.layers.merging import Add, Average, Concatenate, Merge, Subtract

# ---------------------------------------------------------------------- a node with several users


def called(place: Place) -> str:
    """Return what the map of a share is called."""
    return str(getattr(place.map, "name", type(place.map).__name__))


@hypothesis("activation gradient")
def a_share(place: Place) -> Iterator[Candidate]:
    """Propose that a branch's gradient is forgotten or counted twice, or has a slip of its own.

    What a skip connection passes on is the sum of what comes from each branch. If one branch is
    wrong, its right share is what the others leave of the right sum.
    """
    shares: Sequence[Place] = place.inputs.get("shares", ())
    for wrong in shares:
        rest = sum((share.right for share in shares if share is not wrong), 0.0)
        share, layer = replace(wrong, right=place.right - rest), called(wrong)
        yield Candidate(
            f"the gradient that comes back through {layer} is forgotten: a value that is used "
            f"{len(shares)} times gets the sum of {len(shares)} gradients",
            rest,
            f"dx without its share from {layer}",
        )
        yield Candidate(
            f"the gradient that comes back through {layer} is counted twice",
            place.right + share.right,
            f"dx + its share from {layer}",
        )
        for candidate in candidates(share):
            if candidate.slips == 1:
                sentence = f"{candidate.sentence}, in what comes back through {layer}"
                yield replace(candidate, sentence=sentence, value=rest + candidate.value)
    if shares:
        yield Candidate(
            f"the {len(shares)} gradients that come back are averaged instead of summed",
            place.right / float(len(shares)),
            "dx = the mean of the shares",
        )


# ---------------------------------------------------------------------- inputs joined


def aligned(place: Place) -> list[Any]:
    """Return the inputs of a merging layer with as many axes as its output."""
    x = place.inputs["x"]
    axes = place.inputs["y"].ndim
    return [part.reshape(part.shape[0], *(1,) * (axes - part.ndim), *part.shape[1:]) for part in x]


def back_to(place: Place, gradients: Sequence[Any]) -> Any:
    """Return what the place gets of the gradients of all inputs: repeated numbers get the sum."""
    total: Any = None
    for where in place.inputs["which"]:
        gradient, shape = gradients[where], place.inputs["x"][where].shape
        own = (shape[0], *(1,) * (gradient.ndim - len(shape)), *shape[1:])
        over = tuple(axis for axis, size in enumerate(own) if size != gradient.shape[axis])
        if over:
            gradient = gradient.sum(axis=over, keepdims=True)
        gradient = gradient.reshape(*shape)
        total = gradient if total is None else total + gradient
    return total


def other_factors(x: Sequence[Any], where: int) -> Any:
    """Return the product of all inputs but one."""
    product = x[where] * 0.0 + 1.0
    for part in (*x[:where], *x[where + 1 :]):
        product = product * part
    return product


@hypothesis("activation gradient")
def joined_gradient(place: Place) -> Iterator[Candidate]:
    """Propose other derivatives of a sum, a product, a mean, an extreme."""
    if not isinstance(place.map, Merge) or not place.has("x", "y", "dz", "which"):
        return
    x, dy, n = aligned(place), place.inputs["dz"], len(place.inputs["x"])
    kind = type(place.map)

    def each(gradient: Any) -> Any:
        return back_to(place, [gradient + part * 0.0 for part in x])

    if kind is Multiply:
        yield Candidate("the other factor is missing", each(dy), "dx₁ = dy")
        alone = back_to(place, [other_factors(x, where) for where in range(n)])
        sentence = "the gradient from the right is not multiplied in"
        yield Candidate(sentence, alone, "dx₁ = x₂")
        own = back_to(place, [dy * part for part in x])
        yield Candidate("the input's own value stands for the other factor", own, "dx₁ = dy · x₁")
        yield Candidate(
            "the whole product stands for the other factors", each(dy * place.inputs["y"])
        )
        for step in {1, n - 1} if n > 2 else ():
            one = back_to(place, [dy * x[(where + step) % n] for where in range(n)])
            yield Candidate("only one of the other factors is there", one, "dx₁ = dy · x₂")
    elif kind is Average:
        yield Candidate("the division by the number of inputs is missing", each(dy), "dxᵢ = dy")
        twice = each(dy / float(n * n))
        yield Candidate(
            "the division by the number of inputs is done twice", twice, "dxᵢ = dy / n²"
        )
    elif kind is Subtract:
        yield Candidate("the sign of the second input's gradient is wrong", each(dy), "dx₂ = dy")
        yield Candidate("the signs are the wrong way round", back_to(place, [-dy, dy]), "dx₁ = −dy")
    elif isinstance(place.map, Extreme):
        yield Candidate(
            "every input gets the gradient instead of the chosen one alone", each(dy), "dxᵢ = dy"
        )
        yield Candidate(
            "the gradient is divided among the inputs", each(dy / float(n)), "dxᵢ = dy / n"
        )
        largest = isinstance(place.map, Maximum)
        chosen = [part >= place.inputs["y"] if largest else part <= place.inputs["y"] for part in x]
        others = back_to(place, [np.where(mine, 0.0, dy) for mine in chosen])
        yield Candidate("the inputs that were not chosen get the gradient", others)
        ties = back_to(place, [np.where(mine, dy, 0.0) for mine in chosen])
        yield Candidate("of equal inputs each gets the whole gradient", ties)
    elif kind is Add:
        yield Candidate(
            "the gradient of a sum is divided among its inputs", each(dy / float(n)), "dxᵢ = dy / n"
        )
        products = [dy * x[(where + 1) % n] for where in range(n)]
        yield Candidate("this is the derivative of a product", back_to(place, products))
    if any(part.shape != dy.shape for part in x):
        copies = back_to(place, [dy * 0.0 + 1.0 for _ in x])
        yield Candidate(
            "repeated numbers get the mean of their gradients instead of the sum",
            place.right / copies,
        )
        if isinstance(place.map, Extreme):
            return
        of_copies = {
            Multiply: [dy * other_factors(x, where) for where in range(n)],
            Average: [dy / float(n)] * n,
            Subtract: [dy, -dy],
        }.get(kind, [dy] * n)
        for end, which in ((0, "first"), (-1, "last")):
            one = back_to(
                place,
                [g * at_one_end(part, dy, end) for g, part in zip(of_copies, x, strict=True)],
            )
            yield Candidate(f"of repeated numbers only the {which} copy's gradient is there", one)


def at_one_end(part: Any, dy: Any, end: int) -> Any:
    """Mark the first, or last, copy of what is repeated."""
    marks = np.ones(dy.shape)
    for axis, (size, whole) in enumerate(zip(part.shape, dy.shape, strict=True)):
        if size != whole:
            only = np.zeros(whole)
            only[end] = 1.0
            marks = marks * only.reshape(-1, *(1,) * (dy.ndim - axis - 1))
    return marks


JOINED_BY: dict[type, Any] = {
    Add: np.add,
    Average: np.add,
    Multiply: np.multiply,
    Maximum: np.maximum,
    Minimum: np.minimum,
}


@hypothesis("activation")
def joined(place: Place) -> Iterator[Candidate]:
    """Propose that inputs are joined in another way."""
    if not isinstance(place.map, Merge) or not place.has("x", "y"):
        return
    x, kind = aligned(place), type(place.map)
    total = product = largest = smallest = x[0]
    for part in x[1:]:
        total, product = total + part, product * part
        largest, smallest = np.maximum(largest, part), np.minimum(smallest, part)
    if kind is Average:
        yield Candidate("the division by the number of inputs is missing", total, "y = Σ xᵢ")
        running = x[0]
        for part in x[1:]:
            running = (running + part) / 2.0
        sentence = "each input is averaged with the mean so far, which gives the last most weight"
        yield Candidate(sentence, running, "y = ((x₁ + x₂) / 2 + x₃) / 2")
    if kind is Subtract:
        yield Candidate("the inputs are subtracted the wrong way round", x[1] - x[0], "y = x₂ − x₁")
    for left_out in range(len(x) if len(x) > 2 else 0):
        rest = [part for where, part in enumerate(x) if where != left_out]
        found = rest[0]
        for part in rest[1:]:
            found = JOINED_BY[kind](found, part)
        found = found / float(len(rest)) if kind is Average else found
        yield Candidate(f"input {left_out + 1} is left out", found + x[left_out] * 0.0)
    for sentence, value in (
        ("the inputs are added", total),
        ("the inputs are averaged", total / float(len(x))),
        ("the inputs are multiplied", product),
        ("the largest is taken", largest),
        ("the smallest is taken", smallest),
        ("only the first input is passed on", x[0] + total * 0.0),
        ("only the last input is passed on", x[-1] + total * 0.0),
    ):
        yield Candidate(f"{sentence} instead", value)


@hypothesis("activation", "activation gradient")
def concatenated(place: Place) -> Iterator[Candidate]:
    """Propose the inputs, or the slices that go back to them, in another order."""
    if not isinstance(place.map, Concatenate) or not place.has("x", "y"):
        return
    x, axis = place.inputs["x"], place.map.axis % place.inputs["y"].ndim
    if place.phase == "activation":
        for order in permutations(range(len(x))) if len(x) <= 4 else ():
            if order != tuple(range(len(x))):
                value = np.concatenate([x[where] for where in order], axis=axis)
                yield Candidate("the inputs are joined in another order", value)
        if len({part.shape for part in x}) == 1:
            value = np.stack(list(x), axis=axis + 1).reshape(*place.right.shape)
            yield Candidate("the inputs are interleaved, not one after the other", value)
        return
    if not place.has("dz", "which"):
        return
    dy = place.inputs["dz"]
    for where in place.inputs["which"]:
        size, total = x[where].shape[axis], dy.shape[axis]
        if len({part.shape for part in x}) == 1:
            value = dy[(slice(None),) * axis + (slice(where, None, len(x)),)]
            sentence = "every n-th number goes back to an input, as if they had been interleaved"
            yield Candidate(sentence, value)
        right = sum(part.shape[axis] for part in x[:where])
        for start in range(total - size + 1):
            if start != right:
                value = dy[(slice(None),) * axis + (slice(start, start + size),)]
                yield Candidate(
                    "the slices go back to the inputs in the wrong order, or start in the wrong "
                    "place",
                    value,
                    f"dx = dy[{start}:{start + size}] instead of dy[{right}:{right + size}]",
                )
