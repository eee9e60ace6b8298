"""Regularizers: what a weight itself costs, and the derivative of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import twin_of


class Regularizer:
    """A penalty on a weight, added to the loss as it is, or on an activity."""

    kind: ClassVar[str] = "regularizer"
    derivation: ClassVar[Mapping[str, str]]

    def forward(self, w: Array) -> Array:
        """Return the penalty."""
        raise NotImplementedError

    def backward(self, w: Array) -> Array:
        """Return the penalty's gradient at the weight."""
        raise NotImplementedError

    def of_activity(self, y: Array) -> Array:
        """Return what an activity costs: of that, a mean is taken over the batch."""
        return self.forward(y) / float(len(y))

    def activity_gradient(self, y: Array, loss_scale: float) -> Array:
        """Return the gradient of that at the activity, of a scaled loss."""
        return self.backward(y) * (loss_scale / len(y))


@twin_of("L1L2")
class L1L2(Regularizer):
    """Lasso and ridge together. Keras on TensorFlow rounds both factors to float32."""

    derivation = {
        "forward": "R = λ₁ Σ |w| + λ₂ Σ w²",
        "gradient": "dw = λ₁ sign(w) + 2 λ₂ w",
    }

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        self.l1, self.l2 = float(np.float32(l1 or 0.0)), float(np.float32(l2 or 0.0))

    def forward(self, w: Array) -> Array:
        return np.abs(w).sum() * self.l1 + (w * w).sum() * self.l2

    def backward(self, w: Array) -> Array:
        return np.sign(w) * self.l1 + w * (2.0 * self.l2)


@twin_of("L1")
class L1(L1L2):
    """Lasso: pulls every weight towards 0 with the same force."""

    derivation = {"forward": "R = λ Σ |w|", "gradient": "dw = λ sign(w)"}

    def __init__(self, l1: float = 0.01) -> None:
        super().__init__(l1=l1)


@twin_of("L2")
class L2(L1L2):
    """Ridge: pulls a weight the more, the larger it is."""

    derivation = {"forward": "R = λ Σ w²", "gradient": "dw = 2 λ w"}

    def __init__(self, l2: float = 0.01) -> None:
        super().__init__(l2=l2)


@twin_of("OrthogonalRegularizer")
class OrthogonalRegularizer(Regularizer):
    """Pulls the rows (or columns) of a matrix towards right angles between each other.

    Keras fails on one of float64, to which it multiplies a number of float32.

    Parameters
    ----------
    factor : float
        Keras rounds it to float32.
    mode : str
        ``"rows"`` or ``"columns"``.
    """

    derivation = {
        "forward": "R = λ / 2 Σ |nᵢ · nⱼ| / p over i ≠ j, with n = w / ‖w‖, p pairs",
        "gradient": "dw = r dn − w r³ Σ dn · w, with dnᵢ = λ / p Σⱼ sign(nᵢ · nⱼ) nⱼ, r = 1 / ‖w‖",
    }
    shortest = 1e-7

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        self.factor = float(np.float32(factor))
        self.mode = mode

    def forward(self, w: Array) -> Array:
        *_, products, pairs = self._compared(w)
        return np.abs(products).sum() * (0.5 * self.factor) / pairs

    def backward(self, w: Array) -> Array:
        rows, r, moves, n, products, pairs = self._compared(w)
        dn = np.sign(products) @ n * self.factor / pairs
        turned = rows * (r * r * r) * (dn * rows).sum(axis=1, keepdims=True)
        drows = dn * r - np.where(moves, turned, 0.0)
        return drows if self.mode == "rows" else drows.T

    def _compared(self, w: Array) -> tuple[Any, ...]:
        """Return what is compared, one over its length, and each product with another one."""
        rows = w if self.mode == "rows" else w.T
        length = np.sqrt(np.square(rows).sum(axis=1, keepdims=True))
        r = 1.0 / np.maximum(length, self.shortest)
        n = rows * r
        others = 1.0 - np.eye(len(w) if self.mode == "rows" else w.shape[1], dtype=w.dtype)
        pairs = len(others) * (len(others) - 1.0) / 2.0
        return rows, r, length > self.shortest, n, (n @ n.T) * others, pairs
