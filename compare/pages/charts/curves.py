"""Two trainings as curves: their losses, and how far their weights drift apart."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from compare.pages.charts.axes import Axis, axis_for, logarithmic
from compare.pages.charts.markup import tag
from compare.pages.charts.numbers import can_be_drawn, number, power, told
from compare.pages.charts.plot import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    frame,
    line,
    marked,
    picture,
    runs,
    words,
)

HALVES = {"by_hand": "by hand", "keras": "Keras"}
"""In the order in which they are drawn: what is drawn first lies below."""
FEW = 40
"""So many points are marked one by one."""
ZERO = 20.0
"""What the row of zeros takes of a logarithmic picture."""
ROOM = 30.0
"""What the words about a jump take at its top."""
APART = 13.0
"""Labels that are nearer than this would overlap."""


def loss_curves(points: Sequence[Mapping[str, Any]], unit: str = "step") -> Markup:
    """Draw the losses of the two halves.

    Parameters
    ----------
    points : sequence of mapping
        With ``step``, ``keras`` and ``by_hand``.
    unit : str
        What ``step`` counts.
    """
    if not points:
        return tag("p", f"No {unit} was taken: there is no loss to draw.", class_="ls-nothing")
    losses = {half: [(one["step"], number(one[half])) for one in points] for half in HALVES}
    values = [y for curve in losses.values() for _, y in curve if can_be_drawn(y)]
    y = axis_for(values, BOTTOM, TOP)
    ends = {
        half: y.at(curve[-1][1]) for half, curve in losses.items() if can_be_drawn(curve[-1][1])
    }
    labelled = len(ends) == 2 and abs(ends["keras"] - ends["by_hand"]) >= APART
    x = _steps(points, RIGHT - 52.0 if labelled else RIGHT)
    drawn = [frame(x, y, unit, "loss, logarithmic" if y.logarithmic else "loss")]
    for half, curve in losses.items():
        drawn += _curve(curve, x, y, half, HALVES[half], unit)
        if labelled:
            drawn.append(words(HALVES[half], x.end + 9, ends[half], class_=f"ls-of-{half}"))
    last = points[-1]
    keras, by_hand = told(number(last["keras"])), told(number(last["by_hand"]))
    after = f"After {unit} {last['step']}: Keras {keras}, by hand {by_hand}."
    caption = [
        _legend({"keras": "Keras", "by_hand": "by hand"}),
        tag("p", " ".join([after, *_not_finite(losses, unit)])),
    ]
    return picture(f"The loss after each {unit}. {after}", drawn, caption)


def drift(points: Sequence[Mapping[str, Any]], about: Mapping[str, Any] | None = None) -> Markup:
    """Draw how far the weights of the two trainings are apart.

    Parameters
    ----------
    points : sequence of mapping
        With ``step`` and ``drift``; with ``low`` and ``high``, what rounding alone makes of it.
    about : mapping, optional
        A report's ``"drift"``: ``told``, and of a jump ``first``, ``before`` and ``after``.
    """
    if not points:
        return tag("p", "No step was taken: nothing can drift apart.", class_="ls-nothing")
    about = about or {}
    curve = [(one["step"], number(one["drift"])) for one in points]
    band = [
        (one["step"], number(one.get("low")), number(one.get("high")))
        for one in points
        if 0.0 < number(one.get("low")) <= number(one.get("high")) and can_be_drawn(one["high"])
    ]
    jump = bool(about.get("injected"))
    values = [y for _, y in curve if y > 0.0 and can_be_drawn(y)]
    values += [edge for _, *edges in band for edge in edges]
    zero = any(y == 0.0 for _, y in curve)
    x = _steps(points, RIGHT)
    y = logarithmic(values, BOTTOM - (ZERO if zero else 0.0), TOP + (ROOM if jump else 0.0))
    drawn = [frame(x, y, "step", "relative difference of the weights", zero=zero)]
    drawn += _band(band, x, y)
    over = {step for step, _, high in band for at, apart in curve if at == step and apart > high}
    drawn += _drift_line(curve, over, x, y)
    if jump:
        drawn += _jump(about, bool(over), x)
    sentence = str(about.get("told") or f"the weights are {told(curve[-1][1])} apart")
    sentence = sentence[:1].upper() + sentence[1:] + "."
    keys = {"drift": "drift of the weights"}
    keys |= {"band": "what rounding alone makes of it"} if band else {}
    keys |= {"over": "beyond rounding"} if over else {}
    return picture(sentence, drawn, [_legend(keys), tag("p", sentence)])


# ---------------------------------------------------------------------- what they are made of


def _steps(points: Sequence[Mapping[str, Any]], end: float) -> Axis:
    first, last = points[0]["step"], points[-1]["step"]
    if first == last:
        return Axis(first - 0.5, last + 0.5, LEFT, end)
    return Axis(first, last, LEFT + 6.0, end - 6.0)


def _curve(
    curve: Sequence[tuple[int, float]], x: Axis, y: Axis, half: str, name: str, unit: str
) -> list[Markup]:
    drawn = []
    for run in runs(curve, can_be_drawn):
        drawn.append(line([(x.at(step), y.at(value)) for step, value in run], f"ls-{half}"))
        for step, value in run if len(curve) <= FEW or len(run) == 1 else []:
            title = f"{unit} {step}: {name} {told(value)}"
            drawn.append(marked(x.at(step), y.at(value), f"ls-{half}", title))
    beyond = [(step, value) for step, value in curve if not can_be_drawn(value)]
    for step, value in beyond[:1]:
        title = f"{unit} {step}: {name} {told(value)}"
        drawn.append(marked(x.at(step), TOP, f"ls-{half}-lost", title))
    return drawn


def _not_finite(losses: Mapping[str, Sequence[tuple[int, float]]], unit: str) -> Iterable[str]:
    for half in reversed(HALVES):
        lost = [step for step, value in losses[half] if not can_be_drawn(value)]
        if lost:
            name = "By Keras" if half == "keras" else "By hand"
            yield f"{name}, the loss is not finite, first at {unit} {lost[0]}."


def _band(band: Sequence[tuple[int, float, float]], x: Axis, y: Axis) -> list[Markup]:
    if not band:
        return []
    if len(band) == 1:  # one step has no width
        (_, low, high) = band[0]
        edges = [
            (x.start, y.at(low)),
            (x.end, y.at(low)),
            (x.end, y.at(high)),
            (x.start, y.at(high)),
        ]
    else:
        edges = [(x.at(step), y.at(low)) for step, low, _ in band]
        edges += [(x.at(step), y.at(high)) for step, _, high in reversed(band)]
    outline = " ".join(f"{at:.2f},{height:.2f}" for at, height in edges)
    top, bottom = y.at(band[-1][2]), y.at(band[-1][1])
    label_at = top + 9.0 if bottom - top > 18.0 else top - 8.0
    return [
        tag("polygon", points=outline, class_="ls-band"),
        words("rounding alone", x.end - 4, label_at, text_anchor="end", class_="ls-within"),
    ]


def _drift_line(
    curve: Sequence[tuple[int, float]], over: set[int], x: Axis, y: Axis
) -> list[Markup]:
    def height(value: float) -> float:
        return BOTTOM - 4.0 if value == 0.0 else y.at(value)

    drawn = []
    for kind in (
        lambda value: value == 0.0,
        lambda value: value > 0.0 and can_be_drawn(value),
    ):
        for run in runs(curve, kind):
            drawn.append(line([(x.at(step), height(value)) for step, value in run], "ls-drift"))
    for run in runs(curve, lambda value: value > 0.0 and can_be_drawn(value)):
        for beyond in runs(
            [(step, (step, value)) for step, value in run], lambda it: it[0] in over
        ):
            places = [(x.at(step), height(value)) for step, (_, value) in beyond]
            drawn.append(line(places, "ls-over"))
    for step, value in curve:
        finite = can_be_drawn(value)
        if len(curve) > FEW and finite:
            continue
        title = f"step {step}: {told(value)}"
        kind = "ls-over" if step in over or not finite else "ls-drift"
        drawn.append(marked(x.at(step), height(value) if finite else TOP, kind, title))
    return drawn


def _jump(about: Mapping[str, Any], beyond: bool, x: Axis) -> list[Markup]:
    first, before, after = about["first"], number(about["before"]), number(about["after"])
    at = min(max(x.at(first), LEFT), RIGHT)
    what = "jumped" if beyond and after > before else "first fault"
    size = f"from {_size(before)} to {_size(after)}"
    right = at < (LEFT + RIGHT) / 2
    side = {"x": at + 5.0 if right else at - 5.0, "text_anchor": "start" if right else "end"}
    return [
        line([(at, TOP), (at, BOTTOM)], "ls-jump"),
        words(f"{what} at step {first}", y=TOP + 7.0, class_="ls-alarm", **side),
        words(size, y=TOP + 20.0, class_="ls-quiet", **side),
    ]


def _size(value: float) -> str:
    return power(value) if value and math.isfinite(value) else told(value)


def _legend(keys: Mapping[str, str]) -> Markup:
    return tag(
        "ul",
        *(tag("li", tag("i", class_=f"ls-key ls-{key}"), name) for key, name in keys.items()),
        class_="ls-legend",
    )
