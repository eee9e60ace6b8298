"""Hinge losses: what is right by a margin costs nothing."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.losses.base import Loss
from manual.losses.probabilities import one_hot
from manual.registry import twin_of


def signed(y: Array) -> Array:
    """Turn labels 0 and 1 into −1 and 1, if the whole batch has no others."""
    return 2.0 * y - 1.0 if np.all((y == 0.0) | (y == 1.0)) else y


@twin_of("Hinge")
@twin_of("hinge")
class Hinge(Loss):
    """On the margin y p = 1 itself the gradient passes, as TensorFlow has it."""

    derivation = {
        "forward": "E = 1/n Σ max(1 − y p, 0), y = ±1, averaged over the batch of B",
        "input gradient": "dp = −y [y p ≤ 1] / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y = signed(y)
        short = 1.0 - y * p
        return self.mean(np.maximum(short, 0.0)), (y, short)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, short = saved
        return dv[..., None] * -y * (short >= 0.0) / y.shape[-1]


@twin_of("SquaredHinge")
@twin_of("squared_hinge")
class SquaredHinge(Loss):
    derivation = {
        "forward": "E = 1/n Σ max(1 − y p, 0)², y = ±1, averaged over the batch of B",
        "input gradient": "dp = −2 y max(1 − y p, 0) / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y = signed(y)
        short = np.maximum(1.0 - y * p, 0.0)
        return self.mean(short * short), (y, short)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, short = saved
        return dv[..., None] * (-2.0 * y * short) / y.shape[-1]


@twin_of("CategoricalHinge")
@twin_of("categorical_hinge")
class CategoricalHinge(Loss):
    """The wanted class against the best of the others (Crammer & Singer 2001).

    Where several others are equally good, the first gets the gradient; TensorFlow shares it.
    """

    derivation = {
        "forward": "E = max(1 + max (1 − y) p − Σ y p, 0), averaged over the batch of B",
        "input gradient": "dp = ((1 − y) [p is the best of the others] − y) / B, "
        "0 where the margin is kept",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        others = (1.0 - y) * p
        short = others.max(axis=-1) - (y * p).sum(axis=-1) + 1.0
        return np.maximum(short, 0.0), (y, others, short)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, others, short = saved
        best = one_hot(others.argmax(axis=-1), others)
        return (dv * (short >= 0.0))[..., None] * ((1.0 - y) * best - y)
