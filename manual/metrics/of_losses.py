"""Metrics that are a loss's values, averaged over samples; and distances as metrics."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from manual import losses
from manual.activations import ActivationFunction
from manual.arrays import Array
from manual.losses import Loss
from manual.losses.shapes import of_one_rank
from manual.metrics.base import Mean
from manual.registry import twin_of


@twin_of("MeanSquaredError")
class MeanSquaredError(Mean):
    formula = "mean of (p − y)²"

    def values(self, y: Array, p: Array) -> Array:
        y, p = of_one_rank(y, p)
        return ((p - y) ** 2).mean(axis=-1)


@twin_of("MeanAbsoluteError")
class MeanAbsoluteError(Mean):
    formula = "mean of |p − y|"

    def values(self, y: Array, p: Array) -> Array:
        y, p = of_one_rank(y, p)
        return np.abs(p - y).mean(axis=-1)


@twin_of("RootMeanSquaredError")
class RootMeanSquaredError(Mean):
    """The root is taken of the mean over the whole epoch. Masks don't reach it in Keras."""

    formula = "√ of the mean of (p − y)²"
    takes_mask = False

    def values(self, y: Array, p: Array) -> Array:
        y, p = of_one_rank(y, p)
        return (p - y) ** 2

    def result(self, *sums: Array) -> Array:
        return np.sqrt(super().result(*sums))


class OfLoss(Mean):
    """The mean of a loss's values, one for each sample.

    Parameters
    ----------
    loss : Loss, optional
    """

    formula = "mean of the values of a loss"
    loss_class: ClassVar[type[Loss]] = Loss
    aligns: ClassVar[bool] = True
    """Whether a last axis of length 1 may be left out of y or p."""

    def __init__(self, loss: Loss | None = None) -> None:
        self.loss = self.loss_class() if loss is None else loss

    def reads_logits_of(self, activation: ActivationFunction) -> bool:
        return self.loss.reads_logits_of(activation)

    def own_mask(self, y: Array) -> Array | None:
        return self.loss.own_mask(y)

    def values(self, y: Array, p: Array) -> Array:
        return self._values(y, p, logits=False)

    def _values(self, y: Array, p: Array, logits: bool) -> Array:
        if self.aligns and not self.loss.takes_classes:
            y, p = of_one_rank(y, p)
        y, p = self.loss.along_last(y), self.loss.along_last(p)
        values, _ = self.loss.values(y, p, logits or bool(self.loss.from_logits))
        own = self.loss.own_mask(y)
        return values if own is None else np.where(own, values, 0.0)


class OfReducedLoss(OfLoss):
    """The mean over the batches of what a loss, reduced, is in each."""

    formula = "mean of the batches' losses"
    takes_mask = True

    def _values(self, y: Array, p: Array, logits: bool) -> Array:
        return self.loss.forward(y, p, logits=logits)[0]

    def own_mask(self, y: Array) -> Array | None:
        return None


@twin_of("MeanAbsolutePercentageError")
class MeanAbsolutePercentageError(OfLoss):
    formula = "mean of 100 |p − y| / max(|y|, ε)"
    loss_class = losses.MeanAbsolutePercentageError


@twin_of("MeanSquaredLogarithmicError")
class MeanSquaredLogarithmicError(OfLoss):
    formula = "mean of (log(1 + p) − log(1 + y))²"
    loss_class = losses.MeanSquaredLogarithmicError


@twin_of("LogCoshError")
class LogCoshError(OfLoss):
    formula = "mean of log cosh (p − y)"
    loss_class = losses.LogCosh


@twin_of("CosineSimilarity")
class CosineSimilarity(OfLoss):
    """The cosine itself, where the loss is its opposite."""

    formula = "mean of Σ ŷ p̂"

    def __init__(self, axis: int = -1) -> None:
        super().__init__(losses.CosineSimilarity(axis=axis))

    def _values(self, y: Array, p: Array, logits: bool) -> Array:
        return -super()._values(y, p, logits)


@twin_of("Poisson")
class Poisson(OfLoss):
    formula = "mean of p − y log(p + ε)"
    loss_class = losses.Poisson
    aligns = False


@twin_of("KLDivergence")
class KLDivergence(OfLoss):
    formula = "mean of Σ y log(y/p)"
    loss_class = losses.KLDivergence
    aligns = False


@twin_of("Hinge")
class Hinge(OfLoss):
    formula = "mean of max(1 − y p, 0), y = ±1"
    loss_class = losses.Hinge
    aligns = False


@twin_of("SquaredHinge")
class SquaredHinge(OfLoss):
    formula = "mean of max(1 − y p, 0)², y = ±1"
    loss_class = losses.SquaredHinge
    aligns = False


@twin_of("CategoricalHinge")
class CategoricalHinge(OfLoss):
    formula = "mean of max(1 + max (1 − y) p − Σ y p, 0)"
    loss_class = losses.CategoricalHinge
    aligns = False


@twin_of("BinaryCrossentropy")
class BinaryCrossentropy(OfLoss):
    formula = "mean of −(y log p + (1 − y) log(1 − p))"
    aligns = False

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
    ) -> None:
        super().__init__(losses.BinaryCrossentropy(from_logits, label_smoothing, axis))


@twin_of("CategoricalCrossentropy")
class CategoricalCrossentropy(OfLoss):
    formula = "mean of −Σ y log p"
    aligns = False

    def __init__(
        self, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
    ) -> None:
        super().__init__(losses.CategoricalCrossentropy(from_logits, label_smoothing, axis))


@twin_of("SparseCategoricalCrossentropy")
class SparseCategoricalCrossentropy(OfLoss):
    formula = "mean of −log p[y]"

    def __init__(
        self, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
    ) -> None:
        super().__init__(losses.SparseCategoricalCrossentropy(from_logits, ignore_class, axis))
