"""Counts of the four ways in which a yes can be right or wrong, and quotients of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from manual.arrays import Array
from manual.losses.shapes import of_one_rank
from manual.metrics.base import Metric, quotient
from manual.registry import twin_of

Thresholds = float | Sequence[float] | None
NOT_AMONG_THEM = -1e10
"""What stands in the place of a prediction that isn't among the k largest."""


class Counts(Metric):
    """Counts at one threshold, or at several: yes where p is above it, wanted where y isn't 0.

    Thresholds that divide [0, 1] evenly are counted off on p (n − 1), cut off at 0 and 1.

    Parameters
    ----------
    thresholds : float or sequence of float, optional
    top_k : int, optional
        Only the k largest of a row can be a yes.
    class_id : int, optional
        Only this class is looked at.
    """

    wanted: ClassVar[tuple[str, ...]] = ()
    """The counts to keep, each by whether y and whether p says yes."""
    even: bool
    lowest_counts_all = False
    """Whether the lowest threshold lies below 0, and not at it."""
    by_label = False
    """Whether every output has counts of its own."""

    def __init__(
        self,
        thresholds: Thresholds = None,
        top_k: int | None = None,
        class_id: int | None = None,
    ) -> None:
        if thresholds is None:
            thresholds = 0.5 if top_k is None else 0.5 * NOT_AMONG_THEM  # below all others
        several = isinstance(thresholds, (list, tuple, np.ndarray))
        self.thresholds = [float(one) for one in thresholds] if several else [float(thresholds)]  # type: ignore[union-attr,arg-type]
        self.even = divide_evenly(self.thresholds)
        self.top_k, self.class_id = top_k, class_id

    def sums(
        self,
        y: Array,
        p: Array,
        *,
        logits: bool = False,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> list[Array]:
        p, y = of_one_rank(p, y)
        weight = np.ones((), p.dtype)
        if sample_weight is not None:
            _, weight = of_one_rank(y, sample_weight[..., None], widen=False)
        if self.top_k is not None:
            p = among_largest(p, self.top_k)
        if self.class_id is not None:
            y, p = (one[..., self.class_id : self.class_id + 1] for one in (y, p))
        weight = self.weigh_labels(weight * np.ones(p.shape, p.dtype))
        labels = 1.0 * (y != 0.0)
        if not self.by_label:
            p, labels, weight = (one.reshape(-1) for one in (p, labels, weight))
        above = self._above(p)
        terms = {
            "tp": above * (labels * weight),
            "fp": above * ((1.0 - labels) * weight),
            "fn": (1.0 - above) * (labels * weight),
            "tn": (1.0 - above) * ((1.0 - labels) * weight),
        }
        return [terms[name].sum(axis=1) for name in self.wanted]

    def weigh_labels(self, weight: Array) -> Array:
        """Return the weights, of one shape with p, with a factor for each label."""
        return weight

    def _above(self, p: Array) -> Array:
        """Say for each threshold which predictions lie above it."""
        if not self.even:
            return np.stack([1.0 * (p > threshold) for threshold in self.thresholds])
        pieces = len(self.thresholds) - 1.0
        steps = np.arange(len(self.thresholds)).reshape(-1, *[1] * p.ndim)
        above = 1.0 * (np.minimum(np.maximum(p, 0.0), 1.0) * pieces > steps)
        if self.lowest_counts_all:
            return np.concatenate([np.ones((1, *p.shape), p.dtype), above[1:]])
        return above

    def one(self, of_thresholds: Array) -> Array:
        """Return a number where there is a single threshold."""
        return of_thresholds[0] if len(self.thresholds) == 1 else of_thresholds


def divide_evenly(thresholds: Sequence[float]) -> bool:
    """Say whether thresholds divide [0, 1] into pieces of one length, as Keras judges it."""
    pieces = len(thresholds) - 1
    if pieces < 2:
        return False
    evenly = np.arange(pieces + 1, dtype=np.float32) / pieces
    return bool(np.allclose(thresholds, evenly, rtol=1e-5, atol=1e-7))


def among_largest(p: Array, k: int) -> Array:
    """Put a very negative number in the place of all but the k largest of each row."""
    order = np.argsort(-p, axis=-1, kind="stable")
    among = 1.0 * (np.argsort(order, axis=-1) < k)
    return p * among + NOT_AMONG_THEM * (1.0 - among)


class _Count(Counts):
    def __init__(self, thresholds: Thresholds = None) -> None:
        super().__init__(thresholds)
        self.read_late = len(self.thresholds) > 1

    def result(self, *sums: Array) -> Array:
        return self.one(sums[0])


@twin_of("TruePositives")
class TruePositives(_Count):
    formula = "Σ [y] [p > threshold]"
    wanted = ("tp",)


@twin_of("FalsePositives")
class FalsePositives(_Count):
    formula = "Σ [not y] [p > threshold]"
    wanted = ("fp",)


@twin_of("TrueNegatives")
class TrueNegatives(_Count):
    formula = "Σ [not y] [p ≤ threshold]"
    wanted = ("tn",)


@twin_of("FalseNegatives")
class FalseNegatives(_Count):
    formula = "Σ [y] [p ≤ threshold]"
    wanted = ("fn",)


@twin_of("Precision")
class Precision(Counts):
    """How many of what was called a yes is one."""

    formula = "true positives / (true + false positives)"
    wanted = ("tp", "fp")

    def result(self, *sums: Array) -> Array:
        tp, fp = sums
        return self.one(quotient(tp, tp + fp))


@twin_of("Recall")
class Recall(Counts):
    """How many of what is a yes was called one."""

    formula = "true positives / (true positives + false negatives)"
    wanted = ("tp", "fn")

    def result(self, *sums: Array) -> Array:
        tp, fn = sums
        return self.one(quotient(tp, tp + fn))


class _AtConstraint(Counts):
    """The best that one rate can be, over all thresholds at which another is at least a value."""

    wanted = ("tp", "fp", "tn", "fn")

    def __init__(self, value: float, num_thresholds: int = 200, class_id: int | None = None):
        pieces = num_thresholds - 1
        inner = [i / pieces for i in range(1, pieces)]
        super().__init__([0.0, *inner, 1.0] if pieces else 0.5, class_id=class_id)
        self.value, self.even = value, pieces > 0

    def best(self, constrained: Array, other: Array) -> Array:
        return np.where(constrained >= self.value, other, 0.0).max(axis=0)


@twin_of("SensitivityAtSpecificity")
class SensitivityAtSpecificity(_AtConstraint):
    formula = "max tp/(tp + fn) where tn/(tn + fp) ≥ the specificity"

    def __init__(self, specificity: float, num_thresholds: int = 200, class_id: int | None = None):
        super().__init__(specificity, num_thresholds, class_id)

    def result(self, *sums: Array) -> Array:
        tp, fp, tn, fn = sums
        return self.best(quotient(tn, tn + fp), quotient(tp, tp + fn))


@twin_of("SpecificityAtSensitivity")
class SpecificityAtSensitivity(_AtConstraint):
    formula = "max tn/(tn + fp) where tp/(tp + fn) ≥ the sensitivity"

    def __init__(self, sensitivity: float, num_thresholds: int = 200, class_id: int | None = None):
        super().__init__(sensitivity, num_thresholds, class_id)

    def result(self, *sums: Array) -> Array:
        tp, fp, tn, fn = sums
        return self.best(quotient(tp, tp + fn), quotient(tn, tn + fp))


@twin_of("PrecisionAtRecall")
class PrecisionAtRecall(_AtConstraint):
    formula = "max tp/(tp + fp) where tp/(tp + fn) ≥ the recall"

    def __init__(self, recall: float, num_thresholds: int = 200, class_id: int | None = None):
        super().__init__(recall, num_thresholds, class_id)

    def result(self, *sums: Array) -> Array:
        tp, fp, _, fn = sums
        return self.best(quotient(tp, tp + fn), quotient(tp, tp + fp))


@twin_of("RecallAtPrecision")
class RecallAtPrecision(_AtConstraint):
    formula = "max tp/(tp + fn) where tp/(tp + fp) ≥ the precision"

    def __init__(self, precision: float, num_thresholds: int = 200, class_id: int | None = None):
        super().__init__(precision, num_thresholds, class_id)

    def result(self, *sums: Array) -> Array:
        tp, fp, _, fn = sums
        return self.best(quotient(tp, tp + fp), quotient(tp, tp + fn))
