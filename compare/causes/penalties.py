"""What a weight itself costs, once more: a wrong penalty must not be explained with itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.base import Place
from manual.regularizers import L1L2


def cost(w: Any, l1: float, l2: float) -> Any:
    """R = λ₁ Σ |w| + λ₂ Σ w²."""
    return np.abs(w).sum() * l1 + (w * w).sum() * l2


def penalty_of(place: Place) -> Any:
    """Return what all weights cost together; None where none does, or it isn't known."""
    weights = place.inputs.get("regularized")
    if not weights or not all(isinstance(penalty, L1L2) for _, penalty in weights):
        return None
    costs = [cost(w, penalty.l1, penalty.l2) for w, penalty in weights]
    return sum(costs[1:], costs[0])
