"""Sums, means, extremes and lengths along axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Operation
from manual.registry import NoTwin, twin_of

Axis = int | Sequence[int] | None


def axes_of(axis: Axis, x: Array) -> tuple[int, ...]:
    """Return axes as they are counted from the first; None stands for all."""
    several = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    return tuple(one % x.ndim for one in several)


class Reduction(Operation):
    """One number in place of those along some axes, of all where no axis is given.

    ``reduced(x, axes)`` returns it, with the axes kept at a size of 1, and ``spread(dy, y, x,
    axes)`` the gradient for each number that it was made of.
    """

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__()
        self.axis, self.keepdims = axis, keepdims

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        """Return the number."""
        raise NotImplementedError

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        """Return the gradient for the numbers."""
        raise NotImplementedError

    def compute(self, x: Array) -> tuple[Array, Any]:
        axes = axes_of(self.axis, x)
        y = self.reduced(x, axes)
        left = [n for axis, n in enumerate(x.shape) if axis not in axes]
        return y if self.keepdims else y.reshape(*left) if left else y.reshape(()), (x, y, axes)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        x, y, axes = saved
        return (self.spread(dy.reshape(*y.shape), y, x, axes),)


def count(x: Array, axes: Sequence[int]) -> int:
    """Return how many numbers become one."""
    return math.prod(x.shape[axis] for axis in axes)


def repeated(dy: Array, like: Array) -> Array:
    """Give each number of an array the gradient of what it was made a part of."""
    return dy + np.zeros_like(like)


@twin_of("Sum")
class Sum(Reduction):
    derivation = {"forward": "y = Σ x", "input gradient": "dx = dy"}

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.sum(axis=axes, keepdims=True)

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return repeated(dy, x)


@twin_of("Mean")
class Mean(Reduction):
    derivation = {"forward": "y = Σ x / n", "input gradient": "dx = dy / n"}

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.mean(axis=axes, keepdims=True)

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return repeated(dy / float(count(x, axes)), x)


def variance(x: Array, axes: tuple[int, ...]) -> tuple[Array, Array]:
    """Return the mean squared deviation from the mean, and the deviations."""
    apart = x - x.mean(axis=axes, keepdims=True)
    return (apart * apart).mean(axis=axes, keepdims=True), apart


@twin_of("Var")
class Var(Reduction):
    derivation = {
        "forward": "y = Σ (x − μ)² / n",
        "input gradient": "dx = 2 dy (x − μ) / n; what the mean would pass on adds up to 0",
    }

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return variance(x, axes)[0]

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        n = float(count(x, axes))
        share = dy / n * (2.0 * variance(x, axes)[1])
        return share - share.sum(axis=axes, keepdims=True) / n


@twin_of("Std")
class Std(Var):
    derivation = {
        "forward": "y = √(Σ (x − μ)² / n)",
        "input gradient": "dx = dy (x − μ) / (n y)",
    }

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return np.sqrt(super().reduced(x, axes))

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return super().spread(dy * 0.5 / y, y, x, axes)


def shared(dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
    """Give the gradient to the numbers that are the extremum; equal ones get equal parts."""
    here = np.where(x == y, np.ones_like(x), np.zeros_like(x))
    return here / here.sum(axis=axes, keepdims=True) * dy


class Extremum(Reduction):
    """The largest number, or the smallest; equal ones share its gradient."""

    def __init__(self, axis: Axis = None, keepdims: bool = False, initial: Any = None) -> None:
        super().__init__(axis, keepdims)
        if initial is not None:
            raise NoTwin("max and min with initial=… have no hand-derived twin.")

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        return shared(dy, y, x, axes)


@twin_of("Amax")
@twin_of("Max")
class Max(Extremum):
    derivation = {
        "forward": "y = max x",
        "input gradient": "dx = dy where x = y, shared by equal ones; else 0",
    }

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.max(axis=axes, keepdims=True)


@twin_of("Amin")
@twin_of("Min")
class Min(Extremum):
    derivation = {
        "forward": "y = min x",
        "input gradient": "dx = dy where x = y, shared by equal ones; else 0",
    }

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return -(-x).max(axis=axes, keepdims=True)


@twin_of("Ptp")
class Ptp(Reduction):
    derivation = {
        "forward": "y = max x − min x",
        "input gradient": "dx = dy at the largest, −dy at the smallest, else 0",
    }

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        return x.max(axis=axes, keepdims=True) + (-x).max(axis=axes, keepdims=True)

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        largest = shared(dy, x.max(axis=axes, keepdims=True), x, axes)
        return largest - shared(dy, -(-x).max(axis=axes, keepdims=True), x, axes)


@twin_of("Logsumexp")
class Logsumexp(Reduction):
    derivation = {
        "forward": "y = m + log Σ e^(x − m), m = max x",
        "input gradient": "dx = dy · e^(x − m) / Σ e^(x − m)",
    }

    def _powers(self, x: Array, axes: tuple[int, ...]) -> tuple[Array, Array, Array]:
        largest = x.max(axis=axes, keepdims=True)
        powers = np.exp(x - largest)
        return largest, powers, powers.sum(axis=axes, keepdims=True)

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        largest, _, total = self._powers(x, axes)
        return largest + np.log(total)

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        _, powers, total = self._powers(x, axes)
        return dy * (1.0 / total) * powers


@twin_of("Prod")
class Prod(Reduction):
    """The product; a number's gradient is the product of all others, so that a 0 does no harm."""

    derivation = {
        "forward": "y = Π x",
        "input gradient": "dxᵢ = dy · (x₁ ⋯ xᵢ₋₁) (xᵢ₊₁ ⋯ xₙ)",
    }

    def __init__(self, axis: Axis = None, keepdims: bool = False, dtype: Any = None) -> None:
        super().__init__(axis, keepdims)

    def _rows(self, x: Array, axes: tuple[int, ...]) -> Array:
        moved = np.moveaxis(x, axes, range(len(axes)))
        return moved.reshape(count(x, axes), -1)

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        rows = self._rows(x, axes)
        y = rows[0]
        for row in range(1, len(rows)):
            y = y * rows[row]
        return y.reshape(*(1 if axis in axes else n for axis, n in enumerate(x.shape)))

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        rows = self._rows(x, axes)
        before, after = [np.ones_like(rows[0])], [np.ones_like(rows[0])]
        for row in range(len(rows) - 1):
            before.append(before[-1] * rows[row])
            after.append(after[-1] * rows[len(rows) - 1 - row])
        others = np.stack([one * other for one, other in zip(before, reversed(after), strict=True)])
        moved = [x.shape[axis] for axis in axes]
        moved += [n for axis, n in enumerate(x.shape) if axis not in axes]
        return dy * np.moveaxis(others.reshape(*moved), range(len(axes)), axes)
