"""The diagonals of matrices, and what lies on one side of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.selection import NONE, Selection
from manual.registry import twin_of


def below(matrices: np.ndarray, k: int) -> np.ndarray:
    """Say what lies on the k-th diagonal, or below it."""
    rows, columns = matrices.shape[-2:]
    return np.tri(rows, columns, k) > 0


@twin_of("Tril")
class Tril(Selection):
    def __init__(self, k: int = 0) -> None:
        super().__init__()
        self.k = k

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.where(below(places, self.k), places, NONE)


@twin_of("Triu")
class Triu(Tril):
    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.where(below(places, self.k - 1), NONE, places)


@twin_of("Diagonal")
class Diagonal(Selection):
    def __init__(self, offset: int = 0, axis1: int = 0, axis2: int = 1) -> None:
        super().__init__()
        self.line = offset, axis1, axis2

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.diagonal(places, *self.line)


@twin_of("Diag")
class Diag(Selection):
    """The diagonal of a matrix, or the matrix that a vector is the diagonal of."""

    def __init__(self, k: int = 0) -> None:
        super().__init__()
        self.k = k

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.diag(places + 1, self.k) - 1


@twin_of("Diagflat")
class Diagflat(Diag):
    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.diagflat(places + 1, self.k) - 1


@twin_of("Trace")
class Trace(Diagonal):
    """The sum of a diagonal."""

    derivation = {
        "forward": "y = Σ x[i, i + k]",
        "input gradient": "dx[i, i + k] = dy, else 0",
    }

    def compute(self, x: Array, *others: Any) -> tuple[Array, Any]:
        line, saved = super().compute(x)
        return line.sum(axis=-1), (line, saved)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        line, kept = saved
        return super().gradients(dy[..., None] + np.zeros_like(line), kept)
