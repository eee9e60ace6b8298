"""Layers that join several inputs into one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

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

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Count a step that counts in any input, if all have a mask."""
        return None if any(one is None for one in mask) else _any(mask)

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

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Join the masks as their inputs are joined: an input without one counts at every step.

        Joined along the features, a step counts if it does in any input.
        """
        if all(one is None for one in mask):
            return None
        masks = [
            np.ones(part.shape[:2], bool) if one is None else one
            for part, one in zip(x, mask, strict=True)
        ]
        along_features = self.axis in (-1, x[0].ndim - 1)
        return _any(masks) if along_features else np.concatenate(masks, axis=self.axis % x[0].ndim)

    def forward(self, x: Sequence[Array], *, training: bool = False) -> tuple[Array, list[int]]:
        return np.concatenate(x, axis=self.axis), [part.shape[self.axis] for part in x]

    def backward(self, dy: Array, saved: list[int]) -> list[Array]:
        boundaries = np.cumsum(saved)[:-1]
        return list(np.split(dy, boundaries, axis=self.axis))


def _any(masks: Sequence[Array]) -> Array:
    """Say where any of the masks is True."""
    return reduce(np.logical_or, masks)
