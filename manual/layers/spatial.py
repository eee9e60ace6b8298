"""Layers that pad, crop or enlarge space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.interpolation import Resize
from manual.layers.base import Shape
from manual.layers.reshaping import Rearrangement
from manual.registry import twin_of

INTERPOLATED = {
    "forward": "y = W_h x W_wᵀ, each row of a W a kernel at the input pixels; all in float32",
    "input gradient": "dx = W_hᵀ dy W_w",
}


class Spatial(Rearrangement):
    """A layer that changes the length of the spatial axes: all but batch and channels."""

    rank = 1

    def __init__(
        self,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.data_format = data_format

    @property
    def first(self) -> int:
        """The first spatial axis of a batch."""
        return 2 if self.data_format == "channels_first" else 1

    def pairs(self, given: Any) -> list[tuple[int, int]]:
        """Return what is before and after each spatial axis, however briefly it was written."""
        one = (given,) * self.rank if isinstance(given, int) else tuple(given)
        if self.rank == 1 and isinstance(one[0], int):
            return [(one[0], one[-1])]
        return [(each, each) if isinstance(each, int) else tuple(each) for each in one]

    def around(self, pairs: Sequence[tuple[int, int]], ndim: int) -> list[tuple[int, int]]:
        """Return the pairs for all axes of a batch."""
        return [(0, 0)] * self.first + [*pairs] + [(0, 0)] * (ndim - self.first - self.rank)


def within(array: Array, around: Sequence[tuple[int, int]]) -> Array:
    """Return an array without its edges."""
    return array[
        tuple(
            slice(before, size - after)
            for (before, after), size in zip(around, array.shape, strict=True)
        )
    ]


class ZeroPadding(Spatial):
    """Zeros around the spatial axes."""

    derivation = {
        "forward": "y = x, with zeros around it",
        "input gradient": "dx = dy without its edges",
    }

    def __init__(
        self,
        padding: Any = 1,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.padding = self.pairs(padding)

    def output_shape(self, input_shape: Shape) -> Shape:
        around = self.around(self.padding, len(input_shape) + 1)[1:]
        return tuple(size + sum(pair) for size, pair in zip(input_shape, around, strict=True))

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        return np.pad(x, self.around(self.padding, x.ndim)), None

    def backward(self, dy: Array, saved: None) -> Array:
        return within(dy, self.around(self.padding, dy.ndim))


class Cropping(Spatial):
    """The spatial axes without their edges."""

    derivation = {
        "forward": "y = x without its edges",
        "input gradient": "dx = dy, with zeros around it",
    }

    def __init__(
        self,
        cropping: Any = 1,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.cropping = self.pairs(cropping)

    def output_shape(self, input_shape: Shape) -> Shape:
        around = self.around(self.cropping, len(input_shape) + 1)[1:]
        return tuple(size - sum(pair) for size, pair in zip(input_shape, around, strict=True))

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        return within(x, self.around(self.cropping, x.ndim)), None

    def backward(self, dy: Array, saved: None) -> Array:
        return np.pad(dy, self.around(self.cropping, dy.ndim))


class UpSampling(Spatial):
    """Every number of the spatial axes several times: the nearest neighbour."""

    derivation = {
        "forward": "y = x, each number `size` times along each spatial axis",
        "input gradient": "dx = Σ dy over the copies of each number",
    }

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.size = (size,) * self.rank if isinstance(size, int) else tuple(size)

    def output_shape(self, input_shape: Shape) -> Shape:
        sizes = list(input_shape)
        for axis, times in enumerate(self.size, start=self.first - 1):
            sizes[axis] *= times
        return tuple(sizes)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        for axis, times in enumerate(self.size, start=self.first):
            x = np.repeat(x, times, axis=axis)
        return x, None

    def backward(self, dy: Array, saved: Any) -> Array:
        shape: list[int] = []
        for axis, size in enumerate(dy.shape):
            spatial = self.first <= axis < self.first + self.rank
            times = self.size[axis - self.first] if spatial else 1
            shape += [size // times, times]
        return dy.reshape(*shape).sum(axis=tuple(range(1, 2 * dy.ndim, 2)))


@twin_of("ZeroPadding1D")
class ZeroPadding1D(ZeroPadding):
    """Zeros before and after a sequence of shape ``(steps, channels)``."""


@twin_of("ZeroPadding2D")
class ZeroPadding2D(ZeroPadding):
    """Zeros around an image."""

    rank = 2


@twin_of("ZeroPadding3D")
class ZeroPadding3D(ZeroPadding):
    """Zeros around a volume."""

    rank = 3


@twin_of("Cropping1D")
class Cropping1D(Cropping):
    """A sequence of shape ``(steps, channels)`` without its ends."""


@twin_of("Cropping2D")
class Cropping2D(Cropping):
    """An image without its edges."""

    rank = 2


@twin_of("Cropping3D")
class Cropping3D(Cropping):
    """A volume without its edges."""

    rank = 3


@twin_of("UpSampling1D")
class UpSampling1D(UpSampling):
    """Each step of a sequence several times."""


@twin_of("UpSampling2D")
class UpSampling2D(UpSampling):
    """An image made larger by whole numbers: each pixel several times, or something between them.

    Parameters
    ----------
    size : int or two ints
        How many times as high, and as wide.
    data_format : str, optional
    interpolation : str
        ``"nearest"`` repeats pixels; ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` and
        ``"lanczos5"`` weigh their neighbours (``manual.interpolation``): in float32, whatever the
        policy, as Keras does.
    """

    rank = 2

    def __init__(
        self,
        size: int | Sequence[int] = 2,
        data_format: str | None = None,
        interpolation: str = "nearest",
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(size, data_format, name=name, trainable=trainable)
        self.interpolation = interpolation.lower()
        self.repeats = self.interpolation == "nearest"
        if not self.repeats:
            self.derivation = INTERPOLATED  # type: ignore[misc]

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        if self.repeats:
            return super().forward(x)
        space = x.shape[self.first : self.first + 2]
        enlarged = [n * times for n, times in zip(space, self.size, strict=True)]
        resize = Resize(self.interpolation, space, enlarged, self.first)
        return resize.forward(x), resize

    def backward(self, dy: Array, saved: Any) -> Array:
        return super().backward(dy, None) if saved is None else saved.backward(dy)


@twin_of("UpSampling3D")
class UpSampling3D(UpSampling):
    """Each voxel several times in all directions."""

    rank = 3
