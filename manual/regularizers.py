"""Regularizers: what a weight itself costs, and the derivative of that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import twin_of


class Regularizer:
    """A penalty on a weight, added to the loss as it is: no mean is taken of it."""

    kind: ClassVar[str] = "regularizer"
    derivation: ClassVar[Mapping[str, str]]

    def forward(self, w: Array) -> Array:
        """Return the penalty."""
        raise NotImplementedError

    def backward(self, w: Array) -> Array:
        """Return the penalty's gradient at the weight."""
        raise NotImplementedError


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
