"""Layers that bring images of any size to a given one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.interpolation import Resize
from manual.layers.base import Shape
from manual.layers.spatial import INTERPOLATED, Spatial, within
from manual.registry import twin_of

Pairs = list[tuple[int, int]]
NOTHING: Pairs = [(0, 0), (0, 0)]


@twin_of("Resizing")
class Resizing(Spatial):
    """An image in another size, by interpolation.

    In float32, whatever the policy, as in Keras.

    Parameters
    ----------
    height, width : int
    interpolation : str
        ``"bilinear"``, ``"nearest"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.
    crop_to_aspect_ratio, pad_to_aspect_ratio : bool
        Whether the image is first cut, or surrounded, to have the new size's proportions.
    fill_mode : str
        ``"constant"``: Keras knows no other.
    fill_value : float
        What it is surrounded by.
    antialias : bool
        Whether an image that gets smaller is blurred first.
    """

    rank = 2
    derivation = INTERPOLATED

    def __init__(
        self,
        height: int,
        width: int,
        interpolation: str = "bilinear",
        crop_to_aspect_ratio: bool = False,
        pad_to_aspect_ratio: bool = False,
        fill_mode: str = "constant",
        fill_value: float = 0.0,
        antialias: bool = False,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(data_format, name=name, trainable=trainable)
        self.size = height, width
        self.interpolation = interpolation
        self.crops, self.pads, self.fill_value = (
            crop_to_aspect_ratio,
            pad_to_aspect_ratio,
            fill_value,
        )
        self.antialias = antialias

    def output_shape(self, input_shape: Shape) -> Shape:
        first = self.first - 1
        return (*input_shape[:first], *self.size, *input_shape[first + 2 :])

    def edges(self, space: Sequence[int]) -> tuple[Pairs, Pairs]:
        """Return how much is cut off, and how much put on, before and after each axis."""
        fitting = in_proportion(space, self.size)
        if self.crops:
            kept = [max(min(n, fits), 1) for n, fits in zip(space, fitting, strict=True)]
            return centred(space, kept), NOTHING
        if self.pads:
            before = [max(fits - n, 0) // 2 for n, fits in zip(space, fitting, strict=True)]
            return NOTHING, [(one, one) for one in before]
        return NOTHING, NOTHING

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        off, on = self.edges(x.shape[self.first : self.first + 2])
        x = within(x, self.around(off, x.ndim))
        if on != NOTHING:
            x = np.pad(x, self.around(on, x.ndim), constant_values=self.fill_value)
        if self.fits(x):
            return x, (off, on, None)
        resize = Resize(
            self.interpolation,
            x.shape[self.first : self.first + 2],
            self.size,
            self.first,
            self.antialias,
        )
        return resize.forward(x), (off, on, resize)

    def backward(self, dy: Array, saved: Any) -> Array:
        off, on, resize = saved
        dx = dy if resize is None else resize.backward(dy)
        return np.pad(within(dx, self.around(on, dy.ndim)), self.around(off, dy.ndim))

    def fits(self, x: Array) -> bool:
        """Say whether nothing is left to be done: Keras's Resizing always computes."""
        return False


@twin_of("CenterCrop")
class CenterCrop(Resizing):
    """The middle of an image; of one that is too small, its largest part of these proportions.

    That part is brought to the size by bilinear interpolation.

    Parameters
    ----------
    height, width : int
    """

    derivation = {
        "forward": "y = the middle of x; resized, where x is too small",
        "input gradient": "dx = dy, with zeros around it",
    }

    def __init__(
        self,
        height: int,
        width: int,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(height, width, data_format=data_format, name=name, trainable=trainable)

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        space = input_shape[self.first - 1 :]
        self.gives_single = any(n < wanted for n, wanted in zip(space, self.size, strict=False))

    def edges(self, space: Sequence[int]) -> tuple[Pairs, Pairs]:
        if all(n >= wanted for n, wanted in zip(space, self.size, strict=True)):
            return centred(space, self.size), NOTHING
        fitting = in_proportion(space, self.size)
        kept = [max(min(n, fits), 1) for n, fits in zip(space, fitting, strict=True)]
        return centred(space, kept), NOTHING

    def fits(self, x: Array) -> bool:
        return bool(x.shape[self.first : self.first + 2] == self.size)


def in_proportion(space: Sequence[int], size: Sequence[int]) -> Shape:
    """Return the height that goes with the width, and the width that goes with the height."""
    (height, width), (new_height, new_width) = space, size
    return width * new_height // new_width, height * new_width // new_height


def centred(space: Sequence[int], kept: Sequence[int]) -> Pairs:
    """Return what is before and after the middle that is kept."""
    before = [(n - inner) // 2 for n, inner in zip(space, kept, strict=True)]
    return [(b, n - inner - b) for b, n, inner in zip(before, space, kept, strict=True)]
