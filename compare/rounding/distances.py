"""How far many numbers are from their references, in a few operations on all of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from compare.rounding.judge import REFERENCE_UNIT
from compare.rounding.noise import SMALLEST, Noisy
from manual.recorded import NotRecordable
from manual.recording import Tape

BLOCK = 2**14
"""So many numbers are taken at a time: they stay in the cache from one operation to the next."""


class Distances:
    """The largest distance of each of many quantities, in standard deviations of rounding noise.

    The expected numbers lie in one array, just where in another the actual ones lie, and so do
    their variances.

    Parameters
    ----------
    actual : array, shape (n,)
        Looked at whenever distances are asked for.
    unit : float
        The unit roundoff of the working precision.

    Attributes
    ----------
    quantities : list of (phase, name, source)
    """

    def __init__(self, actual: np.ndarray, unit: float) -> None:
        self.actual, self.unit = actual, unit
        self.expected = np.zeros_like(actual)
        # What is never compared is never far away.
        self.variance = np.full_like(actual, np.inf)
        self.quantities: list[tuple[str, str, str]] = []
        self._starts: list[int] = []
        self._scale = math.hypot(unit, REFERENCE_UNIT)
        self._blocks: list[tuple[Any, ...]] = []

    def expect(
        self, quantity: tuple[str, str, str], actual: np.ndarray, expected: Noisy, notes: Tape
    ) -> None:
        """Note that a quantity is judged: numbers among the actual ones, by these to come."""
        if actual.shape != expected.shape:
            raise ValueError(f"The shapes differ: {actual.shape} and {expected.shape}.")
        if not np.may_share_memory(actual, self.actual) or expected.unit != self.unit:
            raise NotRecordable(f"{quantity} is judged in a way of its own.")
        start = (actual.ctypes.data - self.actual.ctypes.data) // self.actual.itemsize
        if start in self._starts or not actual.flags.c_contiguous:
            raise NotRecordable(f"{quantity} is judged twice, or lies in pieces.")
        self.quantities.append(quantity)
        self._starts.append(start)
        part = slice(start, start + actual.size)
        self.variance[part] = 0.0
        for place, numbers in (
            (self.expected[part], expected.value),
            (self.variance[part], expected.variance),
        ):
            if numbers is not None:
                target = notes.lasting_array(place.reshape(actual.shape), holds_zeros=True)
                target += numbers
        self._blocks = []

    def measured(self) -> np.ndarray:
        """Return the largest distance of each quantity, in their order; NaN if it has none."""
        largest = np.zeros(len(self._starts))
        for actual, expected, variance, gap, noise, where, starts in self._in_blocks():
            np.subtract(actual, expected, gap)
            np.abs(gap, gap)
            np.sqrt(variance, noise)
            np.multiply(noise, self._scale, noise)
            np.add(noise, SMALLEST[self.unit], noise)
            np.divide(gap, noise, gap)
            largest[where] = np.maximum(largest[where], np.maximum.reduceat(gap, starts))
        distances = np.empty_like(largest)
        distances[self._order] = largest
        return distances

    def _in_blocks(self) -> list[tuple[Any, ...]]:
        """Cut all arrays into blocks; say which quantities each holds, and where they start."""
        if not self._blocks:
            self._order = np.argsort(self._starts)
            starts = np.array(self._starts)[self._order]
            room = np.empty((2, min(BLOCK, self.actual.size)))
            for low in range(int(starts[0]), self.actual.size, BLOCK):
                part = slice(low, min(low + BLOCK, self.actual.size))
                first = int(np.searchsorted(starts, part.start, "right")) - 1
                last = int(np.searchsorted(starts, part.stop, "left"))
                own = room[:, : part.stop - part.start]
                cuts = np.maximum(starts[first:last] - low, 0)
                arrays = (one[part] for one in (self.actual, self.expected, self.variance))
                self._blocks.append((*arrays, *own, slice(first, last), cuts))
        return self._blocks
