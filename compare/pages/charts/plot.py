"""What every plot is made of: a frame with round numbers, lines, marks, words, a caption."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from markupsafe import Markup

from compare.pages.charts.axes import Axis
from compare.pages.charts.markup import tag

WIDTH, HEIGHT = 336.0, 208.0
"""In units that are pixels on a phone, where words have the size of words."""
LEFT, RIGHT, TOP, BOTTOM = 46.0, 332.0, 22.0, 172.0
"""Where the lines are, of all that."""

FEW = 40
"""So many points are marked one by one."""

Curve = Sequence[tuple[int, float]]
"""Steps and their numbers."""


def picture(label: str, drawn: Sequence[Markup], caption: Sequence[Markup]) -> Markup:
    """Return a figure: a drawing with its description, and what stands below it."""
    drawing = tag(
        "svg",
        *drawn,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}",
        role="img",
        aria_label=label,
        class_="ls-plot",
    )
    return tag("figure", drawing, tag("figcaption", *caption), class_="ls-chart")


def frame(x: Axis, y: Axis, across: str, up: str, zero: bool = False) -> Markup:
    """Draw the axes and their round numbers.

    Parameters
    ----------
    x, y : Axis
    across, up : str
        What they are axes of.
    zero : bool
        Whether there is a row for zero below a logarithmic axis, which has none.
    """
    drawn = [words(up, 0.0, 8.0, class_="ls-axis")]
    for at, written in y.ticks(5):
        drawn.append(line([(LEFT, at), (RIGHT, at)], "ls-grid"))
        drawn.append(words(written, LEFT - 6, at, text_anchor="end", class_="ls-tick"))
    for at, written in x.ticks(5, whole=True):
        drawn.append(line([(at, BOTTOM), (at, BOTTOM + 4)], "ls-rule"))
        drawn.append(words(written, at, BOTTOM + 13, text_anchor="middle", class_="ls-tick"))
    drawn.append(words(across, RIGHT, HEIGHT - 7, text_anchor="end", class_="ls-axis"))
    drawn.append(line([(LEFT, BOTTOM), (RIGHT, BOTTOM)], "ls-rule"))
    top = BOTTOM
    if zero:
        drawn.append(words("0", LEFT - 6, BOTTOM - 4, text_anchor="end", class_="ls-tick"))
        top = BOTTOM - 9
        for down in (0.0, 4.0):  # the axis is interrupted
            drawn.append(line([(LEFT - 4, top - down + 2), (LEFT + 4, top - down - 2)], "ls-rule"))
        drawn.append(line([(LEFT, BOTTOM), (LEFT, top)], "ls-rule"))
        top -= 4
    drawn.append(line([(LEFT, top), (LEFT, TOP)], "ls-rule"))
    return tag("g", *drawn, class_="ls-frame", aria_hidden="true")


def line(places: Sequence[tuple[float, float]], kind: str) -> Markup:
    """Draw a line through points."""
    outline = " ".join(f"{x:.2f},{y:.2f}" for x, y in places)
    return tag("polyline", points=outline, class_=f"ls-line {kind}")


def marked(x: float, y: float, kind: str, title: str) -> Markup:
    """Mark a point; its numbers show when it is pointed at."""
    told = tag("title", title)
    kind = f"ls-mark {kind}"
    if kind.endswith("by_hand"):  # a ring around the other half's dot
        return tag("circle", told, cx=x, cy=y, r=4.5, class_=kind)
    if kind.endswith("over"):
        return tag("path", told, d=f"M{x:.2f},{y - 4.5:.2f}l4.5,8h-9z", class_=kind)
    if kind.endswith("lost"):
        cross = f"M{x - 3.5:.2f},{y - 3.5:.2f}l7,7m0,-7l-7,7"
        return tag("path", told, d=cross, class_=kind)
    return tag("circle", told, cx=x, cy=y, r=2.4, class_=kind)


def words(text: str, x: float, y: float, **attributes: Any) -> Markup:
    """Write words at the height of a point."""
    return tag("text", text, x=x, y=y, dy="0.35em", **attributes)


def runs(curve: Curve, wanted: Callable[[int, float], bool]) -> Iterator[Curve]:
    """Give the stretches of a curve whose points are as wanted."""
    for as_wanted, run in groupby(curve, lambda point: wanted(*point)):
        if as_wanted:
            yield list(run)


def steps_axis(points: Sequence[Mapping[str, Any]], end: float) -> Axis:
    """Return the axis of the steps; a single one stands in the middle."""
    first, last = points[0]["step"], points[-1]["step"]
    if first == last:
        return Axis(first - 0.5, last + 0.5, LEFT, end)
    return Axis(first, last, LEFT + 6.0, end - 6.0)


def legend(keys: Mapping[str, str]) -> Markup:
    """Return what each line, band or mark stands for."""
    return tag(
        "ul",
        *(tag("li", tag("i", class_=f"ls-key ls-{key}"), name) for key, name in keys.items()),
        class_="ls-legend",
    )
