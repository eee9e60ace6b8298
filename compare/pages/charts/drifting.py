"""How far the weights of the two trainings drift apart, and what rounding alone makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from compare.pages.charts.axes import Axis, logarithmic
from compare.pages.charts.markup import tag
from compare.pages.charts.numbers import can_be_drawn, number, power, told
from compare.pages.charts.plot import (
    BOTTOM,
    FEW,
    LEFT,
    RIGHT,
    TOP,
    Curve,
    frame,
    legend,
    line,
    marked,
    picture,
    runs,
    steps_axis,
    words,
)

ZERO = 20.0
"""What the row of zeros takes of the picture: a logarithmic axis has none."""
ROOM = 30.0
"""What the words about a jump take at its top."""

Band = Mapping[int, tuple[float, float]]
"""From where to where, for each step."""


def drift(points: Sequence[Mapping[str, Any]], about: Mapping[str, Any] | None = None) -> Markup:
    """Draw how far the weights of the two trainings are apart.

    Parameters
    ----------
    points : sequence of mapping
        With ``step`` and ``drift``; with ``low`` and ``high``, what rounding alone makes of it.
    about : mapping, optional
        A report's ``"drift"``: ``told``, and of a jump ``injected``, ``first``, ``before`` and
        ``after``.
    """
    if not points:
        return tag("p", "No step was taken: nothing can drift apart.", class_="ls-nothing")
    about = about or {}
    curve = [(one["step"], number(one["drift"])) for one in points]
    band = {
        one["step"]: (low, high)
        for one in points
        for low, high in [(number(one.get("low")), number(one.get("high")))]
        if 0.0 < low <= high and can_be_drawn(high)
    }
    over = {step for step, apart in curve if step in band and not apart <= band[step][1]}
    positive = [apart for _, apart in curve if apart > 0.0 and can_be_drawn(apart)]
    positive += [edge for edges in band.values() for edge in edges]
    zero = any(apart == 0.0 for _, apart in curve)
    top = TOP + (ROOM if about.get("injected") else 0.0)
    x = steps_axis(points, RIGHT)
    y = logarithmic(positive, BOTTOM - (ZERO if zero else 0.0), top)
    drawn = [frame(x, y, "step", "relative difference of the weights", zero=zero)]
    drawn += [*_band(band, x, y), *_curve(curve, over, x, y)]
    keys = {"drift": "drift of the weights"}
    if band:
        keys["band"] = "what rounding alone makes of it"
    if over:
        keys["over"] = "beyond rounding"
    if about.get("injected"):
        drawn += _jump(about, bool(over), x)
    sentence = str(
        about.get("told")
        or f"the weights are {_short(curve[-1][1])} apart after step {curve[-1][0]}"
    )
    sentence = sentence[:1].upper() + sentence[1:] + "."
    return picture(sentence, drawn, [legend(keys), tag("p", sentence)])


def _band(band: Band, x: Axis, y: Axis) -> list[Markup]:
    if not band:
        return []
    edges = [(x.at(step), y.at(low), y.at(high)) for step, (low, high) in band.items()]
    if len(edges) == 1:  # one step has no width
        edges = [(end, *edges[0][1:]) for end in (x.start, x.end)]
    outline = [(at, low) for at, low, _ in edges] + [(at, high) for at, _, high in edges[::-1]]
    _, low, high = edges[-1]
    within = low - high > 18.0  # else the words stand above it
    height = high + 9.0 if within else high - 8.0
    return [
        tag("polygon", points=" ".join(f"{at:.2f},{y:.2f}" for at, y in outline), class_="ls-band"),
        words("rounding alone", x.end - 4, height, text_anchor="end", class_="ls-within"),
    ]


def _curve(curve: Curve, over: set[int], x: Axis, y: Axis) -> list[Markup]:
    def height(apart: float) -> float:
        if apart == 0.0:
            return BOTTOM - 4.0
        return y.at(apart) if can_be_drawn(apart) else TOP

    stretches = [
        ("ls-drift", list(runs(curve, lambda _, apart: apart == 0.0))),
        ("ls-drift", list(runs(curve, lambda _, apart: apart > 0.0 and can_be_drawn(apart)))),
        ("ls-over", list(runs(curve, lambda step, apart: step in over and can_be_drawn(apart)))),
    ]
    drawn = [
        line([(x.at(step), height(apart)) for step, apart in run], kind)
        for kind, found in stretches
        for run in found
    ]
    alone = {run[0][0] for _, found in stretches for run in found if len(run) == 1}
    for step, apart in curve:
        if len(curve) <= FEW or step in alone or not can_be_drawn(apart):
            kind = "ls-over" if step in over or not can_be_drawn(apart) else "ls-drift"
            drawn.append(marked(x.at(step), height(apart), kind, f"step {step}: {told(apart)}"))
    return drawn


def _jump(about: Mapping[str, Any], beyond: bool, x: Axis) -> list[Markup]:
    first, before, after = about["first"], number(about["before"]), number(about["after"])
    at = min(max(x.at(first), LEFT), RIGHT)
    what = "jumped" if beyond and not after <= before else "first fault"
    to_the_right = at < (LEFT + RIGHT) / 2
    beside, anchor = (at + 5.0, "start") if to_the_right else (at - 5.0, "end")
    size = f"from {_short(before)} to {_short(after)}"
    return [
        line([(at, TOP), (at, BOTTOM)], "ls-jump"),
        words(f"{what} at step {first}", beside, TOP + 7, text_anchor=anchor, class_="ls-alarm"),
        words(size, beside, TOP + 20, text_anchor=anchor, class_="ls-quiet"),
    ]


def _short(value: float) -> str:
    return power(value) if value and math.isfinite(value) else told(value)
