"""Sweeps of which a short run takes every second combination, in turn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytest


def crossed(cases: Iterable[tuple[Any, ...]], others: Sequence[Any]) -> list[Any]:
    """Put each other behind each case: every second here, the rest where ``-m slow`` asks."""
    return [
        pytest.param(*case, other, marks=() if (row + column) % 2 == 0 else pytest.mark.slow)
        for row, case in enumerate(cases)
        for column, other in enumerate(others)
    ]


def in_turn(cases: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Put a precision behind each case, in turn."""
    return crossed(cases, ("float32", "float64"))
