"""The metrics that ``fit`` prints beside the loss: a number per sample, averaged over an epoch."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import twin_of


class Metric:
    """A mean over samples.

    Parameters
    ----------
    threshold : float
        Where a probability turns into a yes (only for the binary accuracy).
    """

    kind: ClassVar[str] = "metric"
    formula: ClassVar[str]

    def values(self, y: Array, p: Array) -> Array:
        """Return one value per sample; y has the rank of p, or one less for class numbers."""
        raise NotImplementedError


@twin_of("BinaryAccuracy")
class BinaryAccuracy(Metric):
    formula = "mean of [y = [p > threshold]]"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def values(self, y: Array, p: Array) -> Array:
        return ((1.0 * (p > self.threshold)) == y).mean(axis=-1)


@twin_of("CategoricalAccuracy")
class CategoricalAccuracy(Metric):
    formula = "mean of [argmax y = argmax p]"

    def values(self, y: Array, p: Array) -> Array:
        return 1.0 * (y.argmax(axis=-1) == p.argmax(axis=-1))


@twin_of("SparseCategoricalAccuracy")
class SparseCategoricalAccuracy(Metric):
    formula = "mean of [y = argmax p]"

    def values(self, y: Array, p: Array) -> Array:
        return 1.0 * (y.reshape(p.shape[:-1]) == p.argmax(axis=-1))


@twin_of("MeanSquaredError")
class MeanSquaredError(Metric):
    formula = "mean of (p − y)²"

    def values(self, y: Array, p: Array) -> Array:
        return ((p - y) ** 2).mean(axis=-1)


@twin_of("MeanAbsoluteError")
class MeanAbsoluteError(Metric):
    formula = "mean of |p − y|"

    def values(self, y: Array, p: Array) -> Array:
        return np.abs(p - y).mean(axis=-1)
