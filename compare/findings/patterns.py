"""Which elements of a quantity disagree, told in a few words, and a small map of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from compare.findings.axes import axes_in
from compare.findings.heat_maps import IN_THE_PLANE, heat_map
from compare.rounding.judge import BOUND, distances_of
from compare.rounding.noise import Noisy
from manual.network import Network

if TYPE_CHECKING:
    from compare.findings.collecting import Comparison

IN_SPACE = "plane", *IN_THE_PLANE
LISTED = 4
"""So many numbers of slices are written out."""
ORDINALS = {2: "second", 3: "third", 4: "fourth"}
OF_LAYERS = "weight gradient", "processed gradient", "weight"


@dataclass(frozen=True)
class Pattern:
    """Which elements of a quantity disagree.

    Attributes
    ----------
    told : str
        In a few words. Those that name a part are said only if it is these elements and no others.
    wrong, size : int
        How many disagree, of how many.
    map : tuple of tuples of float
        At most 48 by 48 cells, each with the largest distance of the elements it stands for, laid
        out as ``compare/findings/heat_maps.py`` says.
    rows, columns : str
        What goes down the map and what goes across; empty for none.
    only : str
        Of a bias whose layer's other weights agree: that it is only the bias.
    """

    told: str
    wrong: int
    size: int
    map: tuple[tuple[float, ...], ...]
    rows: str
    columns: str
    only: str = ""

    def __str__(self) -> str:
        """Return what is told beyond the worst element; nothing where that is all there is."""
        some = self.told if 1 < self.wrong < self.size else ""
        return "; ".join(part for part in (some, self.only) if part)


def pattern_of(distances: np.ndarray, bound: float, axes: Sequence[str]) -> Pattern:
    """Say which elements are further away than they may be.

    Parameters
    ----------
    distances : array
        In standard deviations of rounding noise; NaN is taken for infinitely far.
    bound : float
        The distance up to which an element agrees.
    axes : sequence of str
        What each axis is called.

    Examples
    --------
    >>> pattern_of(np.array([[0.1, 0.0], [0.3, 0.2], [90.0, 70.0]]), 8.0, ("input", "unit")).told
    'one row (input 2)'
    """
    distances = np.where(np.isnan(distances), np.inf, distances)
    wrong = distances > bound
    return Pattern(_told(wrong, axes), int(wrong.sum()), wrong.size, *heat_map(distances, axes))


def pattern_in(
    network: Network,
    quantity: tuple[str, str, str],
    actual: Any,
    expected: Noisy,
    found: Sequence[Comparison] = (),
) -> Pattern:
    """Say which elements of a quantity of a network disagree.

    Parameters
    ----------
    network : manual.Network
    quantity : (phase, name, source)
    actual, expected : array and Noisy
        As they were judged; the reference may be flat.
    found : sequence of Comparison
        All of the same step.
    """
    phase, name, _ = quantity
    actual = np.asarray(actual, np.float64)
    distances, _, _ = distances_of(actual, expected.reshape(actual.shape))
    pattern = pattern_of(distances, BOUND, axes_in(network, phase, name, actual.shape))
    return replace(pattern, only=only_of_its_layer(found, quantity, network))


def only_of_its_layer(
    found: Sequence[Comparison], quantity: tuple[str, str, str], network: Network
) -> str:
    """Say so if a quantity is that of a bias, and those of its layer's other weights agree."""
    phase, name, source = quantity
    if phase not in OF_LAYERS or name.rpartition("/")[2] != "bias":
        return ""
    owners = network.owners
    others = [
        one
        for one in found
        if (one.phase, one.source) == (phase, source)
        and one.name != name
        and owners.get(one.name) is owners[name]
    ]
    if not others or not all(one.verdict.agrees for one in others):
        return ""
    if len(others) == 1:
        return f"only the bias, the {others[0].name.rpartition('/')[2]} agrees"
    return "only the bias, the layer's other weights agree"


# ---------------------------------------------------------------------- in words


def _told(wrong: np.ndarray, axes: Sequence[str]) -> str:
    count = int(wrong.sum())
    if wrong.size == 1:
        return "the only number"
    if count == wrong.size:
        return "every element"
    if count == 1:
        return f"one element {np.argwhere(wrong)[0].tolist()}"
    told = _border(wrong, axes) or _slices(wrong, axes) or _by_the_diagonal(wrong, axes)
    return told or f"{count:,} of {wrong.size:,} elements, scattered"


