"""Scales: which number is drawn where, and which round numbers stand beside an axis."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from compare.pages.charts.numbers import of_ten

ROUND = 1.0, 2.0, 5.0, 10.0
DECADES = 2.0
"""Positive numbers that span so many are drawn by their logarithms."""
SMALLEST = sys.float_info.min / sys.float_info.epsilon
"""Smaller numbers are drawn as 0: a rounding of one has no longer all digits of a number."""


@dataclass(frozen=True)
class Axis:
    """Maps the numbers from ``low`` to ``high`` to the coordinates from ``start`` to ``end``.

    Attributes
    ----------
    low, high : float
        Of a logarithmic axis, the exponents of ten.
    start, end : float
    logarithmic : bool
    """

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool = False

    def at(self, value: float) -> float:
        """Return a number's coordinate."""
        value = math.log10(value) if self.logarithmic else value
        return self.start + (value - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self, most: int, whole: bool = False) -> list[tuple[float, str]]:
        """Return a few round numbers' coordinates, and how they are written.

        Parameters
        ----------
        most : int
        whole : bool
            Whether the axis counts something, so that there is nothing between 1 and 2.
        """
        step = round_step(self.high - self.low, most, whole or self.logarithmic)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        places = max(0, -math.floor(math.log10(step)))
        found = []
        for count in range(first, last + 1):
            value = count * step
            share = (value - self.low) / (self.high - self.low)
            written = of_ten(round(value)) if self.logarithmic else _written(value, places)
            found.append((self.start + share * (self.end - self.start), written))
        return found


def axis_for(values: Iterable[float], start: float, end: float) -> Axis:
    """Return an axis with round ends for numbers of any size; logarithmic if they ask for it."""
    values = [0.0 if abs(value) < SMALLEST else value for value in values] or [0.0]
    low, high = min(values), max(values)
    if low > 0.0 and math.log10(high) - math.log10(low) >= DECADES:
        return logarithmic(values, start, end)
    least = max(abs(low), abs(high)) * 1e-6 or 1.0
    if high - low < least:  # a horizontal line, in the middle
        low, high = low - 0.05 * (abs(low) or 1.0), high + 0.05 * (abs(high) or 1.0)
    step = round_step(high - low, 5)
    return Axis(math.floor(low / step) * step, math.ceil(high / step) * step, start, end)


def logarithmic(values: Iterable[float], start: float, end: float) -> Axis:
    """Return a logarithmic axis over whole decades for positive numbers."""
    exponents = [math.log10(value) for value in values] or [0.0]
    low, high = math.floor(min(exponents)), math.ceil(max(exponents))
    return Axis(low, max(high, low + 1), start, end, logarithmic=True)


def round_step(span: float, most: int, whole: bool = False) -> float:
    """Return the round number that goes into a span at most so often."""
    rough = span / most
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(size * one for one in ROUND if size * one >= rough * (1 - 1e-9))
    return float(max(step, 1.0)) if whole else step


def _written(value: float, places: int) -> str:
    written = f"{value:.{places}f}" if abs(value) < 1e6 and places < 6 else f"{value:.3g}"
    return ("0" if float(written) == 0.0 else written).replace("-", "−")
