"""Operations through which no gradient passes: roundings, places, fixed numbers."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.answers import as_numbers
from manual.operations.base import Constant, Elementwise
from manual.registry import NoTwin, twin_of


class Rounding(Elementwise):
    """A whole number near each number: a staircase, whose slope is 0."""


@twin_of("Floor")
class Floor(Rounding):
    derivation = {"forward": "y = ⌊x⌋", "input gradient": "none"}

    def value(self, x: Array) -> Array:
        return np.floor(x)


@twin_of("Ceil")
class Ceil(Rounding):
    derivation = {"forward": "y = ⌈x⌉", "input gradient": "none"}

    def value(self, x: Array) -> Array:
        return -np.floor(-x)


@twin_of("Trunc")
class Trunc(Rounding):
    derivation = {"forward": "y = sign x · ⌊|x|⌋", "input gradient": "none"}

    def value(self, x: Array) -> Array:
        return np.where(x < 0.0, -np.floor(-x), np.floor(x))


@twin_of("Round")
class Round(Rounding):
    """The nearest number with so many decimals; halfway between two, the even one."""

    derivation = {"forward": "y = round(x · 10ᵈ) / 10ᵈ", "input gradient": "none"}

    def __init__(self, decimals: int = 0) -> None:
        super().__init__()
        self.factor = 10.0**decimals

    def value(self, x: Array) -> Array:
        return np.rint(x) if self.factor == 1.0 else np.rint(x * self.factor) / self.factor


@twin_of("FloorDivide")
class FloorDivide(Elementwise):
    derivation = {"forward": "y = ⌊x₁ / x₂⌋", "input gradient": "none"}

    def value(self, a: Any, b: Any) -> Array:
        return np.floor_divide(a, b)


@twin_of("Sign")
class Sign(Elementwise):
    derivation = {"forward": "y = 1, 0 or −1, as x is above, at or below 0", "input gradient": "0"}

    def value(self, x: Array) -> Array:
        return np.sign(x)


@twin_of("Heaviside")
class Heaviside(Elementwise):
    derivation = {
        "forward": "y = 0 where x₁ < 0, 1 where x₁ > 0, else x₂",
        "input gradient": "dx₂ = dy where x₁ = 0, else 0; none for x₁",
    }

    def value(self, a: Any, b: Any) -> Array:
        return np.where(a < 0.0, 0.0 * a, np.where(a > 0.0, 0.0 * a + 1.0, b))

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return np.where(a == 0.0, dy, 0.0)


@twin_of("ZerosLike")
class ZerosLike(Constant):
    derivation = {"forward": "y = 0 for each number", "input gradient": "none"}

    def __init__(self, dtype: Any = None) -> None:
        super().__init__()

    def compute(self, x: Array) -> tuple[Array, None]:
        return np.zeros_like(x), None


@twin_of("OnesLike")
class OnesLike(ZerosLike):
    derivation = {"forward": "y = 1 for each number", "input gradient": "none"}

    def compute(self, x: Array) -> tuple[Array, None]:
        return np.ones_like(x), None


@twin_of("FullLike")
class FullLike(Constant):
    derivation = {"forward": "y = the given number for each", "input gradient": "none"}

    def __init__(self, dtype: Any = None) -> None:
        super().__init__()

    def compute(self, x: Array, fill_value: Any) -> tuple[Array, None]:
        return np.zeros_like(x) + fill_value, None


class Place(Constant):
    """Where along an axis a number stands; no axis stands for all numbers in one row."""

    def __init__(self, axis: int | None = None, keepdims: bool = False) -> None:
        super().__init__()
        self.axis, self.keepdims = axis, keepdims

    def sought(self, x: Array) -> Array:
        """Return the numbers, the largest of which is looked for."""
        raise NotImplementedError

    def compute(self, x: Array) -> tuple[Array, None]:
        rows = x.reshape(-1) if self.axis is None else x
        axis = 0 if self.axis is None else self.axis % x.ndim
        found = self.sought(rows).argmax(axis=axis)
        if self.keepdims:
            shape = [1 if self.axis is None or at == axis else n for at, n in enumerate(x.shape)]
            found = found.reshape(*shape)
        return found.astype(x.dtype), None


@twin_of("Argmax")
class Argmax(Place):
    derivation = {"forward": "y = the place of the largest x", "input gradient": "none"}

    def sought(self, x: Array) -> Array:
        return x


@twin_of("Argmin")
class Argmin(Place):
    derivation = {"forward": "y = the place of the smallest x", "input gradient": "none"}

    def sought(self, x: Array) -> Array:
        return -x


@twin_of("OneHot")
class OneHot(Constant):
    """A new axis with a 1 at the place that a class number says; none for a number beyond it."""

    derivation = {"forward": "y[…, c] = [x = c]", "input gradient": "none"}

    def __init__(
        self, num_classes: int, axis: int = -1, dtype: Any = None, sparse: bool = False
    ) -> None:
        super().__init__()
        if sparse:
            raise NoTwin("one_hot(sparse=True) has no hand-derived twin.")
        self.num_classes, self.axis = num_classes, axis

    def compute(self, x: Array) -> tuple[Array, None]:
        axis = self.axis % (x.ndim + 1)
        classes = np.arange(self.num_classes).astype(x.dtype)
        row = np.expand_dims(x, axis)
        like = row + np.zeros((self.num_classes, *(1,) * (x.ndim - axis)), x.dtype)
        classes = classes.reshape(-1, *(1,) * (x.ndim - axis))
        return as_numbers(row == classes, like), None


@twin_of("StopGradient")
class StopGradient(Constant):
    derivation = {"forward": "y = x", "input gradient": "none"}

    def compute(self, variable: Array) -> tuple[Array, None]:
        return variable, None
