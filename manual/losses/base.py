"""What every loss is: one value per sample, a reduction, and the way back through both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from manual import sums
from manual.activations import ActivationFunction
from manual.arrays import Array
from manual.losses.shapes import of_one_rank, summed_to


class Loss:
    """A loss over a batch, with Keras's reductions.

    A loss has one value per sample, ``values``, and a reduction that makes one number of them. The
    derivative goes the same way back: the reduction gives each value its share ``dv``, and
    ``values_gradient`` carries that share on to the prediction.

    Parameters
    ----------
    reduction : str
        ``"sum_over_batch_size"`` or ``"mean"`` (divide by the number of values), ``"sum"``,
        ``"mean_with_sample_weight"`` (divide by the sum of the weights), ``"none"`` (all values, as
        they are; that trains as ``"sum"`` does: the gradient of a vector is that of its sum).
    """

    kind: ClassVar[str] = "loss"
    derivation: ClassVar[Mapping[str, str]]
    takes_classes: ClassVar[bool] = False
    """Whether a target is a class number, and not as wide as the prediction."""
    from_logits: bool | None = None
    """Whether the prediction is logits; None where the loss knows none."""
    along: int = -1
    """The axis that one value is made of. `values` finds it in the last place."""

    def __init__(self, reduction: str | None = "sum_over_batch_size") -> None:
        self.reduction = reduction or "none"

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        """Return one loss per sample and what `values_gradient` needs."""
        raise NotImplementedError

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        """Return the gradient at the prediction, given the one at each sample's value."""
        raise NotImplementedError

    def own_mask(self, y: Array) -> Array | None:
        """Return which values the loss itself lets count; None if all."""
        return None

    def reads_logits_of(self, activation: ActivationFunction) -> bool:
        """Say whether Keras takes the logits behind this activation, where it is the output's."""
        return False

    def forward(
        self,
        y: Array,
        p: Array,
        *,
        logits: bool = False,
        sample_weight: Array | None = None,
        mask: Array | None = None,
    ) -> tuple[Array, Any]:
        """Return the reduced loss and what `backward` needs.

        Parameters
        ----------
        y : array
            What was wanted, of the shape of p; a last axis of length 1 may be left out of either.
        p : array, shape (samples, ..., n)
            What the network put out, or the logits behind it.
        logits : bool
            Whether ``p`` is logits.
        sample_weight : array
            A value is the loss of one row of the last axis: p of shape ``(samples, n)`` has
            ``(samples,)`` values, ``(samples, time, n)`` has ``(samples, time)``. Weights meet the
            values as y meets p. Where the whole batch has a single value, each weight counts it
            once.
        mask : array of bool with one entry per value
            Where it is False, the value doesn't count. Keras takes a mean over the others, whatever
            weights they have.
        """
        given = p.shape
        if not self.takes_classes:
            y, p = of_one_rank(y, p)
        y, p = self.along_last(y), self.along_last(p)
        values, saved = self.values(y, p, logits or bool(self.from_logits))
        share = self._share(y, values, sample_weight, mask)
        spread = weighted = values
        if share is not None:
            spread, share = of_one_rank(values, share)
            weighted = spread * share
        divisor = self._divisor(weighted, share)
        dv = np.ones_like(weighted)
        if share is not None:
            dv = summed_to(dv * share, spread.shape).reshape(values.shape)
        dv = dv / divisor
        kept = saved, dv, given
        if self.reduction == "none":  # a single value is a number, whatever its axes
            return (weighted.reshape(()) if weighted.size == 1 else weighted), kept
        return sums.over_all(weighted) / divisor, kept

    def backward(self, saved: Any) -> Array:
        """Return the gradient of the reduced loss at the prediction."""
        inner, dv, given = saved
        dp = self.values_gradient(dv, inner)
        if self.along != -1:
            dp = np.moveaxis(dp, -1, self.along)
        return dp if dp.shape == given else dp.reshape(given)

    def along_last(self, array: Array) -> Array:
        """Move the axis that one value is made of to the last place."""
        return array if self.along == -1 else np.moveaxis(array, self.along, -1)

    def _share(
        self, y: Array, values: Array, sample_weight: Array | None, mask: Array | None
    ) -> Array | None:
        """Return with which weight each value counts; None if all count alike."""
        own = self.own_mask(y)
        if own is not None:
            mask = own if mask is None else mask & own
        if sample_weight is not None and sample_weight.dtype != values.dtype:
            sample_weight = sample_weight.astype(values.dtype)
        if mask is None:
            return sample_weight
        counted = mask * np.ones((), values.dtype)
        if self.reduction in ("mean", "sum_over_batch_size"):
            # all / valid, so that the mean over all values becomes that over the valid ones
            counted = counted * (mask.size / max(int(mask.sum()), 1))
        if sample_weight is None:
            return counted
        counted, sample_weight = of_one_rank(counted, sample_weight)
        return sample_weight * counted

    @staticmethod
    def mean(terms: Array) -> Array:
        """Return the mean along the last axis: a value of each sample, from its terms."""
        return sums.over_last(terms)[..., 0] / terms.shape[-1]

    @staticmethod
    def mean_gradient(dv: Array, terms: Array) -> Array:
        """Return the gradient at each term of such a `mean`."""
        return dv[..., None] / terms.shape[-1]

    def _divisor(self, weighted: Array, share: Array | None) -> Array:
        if self.reduction in ("sum", "none"):
            return 1.0
        if self.reduction == "mean_with_sample_weight" and share is not None:
            return share.sum() or math.inf  # no weight at all: no loss
        return float(weighted.size)
