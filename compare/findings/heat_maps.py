"""A small map of a tensor of any number of axes: how far off each part of it is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIDE = 48
"""So many rows and columns a map has at most."""

Cells = tuple[tuple[float, ...], ...]
IN_THE_PLANE = "row", "column"


def heat_map(distances: np.ndarray, axes: Sequence[str]) -> tuple[Cells, str, str]:
    """Lay a tensor out in two dimensions; each cell has the largest distance of what it stands for.

    A matrix is laid out as it stands, a vector as one row. Of more axes, the last goes across and
    the others go down, the first the slowest. Where there are rows and columns in space, there is a
    picture for each of the other axes' numbers: the last of these across, the others down. So a
    convolution's kernel is a table of small kernels, input channels by filters.

    Where that is too large, neighbours are put together: of the slowest axis first, so that a
    picture stays one. Elements that are put together differ in neighbouring numbers of an axis.

    Returns
    -------
    cells : tuple of tuples of float, at most 48 by 48
    rows, columns : str
        What goes down and what goes across, the slowest axis first; empty for none.
    """
    down, across = _laid_out(axes)
    for direction in (down, across):
        room = SIDE
        for axis in reversed(direction):
            size = distances.shape[axis]
            kept = min(size, room)
            room //= kept
            starts = np.arange(kept) * size // kept
            distances = np.maximum.reduceat(distances, starts, axis=axis)
    height = int(np.prod([distances.shape[axis] for axis in down], dtype=int))
    table = distances.transpose(*down, *across).reshape(height, -1)
    rows, columns = (" × ".join(axes[axis] for axis in direction) for direction in (down, across))
    return tuple(map(tuple, table.tolist())), rows, columns


def _laid_out(axes: Sequence[str]) -> tuple[list[int], list[int]]:
    """Say which axes go down, and which across."""
    numbers = list(range(len(axes)))
    if len(axes) < 3 or not all(one in axes for one in IN_THE_PLANE):
        return numbers[:-1], numbers[-1:]
    row, column = (axes.index(one) for one in IN_THE_PLANE)
    others = [axis for axis in numbers if axis not in (row, column)]
    return [*others[:-1], row], [*others[-1:], column]
