"""Windows that slide over a grid: the geometry that convolution and pooling share.

Arrays are laid out as ``(batch, *space, channels)`` with any number of spatial axes; what comes
with its channels first is turned by `SpatialLayer` at the layer's door.
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

    def taken(self, x: Array) -> Array:
        """Return every window's elements: shape ``(batch, *positions, *size, channels)``."""
        return _windows(self.padded(x), self.spans, self.strides, self.dilation)

    def reached(self, dy: Array, space: Shape) -> Array:
        """Return, for every element of an input, each window that it lies in.

        The other side of `taken`: dy of the window that has the element i at its offset o, at
        p = (i + before − o · dilation) / stride; 0 where there is none. Later windows have an
        element earlier in them, so that the offsets run *backwards*: from the last to the first.

        Returns
        -------
        array, shape (batch, *space, *size, channels)
        """
        pads = []
        for n, count, (before, _), span, stride in zip(
            space, dy.shape[1:-1], self.pads(space), self.spans, self.strides, strict=True
        ):
            pads.append((span - 1 - before, n - 1 + before - (count - 1) * stride))
        wide = _surrounded(_spread(dy, self.strides), pads)
        return _windows(wide, self.spans, (1,) * len(space), self.dilation)


def _surrounded(x: Array, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Array:
    return np.pad(x, [(0, 0), *pads, (0, 0)], constant_values=value)


def _windows(x: Array, spans: Shape, strides: Shape, dilation: Shape) -> Array:
    """Return a view of all windows, shape ``(batch, *positions, *size, channels)``."""
    rank = len(spans)
    every = sliding_window_view(x, spans, axis=tuple(range(1, rank + 1)))
    at = [slice(None, None, stride) for stride in strides]
    within = [slice(None, None, step) for step in dilation]
    return np.moveaxis(every[(slice(None), *at, slice(None), *within)], rank + 1, -1)


def _spread(x: Array, strides: Shape) -> Array:
    """Put stride − 1 zeros between neighbours on each spatial axis."""
    for axis, stride in enumerate(strides, start=1):
        if stride > 1:
            shape = x.shape
            gaps = [(0, 0)] * (x.ndim + 1)
            gaps[axis + 1] = (0, stride - 1)
            x = np.pad(np.expand_dims(x, axis + 1), gaps)
            x = x.reshape(*shape[:axis], shape[axis] * stride, *shape[axis + 1 :])
            x = x[(slice(None),) * axis + (slice(0, (shape[axis] - 1) * stride + 1),)]
    return x


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
