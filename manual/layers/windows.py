"""Windows that slide over a grid: the geometry that convolution and pooling share.

Arrays have the axes ``(batch, *space, channels)``, with any number of spatial axes; what comes with
its channels first is turned by `SpatialLayer` at the layer's door. How convolutions let them lie in
memory is in `manual.layers.columns`.
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
        return self.surrounded(x, value) if np.any(self.pads(x.shape[1:-1])) else x

    def surrounded(self, x: Array, value: float = 0.0) -> Array:
        """Return a copy with padding around it, that lies in memory as a convolution wants it."""
        first, *others = self.pads(x.shape[1:-1])
        x = np.moveaxis(x, (0, -1), (-1, 1))
        x = np.pad(x, [first, (0, 0), *others, (0, 0)], constant_values=value)
        return np.moveaxis(x, (-1, 1), (0, -1))

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
