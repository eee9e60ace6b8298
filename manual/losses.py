"""Losses, each with its derivative with respect to what the network put out.

A loss has one value per sample, ``values``, and a reduction that makes one number of them. The
derivative goes the same way back: the reduction gives each value its share ``dv``, and
``values_gradient`` carries that share on to the prediction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from manual.activations import log_softmax, sigmoid, softmax, softplus
from manual.arrays import Array
from manual.registry import twin_of

EPSILON = 1e-7
"""Probabilities are clipped to [EPSILON, 1 − EPSILON] before a logarithm is taken of them."""


class Loss:
    """A loss over a batch, with Keras's reductions.

    Parameters
    ----------
    reduction : str
        ``"sum_over_batch_size"`` or ``"mean"`` (divide by the number of values), ``"sum"``,
        ``"mean_with_sample_weight"`` (divide by the sum of the weights), ``"none"`` (which trains
        as ``"sum"`` does: the gradient of a vector is that of its sum).
    """

    kind: ClassVar[str] = "loss"
    derivation: ClassVar[Mapping[str, str]]
    from_logits: bool | None = None
    """None: the loss knows no logits. Else: whether the prediction is one."""

    def __init__(self, reduction: str | None = "sum_over_batch_size") -> None:
        self.reduction = reduction or "none"

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        """Return one loss per sample and what `values_gradient` needs."""
        raise NotImplementedError

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        """Return the gradient at the prediction, given the one at each sample's value."""
        raise NotImplementedError

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
            ``(samples,)`` values, ``(samples, time, n)`` has ``(samples, time)``.
        mask : array of bool with one entry per value
            Where it is False, the value doesn't count. A mean is taken over the others, whatever
            weights they have.
        """
        values, saved = self.values(y, p, logits or bool(self.from_logits))
        share: Array = 1.0
        if sample_weight is not None:
            if sample_weight.size != values.size:
                raise ValueError(
                    f"Every loss needs a sample weight: {values.shape}. "
                    f"Received: {sample_weight.shape}."
                )
            share = sample_weight.reshape(values.shape)
        if mask is not None:
            counted = mask * np.ones_like(values)
            if self.reduction in ("mean", "sum_over_batch_size"):
                # all / valid, so that the mean over all values becomes that over the valid ones
                counted = counted * (mask.size / max(int(mask.sum()), 1))
            share = share * counted
        if sample_weight is not None or mask is not None:
            values = values * share
        divisor = self._divisor(values, share)
        return values.sum() / divisor, (saved, np.ones_like(values) * share / divisor)

    def backward(self, saved: Any) -> Array:
        """Return the gradient of the reduced loss at the prediction."""
        inner, dv = saved
        return self.values_gradient(dv, inner)

    def _divisor(self, values: Array, share: Array) -> Array:
        if self.reduction in ("sum", "none"):
            return 1.0
        if self.reduction == "mean_with_sample_weight" and np.ndim(share):
            return share.sum() or math.inf  # no weight at all: no loss
        return float(values.size)


@twin_of("MeanSquaredError")
@twin_of("mean_squared_error")
@twin_of("mse")
class MeanSquaredError(Loss):
    derivation = {
        "forward": "E = 1/n Σ (p − y)², averaged over the batch of B",
        "input gradient": "dp = 2 (p − y) / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        difference = p - y
        return (difference * difference).sum(axis=-1) / p.shape[-1], difference

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        return dv[..., None] * (2.0 * saved) / saved.shape[-1]


@twin_of("MeanAbsoluteError")
@twin_of("mean_absolute_error")
@twin_of("mae")
class MeanAbsoluteError(Loss):
    """At the kink p = y the derivative is taken as 0, as TensorFlow does."""

    derivation = {
        "forward": "E = 1/n Σ |p − y|, averaged over the batch of B",
        "input gradient": "dp = sign(p − y) / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        difference = p - y
        return np.abs(difference).sum(axis=-1) / p.shape[-1], difference

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        return dv[..., None] * np.sign(saved) / saved.shape[-1]


@twin_of("KerasLockstep>HalfSquaredSum")
class HalfSquaredSum(Loss):
    """The error that most tutorials differentiate: no mean anywhere, ½ so that the 2 cancels."""

    derivation = {
        "forward": "E = Σ ½ (y − p)², over outputs and samples",
        "input gradient": "dp = p − y",
    }

    def __init__(self, reduction: str | None = "sum") -> None:
        super().__init__(reduction)

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        difference = p - y
        return 0.5 * (difference * difference).sum(axis=-1), difference

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        return dv[..., None] * saved


@twin_of("BinaryCrossentropy")
@twin_of("binary_crossentropy")
class BinaryCrossentropy(Loss):
    """From logits wherever Keras knows them, which includes behind a sigmoid output."""

    derivation = {
        "forward": "E = −1/n Σ [y log p + (1 − y) log(1 − p)], averaged over the batch of B; "
        "from logits: max(z, 0) − y z + log(1 + e^−|z|)",
        "input gradient": "from logits: dz = (σ(z) − y) / (n B); "
        "from probabilities: dp = ((1 − y)/(1 − p) − y/p) / (n B), 0 where p was clipped",
    }

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(reduction)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        _only_last(axis)

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        if self.label_smoothing:
            y = y * (1.0 - self.label_smoothing) + 0.5 * self.label_smoothing
        if logits:
            values = softplus(p) - y * p
        else:
            c = clipped(p)
            values = -(y * np.log(c) + (1.0 - y) * np.log(1.0 - c))
        return values.sum(axis=-1) / p.shape[-1], (y, p, logits)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p, logits = saved
        if logits:
            dp = sigmoid(p) - y
        else:
            c = clipped(p)
            dp = ((1.0 - y) / (1.0 - c) - y / c) * unclipped(p)
        return dv[..., None] * dp / p.shape[-1]


@twin_of("CategoricalCrossentropy")
@twin_of("categorical_crossentropy")
class CategoricalCrossentropy(Loss):
    """From logits wherever Keras knows them, which includes behind a softmax output.

    The logits' gradient is TensorFlow's softmax(z) − y, which is the derivative only for targets
    that add up to 1.
    """

    derivation = {
        "forward": "E = −Σ y log p, averaged over the batch of B; "
        "from logits: p = softmax(z); else p is divided by its sum and clipped",
        "input gradient": "from logits: dz = (softmax(z) − y) / B; from probabilities, "
        "with q = p/Σp and dq = −y/(q B): dp = (dq − Σ dq q) / Σp",
    }

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(reduction)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        _only_last(axis)

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        if self.label_smoothing:
            y = y * (1.0 - self.label_smoothing) + self.label_smoothing / y.shape[-1]
        if logits:
            return -(y * log_softmax(p)).sum(axis=-1), (y, p, logits)
        q = p / p.sum(axis=-1, keepdims=True)
        return -(y * np.log(clipped(q))).sum(axis=-1), (y, p, logits)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p, logits = saved
        if logits:
            return dv[..., None] * (softmax(p) - y)
        total = p.sum(axis=-1, keepdims=True)
        q = p / total
        dq = -y / clipped(q) * unclipped(q)
        return dv[..., None] * (dq - (dq * q).sum(axis=-1, keepdims=True)) / total


@twin_of("SparseCategoricalCrossentropy")
@twin_of("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(Loss):
    """The same with class numbers for targets, y of shape (samples, ...) or (samples, ..., 1)."""

    derivation = {
        "forward": "E = −log p[y], averaged over the batch of B; from logits: p = softmax(z); "
        "else p is clipped and divided by its sum",
        "input gradient": "from logits: dz = (softmax(z) − one-hot(y)) / B; "
        "from probabilities: dp = (1/Σp − one-hot(y)/p) / B, 0 where p was clipped",
    }

    def __init__(
        self,
        from_logits: bool = False,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(reduction)
        self.from_logits = from_logits
        _only_last(axis)

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        chosen = one_hot(y, p)
        z = p if logits else np.log(clipped(p))
        return -(chosen * log_softmax(z)).sum(axis=-1), (chosen, p, logits)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        chosen, p, logits = saved
        if logits:
            return dv[..., None] * (softmax(p) - chosen)
        c = clipped(p)
        dc = 1.0 / c.sum(axis=-1, keepdims=True) - chosen / c
        return dv[..., None] * dc * unclipped(p)


def clipped(p: Array) -> Array:
    """Keep probabilities away from 0 and 1, where the logarithm has no value."""
    return np.minimum(np.maximum(p, EPSILON), 1.0 - EPSILON)


def unclipped(p: Array) -> Array:
    """Say where `clipped` changed nothing: there, and only there, the gradient passes."""
    return (p >= EPSILON) & (p <= 1.0 - EPSILON)


def one_hot(y: Array, like: Array) -> Array:
    """Turn class numbers into rows of zeros with a single one, as wide as ``like``."""
    classes = y.reshape(like.shape[:-1])[..., None]
    return (classes == np.arange(like.shape[-1])) * np.ones((), like.dtype)


def _only_last(axis: int) -> None:
    if axis != -1:
        raise ValueError(f"Classes must lie on the last axis. Received: axis={axis}.")
