"""The losses of the two halves, one above the other where they are the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from markupsafe import Markup

from compare.pages.charts.axes import Axis, axis_for
from compare.pages.charts.markup import tag
from compare.pages.charts.numbers import can_be_drawn, number, told
from compare.pages.charts.plot import (
    BOTTOM,
    FEW,
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

HALVES = {"by_hand": "by hand", "keras": "Keras"}
"""In the order in which they are drawn: what is drawn first lies below."""
APART = 13.0
"""Labels that are nearer than this would overlap."""
LABELS = 52.0
"""What they take beside the curves."""


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
    labelled = len(ends) == len(HALVES) and abs(ends["keras"] - ends["by_hand"]) >= APART
    x = steps_axis(points, RIGHT - LABELS if labelled else RIGHT)
    drawn = [frame(x, y, unit, "loss, logarithmic" if y.logarithmic else "loss")]
    for half, curve in losses.items():
        drawn += _curve(curve, x, y, half, unit)
        if labelled:
            drawn.append(words(HALVES[half], x.end + 9, ends[half], class_=f"ls-of-{half}"))
    keras, by_hand = (told(losses[half][-1][1]) for half in ("keras", "by_hand"))
    after = f"After {unit} {points[-1]['step']}: Keras {keras}, by hand {by_hand}."
    below = tag("p", " ".join([after, *_not_finite(losses, unit)]))
    caption = [legend({"keras": "Keras", "by_hand": "by hand"}), below]
    return picture(f"The loss after each {unit}. {after}", drawn, caption)


def _curve(curve: Curve, x: Axis, y: Axis, half: str, unit: str) -> list[Markup]:
    def mark(step: int, value: float, height: float, kind: str) -> Markup:
        title = f"{unit} {step}: {HALVES[half]} {told(value)}"
        return marked(x.at(step), height, f"ls-{half}{kind}", title)

    drawn = []
    for run in runs(curve, lambda _, value: can_be_drawn(value)):
        drawn.append(line([(x.at(step), y.at(value)) for step, value in run], f"ls-{half}"))
        if len(curve) <= FEW or len(run) == 1:
            drawn += [mark(step, value, y.at(value), "") for step, value in run]
    lost = [(step, value) for step, value in curve if not can_be_drawn(value)]
    return drawn + [mark(step, value, TOP, "-lost") for step, value in lost[:1]]


def _not_finite(losses: Mapping[str, Curve], unit: str) -> Iterable[str]:
    for half, name in (("keras", "By Keras"), ("by_hand", "By hand")):
        lost = [step for step, value in losses[half] if not can_be_drawn(value)]
        if lost:
            yield f"{name}, the loss is not finite, first at {unit} {lost[0]}."
