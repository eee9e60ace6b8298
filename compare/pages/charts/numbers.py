"""Numbers as a page tells them."""

from __future__ import annotations

import math
from typing import Any

LARGEST = 1e300
"""What is larger is drawn as infinite: differences of such numbers overflow."""
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def number(value: Any) -> float:
    """Read a number as strict JSON has it, where infinities are text; NaN for none at all."""
    return math.nan if value is None else float(value)


def can_be_drawn(value: float) -> bool:
    """Say whether a number is finite, and not too large to be subtracted."""
    return abs(value) <= LARGEST


def told(value: float) -> str:
    """Write a number with all its digits that matter."""
    if math.isnan(value):
        return "not a number"
    return f"{value:.10g}".replace("inf", "∞").replace("-", "−")


def short(distance: float) -> str:
    """Write a distance in a few characters.

    Examples
    --------
    >>> [short(one) for one in (0.0, 0.04, 0.631, 27.3, 4246034448350515.0)]
    ['0', '0.04', '0.6', '27', '4e15']
    """
    if not math.isfinite(distance):
        return "?" if math.isnan(distance) else "∞"
    if distance and distance < 0.1:
        return f"{distance:.2f}" if distance >= 0.005 else "~0"
    if distance < 9.95:
        return f"{distance:.1f}" if distance else "0"
    return f"{distance:.0f}" if distance < 999.5 else power(distance)


def power(value: float) -> str:
    """Write a number with one digit and an exponent."""
    digit, _, exponent = f"{value:.0e}".partition("e")
    return f"{digit}e{int(exponent)}"


def of_ten(exponent: int) -> str:
    """Write a power of ten.

    Examples
    --------
    >>> of_ten(-16), of_ten(0), of_ten(-1)
    ('10⁻¹⁶', '1', '0.1')
    """
    if -2 <= exponent <= 3:
        return f"{10.0**exponent:g}"
    return "10" + str(exponent).translate(_RAISED)


def plural(count: int, what: str) -> str:
    """Return so many of something."""
    return f"{count:,} {what}{'s' * (count != 1)}"