def _border(wrong: np.ndarray, axes: Sequence[str]) -> str:
    """Tell outer rows and columns in space, and all but the outermost."""
    covered, depths = np.zeros_like(wrong), {}
    inside: list[slice] = [slice(None)] * wrong.ndim
    for axis in _in_space(axes):
        whole = np.asarray(wrong.all(axis=_but(axis, wrong)))
        first, last = int(whole.argmin()), int(whole[::-1].argmin())
        sides = np.moveaxis(covered, axis, 0)
        sides[:first] = sides[len(whole) - last :] = True
        depths[axes[axis]] = first, last
        inside[axis] = slice(1, -1)
    if not depths:
        return ""
    interior = np.zeros_like(wrong)
    interior[tuple(inside)] = True
    if np.array_equal(wrong, interior):
        return f"the interior: all but the first and last {' and '.join(depths)}"
    if not np.array_equal(wrong, covered):
        return ""
    by_depth: dict[tuple[int, int], list[str]] = {}
    for noun, depth in depths.items():
        if any(depth):
            by_depth.setdefault(depth, []).append(noun)
    parts = [_outer(*depth, nouns) for depth, nouns in by_depth.items()]
    sides_at_all = sum((first > 0) + (last > 0) for first, last in depths.values())
    return f"the {parts[0]}" if sides_at_all == 1 else f"the border: {', '.join(parts)}"


def _outer(first: int, last: int, nouns: Sequence[str]) -> str:
    """Name outer slices: "first and last row", "last 2 rows and columns"."""
    if max(first, last) == 1:
        ends = " and ".join(end for end, depth in (("first", first), ("last", last)) if depth)
        return f"{ends} {' and '.join(nouns)}"
    ends = " and ".join(
        f"{end} {depth}" for end, depth in (("first", first), ("last", last)) if depth
    )
    return f"{ends} {' and '.join(map(_plural, nouns))}"


def _slices(wrong: np.ndarray, axes: Sequence[str]) -> str:
    """Tell whole slices along an axis, or where those along several axes meet."""
    picked = [np.flatnonzero(wrong.any(axis=_but(axis, wrong))) for axis in range(wrong.ndim)]
    if math.prod(map(len, picked)) != wrong.sum():
        return ""
    named = zip(picked, wrong.shape, _nouns(axes), strict=True)
    parts = [_some(numbers.tolist(), size, *noun) for numbers, size, noun in named]
    return " in ".join(part for part in reversed(parts) if part)


def _some(numbers: list[int], size: int, noun: str, label: str) -> str:
    """Name some of the slices along an axis; nothing for all of them."""
    at = f"{label} " if label else ""
    if len(numbers) == size:
        return ""
    if len(numbers) == 1:
        return f"one {noun} ({at}{numbers[0]})"
    for step, ordinal in ORDINALS.items():
        if len(numbers) > 2 and numbers == list(range(size))[numbers[0] % step :: step]:
            return f"every {ordinal} {noun} ({at}{numbers[0]}, {numbers[1]}, …)"
    others = sorted(set(range(size)) - set(numbers))
    if len(others) == 1 and size > 3:
        return f"all but one {noun} ({at}{others[0]})"
    several = f"{len(numbers)} of {size} {_plural(noun)}"
    if len(numbers) > 2 and numbers[-1] - numbers[0] == len(numbers) - 1:
        return f"{several} ({at}{numbers[0]} to {numbers[-1]})"
    if len(numbers) <= LISTED:
        return f"{several} ({at}{_listed(numbers)})"
    if len(others) <= LISTED:
        return f"{several} (all but {at}{_listed(others)})"
    return several


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers))


def _by_the_diagonal(wrong: np.ndarray, axes: Sequence[str]) -> str:
    """Tell parts of each matrix: of the places in space, or of the last two axes."""
    if wrong.ndim < 2:
        return ""
    plane = [axes.index(one) for one in IN_THE_PLANE] if len(_in_space(axes)) > 1 else [-2, -1]
    matrices = np.moveaxis(wrong, plane, [-2, -1])
    row, column = np.ogrid[: matrices.shape[-2], : matrices.shape[-1]]
    for told, part in (
        ("the diagonal", row == column),
        ("all but the diagonal", row != column),
        ("above the diagonal", row < column),
        ("below the diagonal", row > column),
        ("on and above the diagonal", row <= column),
        ("on and below the diagonal", row >= column),
    ):
        if (matrices == part).all():
            return told
    return ""


def _but(axis: int, array: np.ndarray) -> tuple[int, ...]:
    return tuple(other for other in range(array.ndim) if other != axis)


def _in_space(axes: Sequence[str]) -> list[int]:
    """Return the axes of places; "column" alone is one of a matrix."""
    return [axis for axis, name in enumerate(axes) if name in IN_SPACE] if len(axes) > 2 else []


def _nouns(axes: Sequence[str]) -> list[tuple[str, str]]:
    """Return what a slice along each axis is called, and what its number is the number of."""
    if len(axes) == 2 and axes[0] != "sample":
        labels = [
            "" if name == noun or name.startswith("axis") else name
            for name, noun in zip(axes, IN_THE_PLANE, strict=True)
        ]
        return list(zip(IN_THE_PLANE, labels, strict=True))
    if list(axes) == ["axis 0"]:
        return [("element", "")]
    return [(f"slice of {name}" if name.startswith("axis") else name, "") for name in axes]


def _plural(noun: str) -> str:
    if noun == "query":
        return "queries"
    first, of, axis = noun.partition(" of ")
    return f"{first}s{of}{axis}"
