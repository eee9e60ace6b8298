"""Layers that join several inputs into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array, lying_as
from manual.layers.base import Layer, Shape
from manual.registry import twin_of


class Merge(Layer):
    """Inputs that are joined number by number.

    Smaller inputs are repeated along the axes that they lack, or have only one of, as NumPy's
    broadcasting does; one with fewer axes gets the new ones behind the batch axis. On the way back
    a repeated number gets the sum of the gradients of its copies.
    """

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        try:
            return np.broadcast_shapes(*input_shape)
        except ValueError:
            raise ValueError(
                f"Layer {self.name!r} joins inputs number by number: their shapes must fit. "
                f"Received: {list(input_shape)}."
            ) from None

    def forward(self, x: Sequence[Array], *, training: bool = False) -> tuple[Array, Any]:
        parts = aligned(x)
        return self.merged(parts), (x, parts)

    def backward(self, dy: Array, saved: Any) -> list[Array]:
        x, parts = saved
        gradients = self.gradients(dy, parts)
        return [
            summed_to(part.shape, dx).reshape(*one.shape)
            for one, part, dx in zip(x, parts, gradients, strict=True)
        ]

    def merged(self, parts: Sequence[Array]) -> Array:
        """Join inputs that have the same number of axes."""
        raise NotImplementedError

    def gradients(self, dy: Array, parts: Sequence[Array]) -> Sequence[Array]:
        """Return what each input would get if none of its numbers were repeated."""
        raise NotImplementedError

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Let a time step count that counts in any input, if all of them have a mask."""
        if mask is None or any(one is None for one in mask):
            return None
        either = mask[0]
        for one in mask[1:]:
            either = either | one
        return either


def aligned(x: Sequence[Array]) -> list[Array]:
    """Give all arrays the same number of axes: new ones stand behind the batch axis.

    Those of the first one's shape lie in memory as it does.
    """
    axes = max(part.ndim for part in x)
    first, *others = (
        part.reshape(part.shape[0], *(1,) * (axes - part.ndim), *part.shape[1:]) for part in x
    )
    return [first, *(one if one.shape != first.shape else lying_as(one, first) for one in others)]


def summed_to(shape: Sequence[int], gradient: Array) -> Array:
    """Sum a gradient over the axes along which an array of this shape was repeated."""
    repeated = tuple(
        axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] > 1
    )
    return gradient.sum(axis=repeated, keepdims=True) if repeated else gradient


@twin_of("Add")
class Add(Merge):
    """The sum of the inputs: where a skip connection rejoins."""

    derivation = {
        "forward": "y = x₁ + x₂ + …",
        "input gradient": "dxᵢ = dy, the same for every input",
    }

    def merged(self, parts: Sequence[Array]) -> Array:
        y = parts[0]
        for other in parts[1:]:
            y = y + other
        return y

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        return [dy] * len(parts)


@twin_of("Subtract")
class Subtract(Merge):
    """The first input minus the second."""

    derivation = {
        "forward": "y = x₁ − x₂",
        "input gradient": "dx₁ = dy, dx₂ = −dy",
    }

    def merged(self, parts: Sequence[Array]) -> Array:
        minuend, subtrahend = parts
        return minuend - subtrahend

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        return [dy, -dy]


@twin_of("Average")
class Average(Merge):
    """The mean of the n inputs."""

    derivation = {
        "forward": "y = (x₁ + x₂ + …) / n",
        "input gradient": "dxᵢ = dy / n, the same for every input",
    }

    def merged(self, parts: Sequence[Array]) -> Array:
        total = parts[0]
        for other in parts[1:]:
            total = total + other
        return total / float(len(parts))

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        return [dy / float(len(parts))] * len(parts)


@twin_of("Concatenate")
class Concatenate(Layer):
    """The inputs side by side along one axis (the batch axis counts as axis 0)."""

    derivation = {
        "forward": "y = [x₁, x₂, …] along the axis",
        "input gradient": "dxᵢ = the slice of dy that came from xᵢ",
    }

    def __init__(self, axis: int = -1, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis = axis

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        joined = list(input_shape[0])
        if self.axis % (len(joined) + 1) == 0:
            return input_shape[0]  # the samples themselves, one after the other
        axis = self.axis - 1 if self.axis > 0 else self.axis
        joined[axis] = sum(shape[axis] for shape in input_shape)
        return tuple(joined)

    def forward(self, x: Sequence[Array], *, training: bool = False) -> tuple[Array, list[int]]:
        return np.concatenate(x, axis=self.axis), [part.shape[self.axis] for part in x]

    def backward(self, dy: Array, saved: list[int]) -> list[Array]:
        boundaries = np.cumsum(saved)[:-1]
        return list(np.split(dy, boundaries, axis=self.axis))

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Join the masks along the same axis; an input without one counts everywhere."""
        if mask is None or all(one is None for one in mask):
            return None
        whole = []
        for part, one in zip(x, mask, strict=True):
            everywhere = np.ones(part.shape, bool)
            if one is not None:
                everywhere = everywhere & one.reshape(*one.shape, *(1,) * (part.ndim - one.ndim))
            whole.append(everywhere)
        return np.concatenate(whole, axis=self.axis).sum(axis=-1) > 0
