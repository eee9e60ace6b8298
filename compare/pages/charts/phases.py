"""Layers by phases: how far off the worst of each layer's quantities is in a whole training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from compare.pages.charts.levels import level, scale
from compare.pages.charts.markup import tag
from compare.pages.charts.numbers import number, short
from compare.pages.owners import owner_of
from compare.rounding.judge import BOUND
from compare.trace import PHASES

LABEL = "The largest distance of each layer's numbers, in units of rounding noise"
_WITHIN = "/pre_activation", "/logits"
"""How the names of a layer's inner nodes end."""


def phases(quantities: Sequence[Mapping[str, Any]]) -> Markup:
    """Return a table with a row for each layer and a column for each phase.

    Parameters
    ----------
    quantities : sequence of mapping
        A report's, with ``phase``, ``name``, ``source``, ``distance`` and ``step``.
    """
    if not quantities:
        return tag("p", "Nothing was compared: there are no distances.", class_="ls-nothing")
    nodes = [one["name"] for one in quantities if one["phase"] == "activation"]
    layers = [name for name in nodes if not name.endswith(_WITHIN)]
    worst: dict[str, dict[str, Mapping[str, Any]]] = {}
    for one in quantities:
        row = worst.setdefault(_owner(one, layers), {})
        if one["phase"] not in row or not _further(row[one["phase"]], one):
            row[one["phase"]] = one
    there = [phase for phase in PHASES if any(phase in row for row in worst.values())]
    head = tag("tr", *(tag("th", one, scope="col") for one in ("layer", *there)))
    rows = [
        tag(
            "tr",
            tag("th", tag("span", layer, class_="ls-name"), scope="row", title=layer),
            *(_cell(row.get(phase)) for phase in there),
        )
        for layer, row in worst.items()
    ]
    caption = tag("caption", LABEL, class_="ls-unseen")
    table = tag("table", caption, tag("thead", head), tag("tbody", *rows))
    box = tag("div", table, class_="ls-scroll", role="region", tabindex=0, aria_label=LABEL)
    below = tag("figcaption", scale(BOUND), tag("p", f"{LABEL}."))
    return tag("figure", box, below, class_="ls-matrix ls-roomy ls-phases")


def _owner(one: Mapping[str, Any], layers: Sequence[str]) -> str:
    if one["phase"] in ("loss", "metric"):
        return f"the {one['phase']}{'s' * (one['phase'] == 'metric')}"
    name = str(one["name"])
    return owner_of(name, layers) or name.partition("/")[0] or name


def _further(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Say whether one quantity is further off than another."""
    return number(one["distance"]) >= number(other["distance"])


def _cell(one: Mapping[str, Any] | None) -> Markup:
    if one is None:
        return tag("td", class_="ls-none", title="nothing was compared")
    distance = number(one["distance"])
    title = f"{one['phase']} · {one['name']} ({one['source']}), step {one['step']}"
    differs = "" if distance <= BOUND else " ls-differs"
    return tag("td", short(distance), class_=f"{level(distance, BOUND)}{differs}", title=title)
