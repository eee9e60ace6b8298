"""Layers that move numbers around: nothing is computed but sums on the way back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.registry import twin_of


class Rearrangement(Layer):
    """A layer whose output has other axes than its input, so that no mask passes through it."""

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Give no mask: Keras's layer doesn't pass one on."""


@twin_of("Identity")
class Identity(Layer):
    """The input as it is."""

    derivation = {"forward": "y = x", "input gradient": "dx = dy"}
    hands_on = True

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        return x, None

    def backward(self, dy: Array, saved: None) -> Array:
        return dy


@twin_of("Reshape")
class Reshape(Rearrangement):
    """The numbers of a sample, read row by row (the last axis runs fastest), in another shape.

    Parameters
    ----------
    target_shape : sequence of int
        Without the batch axis; one size may be -1: what is left.
    """

    derivation = {
        "forward": "y = x, read row by row",
        "input gradient": "dx = dy, in the shape of x",
    }

    def __init__(
        self, target_shape: Sequence[int], *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.target_shape = tuple(target_shape)

    def output_shape(self, input_shape: Shape) -> Shape:
        return np.empty(input_shape, bool).reshape(self.target_shape).shape

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, tuple[int, ...]]:
        return x.reshape(x.shape[0], *self.output_shape(x.shape[1:])), x.shape

    def backward(self, dy: Array, saved: tuple[int, ...]) -> Array:
        return dy.reshape(*saved)


@twin_of("Permute")
class Permute(Rearrangement):
    """The axes of a sample in another order.

    Parameters
    ----------
    dims : sequence of int
        ``dims[i]`` is the axis of the input that becomes axis i + 1; the batch axis is 0.
    """

    derivation = {
        "forward": "y = x with its axes in the order (0, *dims)",
        "input gradient": "dx = dy with its axes in the inverse order",
    }

    def __init__(
        self, dims: Sequence[int], *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.dims = tuple(dims)

    def output_shape(self, input_shape: Shape) -> Shape:
        return tuple(input_shape[axis - 1] for axis in self.dims)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        return np.transpose(x, (0, *self.dims)), None

    def backward(self, dy: Array, saved: None) -> Array:
        inverse = [int(place) for place in np.argsort((0, *self.dims))]
        return np.transpose(dy, inverse)


@twin_of("RepeatVector")
class RepeatVector(Rearrangement):
    """The input n times, along a new axis 1."""

    derivation = {
        "forward": "yₜ = x for t = 1 … n",
        "input gradient": "dx = Σₜ dyₜ",
    }

    def __init__(self, n: int, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.n = n

    def output_shape(self, input_shape: Shape) -> Shape:
        return (self.n, *input_shape)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        return np.repeat(x[:, None], self.n, axis=1), None

    def backward(self, dy: Array, saved: None) -> Array:
        return dy.sum(axis=1)
