"""Placeholders of the static pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

Dicts = Sequence[Mapping[str, Any]]


def loss_curves(points: Dicts) -> Markup:
    """Return nothing yet."""
    return Markup("<p>{} points</p>").format(len(points))


def drift(points: Dicts) -> Markup:
    """Return nothing yet."""
    return Markup("<p>{} points</p>").format(len(points))


def matrix(columns: Dicts, blocks: Dicts) -> Markup:
    """Return buttons, one for each cell."""
    cells = [
        Markup('<button data-step="{}" data-block="{}">{}, {}</button>').format(
            column["first"], block, block, column["first"]
        )
        for column in columns[:12]
        for block in column["worst"]
    ]
    return Markup("<p>{}</p>").format(Markup(" ").join(cells))


def heat_map(pattern: Mapping[str, Any], bound: float) -> Markup:
    """Return nothing yet."""
    return Markup("<p>{}</p>").format(pattern["told"])
