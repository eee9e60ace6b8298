"""Constraints: what is done to a weight after its update."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import twin_of


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
