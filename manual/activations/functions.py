"""Functions that activations and losses share, written so that nothing overflows."""

from __future__ import annotations

import math

import numpy as np

from manual import sums
from manual.arrays import Array, in_any_way

ERFC = np.frompyfunc(math.erfc, 1, 1)
"""C's complementary error function, correct to the last place or two: NumPy has none."""


ERF = np.frompyfunc(math.erf, 1, 1)
"""C's error function, likewise."""


def erf(z: Array) -> Array:
    """Return 2/√π ∫ e^(−t²) dt from 0 to z, for an array of one axis at least."""
    e: Array = ERF(z)
    return e if e.dtype == z.dtype else e.astype(z.dtype)


def erfc(z: Array) -> Array:
    """Return 2/√π ∫ e^(−t²) dt from z to ∞, for an array of one axis at least."""
    e: Array = ERFC(z)
    return e if e.dtype == z.dtype else e.astype(z.dtype)


@in_any_way
def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e⁻ᶻ); the exponent stops growing where e⁻ᶻ would overflow."""
    end = math.log(np.finfo(z.dtype).max) - 1.0
    return 1.0 / (1.0 + np.exp(np.minimum(-z, end)))


def softplus(z: Array) -> Array:
    """Return log(1 + eᶻ) = max(z, 0) + log(1 + e^−|z|)."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array, axis: int | tuple[int, ...] = -1) -> Array:
    """Return e^zᵢ / Σⱼ e^zⱼ over an axis, or several."""
    e = np.exp(z - z.max(axis=axis, keepdims=True))
    return e / sums.over(e, axis)


def log_softmax(z: Array, axis: int = -1) -> Array:
    """Return zᵢ − log Σⱼ e^zⱼ over an axis."""
    shifted = z - z.max(axis=axis, keepdims=True)
    return shifted - np.log(sums.over(np.exp(shifted), axis))
