"""Running sums and products, and differences of neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Operation
from manual.registry import twin_of


class Running(Operation):
    """What has come of the numbers so far along an axis; without one, of all in one row."""

    def __init__(self, axis: int | None = None, dtype: Any = None) -> None:
        super().__init__()
        self.axis = axis

    def rows(self, x: Array) -> Array:
        """Put the axis last."""
        return x.reshape(-1) if self.axis is None else np.moveaxis(x, self.axis, -1)

    def as_given(self, rows: Array, shape: Any = None) -> Array:
        """Put the axis back; where all were one row, give it the shape, if there is one."""
        if self.axis is None:
            return rows if shape is None else rows.reshape(*shape)
        return np.moveaxis(rows, -1, self.axis)


def summed_so_far(rows: Array) -> Array:
    """Return the running sums along the last axis, as a product with a triangle of ones."""
    n = rows.shape[-1]
    flat = rows.reshape(-1, n) @ np.triu(np.ones((n, n))).astype(rows.dtype)
    return flat.reshape(*rows.shape)


@twin_of("Cumsum")
class Cumsum(Running):
    derivation = {"forward": "yₜ = x₁ + … + xₜ", "input gradient": "dxₜ = dyₜ + … + dyₙ"}

    def compute(self, x: Array) -> tuple[Array, Any]:
        return self.as_given(summed_so_far(self.rows(x))), x.shape

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        rows = self.rows(dy)[..., ::-1]
        return (self.as_given(summed_so_far(rows)[..., ::-1], saved),)


@twin_of("Cumprod")
class Cumprod(Running):
    """The running product; as in TensorFlow, no gradient comes to a number that is 0."""

    derivation = {
        "forward": "yₜ = x₁ ⋯ xₜ",
        "input gradient": "dxₜ = (dyₜ yₜ + … + dyₙ yₙ) / xₜ, 0 where xₜ = 0",
    }

    def compute(self, x: Array) -> tuple[Array, Any]:
        rows = self.rows(x)
        parts = [rows[..., 0]]
        for place in range(1, rows.shape[-1]):
            parts.append(parts[-1] * rows[..., place])
        y = np.stack(parts, axis=-1)
        return self.as_given(y), (x.shape, rows, y)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        shape, rows, y = saved
        total = summed_so_far((self.rows(dy) * y)[..., ::-1])[..., ::-1]
        dx = np.where(rows == 0.0, 0.0, total / np.where(rows == 0.0, 1.0, rows))
        return (self.as_given(dx, shape),)


@twin_of("Diff")
class Diff(Operation):
    """The differences of neighbours along an axis, n times over."""

    derivation = {
        "forward": "yₜ = xₜ₊₁ − xₜ",
        "input gradient": "dxₜ = dyₜ₋₁ − dyₜ",
    }

    def __init__(self, n: int = 1, axis: int = -1) -> None:
        super().__init__()
        self.n, self.axis = n, axis

    def compute(self, a: Array) -> tuple[Array, None]:
        rows = np.moveaxis(a, self.axis, -1)
        for _ in range(self.n):
            rows = rows[..., 1:] - rows[..., :-1]
        return np.moveaxis(rows, -1, self.axis), None

    def gradients(self, dy: Array, saved: None) -> tuple[Array]:
        rows = np.moveaxis(dy, self.axis, -1)
        edge = [(0, 0)] * (rows.ndim - 1)
        for _ in range(self.n):
            rows = np.pad(rows, [*edge, (1, 0)]) - np.pad(rows, [*edge, (0, 1)])
        return (np.moveaxis(rows, -1, self.axis),)
