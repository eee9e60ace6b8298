"""How a convolution takes images apart for its matrix products, and puts them together again.

An array keeps the axes ``(batch, *space, channels)``, but in memory the first axis of space comes
first, the batch last: (rows, channels, the rest of space, batch). So what is one element of a
window is, for a whole batch and all windows in a row, one run of numbers, and windows that begin
in neighbouring rows are views of the same numbers. All that a convolution repeats in memory is an
element for each place that it has in the *rows* of a kernel.

Along a single axis of space, all is one row.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.windows import Windows


def in_rows(x: Array) -> Array:
    """Return x with its axes as they lie: shape ``(rows, channels, rest of space · batch)``."""
    x = x[:, None] if x.ndim == 3 else x
    x = np.moveaxis(x, (0, -1), (-1, 1))
    return x.reshape(*x.shape[:2], -1)


def from_rows(rows: Array, space: Shape) -> Array:
    """Return what lies in rows with the axes ``(batch, *space, channels)``, without moving it."""
    height, channels, _ = rows.shape
    x = rows.reshape(height, channels, *(space[1:] or space), -1)
    x = np.moveaxis(x, (-1, 1), (0, -1))
    return x[:, 0] if len(space) == 1 else x


def columns(windows: Windows, x: Array) -> Array:
    """Return the elements of every window as a column, in the order of W: offsets, then channels.

    Returns
    -------
    array, shape (rows, offsets · channels, rest of positions · batch)
    """
    size, strides, dilation, spans = windows.size, windows.strides, windows.dilation, windows.spans
    x = windows.surrounded(x)
    if windows.rank == 1:
        x, size, spans = x[:, None], (1, *size), (1, *spans)
        strides, dilation = (1, *strides), (1, *dilation)
    x = np.moveaxis(x, (0, -1), (-1, 1))
    width = range(1, len(size))
    every = sliding_window_view(x, spans[1:], axis=tuple(axis + 1 for axis in width))
    at, within = ([slice(None, None, step) for step in steps[1:]] for steps in (strides, dilation))
    every = every[(slice(None), slice(None), *at, slice(None), *within)]
    every = np.moveaxis(every, tuple(-axis for axis in reversed(width)), tuple(width))
    rows = np.copy(every, order="C")
    rows = rows.reshape(len(rows), int(np.prod(rows.shape[1 : len(size) + 1])), -1)
    high = sliding_window_view(rows, spans[0], axis=0)[:: strides[0], ..., :: dilation[0]]
    high = np.moveaxis(high, -1, 1)
    return high.reshape(len(high), high.shape[1] * high.shape[2], -1)


def by_axis(windows: Windows) -> tuple[Windows, Windows]:
    """Return the windows along the first axis and along the others; all of one axis is a row."""
    if windows.rank == 1:
        return Windows((1,), (1,), (1,), windows.padding), windows
    (k, *ks), (s, *ss), (d, *ds) = windows.size, windows.strides, windows.dilation
    others = Windows(tuple(ks), tuple(ss), tuple(ds), windows.padding)
    return Windows((k,), (s,), (d,), windows.padding), others


def rows_back(windows: Windows, dz: Array, height: int) -> Array:
    """Return, for every row of the input, each row of windows that it takes part in.

    The row i is at the offset o of the windows in row p = (i + before − o · dilation) / stride;
    where there is no such row, there are zeros. Later windows have a row earlier in them, so that
    the offsets run *backwards*: from the last to the first.

    Parameters
    ----------
    windows : Windows
        Along the first axis of space.
    dz : array
        In rows, of windows.
    height : int
        The input's number of rows.

    Returns
    -------
    array, shape (height, offsets, *dz.shape[1:])
    """
    ((before, _),), (span,), (stride,) = windows.pads((height,)), windows.spans, windows.strides
    if stride > 1:  # zeros between the rows
        dz = np.pad(dz[:, None], [(0, 0), (0, stride - 1), (0, 0), (0, 0)])
        dz = dz.reshape(-1, *dz.shape[2:])
    start = span - 1 - before
    after = max(height - 1 + before + 1 - len(dz), 0)
    wide = np.pad(dz, [(start, after), (0, 0), (0, 0)])[: height + span - 1]
    return np.moveaxis(sliding_window_view(wide, span, axis=0)[..., :: windows.dilation[0]], -1, 1)


def put_back(windows: Windows, shares: Array, width: Sequence[int]) -> Array:
    """Add up, for every element of the input, its shares in the windows that it lies in.

    Parameters
    ----------
    windows : Windows
        Along all axes of space but the first.
    shares : array, shape (rows, offsets, channels, rest of positions · batch)
    width : sequence of int
        The input's sizes along these axes.

    Returns
    -------
    array, shape (rows, channels, *width, batch)
    """
    width = tuple(width)
    rows, _, channels, _ = shares.shape
    shares = shares.reshape(*shares.shape[:3], *windows.positions(width), -1)
    pads = windows.pads(width)
    wide = [n + before + after for n, (before, after) in zip(width, pads, strict=True)]
    if shares.shape[3:-1] == tuple(wide):  # of size 1
        return shares[:, 0]
    dx = np.zeros_like(shares, shape=(rows, channels, *wide, shares.shape[-1]), order="C")
    every = slice(None)
    for number, (_, *where) in enumerate(windows.offsets(width)):
        dx[(every, every, *where)] += shares[:, number]
    inner = [slice(before, before + n) for n, (before, _) in zip(width, pads, strict=True)]
    return dx[(every, every, *inner)]
