"""Operations that choose between numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Elementwise
from manual.registry import NoTwin, twin_of


@twin_of("Where")
class Where(Elementwise):
    derivation = {
        "forward": "y = x₁ where the condition holds, else x₂",
        "input gradient": "dx₁ = dy where it holds, else 0; dx₂ = dy − dx₁",
    }

    def value(self, condition: Any, x1: Any = None, x2: Any = None) -> Array:
        if x1 is None or x2 is None:
            raise NoTwin("where(condition) alone, a list of places, has no hand-derived twin.")
        if isinstance(x1, (int, float)) and isinstance(x2, (int, float)):
            x1 = np.zeros_like(condition) + x1
        return np.where(condition != 0.0, x1, x2)

    def dx2(self, dy: Array, y: Array, condition: Any, x1: Any, x2: Any) -> Array:
        return np.where(condition != 0.0, dy, 0.0)

    def dx3(self, dy: Array, y: Array, condition: Any, x1: Any, x2: Any) -> Array:
        return np.where(condition != 0.0, 0.0, dy)


@twin_of("Clip")
class Clip(Elementwise):
    """The numbers, cut off at both ends; on an end the gradient passes, as TensorFlow has it."""

    derivation = {
        "forward": "y = min(max(x, lowest), highest)",
        "input gradient": "dx = dy where lowest ≤ x ≤ highest, else 0",
    }

    def __init__(self, x_min: float, x_max: float) -> None:
        super().__init__()
        self.x_min, self.x_max = x_min, x_max

    def value(self, x: Array) -> Array:
        return np.maximum(np.minimum(x, self.x_max), self.x_min)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * ((x >= self.x_min) & (x <= self.x_max))


@twin_of("NanToNum")
class NanToNum(Elementwise):
    """The numbers, with finite ones in the place of those that aren't."""

    derivation = {
        "forward": "y = x where x is finite, else the number given for nan, ∞ or −∞",
        "input gradient": "dx = dy where x is finite, else 0",
    }

    def __init__(
        self, nan: float = 0.0, posinf: float | None = None, neginf: float | None = None
    ) -> None:
        super().__init__()
        self.given = nan, posinf, neginf

    def value(self, x: Array) -> Array:
        nan, above, below = self.given
        largest = np.finfo(x.dtype).max  # an array's scalar: no number to be rounded
        above, below = largest if above is None else above, -largest if below is None else below
        y = np.where(x == np.inf, np.asarray(above), np.where(x == -np.inf, np.asarray(below), x))
        return np.where(y == y, y, nan)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return np.where(np.abs(x) < np.inf, dy, 0.0)
