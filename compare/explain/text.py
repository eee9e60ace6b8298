"""One training step of a case written out: forward, the chain rule, old → new weight.

Every number is shown twice, by hand and from Keras; the symbols are the tutorial's own.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from itertools import chain

from compare.cases.base import Case, Settings
from compare.errors import BadInput
from compare.explain.names import Names
from compare.explain.network import NetworkPage
from compare.explain.step import Step, take_step
from compare.explain.unit import UnitPage
from compare.explain.weight import WeightPage


def explain(
    case: Case,
    *,
    step: int = 1,
    weight: str | None = None,
    unit: str | None = None,
    settings: Settings | None = None,
) -> str:
    """Return the explanation of a case's step as text, at most 80 columns wide.

    Parameters
    ----------
    case : Case
    step : int
        Counted from 1.
    weight : str, optional
        One weight, as ``hidden/kernel[0,1]`` or by the tutorial's own symbol (``w5``).
    unit : str, optional
        In its place one unit, as ``hidden[0]`` or by the tutorial's own symbol (``h1``).
    """
    if weight is not None and unit is not None:
        raise BadInput("Ask for one weight or for one unit, not for both.")
    weight_asked = None if weight is None else weight_place(case, weight)
    unit_asked = None if unit is None else unit_place(case, unit)
    taken, names = take_step(case, step, settings), Names.of_case(case, step)
    if weight_asked is not None:
        weights = WeightPage(taken, names)
        _check_weight(case, taken, *weight_asked)
        return folded(chain(weights.title(), weights.of_weight(*weight_asked)))
    if unit_asked is not None:
        units = UnitPage(taken, names)
        place = _checked_unit(case, units, *unit_asked)
        return folded(chain(units.title(), units.of_unit(*place)))
    return folded(NetworkPage(taken, names).whole())


def _check_weight(case: Case, taken: Step, name: str, index: tuple[int, ...]) -> None:
    if name not in taken.weights:
        raise BadInput(
            f"{case.name} has no weight {name!r}. Its weights: {', '.join(taken.weights)}."
        )
    shape = taken.weights[name].shape
    if len(index) != len(shape) or any(i >= size for i, size in zip(index, shape, strict=False)):
        raise BadInput(
            f"{name} has the shape {shape}: give {len(shape)} indices from 0, as in "
            f"{name}[{','.join('0' * len(shape))}]. Received: {list(index)}."
        )


def _checked_unit(case: Case, page: UnitPage, name: str, index: int) -> tuple[int, int]:
    """Return the node and the number of a unit that was asked for."""
    places = {
        page.called(node) if page.network.nodes[node].is_input else called: node
        for called, node in page.places().items()
    }
    if name not in places:
        raise BadInput(f"{case.name} has no units {name!r}. Its units: {', '.join(places)}.")
    units = page.values[places[name]].shape[1]
    if index >= units:
        raise BadInput(
            f"{name} has {units} {'unit' if units == 1 else 'units'}, counted from 0, as in "
            f"{name}[{units - 1}]. Received: {index}."
        )
    return places[name], index


def folded(lines: Iterable[str]) -> str:
    """Join lines, folding the long ones (formulas, titles) at 80 columns."""
    found = []
    for line in "\n".join(lines).splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        found += textwrap.wrap(line, 80, subsequent_indent=indent) if len(line) > 80 else [line]
    return "\n".join(found)


def weight_place(case: Case, asked: str) -> tuple[str, tuple[int, ...]]:
    """Read ``hidden/kernel[0,1]`` or a symbol of the case."""
    for place, symbol in case.symbols.items():
        if symbol == asked and "/" in place and "pre_activation" not in place:
            asked = place
            break
    match = re.fullmatch(r"([\w@/]+)\[(\d{1,9}(?:,\s*\d{1,9})*)\]", asked)
    if match is None:
        symbols = sorted(
            {s for place, s in case.symbols.items() if re.search(r"/(kernel|bias)\[", place)}
        )
        own = f" (or one of {', '.join(symbols)})" if symbols else ""
        raise BadInput(f"A weight is written like hidden/kernel[0,1]{own}. Received: {asked!r}.")
    return match[1], tuple(int(i) for i in match[2].split(","))


def unit_place(case: Case, asked: str) -> tuple[str, int]:
    """Read ``hidden[0]`` or a symbol of the case, be it of the unit, its sum or its output."""
    places = {}
    for place, symbol in case.symbols.items():
        if not re.search(r"/(kernel|bias)\[", place):
            places[symbol] = place
            places.setdefault(symbol.removeprefix("out_"), place)
    match = re.fullmatch(r"([\w@/]+)\[(\d{1,9})\]", places.get(asked, asked))
    if match is None:
        own = f" (or one of {', '.join(sorted(places))})" if places else ""
        raise BadInput(f"A unit is written like hidden[0]{own}. Received: {asked!r}.")
    return match[1], int(match[2])
