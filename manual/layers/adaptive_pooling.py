"""Adaptive pooling: as many windows as are asked for, however large the input is.

Window p of P on an axis of n elements goes from ⌊p n / P⌋ to before ⌈(p + 1) n / P⌉: neighbours may
share elements. Keras pools one axis after the other, and so does the twin; at a tie that decides
which of the largest gets the gradient. Asked for the maximum of one window alone, Keras ends the
process, by a division by zero within TensorFlow.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.pooling import first_maxima
from manual.layers.windows import SpatialLayer
from manual.registry import twin_of


class AdaptivePooling(SpatialLayer):
    """Pooling to a given size, in each channel alone.

    Takes x of shape ``(batch, *space, channels)``, returns y of shape
    ``(batch, *output_size, channels)``; channels second with ``data_format="channels_first"``.

    Parameters
    ----------
    output_size : int or sequence of int
    """

    def __init__(
        self,
        output_size: int | Sequence[int],
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._placed(data_format)
        self.output_size = self._for_each_axis(output_size)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self._joined(self.output_size, self._split(input_shape)[1])

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        y, saved = self._channels_last(x), []
        for axis, size in enumerate(self.output_size, start=1):
            x = np.moveaxis(y, axis, 0)
            windows = list(spans(len(x), size))
            pooled = [self.pooled(x[window]) for window in windows]
            saved.append((x, windows, [kept for _, kept in pooled]))
            y = np.moveaxis(np.stack([one for one, _ in pooled]), 0, axis)
        return self._in_format(y), saved

    def backward(self, dy: Array, saved: Any) -> Array:
        dy = self._channels_last(dy)
        for axis, (x, windows, kept) in reversed(list(enumerate(saved, start=1))):
            dy, dx = np.moveaxis(dy, axis, 0), np.zeros_like(x)
            for place, window in enumerate(windows):
                dx[window] = dx[window] + self.shares(dy[place], kept[place])
            dy = np.moveaxis(dx, 0, axis)
        return self._in_format(dy)

    def pooled(self, window: Array) -> tuple[Array, Any]:
        """Return what becomes of a window along the first axis, and what `shares` needs."""
        raise NotImplementedError

    def shares(self, dy: Array, saved: Any) -> Array:
        """Return the gradient at each element of a window."""
        raise NotImplementedError


def spans(n: int, size: int) -> list[slice]:
    """Return where each of so many windows lies on n elements.

    Examples
    --------
    >>> spans(5, 2)
    [slice(0, 3, None), slice(2, 5, None)]
    """
    return [slice(p * n // size, -(-(p + 1) * n // size)) for p in range(size)]


class AdaptiveAveragePooling(AdaptivePooling):
    """The mean of each window."""

    derivation = {
        "forward": "y[p] = 1/k Σ x[i] over the k elements of the window p, axis by axis",
        "input gradient": "dx[i] = Σ dy[p] / k over the windows p that hold i, axis by axis",
    }

    def pooled(self, window: Array) -> tuple[Array, Any]:
        return window.mean(axis=0), len(window)

    def shares(self, dy: Array, saved: Any) -> Array:
        return (dy / float(saved))[None]


class AdaptiveMaxPooling(AdaptivePooling):
    """The largest number of each window; at a tie the gradient goes to the first on each axis."""

    derivation = {
        "forward": "y[p] = max of x[i] over the window p, axis by axis",
        "input gradient": "dx[i] = Σ dy[p] over the windows p whose first maximum is at i",
    }

    def pooled(self, window: Array) -> tuple[Array, Any]:
        y, larger = window[0], []
        for place in range(1, len(window)):
            larger.append(window[place] > y)
            y = np.maximum(y, window[place])
        return y, larger

    def shares(self, dy: Array, saved: Any) -> Array:
        return np.stack([dy * is_first for is_first in first_maxima(saved)][::-1])


@twin_of("AdaptiveAveragePooling1D")
class AdaptiveAveragePooling1D(AdaptiveAveragePooling):
    """The means of windows along one axis."""

    rank = 1


@twin_of("AdaptiveAveragePooling2D")
class AdaptiveAveragePooling2D(AdaptiveAveragePooling):
    """The means of windows of an image."""

    rank = 2


@twin_of("AdaptiveAveragePooling3D")
class AdaptiveAveragePooling3D(AdaptiveAveragePooling):
    """The means of windows of a volume."""

    rank = 3


@twin_of("AdaptiveMaxPooling1D")
class AdaptiveMaxPooling1D(AdaptiveMaxPooling):
    """The largest numbers of windows along one axis."""

    rank = 1


@twin_of("AdaptiveMaxPooling2D")
class AdaptiveMaxPooling2D(AdaptiveMaxPooling):
    """The largest numbers of windows of an image."""

    rank = 2


@twin_of("AdaptiveMaxPooling3D")
class AdaptiveMaxPooling3D(AdaptiveMaxPooling):
    """The largest numbers of windows of a volume."""

    rank = 3
