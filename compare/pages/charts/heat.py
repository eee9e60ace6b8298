"""A tensor that disagrees, as a map of how far off each of its numbers is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
MOST_NUMBERS = 400
"""More are drawn together, colour by colour, and don't tell their distances one by one."""


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
    placed = [(value, (i, j)) for i, row in enumerate(cells) for j, value in enumerate(row)]
    axes = (rows, columns) if exact else ("rows", "columns")
    if len(placed) > MOST_NUMBERS:
        drawn = _together(placed, bound, side)
    else:
        drawn = [_number(value, bound, place, side, axes) for value, place in placed]
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
    return tag("g", title, box, _crosses([_cross(x, y, size)], size))


def _together(
    placed: Sequence[tuple[float, tuple[int, int]]], bound: float, side: float
) -> list[Markup]:
    """Draw all numbers of a colour as one shape, and all crosses as another."""
    size = side - 0.4
    squares: dict[str, list[str]] = {}
    crosses = []
    for value, (i, j) in placed:
        x, y = j * side, i * side
        square = f"M{x:.1f},{y:.1f}h{size:.1f}v{size:.1f}h-{size:.1f}z"
        squares.setdefault(level(value, bound), []).append(square)
        if not value <= bound:
            crosses.append(_cross(x, y, size))
    shapes = [tag("path", d="".join(found), class_=colour) for colour, found in squares.items()]
    return [*shapes, _crosses(crosses, size)]


def _cross(x: float, y: float, size: float) -> str:
    near, across = size * 0.28, size * 0.44
    one = f"M{x + near:.1f},{y + near:.1f}l{across:.1f},{across:.1f}"
    return f"{one}M{x + near:.1f},{y + near + across:.1f}l{across:.1f},-{across:.1f}"


def _crosses(crosses: Sequence[str], size: float) -> Markup:
    return tag("path", d="".join(crosses), stroke_width=size * 0.08, class_="ls-cross")


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
