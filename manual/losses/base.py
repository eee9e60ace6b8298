"""What every loss is: one value per sample, a reduction, and the way back through both."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from manual import sums
from manual.activations import ActivationFunction
from manual.arrays import Array


class Loss:
    """A loss over a batch, with Keras's reductions.

    A loss has one value per sample, ``values``, and a reduction that makes one number of them. The
    derivative goes the same way back: the reduction gives each value its share ``dv``, and
    ``values_gradient`` carries that share on to the prediction.

    Parameters
    ----------
    reduction : str
        ``"sum_over_batch_size"`` or ``"mean"`` (divide by the number of values), ``"sum"``,
        ``"mean_with_sample_weight"`` (divide by the sum of the weights), ``"none"`` (which trains
        as ``"sum"`` does: the gradient of a vector is that of its sum).
    """

    kind: ClassVar[str] = "loss"
    derivation: ClassVar[Mapping[str, str]]
    takes_classes: ClassVar[bool] = False
    """Whether a target is a class number, and not as wide as the prediction."""
    from_logits: bool | None = None
    """None: the loss knows no logits. Else: whether the prediction is one."""
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
            What was wanted.
        p : array, shape (samples, ..., n)
            What the network put out, or the logits behind it.
        logits : bool
            Whether ``p`` is logits.
        sample_weight : array with one weight per value
            A value is the loss of one row of the last axis: p of shape ``(samples, n)`` has
            ``(samples,)`` values, ``(samples, time, n)`` has ``(samples, time)``. Where the whole
            batch has a single value, each weight counts it once.
        mask : array of bool with one entry per value
            Where it is False, the value doesn't count. A mean is taken over the others, whatever
            weights they have.
        """
        if self.along != -1:
            y, p = np.moveaxis(y, self.along, -1), np.moveaxis(p, self.along, -1)
        values, saved = self.values(y, p, logits or bool(self.from_logits))
        own = self.own_mask(y)
        if own is not None:
            mask = own if mask is None else mask & own
        share: Array = 1.0
        if sample_weight is not None:
            share = sample_weight
            if values.ndim:
                if sample_weight.size != values.size:
                    raise ValueError(
                        f"Every loss needs a sample weight: {values.shape}. "
                        f"Received: {sample_weight.shape}."
                    )
                share = sample_weight.reshape(values.shape)
        if mask is not None:
            counted = mask * np.ones((), values.dtype)
            if self.reduction in ("mean", "sum_over_batch_size"):
                # all / valid, so that the mean over all values becomes that over the valid ones
                counted = counted * (mask.size / max(int(mask.sum()), 1))
            share = share * counted
        weighted = values if sample_weight is None and mask is None else values * share
        divisor = self._divisor(weighted, share)
        dv = np.ones_like(weighted) * share / divisor
        return sums.over_all(weighted) / divisor, (saved, dv if values.ndim else dv.sum())

    def backward(self, saved: Any) -> Array:
        """Return the gradient of the reduced loss at the prediction."""
        inner, dv = saved
        dp = self.values_gradient(dv, inner)
        return dp if self.along == -1 else np.moveaxis(dp, -1, self.along)

    @staticmethod
    def mean(terms: Array) -> Array:
        """Return the mean along the last axis: a value of each sample, from its terms."""
        return sums.over_last(terms)[..., 0] / terms.shape[-1]

    @staticmethod
    def mean_gradient(dv: Array, terms: Array) -> Array:
        """Return the gradient at each term of such a `mean`."""
        return dv[..., None] / terms.shape[-1]

    def _divisor(self, values: Array, share: Array) -> Array:
        if self.reduction in ("sum", "none"):
            return 1.0
        if self.reduction == "mean_with_sample_weight" and np.ndim(share):
            return share.sum() or math.inf  # no weight at all: no loss
        return float(values.size)
