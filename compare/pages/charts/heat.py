"""A tensor that disagrees, as a map of how far off each of its numbers is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from compare.pages.charts.levels import level, scale
from compare.pages.charts.markup import tag
from compare.pages.charts.numbers import number, plural, short

MARGIN = 20.0
WIDEST = 292.0
LARGEST = 24.0
"""The side of a number, where there are few."""
LETTER = 6.6
"""About the width of one."""


def heat_map(pattern: Mapping[str, Any], bound: float, caption: str = "") -> Markup:
    """Draw a map of distances; what disagrees is crossed out.

    Parameters
    ----------
    pattern : mapping
        A finding's: ``map``, ``rows`` and ``columns`` (what its axes are called), ``wrong``,
        ``size`` and ``told``.
    bound : float
        Up to which a distance agrees.
    caption : str
    """
    cells = [[number(one) for one in row] for row in pattern["map"]]
    across = max((len(row) for row in cells), default=0)
    if not across:
        return tag("p", "There are no numbers to draw.", class_="ls-nothing")
    side = min(WIDEST / max(across, len(cells)), LARGEST)
    width, height = across * side, len(cells) * side
    exact = pattern.get("size") == across * len(cells)
    rows, columns = str(pattern.get("rows") or ""), str(pattern.get("columns") or "")
    drawn = [
        _number(value, bound, place, side, (rows, columns) if exact else ("rows", "columns"))
        for i, row in enumerate(cells)
        for j, value in enumerate(row)
        for place in [(i, j)]
    ]
    drawn += _names(rows, columns, width, height)
    told = f"{plural(pattern['wrong'], 'number')} of {pattern['size']:,} disagree"
    label = f"{told}: {pattern['told']}"
    wide = max(width, LETTER * (len(columns) + 2)) + MARGIN + 2.0
    high = max(height, LETTER * (len(rows) + 2)) + MARGIN + 2.0
    drawing = tag(
        "svg",
        *drawn,
        viewBox=f"{-MARGIN:g} {-MARGIN:g} {wide:.2f} {high:.2f}",
        width=wide,
        height=high,
        role="img",
        aria_label=label,
    )
    below = [tag("p", caption)] if caption else []
    return tag("figure", drawing, tag("figcaption", *below, scale(bound)), class_="ls-heat")


def _number(
    value: float, bound: float, place: tuple[int, int], side: float, axes: tuple[str, str]
) -> Markup:
    y, x = (one * side for one in place)
    gap = 1.0 if side > 8.0 else 0.4
    where = ", ".join(f"{axis} {one}" for axis, one in zip(axes, place, strict=True) if axis)
    title = tag("title", f"{where}: {short(value)} × noise")
    size = side - gap
    box = tag("rect", x=x, y=y, width=size, height=size, class_=level(value, bound))
    if value <= bound:
        return tag("g", title, box)
    far, near = size * 0.72, size * 0.28
    cross = f"M{x + near:.2f},{y + near:.2f}L{x + far:.2f},{y + far:.2f}"
    cross += f"M{x + near:.2f},{y + far:.2f}L{x + far:.2f},{y + near:.2f}"
    return tag("g", title, box, tag("path", d=cross, stroke_width=size * 0.08, class_="ls-cross"))


def _names(rows: str, columns: str, width: float, height: float) -> list[Markup]:
    names = []
    if columns:
        names.append(tag("text", f"{columns} →", x=0, y=-7, class_="ls-axis"))
    if rows:
        turn = "rotate(-90)"
        text = f"← {rows}"
        names.append(
            tag("text", text, x=0, y=-7, transform=turn, text_anchor="end", class_="ls-axis")
        )
    return names
