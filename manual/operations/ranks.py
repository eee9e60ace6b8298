"""Numbers by their rank among others: the k largest, quantiles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Constant, Operation
from manual.operations.reductions import Axis, axes_of
from manual.operations.selection import Selection, put_back
from manual.registry import NoTwin, twin_of


@twin_of("Sort")
class Sort(Selection):
    """The numbers in ascending order along an axis."""

    def __init__(self, axis: int = -1) -> None:
        super().__init__()
        self.axis = axis

    def compute(self, x: Array, *others: Any) -> tuple[Array, Any]:
        return super().compute(x, np.argsort(x, axis=self.axis))

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.take_along_axis(places, others[0], self.axis)


@twin_of("Argsort")
class Argsort(Constant):
    derivation = {
        "forward": "y = the places of the numbers in ascending order",
        "input gradient": "none",
    }

    def __init__(self, axis: int | None = -1) -> None:
        super().__init__()
        self.axis = axis

    def compute(self, x: Array) -> tuple[Array, None]:
        rows = x.reshape(-1) if self.axis is None else x
        order = np.argsort(rows, axis=-1 if self.axis is None else self.axis, kind="stable")
        return np.zeros_like(rows) + order.astype(x.dtype), None


@twin_of("TopK")
class TopK(Operation):
    """The k largest numbers along the last axis, the largest first, and their places."""

    derivation = {
        "forward": "y = x(1), x(2), … x(k) in descending order; p = their places",
        "input gradient": "dx = dy at those places, else 0",
    }

    def __init__(self, k: int, sorted: bool = True) -> None:
        super().__init__()
        self.k = k
        if not sorted:
            raise NoTwin("top_k(sorted=False) has no hand-derived twin: its order is not told.")

    def compute(self, x: Array) -> tuple[list[Array], Any]:
        order = np.argsort(-x, axis=-1, kind="stable")[..., : self.k]
        table = np.take_along_axis(np.arange(x.size).reshape(x.shape), order, -1)
        y = x.reshape(-1)[table]
        return [y, np.zeros_like(y) + order.astype(x.dtype)], (table, x.shape)

    def gradients(self, dy: Sequence[Array | None], saved: Any) -> tuple[Array | None]:
        return (None if dy[0] is None else put_back(dy[0], *saved),)


@twin_of("Quantile")
class Quantile(Operation):
    """The number below which a part q of all lies, between two of them in proportion."""

    derivation = {
        "forward": "y = (1 − f) x(h) + f x(l), l and h around the rank r = q (n − 1), f = h − r",
        "input gradient": "dx(h) = dy (1 − f), dx(l) = dy f, else 0",
    }

    def __init__(self, axis: Axis = None, method: str = "linear", keepdims: bool = False) -> None:
        super().__init__()
        self.axis, self.keepdims = axis, keepdims
        if method != "linear":
            raise NoTwin(f"quantile(method={method!r}) has no hand-derived twin.")

    def compute(self, x: Array, q: Any) -> tuple[Array, Any]:
        axes = axes_of(self.axis, x)
        if np.ndim(q):
            raise NoTwin(f"operation {self.name!r}: several quantiles have no hand-derived twin.")
        places = np.moveaxis(np.arange(x.size).reshape(x.shape), axes, range(-len(axes), 0))
        left = places.shape[: x.ndim - len(axes)]
        places = places.reshape(*left, -1)
        order = np.argsort(x.reshape(-1)[places], axis=-1)
        last = places.shape[-1] - 1
        low = max(math.ceil(self.part(q) * last) - 1, 0)
        high = min(low + 1, last)
        rank = np.ones_like(x.reshape(-1)[0]) * self.part(q) * float(last)
        fraction = float(high) - rank
        tables = [np.take_along_axis(places, order[..., [at]], -1)[..., 0] for at in (high, low)]
        parts = [x.reshape(-1)[table] for table in tables]
        y = parts[0] * (1.0 - fraction) + parts[1] * fraction
        kept = [1 if axis in axes else n for axis, n in enumerate(x.shape)]
        return y.reshape(tuple(kept)) if self.keepdims else y, (tables, fraction, x.shape, left)

    def part(self, q: float) -> float:
        """Return which part of all lies below; Keras rounds it to float32."""
        return float(np.float32(q))

    def gradients(self, dy: Array, saved: Any) -> tuple[Array, None]:
        (high, low), fraction, shape, left = saved
        dy = dy.reshape(tuple(left))
        dx = put_back(dy * (1.0 - fraction), high, shape) + put_back(dy * fraction, low, shape)
        return dx, None


@twin_of("Median")
class Median(Quantile):
    """The number in the middle, or the mean of the two there."""

    def __init__(self, axis: Axis = None, keepdims: bool = False) -> None:
        super().__init__(axis, "linear", keepdims)

    def compute(self, x: Array, q: Any = 0.5) -> tuple[Array, Any]:
        return super().compute(x, 0.5)


@twin_of("Percentile")
class Percentile(Quantile):
    """A quantile, its part in hundredths."""

    def part(self, q: float) -> float:
        return q / 100.0
