"""Losses of the overlap of two (fuzzy) sets, as in image segmentation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.losses.base import Loss
from manual.losses.probabilities import EPSILON
from manual.registry import twin_of

Axes = int | Sequence[int] | None


class _Overlap(Loss):
    """A quotient of sums over some axes; over all of them, batch and all, where none is given."""

    def __init__(self, axis: Axes = None, reduction: str | None = "sum_over_batch_size") -> None:
        super().__init__(reduction)
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)

    def _sum(self, array: Array) -> Array:
        """Add up, and keep the axes."""
        axes = tuple(range(array.ndim)) if self.axis is None else self.axis
        return array.sum(axis=axes, keepdims=True)

    def _without_axes(self, array: Array) -> Array:
        axes = range(array.ndim) if self.axis is None else np.atleast_1d(self.axis) % array.ndim
        return array.reshape([n for axis, n in enumerate(array.shape) if axis not in axes])


@twin_of("Dice")
@twin_of("dice")
class Dice(_Overlap):
    """One less Dice's coefficient (1945), twice the overlap over both sizes."""

    derivation = {
        "forward": "E = 1 − 2 I/S, with I = Σ y p, S = Σ y + Σ p + ε",
        "input gradient": "dp = (2 I/S − 2 y) / S",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        overlap, sizes = self._sum(y * p), self._sum(y) + self._sum(p) + EPSILON
        dice = 2.0 * overlap / sizes
        return self._without_axes(1.0 - dice), (y, dice, sizes)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, dice, sizes = saved
        return dv.reshape(sizes.shape) * (dice - 2.0 * y) / sizes


@twin_of("Tversky")
@twin_of("tversky")
class Tversky(_Overlap):
    """Dice with a price of its own for what is missed and for what is too much (Tversky 1977).

    Keras calls α's term the false positives; it is what the target has and the prediction lacks.
    """

    derivation = {
        "forward": "E = 1 − I/S, with I = Σ y p, S = I + α Σ y (1 − p) + β Σ p (1 − y) + ε",
        "input gradient": "dp = (I/S (y − α y + β (1 − y)) − y) / S",
    }

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        axis: Axes = None,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(axis, reduction)
        self.alpha, self.beta = alpha, beta

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        overlap = self._sum(y * p)
        missed, too_much = self._sum((1.0 - p) * y), self._sum(p * (1.0 - y))
        sizes = overlap + missed * self.alpha + too_much * self.beta + EPSILON
        index = overlap / sizes
        return self._without_axes(1.0 - index), (y, index, sizes)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, index, sizes = saved
        dsizes = y - self.alpha * y + self.beta * (1.0 - y)
        return dv.reshape(sizes.shape) * (index * dsizes - y) / sizes
