"""The area under a curve that runs through all thresholds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manual.activations import sigmoid
from manual.arrays import Array
from manual.metrics.base import quotient
from manual.metrics.confusion import Counts, divide_evenly
from manual.registry import twin_of

BEYOND = 1e-7
"""How far the outermost thresholds lie outside [0, 1], so that all or nothing is above them."""


@twin_of("AUC")
class AUC(Counts):
    """A Riemann sum under the curve ROC, PR or PRGAIN.

    Keras takes it over thresholds that are given beforehand, and not over the scores that came.

    Of PR, ``"interpolation"`` is that of Davis & Goadrich (2006): true positives, not precision,
    run along a straight line between two thresholds.

    Parameters
    ----------
    num_thresholds : int
    curve : str
        ``"ROC"``, ``"PR"`` (Davis & Goadrich 2006) or ``"PRGAIN"`` (Flach & Kull 2015).
    summation_method : str
        The height of each piece: ``"interpolation"`` (the mean of its ends), ``"minoring"``,
        ``"majoring"``.
    thresholds : sequence of float, optional
        Those between 0 and 1.
    multi_label : bool
        Whether each output has a curve of its own; the result is the mean of their areas.
    num_labels : int, optional
    label_weights : sequence of float, optional
        How much each output counts.
    from_logits : bool
    """

    formula = "Σ (xₖ − xₖ₊₁) · height over the thresholds"
    wanted = ("tp", "fp", "tn", "fn")
    lowest_counts_all = True

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        pieces = num_thresholds - 1
        inner = [i / pieces for i in range(1, pieces)] if thresholds is None else sorted(thresholds)
        super().__init__([-BEYOND, *inner, 1.0 + BEYOND])
        self.even = thresholds is None or divide_evenly([0.0, *inner, 1.0])
        self.curve, self.summation_method = curve.upper(), summation_method.lower()
        self.by_label, self.from_logits = multi_label, from_logits
        self.label_weights = None if label_weights is None else np.asarray(label_weights)

    def sums(
        self,
        y: Array,
        p: Array,
        *,
        logits: bool = False,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> list[Array]:
        p = sigmoid(p) if self.from_logits else p
        return super().sums(y, p, sample_weight=sample_weight)

    def weigh_labels(self, weight: Array) -> Array:
        if self.label_weights is None or self.by_label:
            return weight
        return weight * self.label_weights.astype(weight.dtype)

    def result(self, *sums: Array) -> Array:
        tp, fp, tn, fn = sums
        if (self.curve, self.summation_method) == ("PR", "interpolation"):
            areas = self._interpolated(tp, fp, fn)
        else:
            x, y = self._curve(tp, fp, tn, fn)
            ends = y[:-1], y[1:]
            heights = {
                "interpolation": lambda: (ends[0] + ends[1]) / 2.0,
                "minoring": lambda: np.minimum(*ends),
                "majoring": lambda: np.maximum(*ends),
            }[self.summation_method]()
            areas = (x[:-1] - x[1:]) * heights
        if not self.by_label:
            return areas.sum()
        of_labels = areas.sum(axis=0)
        if self.label_weights is None:
            return of_labels.mean()
        return quotient((of_labels * self.label_weights).sum(), self.label_weights.sum())

    def _curve(self, tp: Array, fp: Array, tn: Array, fn: Array) -> tuple[Array, Array]:
        """Return x and y of the curve at each threshold, from the lowest on."""
        recall = quotient(tp, tp + fn)
        if self.curve == "ROC":
            return quotient(fp, fp + tn), recall
        if self.curve == "PR":
            return recall, quotient(tp, tp + fp)
        odds = quotient(tp + fn, tn + fp)
        none = tp == 0.0
        recall_gain = np.where(none, 0.0, 1.0 - odds * quotient(fn, tp))
        return np.maximum(recall_gain, 0.0), np.where(none, 1.0, 1.0 - odds * quotient(fp, tp))

    @staticmethod
    def _interpolated(tp: Array, fp: Array, fn: Array) -> Array:
        """Return ∫ precision d(recall) of each piece, tp being a + b·(tp + fp) along it."""
        called = tp + fp
        before, after = called[:-1], called[1:]
        more = tp[:-1] - tp[1:]
        slope = quotient(more, np.maximum(before - after, 0.0))
        intercept = tp[1:] - slope * after
        both = (before > 0.0) & (after > 0.0)
        ratio = np.where(both, quotient(before, np.maximum(after, 0.0)), 1.0)
        wanted = np.maximum(tp[1:] + fn[1:], 0.0)
        return quotient(slope * (more + intercept * np.log(ratio)), wanted)
