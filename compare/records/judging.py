"""The verdict on one quantity of two records, element by element."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.records.divergence import Divergence
from compare.records.record import Quantity
from compare.rounding.judge import BOUND


@dataclass(frozen=True)
class Judgement:
    """How far apart a quantity is in two records.

    Attributes
    ----------
    distance : float
        Of the worst element, in units of both sides' rounding noise.
    undecided : bool
        Whether it could not be judged, or not all of it: neither side has noise, or it has no
        bound.
    divergence : Divergence or None
    """

    distance: float = 0.0
    undecided: bool = False
    divergence: Divergence | None = None


def judge(step: int, one: Quantity, other: Quantity, inherited: float | None) -> Judgement:
    """Hold the two arrays of a quantity against each other.

    Where the step began from different weights, ``inherited`` says how far apart they were.
    """
    noise = _noise(one, other)
    if noise is None:
        return Judgement(undecided=True)
    a, b = _numbers(one, other)
    with np.errstate(all="ignore"):
        gap = _gap(one, other, a, b, same_start=inherited is None)
        distance = np.where(gap == 0.0, 0.0, np.abs(gap) / noise)
        finite, also = np.isfinite(a), np.isfinite(b)
        distance = np.where(finite & also, distance, np.where(finite == also, 0.0, np.inf))
        distance = np.where(np.isfinite(noise), distance, 0.0)
    if not distance.size:
        return Judgement()
    index = np.unravel_index(int(distance.argmax()), distance.shape)
    worst, undecided = float(distance[index]), bool(np.isinf(noise).any())
    if worst <= BOUND:
        return Judgement(worst, undecided)
    divergence = Divergence(
        step,
        *one.key,
        worst,
        tuple(map(int, index)),
        a.size,
        float(a[index]),
        float(b[index]),
        float(noise[index]),
        (_from_hand(one, index), _from_hand(other, index)),
        (one.finding, other.finding),
        inherited or 0.0,
    )
    return Judgement(worst, undecided, divergence)


def _noise(one: Quantity, other: Quantity) -> np.ndarray | None:
    """Return one standard deviation of both sides' rounding, added up.

    Of a side that has none the other's counts twice. So two numbers that lie within the bound of
    their derivations lie within it of each other.
    """
    if one.phase == "input":
        if not one.name.endswith(" drawn"):
            return np.zeros(one.value.shape)
        # of a generator, the last bits may be another library's
        largest = np.maximum(np.abs(one.value), np.abs(other.value))
        return np.asarray(largest * np.finfo(np.float32).eps, np.float64)
    known = [side.noise.astype(np.float64) for side in (one, other) if side.noise is not None]
    return known[0] + known[-1] if known else None


def _numbers(one: Quantity, other: Quantity) -> tuple[np.ndarray, np.ndarray]:
    """Return both arrays in float64; what was given, as the narrower precision has it."""
    a, b = one.value, other.value
    if one.phase == "input":
        narrow = min(a.dtype, b.dtype)
        a, b = a.astype(narrow), b.astype(narrow)
    return a.astype(np.float64), b.astype(np.float64)


def _gap(one: Quantity, other: Quantity, a: Any, b: Any, *, same_start: bool) -> Any:
    """Return by how much two arrays differ.

    Where the step began from different numbers, their deviations from the derivation by hand do,
    which knows of these.
    """
    if same_start or one.deviation is None or other.deviation is None:
        return a - b
    return one.deviation.astype(np.float64) - other.deviation


def _from_hand(side: Quantity, index: Any) -> float | None:
    """Return how far an element is from its derivation by hand, in units of its own noise."""
    if side.deviation is None or side.noise is None:
        return None
    with np.errstate(all="ignore"):
        return float(np.abs(np.float64(side.deviation[index])) / np.float64(side.noise[index]))
