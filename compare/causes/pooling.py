"""Slips in pooling: what a window's number is, and who gets its gradient.

The windows are taken apart here once more, offset by offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.correlation import by_reshape, given, in_place
from manual.layers.pooling import AveragePooling, MaxPooling, Pooling

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class Pools:
    """Where each window lies: i = p · stride + o − before, on each axis of space."""

    space: Sizes
    positions: Sizes
    size: Sizes
    strides: Sizes
    before: Sizes

    @property
    def margin(self) -> int:
        """How much room around the input any window can need."""
        axes = zip(self.before, self.positions, self.strides, self.size, strict=True)
        return max(abs(b) + p * s + k for b, p, s, k in axes)

    def taken(self, x: Any, around: float = 0.0) -> list[Any]:
        """Return, for each offset, what all windows have there."""
        wide = [(self.margin, self.margin)] * len(self.space)
        surrounded = np.pad(x, [(0, 0), *wide, (0, 0)], constant_values=around)
        return [surrounded[where] for where in self.meetings()]

    def given_back(self, x: Any, shares: list[Any], *, overwritten: str = "") -> Any:
        """Add each offset's share to the elements of x that it belongs to.

        ``overwritten`` says in which loop ``=`` stands for ``+=``: one over the offsets, or one
        over the windows, whose last one has the smallest offset.
        """
        wide = [(self.margin, self.margin)] * len(self.space)
        dx = np.zeros_like(np.pad(x, [(0, 0), *wide, (0, 0)]))
        pairs = list(zip(self.meetings(), shares, strict=True))
        for where, share in pairs[::-1] if overwritten == "windows" else pairs:
            dx[where] = share if overwritten else dx[where] + share
        inner = tuple(slice(self.margin, self.margin + n) for n in self.space)
        return dx[(slice(None), *inner)]

    def meetings(self) -> Iterator[tuple[slice, ...]]:
        for offset in product(*map(range, self.size)):
            starts = [o - b + self.margin for o, b in zip(offset, self.before, strict=True)]
            axes = zip(starts, self.positions, self.strides, strict=True)
            yield (slice(None), *(slice(a, a + (p - 1) * s + 1, s) for a, p, s in axes))

    def counted(self, x: Any) -> Any:
        """Return how many elements of each window lie within the input."""
        return total(self.taken(np.ones((1, *self.space, 1))))


def total(parts: list[Any]) -> Any:
    """Add arrays up."""
    added = parts[0]
    for part in parts[1:]:
        added = added + part
    return added


def largest(parts: list[Any]) -> Any:
    """Return the larger of arrays, element by element."""
    found = parts[0]
    for part in parts[1:]:
        found = np.maximum(found, part)
    return found


def pools_of(layer: Pooling, x: Any, y: Any) -> Pools:
    """Return where the layer's windows should lie, and how many elements of padding there are."""
    windows, space, positions = layer.windows, x.shape[1:-1], y.shape[1:-1]
    before = (0,) * len(space)
    if windows.padding == "same":
        axes = zip(positions, windows.strides, windows.size, space, strict=True)
        before = tuple(max((p - 1) * s + k - n, 0) // 2 for p, s, k, n in axes)
    return Pools(space, positions, windows.size, windows.strides, before)


def misplaced(right: Pools) -> Iterator[tuple[str, Pools]]:
    """Give every way in which windows can lie elsewhere."""
    axes = zip(right.positions, right.strides, right.size, right.space, strict=True)
    totals = [max((p - 1) * s + k - n, 0) for p, s, k, n in axes]
    slips = {
        "the odd zero of the padding comes before the input instead of after it": replace(
            right, before=tuple(t - t // 2 for t in totals)
        ),
        "the strides are ignored": replace(right, strides=(1,) * len(right.strides)),
        "the strides are the window's size": replace(right, strides=right.size),
        "the windows begin one place too early": replace(
            right, before=tuple(b + 1 for b in right.before)
        ),
        "the windows begin one place too late": replace(
            right, before=tuple(b - 1 for b in right.before)
        ),
        "the input isn't padded before its start, only after its end": replace(
            right, before=(0,) * len(right.before)
        ),
    }
    if len(right.size) == 2 and right.size[0] != right.size[1]:
        sentence = "the window's height and width are swapped"
        slips[sentence] = replace(right, size=right.size[::-1])
    yield from ((name, slip) for name, slip in slips.items() if slip != right)


@hypothesis("activation")
def pooled(place: Place) -> Iterator[Candidate]:
    """Propose another number for each window, or other windows."""
    layer = place.map
    if not isinstance(layer, Pooling) or not place.has("x", "y"):
        return
    x = in_place(layer, place.inputs["x"])
    right = pools_of(layer, x, in_place(layer, place.inputs["y"]))
    parts, padded = right.taken(x), any(right.before) or layer.windows.padding == "same"
    of_maximum, low = isinstance(layer, MaxPooling), -np.inf
    size, counted = float(np.prod(right.size)), right.counted(x)
    if of_maximum:
        yield Candidate(
            "the mean is taken instead of the maximum",
            given(layer, total(parts) / counted),
            "y = mean of the window",
        )
        smallest = -largest([-part for part in right.taken(x, np.inf)])
        yield Candidate("the minimum is taken", given(layer, smallest), "y = min of the window")
        sizes = largest([np.abs(part) for part in parts])
        yield Candidate("the largest absolute value is taken", given(layer, sizes), "y = max |x|")
        if padded:
            sentence = "the zeros of the padding take part in the maximum"
            yield Candidate(sentence, given(layer, largest(parts)), "y = max(x, 0)")
    else:
        value = largest(right.taken(x, low))
        yield Candidate("the maximum is taken instead of the mean", given(layer, value), "y = max")
        sentence = "the window is added up, not averaged"
        yield Candidate(sentence, given(layer, total(parts)), "y = Σ x")
        if padded:
            sentence = "the zeros of the padding are counted in the mean"
            yield Candidate(sentence, given(layer, total(parts) / size), "y = Σ x / window's size")
    yield Candidate("only the first element of each window is taken", given(layer, parts[0]))
    yield Candidate("only the last element of each window is taken", given(layer, parts[-1]))

    def made_by(pools: Pools, x: Any) -> Any:
        if of_maximum:
            return largest(pools.taken(x, low))
        return total(pools.taken(x)) / np.maximum(pools.counted(x), 1.0)

    for sentence, slip in misplaced(right):
        yield Candidate(sentence, given(layer, made_by(slip, x)))
    yield from by_reshape(layer, place.inputs["x"], lambda x: made_by(right, x))


@hypothesis("activation gradient")
def maximum_gradient(place: Place) -> Iterator[Candidate]:
    """Propose other elements for the gradient of a window's maximum."""
    layer = place.map
    if not isinstance(layer, MaxPooling) or not place.has("x", "y", "dz"):
        return
    x, y, dy = (in_place(layer, place.inputs[letter]) for letter in ("x", "y", "dz"))
    right = pools_of(layer, x, y)
    parts = right.taken(x, -np.inf)
    ties = [1.0 * (part == y) for part in parts]
    inside, size, many = right.taken(np.ones((1, *right.space, 1))), float(len(parts)), total(ties)
    first = first_of(ties)
    last = first_of(ties[::-1])[::-1]

    def back(shares: list[Any], overwritten: str = "") -> Any:
        return given(layer, right.given_back(x, shares, overwritten=overwritten))

    yield Candidate(
        "at a tie every maximum of the window gets the gradient, not only the first",
        back([dy * tie for tie in ties]),
        "dx = dy · [x = y]",
    )
    yield Candidate(
        "at a tie the last maximum of the window gets the gradient, not the first",
        back([dy * one for one in last]),
        "dx = dy at the last x = y",
    )
    yield Candidate(
        "at a tie the gradient is shared among the maxima",
        back([dy * tie / many for tie in ties]),
        "dx = dy · [x = y] / Σ [x = y]",
    )
    yield Candidate(
        "every element of the window gets the gradient, not only the maximum",
        back([dy * one for one in inside]),
        "dx = dy",
    )
    yield Candidate(
        "the gradient is spread evenly over the window, as of a mean",
        back([dy / size * one for one in inside]),
        "dx = dy / window's size",
    )
    yield Candidate(
        "the maximum's gradient is divided by the window's size",
        back([dy * one / size for one in first]),
        "dx = dy · [x = y] / window's size",
    )
    yield Candidate(
        "the gradient from the right is not multiplied in",
        back([(dy * 0.0 + 1.0) * one for one in first]),
        "dx = [x = y]",
    )
    yield Candidate(
        "the input is multiplied in",
        back([dy * one * y for one in first]),
        "dx = dy · y · [x = y]",
    )
    yield Candidate(
        "the first element of each window gets the gradient, whatever is largest",
        back([dy, *[dy * 0.0] * (len(parts) - 1)]),
        "dx[p s] = dy[p]",
    )
    smallest = -largest([-part for part in right.taken(x, np.inf)])
    lowest = first_of([1.0 * (part == smallest) for part in parts])
    yield Candidate("the smallest element gets the gradient", back([dy * one for one in lowest]))
    for loop in ("windows", "offsets"):
        yield Candidate(
            "where windows overlap, the last one's share overwrites the others'",
            back([dy * one for one in first], loop),
            f"dx[i] = dy[p] instead of +=, over all {loop}",
        )
    if len(right.size) == 2:
        offsets = list(product(*map(range, right.size)))
        by_column = sorted(range(len(offsets)), key=lambda at: offsets[at][::-1])
        yield Candidate(
            "the place of the maximum is read column by column, where it counts row by row",
            back([dy * first[by_column.index(at)] for at in range(len(first))]),
            "the window's axes are exchanged in the index of its maximum",
        )
    for sentence, slip in misplaced(right):
        elsewhere = slip.given_back(x, [dy * one for one in first])
        yield Candidate(sentence, given(layer, elsewhere))


def first_of(marks: list[Any]) -> list[Any]:
    """Keep of each window's marks, 1 or 0, the first."""
    left, kept = 1.0, []
    for mark in marks:
        kept.append(mark * left)
        left = left * (1.0 - mark)
    return kept


@hypothesis("activation gradient")
def mean_gradient(place: Place) -> Iterator[Candidate]:
    """Propose other shares of the gradient of a window's mean."""
    layer = place.map
    if not isinstance(layer, AveragePooling) or not place.has("x", "dz"):
        return
    x, dy = in_place(layer, place.inputs["x"]), in_place(layer, place.inputs["dz"])
    right = pools_of(layer, x, dy)
    counted, size = right.counted(x), float(np.prod(right.size))
    each = int(size)

    def back(share: Any, overwritten: str = "") -> Any:
        return given(layer, right.given_back(x, [share] * each, overwritten=overwritten))

    yield Candidate("the gradient is not divided by the window's size", back(dy), "dx = dy")
    yield Candidate(
        "the gradient is divided by the window's size twice",
        back(dy / counted / counted),
        "dx = dy / n²",
    )
    yield Candidate(
        "the zeros of the padding are counted in the mean",
        back(dy / size),
        "dx = dy / window's size",
    )
    yield Candidate(
        "the gradient is divided by all of space",
        back(dy / float(np.prod(right.space))),
        "dx = dy / size of the input",
    )
    yield Candidate(
        "the gradient from the right is not multiplied in",
        back((dy * 0.0 + 1.0) / counted),
        "dx = 1 / n",
    )
    yield Candidate(
        "only the first element of each window gets the gradient",
        given(layer, right.given_back(x, [dy / counted, *[dy * 0.0] * (each - 1)])),
        "dx[p s] = dy[p] / n",
    )
    yield Candidate(
        "only the first element of each window gets the gradient, and all of it",
        given(layer, right.given_back(x, [dy, *[dy * 0.0] * (each - 1)])),
        "dx[p s] = dy[p]",
    )
    yield Candidate(
        "the gradient is divided by the number of windows, not by their size",
        back(dy / float(np.prod(right.positions))),
        "dx = dy / number of windows",
    )
    for axis, side in enumerate(right.size if len(right.size) > 1 else (), start=1):
        sentence = f"the gradient is divided by the window's length on axis {axis} only"
        yield Candidate(sentence, back(dy / float(side)), f"dx = dy / {side}")
    for loop in ("windows", "offsets"):
        yield Candidate(
            "where windows overlap, the last one's share overwrites the others'",
            back(dy / counted, loop),
            f"dx[i] = dy[p] / n instead of +=, over all {loop}",
        )
    for sentence, slip in misplaced(right):
        shares = [dy / counted] * int(np.prod(slip.size))
        yield Candidate(sentence, given(layer, slip.given_back(x, shares)))
