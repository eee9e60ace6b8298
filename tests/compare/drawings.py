"""Reads pictures back: elements by their class, and which number is drawn where."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree import ElementTree

Element = ElementTree.Element
LOWERED = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹−", "-0123456789-")


def parsed(markup: Any) -> Element:
    """Parse what has to be well-formed XML."""
    return ElementTree.fromstring(str(markup))


def of_class(tree: Element, *wanted: str) -> list[Element]:
    return [one for one in tree.iter() if {*wanted} <= {*one.get("class", "").split()}]


def text(element: Element) -> str:
    return "".join(element.itertext())


def places(line: Element) -> list[tuple[float, float]]:
    pairs = line.attrib["points"].split()
    return [(float(x), float(y)) for x, _, y in (pair.partition(",") for pair in pairs)]


def read(written: str) -> float:
    """Read the number beside an axis."""
    power = written.translate(LOWERED)
    return 10.0 ** int(power[2:]) if written[:2] == "10" and power != written else float(power)


def ticks(tree: Element, of: str) -> list[tuple[float, float]]:
    """Give the numbers beside an axis, and the coordinates that they stand at."""
    across = {"x": "middle", "y": "end"}[of]
    found = [one for one in of_class(tree, "ls-tick") if one.get("text-anchor") == across]
    return [(read(text(one)), float(one.attrib[of])) for one in found]


def number_at(stated: Sequence[tuple[float, float]], at: float, change: Any = float) -> float:
    """Return the number that stands at a coordinate of an axis; ``change`` as its scale does."""
    (low, start), (high, end) = (stated[0], stated[-1])
    low, high = change(low), change(high)
    return float(low + (at - start) / (end - start) * (high - low))


def numbers_in(line: Element, tree: Element, change: Any = float) -> Iterator[tuple[float, float]]:
    """Give the numbers of a line's points, that of the vertical axis as its scale has it."""
    across, up = ticks(tree, "x"), ticks(tree, "y")
    for x, y in places(line):
        yield number_at(across, x), number_at(up, y, change)
