"""Pooling: each window of the input becomes one number, its largest or its mean."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.windows import SpatialLayer
from manual.registry import twin_of


class Pooling(SpatialLayer):
    """Pooling of windows over any number of spatial axes, in each channel alone.

    Takes x of shape ``(batch, *space, channels)``, returns y of shape
    ``(batch, *positions, channels)``; channels second with ``data_format="channels_first"``.

    Parameters
    ----------
    pool_size : int or sequence of int
    strides : int or sequence of int, optional
        From one window to the next; by default the windows touch.
    padding : str
        ``"valid"`` or ``"same"``. Padding never counts: it is no maximum and in no mean.
    """

    def __init__(
        self,
        pool_size: int | Sequence[int] = 2,
        strides: int | Sequence[int] | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._placed(data_format)
        strides = pool_size if strides is None else strides
        self.windows = self._geometry(pool_size, strides, 1, padding)

    def output_shape(self, input_shape: Shape) -> Shape:
        space, channels = self._split(input_shape)
        return self._joined(self.windows.positions(space), channels)


class MaxPooling(Pooling):
    """The largest number of each window.

    At a tie the gradient goes to the first of the largest, reading row by row, as in TensorFlow.
    """

    derivation = {
        "forward": "y[p] = max of x[p s + o − before] over the window's offsets o",
        "input gradient": "dx[i] = Σ dy[p] over the windows p whose first maximum is at i",
    }

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x = self._channels_last(x)
        padded, space = self.windows.padded(x, -np.inf), x.shape[1:-1]
        first, *others = (padded[where] for where in self.windows.offsets(space))
        y, larger = first, []
        for other in others:
            larger.append(other > y)
            y = np.maximum(y, other)
        return self._in_format(y), (padded, space, larger)

    def backward(self, dy: Array, saved: Any) -> Array:
        padded, space, larger = saved
        dy, dx = self._channels_last(dy), np.zeros_like(padded)
        first, *others = self.windows.offsets(space)
        for where, is_first in zip((*others[::-1], first), first_maxima(larger), strict=True):
            self.windows.give(dx, where, dy * is_first)
        return self._in_format(self.windows.cropped(dx, space))


def first_maxima(larger: Sequence[Array]) -> Iterator[Array]:
    """Say, for each element of a window from the last to the first, whether it's the maximum.

    ``larger`` says of each but the first whether it is larger than all before it. The last of these
    is the first of the largest.
    """
    no_later = None
    for it in reversed(larger):
        yield it if no_later is None else np.logical_and(it, no_later)
        not_it = np.logical_not(it)
        no_later = not_it if no_later is None else np.logical_and(not_it, no_later)
    yield True if no_later is None else no_later


class AveragePooling(Pooling):
    """The mean of each window, over those of its elements that lie within the input."""

    derivation = {
        "forward": "y[p] = Σ x[p s + o − before] / n[p], n elements of the window in the input",
        "input gradient": "dx[i] = Σ dy[p] / n[p] over the windows p that hold i",
    }

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x = self._channels_last(x)
        taken, space = self.windows.taken(x), x.shape[1:-1]
        total = taken.sum(axis=tuple(range(self.rank + 1, 2 * self.rank + 1)))
        y = total / self._held(space).astype(x.dtype)
        return self._in_format(y), (self.windows.padded(x), space)

    def backward(self, dy: Array, saved: Any) -> Array:
        padded, space = saved
        dy, dx = self._channels_last(dy), np.zeros_like(padded)
        share = dy / self._held(space).astype(dy.dtype)
        for where in self.windows.offsets(space):
            self.windows.give(dx, where, share)
        return self._in_format(self.windows.cropped(dx, space))

    def _held(self, space: Shape) -> Array:
        """Return how many elements of each window lie within the input."""
        inside = self.windows.taken(np.ones((1, *space, 1)))
        return inside.sum(axis=tuple(range(self.rank + 1, 2 * self.rank + 1)))


@twin_of("MaxPooling1D")
class MaxPooling1D(MaxPooling):
    """The largest number of each window along one axis."""

    rank = 1


@twin_of("MaxPooling2D")
class MaxPooling2D(MaxPooling):
    """The largest number of each window of an image."""

    rank = 2


@twin_of("MaxPooling3D")
class MaxPooling3D(MaxPooling):
    """The largest number of each window of a volume."""

    rank = 3


@twin_of("AveragePooling1D")
class AveragePooling1D(AveragePooling):
    """The mean of each window along one axis."""

    rank = 1


@twin_of("AveragePooling2D")
class AveragePooling2D(AveragePooling):
    """The mean of each window of an image."""

    rank = 2


@twin_of("AveragePooling3D")
class AveragePooling3D(AveragePooling):
    """The mean of each window of a volume."""

    rank = 3
