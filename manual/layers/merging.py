"""Layers that join several inputs into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.registry import twin_of


@twin_of("Add")
class Add(Layer):
    """The sum of inputs of one shape: where a skip connection rejoins."""

    derivation = {
        "forward": "y = x₁ + x₂ + …",
        "input gradient": "dxᵢ = dy, the same for every input",
    }

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        if len(set(input_shape)) > 1:
            raise ValueError(
                f"Layer {self.name!r} adds inputs of one shape. Received: {list(input_shape)}."
            )
        return input_shape[0]

    def forward(self, x: Sequence[Array], *, training: bool = False) -> tuple[Array, int]:
        y = x[0]
        for other in x[1:]:
            y = y + other
        return y, len(x)

    def backward(self, dy: Array, saved: int) -> list[Array]:
        return [dy] * saved


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
        axis = self.axis - 1 if self.axis > 0 else self.axis
        joined = list(input_shape[0])
        joined[axis] = sum(shape[axis] for shape in input_shape)
        return tuple(joined)

    def forward(self, x: Sequence[Array], *, training: bool = False) -> tuple[Array, list[int]]:
        return np.concatenate(x, axis=self.axis), [part.shape[self.axis] for part in x]

    def backward(self, dy: Array, saved: list[int]) -> list[Array]:
        boundaries = np.cumsum(saved)[:-1]
        return list(np.split(dy, boundaries, axis=self.axis))
