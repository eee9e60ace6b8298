"""What every metric is: a few sums over an epoch's batches, and one result of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from manual.activations import ActivationFunction
from manual.arrays import Array
from manual.losses.shapes import of_one_rank


class Metric:
    """A result of sums that grow from batch to batch.

    Attributes
    ----------
    formula : str
    takes_mask : bool
        Whether Keras tells it which steps of a sequence count. Of those that don't ask, it counts
        all.
    read_late : bool
        Whether Keras hands out the variable itself for a result, so that what ``fit`` prints of the
        training is read only after the validation, and is the validation's: a defect of Keras.
    """

    kind: ClassVar[str] = "metric"
    formula: ClassVar[str]
    takes_mask: ClassVar[bool] = False
    read_late: bool = False

    def reads_logits_of(self, activation: ActivationFunction) -> bool:
        """Say whether Keras takes the logits behind this activation, where it is the output's."""
        return False

    def sums(
        self,
        y: Array,
        p: Array,
        *,
        logits: bool = False,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> Sequence[Array]:
        """Return what one batch adds to each of the sums.

        Parameters
        ----------
        y, p : arrays
            What was wanted, and what the network put out (or the logits behind it: ``logits``).
        sample_weight : array, optional
        mask : array of bool, optional
        """
        raise NotImplementedError

    def result(self, *sums: Array) -> Array:
        """Return the metric, given the sums over all batches so far."""
        raise NotImplementedError


class Mean(Metric):
    """A mean over samples, or over their weights.

    Where a sample has several values, as in a sequence, their mean counts.
    """

    takes_mask = True

    def values(self, y: Array, p: Array) -> Array:
        """Return one value per sample; y has the rank of p, or one less for class numbers."""
        raise NotImplementedError

    def own_mask(self, y: Array) -> Array | None:
        """Return which values the metric itself lets count, if some are weighed; None if all."""
        return None

    def sums(
        self,
        y: Array,
        p: Array,
        *,
        logits: bool = False,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, Array]:
        """Return the sum of the weighted values, and that of the weights."""
        values = self._values(y, p, logits)
        weight = masked(sample_weight, mask, values)
        if weight is None:
            of_samples = over_all_but_first(values)
            return of_samples.sum(), float(len(of_samples) if of_samples.ndim else 1)
        weight = masked(weight, self.own_mask(y), values)
        values, weight = of_one_rank(values, weight)
        if values.ndim > weight.ndim:
            values = values.mean(axis=tuple(range(weight.ndim, values.ndim)))
        weight = weight * np.ones(values.shape, values.dtype)
        return over_all_but_first(values * weight).sum(), over_all_but_first(weight).sum()

    def _values(self, y: Array, p: Array, logits: bool) -> Array:
        return self.values(y, p)

    def result(self, *sums: Array) -> Array:
        total, count = sums
        return quotient(total, count)


def masked(weight: Array | None, mask: Array | None, values: Array) -> Array | None:
    """Return a weight that is 0 where the mask says so; without any weight, the mask as one."""
    if mask is None:
        return weight
    counted = mask * np.ones((), values.dtype)
    if weight is None:
        return counted
    counted, weight = of_one_rank(counted, weight)
    return weight * counted


def over_all_but_first(values: Array) -> Array:
    """Return the mean over all axes but that of the samples."""
    return values.mean(axis=tuple(range(1, values.ndim))) if values.ndim > 1 else values


def quotient(a: Array, b: Array) -> Array:
    """Return a/b, and 0 where nothing was counted."""
    nothing = b == 0.0
    return np.where(nothing, 0.0, a / np.where(nothing, 1.0, b))
