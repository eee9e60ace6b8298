"""What the losses of probabilities and of classes share."""

from __future__ import annotations

import numpy as np

from manual.arrays import Array

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 − EPSILON] before a logarithm is taken of them."""


def clipped(p: Array, top: float = 1.0 - EPSILON) -> Array:
    """Keep probabilities away from 0 and 1, where the logarithm has no value."""
    return np.minimum(np.maximum(p, EPSILON), top)


def unclipped(p: Array, top: float = 1.0 - EPSILON) -> Array:
    """Say where `clipped` changed nothing: there, and only there, the gradient passes."""
    return (p >= EPSILON) & (p <= top)


def one_hot(y: Array, like: Array) -> Array:
    """Turn class numbers into rows of zeros with a single one, as wide as ``like``."""
    classes = y.reshape(like.shape[:-1])[..., None]
    return (classes == np.arange(like.shape[-1])) * np.ones((), like.dtype)
