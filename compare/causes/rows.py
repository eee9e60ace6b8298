"""Slips in activation functions that look at all numbers of a row together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from compare.causes.activation import name_of
from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.functions import FUNCTIONS


@hypothesis("activation gradient")
def wrong_row_gradient(place: Place) -> Iterator[Candidate]:
    """Propose what becomes of the derivative of a function of whole rows."""
    name = name_of(place.map)
    if name not in ("softmax", "logsoftmax") or not place.has("z", "a", "da"):
        return
    a, da, axis = place.inputs["a"], place.inputs["da"], place.map.function.axis
    p = a if name == "softmax" else np.exp(a)

    def over(terms: Any, along: Any = axis) -> Any:
        return terms.sum(axis=along, keepdims=True)

    if name == "softmax":
        diagonal = "only the diagonal of softmax's derivative is used"
        yield Candidate(diagonal, da * a * (1.0 - a), "dzᵢ = daᵢ · aᵢ (1 − aᵢ)")
        yield Candidate("the factor a is missing", da - over(da * a), "dz = da − Σ da a")
        yield Candidate("the sum lacks a", a * (da - over(da)), "dz = a (da − Σ da)")
        yield Candidate("the sum is added", a * (da + over(da * a)), "dz = a (da + Σ da a)")
        yield Candidate(
            "the mean stands for the sum",
            a * (da - over(da * a) / float(a.shape[-1])),
            "dz = a (da − 1/n Σ da a)",
        )
    else:
        yield Candidate("this is the derivative of softmax", p * (da - over(da * p)))
        yield Candidate("only the diagonal is used", da * (1.0 - p), "dzᵢ = daᵢ (1 − e^aᵢ)")
        yield Candidate("the activation stands for softmax", da - a * over(da), "dz = da − a Σ da")
        yield Candidate("the sum is added", da + p * over(da), "dz = da + eᵃ Σ da")
        yield Candidate("the sum of da counts as 1", da - p, "dz = da − eᵃ")
    for other in range(a.ndim):
        if other != axis and other - a.ndim != axis:
            gone = over(da * a, other) if name == "softmax" else over(da, other)
            value = a * (da - gone) if name == "softmax" else da - p * gone
            yield Candidate(f"the sum runs over axis {other}", value)


def _softmax(z: Any, axis: Any) -> Any:
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


@hypothesis("activation")
def other_rows(place: Place) -> Iterator[Candidate]:
    """Propose what becomes of softmax and its kin over other numbers, or with a piece missing."""
    name = name_of(place.map)
    if name not in ("softmax", "logsoftmax", "glu") or not place.has("z"):
        return
    z, axis = place.inputs["z"], place.map.function.axis
    if name in ("softmax", "logsoftmax"):
        made: Mapping[str, Callable[[Any, Any], Any]] = {
            "softmax": _softmax,
            "logsoftmax": lambda z, axis: np.log(_softmax(z, axis)),
        }
        for other in range(z.ndim):
            if other != axis and other - z.ndim != axis:
                yield Candidate(f"the sum runs over axis {other}", made[name](z, other))
        if name == "softmax":
            everywhere = tuple(range(z.ndim))
            yield Candidate(
                "the sum runs over everything", made[name](z, everywhere), "Σ e^z of all"
            )
            e = np.exp(z)
            yield Candidate("the exponentials aren't divided by their sum", e, "a = eᶻ")
            yield Candidate("the exponential is missing", z / z.sum(axis=axis, keepdims=True))
            yield Candidate("the logarithm is taken", made["logsoftmax"](z, axis), "a = log p")
        else:
            yield Candidate("the logarithm is missing", _softmax(z, axis), "a = softmax(z)")
    if name == "glu" and z.shape[axis] % 2 == 0:
        u, v = np.split(z, 2, axis=axis)
        sigmoid = FUNCTIONS["sigmoid"].f
        yield Candidate("the halves are swapped", v * sigmoid(u), "a = v σ(u)")
        yield Candidate("the gate's sigmoid is missing", u * v, "a = u v")
