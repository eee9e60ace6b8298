"""Layers by steps: how far off the worst of each layer's quantities is in each step."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from compare.pages.charts.axes import round_step
from compare.pages.charts.levels import level, scale
from compare.pages.charts.markup import tag
from compare.pages.charts.numbers import number, short
from compare.rounding.judge import BOUND

MOST_CELLS = 6000
"""Where a table would have more, steps that follow each other are put together."""
ROOMY = 14
"""So many columns are wide enough for the numbers themselves."""


def matrix(columns: Sequence[Mapping[str, Any]], blocks: Sequence[Mapping[str, Any]]) -> Markup:
    """Return a table with a row for each layer and a column for each step.

    Every cell tells by ``data-block`` and ``data-step`` where it belongs.

    Parameters
    ----------
    columns, blocks : sequences of mappings
        A film's.
    """
    columns = _together(columns, len(blocks))
    names = [one["name"] for one in blocks if any(one["name"] in c["worst"] for c in columns)]
    if not names:
        return tag("p", "Nothing was compared: there are no distances.", class_="ls-nothing")
    label = "The largest distance of each layer in each step, in units of rounding noise"
    rows = [
        tag(
            "tr",
            tag("th", tag("span", name, class_="ls-name"), scope="row", title=name),
            *_cells(name, columns),
        )
        for name in names
    ]
    table = tag(
        "table",
        tag("caption", label, class_="ls-unseen"),
        tag("thead", tag("tr", tag("th", "layer", scope="col"), *_heads(columns))),
        tag("tbody", *rows),
    )
    box = tag("div", table, class_="ls-scroll", role="region", tabindex=0, aria_label=label)
    roomy = " ls-roomy" if len(columns) <= ROOMY else ""
    caption = tag("figcaption", scale(BOUND), tag("p", f"{label}."))
    return tag("figure", box, caption, class_=f"ls-matrix{roomy}")


def _together(columns: Sequence[Mapping[str, Any]], rows: int) -> Sequence[Mapping[str, Any]]:
    """Return so few columns that the table stays readable, each with the largest distances."""
    together = -(-len(columns) * rows // MOST_CELLS) or 1
    found = []
    for start in range(0, len(columns), together):
        several = columns[start : start + together]
        worst: dict[str, Any] = {}
        for column in several:
            for name, one in column["worst"].items():
                worst[name] = max(worst.get(name, one), one, key=_alarm)
        found.append({"first": several[0]["first"], "last": several[-1]["last"], "worst": worst})
    return found


def _alarm(one: Sequence[Any]) -> float:
    distance = number(one[0])
    return math.inf if math.isnan(distance) else distance


def _heads(columns: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return the steps; where columns are narrow, few of them are written."""
    heads = []
    every = round_step(columns[-1]["last"], 10, whole=True)
    for place, column in enumerate(columns):
        told = _steps(column, "–")
        written = tag("span", told)
        if len(columns) > ROOMY:
            round_one = column["first"] if place == 0 else int(column["last"] // every * every)
            seen = round_one >= column["first"]
            written = tag("span", round_one if seen else told, class_=None if seen else "ls-unseen")
        heads.append(tag("th", written, scope="col", title=f"step {_steps(column, ' to ')}"))
    return heads


def _steps(column: Mapping[str, Any], joint: str) -> str:
    first, last = column["first"], column["last"]
    return str(first) if first == last else f"{first}{joint}{last}"


def _cells(name: str, columns: Sequence[Mapping[str, Any]]) -> list[Markup]:
    """Return a row's cells; the first that disagrees, else the first, is reached by a keyboard."""
    places = [place for place, column in enumerate(columns) if name in column["worst"]]
    wrong = (one for one in places if not number(columns[one]["worst"][name][0]) <= BOUND)
    reached = next(wrong, places[0])
    return [_cell(name, column, place == reached) for place, column in enumerate(columns)]


def _cell(name: str, column: Mapping[str, Any], reached: bool) -> Markup:
    here = {"data_block": name, "data_step": column["first"]}
    when = f"{name}, step {_steps(column, ' to ')}"
    if name not in column["worst"]:
        return tag("td", class_="ls-none", title=f"{when}: nothing was compared", **here)
    distance, quantity = column["worst"][name]
    distance = number(distance)
    title = f"{when}: {short(distance)} × noise, {quantity}"
    differs = "" if distance <= BOUND else " ls-differs"
    kind = f"{level(distance, BOUND)}{differs}"
    return tag(
        "td", short(distance), class_=kind, title=title, tabindex=0 if reached else -1, **here
    )
