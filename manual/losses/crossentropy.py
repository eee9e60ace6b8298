"""Cross-entropies: how surprising the targets are to somebody who believes the prediction."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual import sums
from manual.activations import ActivationFunction, sigmoid, softplus
from manual.arrays import Array
from manual.losses.base import Loss
from manual.losses.probabilities import clipped, one_hot, unclipped
from manual.losses.shapes import of_one_rank, summed_to
from manual.registry import twin_of


class OfProbabilities(Loss):
    """A loss of probabilities, or of their logits, and of targets that are probabilities, too.

    Parameters
    ----------
    from_logits : bool
        Whether predictions are logits. Keras takes those behind a sigmoid or softmax output anyway.
    label_smoothing : float
        Which share of the certainty is spread over all classes.
    axis : int
        That of the classes.
    reduction : str
    """

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
        self.along = axis

    def reads_logits_of(self, activation: ActivationFunction) -> bool:
        return activation.carries_logits


@twin_of("BinaryCrossentropy")
@twin_of("binary_crossentropy")
class BinaryCrossentropy(OfProbabilities):
    """From logits wherever Keras knows them, which includes behind a sigmoid output."""

    derivation = {
        "forward": "E = −1/n Σ [y log p + (1 − y) log(1 − p)], averaged over the batch of B; "
        "from logits: max(z, 0) − y z + log(1 + e^−|z|)",
        "input gradient": "from logits: dz = (σ(z) − y) / (n B); "
        "from probabilities: dp = ((1 − y)/(1 − p) − y/p) / (n B), 0 where p was clipped",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y = smoothed(y, self.label_smoothing, 2)
        return self.mean(binary_surprise(y, p, logits)), (y, p, logits)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        _, p, _ = saved
        return self.mean_gradient(dv, p) * binary_slope(*saved)


@twin_of("CategoricalCrossentropy")
@twin_of("categorical_crossentropy")
class CategoricalCrossentropy(OfProbabilities):
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

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y = smoothed(y, self.label_smoothing, classes_counted(y, self.along))
        if logits:
            values, softmax = surprise(y, p)
            return values, (y, p, softmax)
        q = p / p.sum(axis=-1, keepdims=True)
        return -(y * np.log(clipped(q))).sum(axis=-1), (y, p, None)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p, softmax = saved
        if softmax is not None:
            return dv[..., None] * (softmax - y)
        total = p.sum(axis=-1, keepdims=True)
        q = p / total
        dq = -y / clipped(q) * unclipped(q)
        return dv[..., None] * (dq - (dq * q).sum(axis=-1, keepdims=True)) / total


@twin_of("SparseCategoricalCrossentropy")
@twin_of("sparse_categorical_crossentropy")
class SparseCategoricalCrossentropy(Loss):
    """The same with class numbers for targets, y of shape (samples, ...) or (samples, ..., 1).

    Targets of the class ``ignore_class`` don't count, and a mean is taken over the others. With
    it, Keras no longer looks for the logits behind a softmax output.
    """

    derivation = {
        "forward": "E = −log p[y], averaged over the batch of B; from logits: p = softmax(z); "
        "else p is clipped and divided by its sum",
        "input gradient": "from logits: dz = (softmax(z) − one-hot(y)) / B; "
        "from probabilities: dp = (1/Σp − one-hot(y)/p) / B, 0 where p was clipped",
    }
    takes_classes = True

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(reduction)
        self.from_logits = from_logits
        self.ignore_class = ignore_class
        self.axis = axis

    def reads_logits_of(self, activation: ActivationFunction) -> bool:
        return activation.carries_logits and self.ignore_class is None

    def own_mask(self, y: Array) -> Array | None:
        if self.ignore_class is None:
            return None
        y = y[..., 0] if y.ndim > 1 and y.shape[-1] == 1 else y
        return y != self.ignore_class

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        if self.axis not in (-1, p.ndim - 1):
            raise ValueError(f"Classes must lie on the last axis. Received: axis={self.axis}.")
        chosen = one_hot(y, p)
        values, softmax = surprise(chosen, p if logits else np.log(clipped(p)))
        return values, (chosen, p, softmax if logits else None)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        chosen, p, softmax = saved
        if softmax is not None:
            return dv[..., None] * (softmax - chosen)
        c = clipped(p)
        dc = 1.0 / c.sum(axis=-1, keepdims=True) - chosen / c
        return dv[..., None] * dc * unclipped(p)


@twin_of("CategoricalGeneralizedCrossEntropy")
class CategoricalGeneralizedCrossEntropy(Loss):
    """Between the cross-entropy (q → 0) and the absolute error (q = 1): Zhang & Sabuncu 2018.

    Targets are class numbers, y of shape (samples, ...); the probability is taken as it comes,
    unclipped. Of y of shape (samples, 1) Keras makes rows of shape (samples, 1, classes), so that
    each target meets each prediction. That is a defect of Keras, and this twin has it too.
    """

    derivation = {
        "forward": "E = (1 − p[y]^q) / q, averaged over the batch of B",
        "input gradient": "dp = −p[y]^(q − 1) one-hot(y) / B",
    }
    takes_classes = True

    def __init__(self, q: float = 0.5, reduction: str | None = "sum_over_batch_size") -> None:
        super().__init__(reduction)
        self.q = q

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y, p = of_one_rank(y, p)
        chosen = (y[..., None] == np.arange(p.shape[-1])) * np.ones((), p.dtype)
        of_class = (p * chosen).sum(axis=-1)
        return (1.0 - of_class**self.q) / self.q, (chosen, of_class, p.shape)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        chosen, of_class, shape = saved
        dp = -(dv * of_class ** (self.q - 1.0))[..., None] * chosen
        return summed_to(dp, shape)


def binary_surprise(y: Array, p: Array, logits: bool) -> Array:
    """Return −y log p − (1 − y) log(1 − p), number by number; p may be logits."""
    if logits:
        return softplus(p) - y * p
    c = clipped(p)
    return -(y * np.log(c) + (1.0 - y) * np.log(1.0 - c))


def binary_slope(y: Array, p: Array, logits: bool) -> Array:
    """Return the derivative of `binary_surprise` by p."""
    if logits:
        return sigmoid(p) - y
    c = clipped(p)
    return ((1.0 - y) / (1.0 - c) - y / c) * unclipped(p)


def surprise(y: Array, z: Array) -> tuple[Array, Array]:
    """Return Σ −y log p along the last axis, and p itself: the softmax of the logits z.

    Both come from the same exponentials: pᵢ = e^(zᵢ − m) / S and −log pᵢ = log S − (zᵢ − m), where
    m is the largest logit and S the sum of the exponentials.
    """
    shifted = z - z.max(axis=-1, keepdims=True)
    e = np.exp(shifted)
    S = sums.over_last(e)
    return sums.over_last(y * (np.log(S) - shifted))[..., 0], e / S


def smoothed(y: Array, share: float, classes: int) -> Array:
    """Spread a share of the certainty evenly over the classes (Szegedy et al. 2016)."""
    return y * (1.0 - share) + share / classes if share else y


def classes_counted(y: Array, along: int) -> int:
    """Return by how many classes Keras smooths: the last axis's, also where they lie on another.

    That is a defect of Keras, and its twins have it too. In y the classes have been moved to the
    last place already, and the axis that was there to the one before.
    """
    return int(y.shape[-1] if along in (-1, y.ndim - 1) else y.shape[-2])
