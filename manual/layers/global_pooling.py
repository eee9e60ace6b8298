"""Global pooling: all of space becomes one number for each channel, its largest or its mean."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.windows import SpatialLayer
from manual.registry import twin_of


class GlobalPooling(SpatialLayer):
    """One number for each channel, from all of space.

    Takes x of shape ``(batch, *space, channels)``, returns y of shape ``(batch, channels)``, or
    with ``keepdims`` with axes of length 1 in the place of space.
    """

    def __init__(
        self,
        data_format: str | None = None,
        keepdims: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self._placed(data_format)
        self.keepdims = keepdims

    def output_shape(self, input_shape: Shape) -> Shape:
        space, channels = self._split(input_shape)
        return self._joined((1,) * len(space), channels) if self.keepdims else (channels,)

    def _in_row(self, x: Array) -> Array:
        """Return x with all of space along one axis: shape ``(batch, places, channels)``."""
        x = self._channels_last(x)
        return x.reshape(x.shape[0], -1, x.shape[-1])

    def _as_output(self, y: Array, sample: Shape) -> Array:
        return y.reshape(y.shape[0], *self.output_shape(sample))

    def _as_input(self, dx: Array, sample: Shape) -> Array:
        space, channels = self._split(sample)
        return self._in_format(dx.reshape(dx.shape[0], *space, channels))


class GlobalMaxPooling(GlobalPooling):
    """The largest number of each channel.

    TensorFlow's reduction shares the gradient among all that are largest, where pooling by windows
    gives it to the first.
    """

    derivation = {
        "forward": "y = max of x[i] over all places i",
        "input gradient": "dx[i] = dy · [x[i] = y] / Σ [x[i] = y]",
    }

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        row = self._in_row(x)
        y = row.max(axis=1)
        return self._as_output(y, x.shape[1:]), (row, y, x.shape[1:])

    def backward(self, dy: Array, saved: Any) -> Array:
        row, y, sample = saved
        largest = np.where(row == y[:, None], np.ones_like(row), 0.0)
        share = dy.reshape(y.shape) / largest.sum(axis=1)
        return self._as_input(share[:, None] * largest, sample)


class GlobalAveragePooling(GlobalPooling):
    """The mean of each channel."""

    derivation = {
        "forward": "y = 1/n Σ x[i] over the n places i",
        "input gradient": "dx[i] = dy / n",
    }

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        inner = self._channels_last(x)
        y = inner.mean(axis=tuple(range(1, inner.ndim - 1)))
        return self._as_output(y, x.shape[1:]), inner

    def backward(self, dy: Array, saved: Any) -> Array:
        x, dx = saved, np.zeros_like(saved)
        batch, *space, channels = x.shape
        share = dy.reshape(batch, channels) / float(np.prod(space))
        dx[...] = share.reshape(batch, *(1,) * len(space), channels)
        return self._in_format(dx)


@twin_of("GlobalMaxPooling1D")
class GlobalMaxPooling1D(GlobalMaxPooling):
    """The largest number of each channel, over time."""

    rank = 1


@twin_of("GlobalMaxPooling2D")
class GlobalMaxPooling2D(GlobalMaxPooling):
    """The largest number of each channel of an image."""

    rank = 2


@twin_of("GlobalMaxPooling3D")
class GlobalMaxPooling3D(GlobalMaxPooling):
    """The largest number of each channel of a volume."""

    rank = 3


@twin_of("GlobalAveragePooling1D")
class GlobalAveragePooling1D(GlobalAveragePooling):
    """The mean of each channel over time, or over the steps that a mask leaves."""

    rank = 1
    takes_mask = True
    derivation = {
        "forward": "y = Σ m[i] x[i] / Σ m, with the mask m; without one, m = 1",
        "input gradient": "dx[i] = dy m[i] / Σ m",
    }

    def forward(
        self, x: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        if mask is None:
            y, saved = super().forward(x, training=training)
            return y, (saved, None)
        row = self._in_row(x)
        steps = mask.sum(axis=1, keepdims=True).astype(row.dtype)
        y = np.where(mask[..., None], row, 0.0).sum(axis=1) / steps
        return self._as_output(y, x.shape[1:]), ((row.shape, x.shape[1:]), (mask, steps))

    def backward(self, dy: Array, saved: Any) -> Array:
        saved, masked = saved
        if masked is None:
            return super().backward(dy, saved)
        (batch, _, channels), sample = saved
        mask, steps = masked
        share = (dy.reshape(batch, channels) / steps)[:, None]
        return self._as_input(np.where(mask[..., None], share, 0.0), sample)


@twin_of("GlobalAveragePooling2D")
class GlobalAveragePooling2D(GlobalAveragePooling):
    """The mean of each channel of an image."""

    rank = 2


@twin_of("GlobalAveragePooling3D")
class GlobalAveragePooling3D(GlobalAveragePooling):
    """The mean of each channel of a volume."""

    rank = 3
