"""Questions about numbers, the answer to which is a yes or no.

A yes is the number 1 and a no is 0, so that all numbers of a network are of one kind. No gradient
passes through an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Constant, Elementwise
from manual.registry import twin_of

Axis = int | Sequence[int] | None


def as_numbers(yes: Any, like: Array) -> Array:
    """Return 1 for yes and 0 for no, in the precision of an array."""
    return np.where(yes, np.ones_like(like), np.zeros_like(like))


class Answer(Elementwise):
    """A yes or no for each number, or pair of numbers."""

    numbers_are_float32 = True

    def says(self, *x: Any) -> Any:
        """Return the answers."""
        raise NotImplementedError

    def value(self, *x: Any) -> Array:
        like = next(one for one in x if not isinstance(one, (int, float)))
        return as_numbers(self.says(*x), like)


@twin_of("Equal")
class Equal(Answer):
    derivation = {"forward": "y = [x₁ = x₂]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return a == b


@twin_of("NotEqual")
class NotEqual(Answer):
    derivation = {"forward": "y = [x₁ ≠ x₂]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return a != b


@twin_of("Greater")
class Greater(Answer):
    derivation = {"forward": "y = [x₁ > x₂]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return a > b


@twin_of("GreaterEqual")
class GreaterEqual(Answer):
    derivation = {"forward": "y = [x₁ ≥ x₂]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return a >= b


@twin_of("Less")
class Less(Answer):
    derivation = {"forward": "y = [x₁ < x₂]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return a < b


@twin_of("LessEqual")
class LessEqual(Answer):
    derivation = {"forward": "y = [x₁ ≤ x₂]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return a <= b


@twin_of("LogicalNot")
class LogicalNot(Answer):
    derivation = {"forward": "y = [x = 0]", "input gradient": "none"}

    def says(self, a: Any) -> Any:
        return a == 0.0


@twin_of("LogicalAnd")
class LogicalAnd(Answer):
    derivation = {"forward": "y = [x₁ ≠ 0 and x₂ ≠ 0]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return (a != 0.0) & (b != 0.0)


@twin_of("LogicalOr")
class LogicalOr(Answer):
    derivation = {"forward": "y = [x₁ ≠ 0 or x₂ ≠ 0]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return np.logical_not((a == 0.0) & (b == 0.0))


@twin_of("LogicalXor")
class LogicalXor(Answer):
    derivation = {"forward": "y = [one of x₁ and x₂ is 0, and not both]", "input gradient": "none"}

    def says(self, a: Any, b: Any) -> Any:
        return (a != 0.0) != (b != 0.0)


@twin_of("Isclose")
class Isclose(Answer):
    derivation = {"forward": "y = [|x₁ − x₂| ≤ atol + rtol |x₂|]", "input gradient": "none"}

    def says(self, a: Any, b: Any, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
        return abs(a - b) <= atol + rtol * abs(b)


@twin_of("Isnan")
class Isnan(Answer):
    derivation = {"forward": "y = [x is not a number]", "input gradient": "none"}

    def says(self, a: Any) -> Any:
        return np.logical_not(np.abs(a) >= 0.0)


@twin_of("Isinf")
class Isinf(Answer):
    derivation = {"forward": "y = [x = ∞ or x = −∞]", "input gradient": "none"}

    def says(self, a: Any) -> Any:
        return np.abs(a) == np.inf


@twin_of("Isfinite")
class Isfinite(Answer):
    derivation = {"forward": "y = [x is finite]", "input gradient": "none"}

    def says(self, a: Any) -> Any:
        return np.abs(a) < np.inf


class Count(Constant):
    """What is said of all numbers along some axes together."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__()
        self.axis = tuple(axis) if isinstance(axis, (list, tuple)) else axis
        self.keepdims = keepdims

    def counted(self, x: Array) -> Array:
        """Count the numbers that aren't 0."""
        return as_numbers(x != 0.0, x).sum(axis=self.axis, keepdims=self.keepdims)

    def compute(self, x: Array) -> tuple[Array, None]:
        return self.counted(x), None


@twin_of("CountNonzero")
class CountNonzero(Count):
    derivation = {"forward": "y = how many x are not 0", "input gradient": "none"}


@twin_of("Any")
class Any_(Count):  # noqa: N801 (Any is the type)
    derivation = {"forward": "y = [some x ≠ 0]", "input gradient": "none"}

    def compute(self, x: Array) -> tuple[Array, None]:
        counted = self.counted(x)
        return as_numbers(counted > 0.5, counted), None


@twin_of("All")
class All(Count):
    derivation = {"forward": "y = [every x ≠ 0]", "input gradient": "none"}

    def compute(self, x: Array) -> tuple[Array, None]:
        zeros = as_numbers(x == 0.0, x).sum(axis=self.axis, keepdims=self.keepdims)
        return as_numbers(zeros < 0.5, zeros), None
