"""Where a quantity comes from: the line of its derivation, and the line of code that is it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Derivation:
    """Where a quantity comes from.

    Attributes
    ----------
    layer : str
        The layer (or loss, optimizer, constraint) whose map computes it.
    formula : str
        The line of its derivation.
    location : str
        File and line of the code that computes it.
    """

    layer: str
    formula: str
    location: str


ROOMS = {"manual", "compare"}


def location_of(function: Any) -> str:
    """Return the file and line of a function, from this project's folder on."""
    code = inspect.unwrap(function).__code__
    parts = Path(code.co_filename).parts
    within = max((i for i, part in enumerate(parts) if part in ROOMS), default=len(parts) - 1)
    return f"{'/'.join(parts[within:])}:{code.co_firstlineno}"
