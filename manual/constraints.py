"""Constraints: what is done to a weight after its update."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import twin_of

Axes = int | Sequence[int] | None
"""Along which a norm is taken; None for the norm of the whole weight."""


class Constraint:
    """A projection that is applied to a weight after every update."""

    kind: ClassVar[str] = "constraint"
    derivation: ClassVar[Mapping[str, str]]

    def apply(self, w: Array) -> None:
        """Project the weight in place."""
        raise NotImplementedError


@twin_of("KerasLockstep>Constant")
class Constant(Constraint):
    """Holds every element of a weight at one number: a frozen bias."""

    derivation = {"weight": "w⁺ = c"}

    def __init__(self, value: float) -> None:
        self.value = value

    def apply(self, w: Array) -> None:
        w[...] = self.value


@twin_of("NonNeg")
class NonNeg(Constraint):
    derivation = {"weight": "w⁺ = max(w, 0)"}

    def apply(self, w: Array) -> None:
        np.maximum(w, 0.0, out=w)


@twin_of("MinMaxNorm")
class MinMaxNorm(Constraint):
    """Brings the norms along an axis between two bounds, or only part of the way (``rate``).

    Keras divides by the norm plus 1e-7, so that a norm comes out a little short.
    """

    derivation = {"weight": "w⁺ = w (ρ min(max(|w|, a), b) + (1 − ρ) |w|) / (|w| + 1e-7)"}

    def __init__(
        self,
        min_value: float = 0.0,
        max_value: float = 1.0,
        rate: float = 1.0,
        axis: Axes = 0,
    ) -> None:
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        self.axis = as_written(axis)

    def apply(self, w: Array) -> None:
        size = norms(w, self.axis)
        wanted = np.minimum(np.maximum(size, self.min_value), self.max_value)
        if self.rate != 1.0:
            wanted = self.rate * wanted + (1.0 - self.rate) * size
        w[...] = w * (wanted / (size + EPSILON))


@twin_of("MaxNorm")
class MaxNorm(MinMaxNorm):
    """Brings the norms along an axis down to a bound (Srivastava et al. 2014)."""

    derivation = {"weight": "w⁺ = w min(|w|, c) / (|w| + 1e-7)"}

    def __init__(self, max_value: float = 2.0, axis: Axes = 0) -> None:
        super().__init__(0.0, max_value, axis=axis)


@twin_of("UnitNorm")
class UnitNorm(Constraint):
    """Makes the norms along an axis 1."""

    derivation = {"weight": "w⁺ = w / (|w| + 1e-7)"}

    def __init__(self, axis: Axes = 0) -> None:
        self.axis = as_written(axis)

    def apply(self, w: Array) -> None:
        w[...] = w / (norms(w, self.axis) + EPSILON)


EPSILON = 1e-7
"""Keras's ``backend.epsilon()``."""


def as_written(axis: Axes) -> int | tuple[int, ...] | None:
    """Return axes as NumPy takes them: Keras's configuration has lists."""
    return axis if axis is None or isinstance(axis, int) else tuple(axis)


def norms(w: Array, axis: int | tuple[int, ...] | None) -> Array:
    """Return the Euclidean norms along axes, which stay with length 1."""
    return np.sqrt((w * w).sum(axis=axis, keepdims=True))
