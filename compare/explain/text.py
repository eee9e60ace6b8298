"""One training step of a case written out: forward, the chain rule, old → new weight.

Every number is shown twice, by hand and from Keras; the symbols are the tutorial's own.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator

from compare.cases.base import Case, Settings
from compare.errors import BadInput
from compare.explain.network import NetworkPage
from compare.explain.step import take_step
from compare.explain.weight import WeightPage


def explain(
    case: Case, *, step: int = 1, weight: str | None = None, settings: Settings | None = None
) -> str:
    """Return the explanation of a case's step as text, at most 80 columns wide.

    Parameters
    ----------
    case : Case
    step : int
        Counted from 1.
    weight : str, optional
        One weight, as ``hidden/kernel[0,1]`` or by the tutorial's own symbol (``w5``).
    """
    target = None if weight is None else weight_place(case, weight)
    run, taken = take_step(case, step, settings)
    if target is None:
        return _text(NetworkPage(case, run, taken, step).whole())
    name, index = target
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
    return _text(WeightPage(case, run, taken, step).of_weight(name, index))


def _text(lines: Iterator[str]) -> str:
    """Join lines, folding the long ones (formulas, titles) at 80 columns."""
    folded = []
    for line in "\n".join(lines).splitlines():
        indent = " " * (len(line) - len(line.lstrip()) + 2)
        folded += textwrap.wrap(line, 80, subsequent_indent=indent) if len(line) > 80 else [line]
    return "\n".join(folded)


def weight_place(case: Case, asked: str) -> tuple[str, tuple[int, ...]]:
    """Read ``hidden/kernel[0,1]`` or a symbol of the case."""
    for place, symbol in case.symbols.items():
        if symbol == asked and "/" in place and "pre_activation" not in place:
            asked = place
            break
    match = re.fullmatch(r"([\w@/]+)\[(\d+(?:,\s*\d+)*)\]", asked)
    if match is None:
        symbols = sorted(
            {s for place, s in case.symbols.items() if re.search(r"/(kernel|bias)\[", place)}
        )
        own = f" (or one of {', '.join(symbols)})" if symbols else ""
        raise BadInput(f"A weight is written like hidden/kernel[0,1]{own}. Received: {asked!r}.")
    return match[1], tuple(int(i) for i in match[2].split(","))
