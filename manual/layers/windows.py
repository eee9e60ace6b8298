"""Windows that slide over a grid: the geometry that convolution and pooling share.

Arrays have the axes ``(batch, *space, channels)``, with any number of spatial axes; what comes with
its channels first is turned by `SpatialLayer` at the layer's door. In memory, convolutions let them
lie otherwise (`in_rows`): with the batch innermost, neighbours in a row of a window are neighbours
in memory for a whole batch at once, and whatever takes an image apart moves long runs of numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.registry import NoTwin

PADDINGS = ("valid", "same", "causal")


@dataclass(frozen=True)
class Windows:
    """Windows of one size, and where they lie on an input.

    On each axis the window at position p holds, at its offset o, the input's element

        i = p · stride + o · dilation − before

    with as many zeros ``before`` the input, and ``after`` it, as the padding asks for:

    - *valid*: none; windows lie within the input;
    - *same*: ⌈n / stride⌉ positions. Of an odd number of zeros the larger half comes after, as in
      TensorFlow (PyTorch pads both sides alike);
    - *causal*: all before, so that the window's last element is at the position itself.

    Attributes
    ----------
    size, strides, dilation : tuple of int, one for each spatial axis
    padding : str
    """

    size: Shape
    strides: Shape
    dilation: Shape
    padding: str

    @property
    def rank(self) -> int:
        return len(self.size)

    @property
    def spans(self) -> Shape:
        """How far a window reaches on each axis, the gaps of a dilation included."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.size, self.dilation, strict=True))

    def pads(self, space: Shape) -> list[tuple[int, int]]:
        """Return how many zeros go before and after each axis of an input of this size."""
        found = []
        for n, span, stride in zip(space, self.spans, self.strides, strict=True):
            if self.padding == "valid":
                found.append((0, 0))
            elif self.padding == "causal":
                found.append((span - 1, 0))
            else:
                total = max((-(-n // stride) - 1) * stride + span - n, 0)
                found.append((total // 2, total - total // 2))
        return found

    def positions(self, space: Shape) -> Shape:
        """Return how many windows lie on each axis of an input of this size."""
        return tuple(
            (before + n + after - span) // stride + 1
            for n, (before, after), span, stride in zip(
                space, self.pads(space), self.spans, self.strides, strict=True
            )
        )

    def padded(self, x: Array, value: float = 0.0) -> Array:
        """Return the input with its padding around it."""
        pads = self.pads(x.shape[1:-1])
        return x if not np.any(pads) else _surrounded(x, pads, value)

    def cropped(self, x: Array, space: Shape) -> Array:
        """Return the input without its padding."""
        inner = [
            slice(before, before + n)
            for n, (before, _) in zip(space, self.pads(space), strict=True)
        ]
        return x[(slice(None), *inner)]

    def offsets(self, space: Shape) -> Iterator[tuple[slice, ...]]:
        """Give, for each offset in a window, where on the padded input all windows have it.

        The last axis runs fastest.
        """
        positions = self.positions(space)
        for offset in product(*map(range, self.size)):
            axes = zip(offset, self.dilation, self.strides, positions, strict=True)
            yield (slice(None), *(slice(o * d, o * d + (p - 1) * s + 1, s) for o, d, s, p in axes))

    @property
    def apart(self) -> bool:
        """Whether no element lies in two windows."""
        return all(k <= stride for k, stride in zip(self.spans, self.strides, strict=True))

    def give(self, dx: Array, where: tuple[slice, ...], share: Array) -> None:
        """Add each window's share to the element that it has at one of the `offsets`."""
        dx[where] = share if self.apart else dx[where] + share

    def taken(self, x: Array) -> Array:
        """Return every window's elements: shape ``(batch, *positions, *size, channels)``."""
        return _windows(self.padded(x), self.spans, self.strides, self.dilation)

    def columns(self, x: Array) -> Array:
        """Return every window's elements as a column (`columns_of`)."""
        x = _surrounded(x, self.pads(x.shape[1:-1]))
        return columns_of(x, self.size, self.strides, self.dilation)

    @property
    def split(self) -> tuple[Windows, Windows]:
        """The windows along the first axis and along the others; a single axis is of the others."""
        axes = [
            one if self.rank > 1 else (1, *one) for one in (self.size, self.strides, self.dilation)
        ]
        first, others = ([one[:1] for one in axes], [one[1:] for one in axes])
        return Windows(*first, self.padding), Windows(*others, self.padding)

    def rows_back(self, dy: Array, height: int) -> Array:
        """Return, for every row of an input, each row of windows that it takes part in.

        Of windows along one axis. dy, of the windows, comes in rows (`in_rows`). The row i is at
        the offset o of the windows in row p = (i + before − o · dilation) / stride; where there is
        no such row there are zeros. Later windows have a row earlier in them, so that the offsets
        run *backwards*: from the last to the first.

        Returns
        -------
        array, shape (height, kernel's rows, *dy.shape[1:])
        """
        ((before, _),), (span,), (stride,) = self.pads((height,)), self.spans, self.strides
        after = height - 1 + before - (len(dy) - 1) * stride
        if stride > 1:  # zeros between the rows
            dy = np.pad(dy[:, None], [(0, 0), (0, stride - 1), (0, 0), (0, 0)])
            dy = dy.reshape(-1, *dy.shape[2:])
            after -= stride - 1
        wide = np.pad(dy, [(span - 1 - before, max(after, 0)), (0, 0), (0, 0)])
        every = sliding_window_view(wide[: height + span - 1], span, axis=0)
        return np.moveaxis(every[..., :: self.dilation[0]], -1, 1)

    def put_back(self, shares: Array, width: Sequence[int]) -> Array:
        """Add up, for every element of an input, its shares in the windows that it lies in.

        Parameters
        ----------
        shares : array, shape (rows, offsets, channels, positions · batch)
            The windows lie within the rows: along all axes of space but the first.
        width : sequence of int
            The input's sizes along these axes.

        Returns
        -------
        array, shape (rows, channels, *width, batch)
        """
        rows, _, channels, _ = shares.shape
        shares = shares.reshape(*shares.shape[:3], *self.positions(width), -1)
        wide = [n + sum(pad) for n, pad in zip(width, self.pads(width), strict=True)]
        dx = np.zeros_like(shares, shape=(rows, channels, *wide, shares.shape[-1]), order="C")
        for number, (_, *where) in enumerate(self.offsets(width)):
            dx[(..., *where, slice(None))] += shares[:, number]
        inner = [slice(a, a + n) for n, (a, _) in zip(width, self.pads(width), strict=True)]
        return dx[(..., *inner, slice(None))]


def in_rows(x: Array) -> Array:
    """Return x with the first axis of space first: shape ``(rows, channels, the other axes)``.

    The other axes are the rest of space, and the batch innermost. Along a single axis of space all
    is one row.
    """
    x = x[:, None] if x.ndim == 3 else x
    x = np.moveaxis(x, (0, -1), (-1, 1))
    return x.reshape(*x.shape[:2], -1)


def from_rows(rows: Array, space: Shape) -> Array:
    """Return what lies in rows with the axes ``(batch, *space, channels)``, without moving it."""
    of_rows, channels, _ = rows.shape
    x = rows.reshape(of_rows, channels, *(space[1:] or space), -1)
    x = np.moveaxis(x, (-1, 1), (0, -1))
    return x[:, 0] if len(space) == 1 else x


def columns_of(x: Array, size: Shape, strides: Shape, dilation: Shape) -> Array:
    """Return the elements of all windows that lie within x, a column for each.

    Only along the last axes of space are elements repeated. The windows of neighbouring rows are
    views that overlap: what the first holds from its second row on, the next holds from its first.

    Returns
    -------
    array, shape (positions on the first axis, elements of a window, positions on the others · batch)
        A window's elements in the order of its axes, channels last.
    """
    if len(size) == 1:
        x, size, strides, dilation = x[:, None], (1, *size), (1, *strides), (1, *dilation)
    height, *others = ((k - 1) * d + 1 for k, d in zip(size, dilation, strict=True))
    x = np.moveaxis(x, (0, -1), (-1, 1))
    every = sliding_window_view(x, others, axis=tuple(range(2, len(size) + 1)))
    at, within = ([slice(None, None, step) for step in steps[1:]] for steps in (strides, dilation))
    every = every[(slice(None), slice(None), *at, slice(None), *within)]
    of_window = range(-len(others), 0)
    every = np.moveaxis(every, tuple(of_window), tuple(range(1, len(size))))
    repeated = int(np.prod(every.shape[1 : len(size) + 1]))
    rows = every.reshape(len(every), repeated, -1)
    high = sliding_window_view(rows, height, axis=0)[:: strides[0], ..., :: dilation[0]]
    return np.moveaxis(high, -1, 1).reshape(len(high), size[0] * repeated, -1)


def _surrounded(x: Array, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    """Return x with numbers around it; in memory the batch is innermost, as in `in_rows`."""
    x = np.moveaxis(x, (0, -1), (-1, 1))
    first, *others = pads
    x = np.pad(x, [first, (0, 0), *others, (0, 0)], constant_values=value)
    return np.moveaxis(x, (-1, 1), (0, -1))


def _windows(x: Array, spans: Shape, strides: Shape, dilation: Shape) -> Array:
    """Return a view of all windows, shape ``(batch, *positions, *size, channels)``."""
    rank = len(spans)
    every = sliding_window_view(x, spans, axis=tuple(range(1, rank + 1)))
    at = [slice(None, None, stride) for stride in strides]
    within = [slice(None, None, step) for step in dilation]
    return np.moveaxis(every[(slice(None), *at, slice(None), *within)], rank + 1, -1)


class SpatialLayer(Layer):
    """A layer whose input has spatial axes and channels, in either order."""

    rank: ClassVar[int]
    data_format: str

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Return None: positions of the output are no time steps of the input, and have no mask."""

    def _placed(self, data_format: str | None) -> None:
        self.data_format = data_format or "channels_last"

    def _channels_last(self, x: Array) -> Array:
        return np.moveaxis(x, 1, -1) if self.data_format == "channels_first" else x

    def _in_format(self, y: Array) -> Array:
        return np.moveaxis(y, -1, 1) if self.data_format == "channels_first" else y

    def _split(self, sample: Shape) -> tuple[Shape, int]:
        """Return the spatial sizes of one sample, and its number of channels."""
        if self.data_format == "channels_first":
            return sample[1:], sample[0]
        return sample[:-1], sample[-1]

    def _joined(self, space: Shape, channels: int) -> Shape:
        """Return the shape of one sample from its parts."""
        if self.data_format == "channels_first":
            return (channels, *space)
        return (*space, channels)

    def _for_each_axis(self, value: int | Sequence[int]) -> Shape:
        if isinstance(value, int):
            return (value,) * self.rank
        return tuple(int(one) for one in value)

    def _geometry(self, size: Any, strides: Any, dilation: Any, padding: str) -> Windows:
        if padding not in PADDINGS or (padding == "causal" and self.rank > 1):
            raise NoTwin(f"layer {self.name!r}: the padding {padding!r} has no hand-derived twin.")
        size, strides, dilation = (self._for_each_axis(one) for one in (size, strides, dilation))
        return Windows(size, strides, dilation, padding)
