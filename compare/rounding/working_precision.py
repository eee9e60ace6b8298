"""What the working precision holds and what it loses, and how carefully that is looked at."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

UNIT_ROUNDOFF = {
    "bfloat16": 2.0**-8,
    "float16": 2.0**-11,
    "float32": 2.0**-24,
    "float64": 2.0**-53,
}
SMALLEST = {2.0**-8: 2.0**-126, 2.0**-11: 2.0**-24, 2.0**-24: 2.0**-126, 2.0**-53: 2.0**-500}
"""Smaller numbers count as zero: TensorFlow flushes what is below the smallest normal float32, and
below 2⁻⁵⁰⁰ the variance of a float64 is no longer a float64. Of float16 it keeps subnormals, down
to 2⁻²⁴."""
LARGEST = {
    2.0**-8: 2.0**128 - 2.0**120,
    2.0**-11: float(np.finfo(np.float16).max),
    2.0**-24: float(np.finfo(np.float32).max),
    2.0**-53: float(np.finfo(np.float64).max),
}
"""The largest finite number of each working precision, by its unit roundoff."""

Numbers = Any
Variance = Any
"""An array of variances in units of u²; None stands for numbers that are exact."""


CAREFUL: ContextVar[bool] = ContextVar("careful", default=False)


@contextmanager
def careful() -> Iterator[None]:
    """Take rare things into account that cost time at every operation.

    Results beyond the range of the working precision become infinite, or may be flushed to zero,
    as they do there; the terms of sums are searched for equal ones; inherited errors are added up
    as if they all pointed the same way; and two errors are multiplied. Asked for where something
    seems to disagree.
    """
    token = CAREFUL.set(True)
    try:
        yield
    finally:
        CAREFUL.reset(token)


RESOLVED: ContextVar[bool | None] = ContextVar("resolved", default=None)


@contextmanager
def resolved(way: bool) -> Iterator[None]:
    """Answer every comparison of equal numbers, or of close ones, with yes, or every one with no.

    At a kink (a ReLU at 0, a tie, a clip edge) either answer gives a derivative of one side; what
    lies between the two is a subgradient. The sign of 0 becomes 1 or −1 likewise. Whether a number
    *is* a given constant, as a mask asks, is no such question.
    """
    token = RESOLVED.set(way)
    try:
        yield
    finally:
        RESOLVED.reset(token)


def representation_error(number: float, unit: float) -> float:
    """Return what rounding a constant to the working precision costs, in units of roundoff."""
    if unit <= 2.0**-53 or not math.isfinite(number):
        return 0.0
    mantissa, exponent = math.frexp(number)
    in_last_places = mantissa / unit
    error = abs(in_last_places - round(in_last_places)) * 2.0**exponent
    # A number as small as float16's subnormals is off by more: their spacing is that of the least.
    least = SMALLEST[unit]
    return max(error, abs(number - round(number / least) * least) / unit)


def added(*variances: Variance) -> Variance:
    """Add variances; nothing is exact as soon as one part is not."""
    total = None
    for variance in variances:
        if variance is not None:
            total = variance if total is None else total + variance
    return total


def within_range(value: Numbers, variance: Variance, unit: float) -> tuple[Numbers, Variance]:
    """Let go what the working precision can't hold: too large is infinite, too small may be 0."""
    size, held = np.abs(value), 2 * SMALLEST[unit]  # TensorFlow's eager softmax gives up at 2
    flushed = (size > 0) & (size < held)
    if flushed.any():
        variance = added(variance, np.where(flushed, (held / unit) ** 2, 0.0))
    subnormal = (size > 0) & (size < SMALLEST[unit] / (2 * unit))  # they have fewer digits
    if unit == UNIT_ROUNDOFF["float16"] and subnormal.any():
        variance = added(variance, np.where(subnormal, (SMALLEST[unit] / unit) ** 2, 0.0))
    return np.where(size > LARGEST[unit], np.copysign(np.inf, value), value), variance


def may_overflow(sizes: Numbers, unit: float) -> Numbers:
    """Say where a partial sum of terms of this total size can leave float32's range.

    (In float64 the reference itself would be infinite.)
    """
    return (sizes > LARGEST[unit]) & (unit > 2.0**-53)


def of_ordered_sums(terms: Numbers, sums: Numbers, variance: Numbers, unit: float) -> Numbers:
    """Return the variance of rounding terms to their sums, where they come in this order.

    Parameters
    ----------
    terms : array, shape (k, n)
    sums, variance : arrays of n elements
        And what the variance is of terms that come at random.
    unit : float
    """
    as_they_come = np.square(np.cumsum(terms, axis=0)).sum(axis=0) / 3
    return np.maximum(variance, as_they_come) * mean_group_size(terms, sums, unit)


def mean_group_size(terms: Numbers, sums: Numbers, unit: float) -> Numbers:
    """Return how many terms of each column are alike, on average over the terms.

    When t is added to a partial sum, what is rounded away depends on t modulo the sum's last
    place only; so terms that differ by less than that round alike.

    Parameters
    ----------
    terms : array, shape (k, n)
    sums : array of n elements
    unit : float
    """
    k, n = terms.shape
    last_place = np.maximum(unit * np.abs(sums.reshape(n)), np.finfo(np.float64).tiny)
    places = np.sort(np.floor(terms / last_place), axis=0)
    row = np.broadcast_to(np.arange(k)[:, None], (k, n))
    first = np.ones((k, n), bool)
    first[1:] = places[1:] != places[:-1]
    start = np.maximum.accumulate(np.where(first, row, 0), axis=0)
    return (2 * (row - start) + 1).sum(axis=0) / k  # 1 + 3 + 5 + … over a group of g is g²
