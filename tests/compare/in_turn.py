"""Sweeps over both precisions, of which a short run takes one for each case, in turn."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def in_turn(cases: Iterable[tuple[Any, ...]]) -> list[Any]:
    """Put a precision behind each case: one here, and the other where ``-m slow`` asks for it."""
    return [
        pytest.param(*case, dtype, marks=() if (row + column) % 2 == 0 else pytest.mark.slow)
        for row, case in enumerate(cases)
        for column, dtype in enumerate(("float32", "float64"))
    ]
