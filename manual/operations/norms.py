"""Lengths of vectors, and weighted means."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Operation
from manual.operations.reductions import Axis, Reduction, axes_of, shared
from manual.registry import NoTwin, twin_of


@twin_of("Norm")
class Norm(Reduction):
    """The length of vectors (or the size of matrices): by default √Σ x².

    Parameters
    ----------
    ord : int, float or str, optional
        p, for ``(Σ |x|ᵖ)^(1/p)``; infinity for the largest ``|x|``, minus infinity for the
        smallest, 0 for the number of those that aren't 0.
    """

    derivation = {
        "forward": "y = (Σ |x|ᵖ)^(1/p), for p = 2: √Σ x²",
        "input gradient": "dx = dy (|x| / y)^(p − 1) sign x, for p = 2: dy x / y",
    }

    def __init__(self, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__(axis, keepdims)
        several = axis is not None and not isinstance(axis, int) and len(axis) > 1
        self.p = 2.0 if ord in (None, "fro") else ord
        if isinstance(self.p, str) or (several and ord not in (None, "fro")):
            raise NoTwin(f"norm(ord={ord!r}) of matrices has no hand-derived twin.")
        self.p, self.of_vectors = float(self.p), ord not in (None, "fro")

    def reduced(self, x: Array, axes: tuple[int, ...]) -> Array:
        if self.of_vectors and len(axes) > 1:
            raise NoTwin(f"operation {self.name!r}: norm(ord=…) of matrices has no twin.")
        size = np.abs(x)
        if self.p == 2.0:
            return np.sqrt((x * x).sum(axis=axes, keepdims=True))
        if self.p == math.inf:
            return size.max(axis=axes, keepdims=True)
        if self.p == -math.inf:
            return -(-size).max(axis=axes, keepdims=True)
        if self.p == 0.0:
            others = np.where(x != 0.0, np.ones_like(x), np.zeros_like(x))
            return others.sum(axis=axes, keepdims=True)
        return np.power(np.power(size, self.p).sum(axis=axes, keepdims=True), 1.0 / self.p)

    def spread(self, dy: Array, y: Array, x: Array, axes: tuple[int, ...]) -> Array:
        if self.p == 2.0:
            half = dy * 0.5 / y * x
            return half + half
        if self.p == 0.0:
            return np.zeros_like(x)
        size = np.abs(x)
        if math.isinf(self.p):
            return shared(dy, y, size, axes) * np.sign(x)
        total = np.power(size, self.p).sum(axis=axes, keepdims=True)
        outer = dy * (1.0 / self.p) * np.power(total, 1.0 / self.p - 1.0)
        return outer * self.p * np.power(size, self.p - 1.0) * np.sign(x)


@twin_of("Average")
class Average(Operation):
    """The mean, weighted if there are weights: one for each number, or for each along the axis."""

    derivation = {
        "forward": "y = Σ w x / Σ w",
        "input gradient": "dx = dy w / Σ w, dw = dy (x − y) / Σ w",
    }

    def __init__(self, axis: Axis = None) -> None:
        super().__init__()
        self.axis = axis

    def compute(self, x: Array, weights: Any = None) -> tuple[Array, Any]:
        axes = axes_of(self.axis, x)
        if weights is None:
            w = np.ones_like(x)
        elif isinstance(weights, (list, tuple)):
            w = np.array(weights, x.dtype)
        else:
            w = weights
        if w.ndim < x.ndim:
            shape = [1] * x.ndim
            shape[axes[0]] = len(w)
            w = w.reshape(*shape)
        total = w.sum(axis=axes, keepdims=True)
        y = (x * w).sum(axis=axes, keepdims=True) / total
        left = [n for axis, n in enumerate(x.shape) if axis not in axes]
        return y.reshape(tuple(left)), (x, w, weights, y, total)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array, Any]:
        x, w, weights, y, total = saved
        dy = dy.reshape(*y.shape) / total
        if weights is None or isinstance(weights, (list, tuple)):
            return dy * w, None
        dw = dy * (x - y)
        along = tuple(
            axis for axis, (n, m) in enumerate(zip(w.shape, dw.shape, strict=True)) if n < m
        )
        dw = dw.sum(axis=along, keepdims=True) if along else dw
        return dy * w, dw.reshape(*weights.shape)
