"""Losses of directions: of a prediction and its target, or of all predictions in a batch."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.activations import sigmoid, softplus
from manual.arrays import Array
from manual.losses.base import Loss
from manual.losses.probabilities import EPSILON
from manual.registry import twin_of


@twin_of("CosineSimilarity")
@twin_of("cosine_similarity")
class CosineSimilarity(Loss):
    """Minus the cosine of the angle between prediction and target.

    The inverse of a length is at most 1/ε; there, the length counts as a constant.
    """

    derivation = {
        "forward": "E = −Σ ŷ p̂, with p̂ = p/|p|, averaged over the batch of B",
        "input gradient": "dp = −(ŷ − p̂ Σ ŷ p̂) / (|p| B)",
    }

    def __init__(self, axis: int = -1, reduction: str | None = "sum_over_batch_size") -> None:
        super().__init__(reduction)
        self.along = axis

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y = y * self._inverse_length(y)
        inverse = self._inverse_length(p)
        return -(y * (p * inverse)).sum(axis=-1), (y, p, inverse)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p, inverse = saved
        of_length = p * (inverse * inverse * inverse) * (y * p).sum(axis=-1, keepdims=True)
        return dv[..., None] * (of_length * (inverse < 1.0 / EPSILON) - y * inverse)

    @staticmethod
    def _inverse_length(x: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.minimum(1.0 / np.sqrt((x * x).sum(axis=-1, keepdims=True)), 1.0 / EPSILON)


@twin_of("Circle")
@twin_of("circle")
class Circle(Loss):
    """Pulls embeddings of one class together and pushes those of different ones apart.

    Sun et al. 2020. Targets are class numbers, predictions embeddings of length 1, compared each
    with each. Unlike in the paper, the weights are differentiated too: Keras doesn't hold them
    fast. A sample without a partner of its class, or without one of another, doesn't count.

    Parameters
    ----------
    gamma : float
        Scale γ.
    margin : float
        How much is still forgiven, m.
    remove_diagonal : bool
        Whether a sample is no partner of itself.
    """

    derivation = {
        "forward": "E = log(1 + Σₙ e^(γ (1 + m − d)₊ (1 − m − d)) · Σₚ e^(−γ (m + d) (m − d))), "
        "d = max(1 − p pᵀ, 0), over the negatives and positives of each sample",
        "input gradient": "dd = σ(log of the product) · (softmaxₚ · 2γd − softmaxₙ · 2γ(1 − d)); "
        "dp = −(dd + ddᵀ) p",
    }
    takes_classes = True

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(reduction)
        self.gamma, self.margin, self.remove_diagonal = gamma, margin, remove_diagonal

    def own_mask(self, y: Array) -> Array:
        positive, negative = self._partners(y)
        return positive.any(axis=1) & negative.any(axis=1)

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        positive, negative = self._partners(y)
        near = 1.0 - p @ p.T
        d, m = np.maximum(near, 0.0), self.margin
        repelled = np.maximum((1.0 + m) - d, 0.0)
        pulls, of_positives = _log_sum_exp(-self.gamma * (m + d) * (m - d), positive)
        pushes, of_negatives = _log_sum_exp(self.gamma * repelled * ((1.0 - m) - d), negative)
        counts = self.own_mask(y)
        total = np.where(counts, pulls + pushes, -np.inf)
        return softplus(total), (p, near, repelled, total, of_positives, of_negatives)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        p, near, repelled, total, of_positives, of_negatives = saved
        d, m = np.maximum(near, 0.0), self.margin
        pulled = self.gamma * ((m + d) - (m - d))
        pushed = -self.gamma * ((repelled > 0.0) * ((1.0 - m) - d) + repelled)
        share = (dv * sigmoid(total))[:, None]
        dd = share * (of_positives * pulled + of_negatives * pushed) * (near >= 0.0)
        return -(dd + dd.T) @ p

    def _partners(self, y: Array) -> tuple[Array, Array]:
        """Return who is whose positive, and who is whose negative."""
        y = y.reshape(-1)
        same = y[:, None] == y[None, :]
        itself = np.eye(len(y), dtype=bool) & self.remove_diagonal
        return same & ~itself, ~same


def _log_sum_exp(w: Array, among: Array) -> tuple[Array, Array]:
    """Return log Σ eʷ of each row over some of its numbers, and the share of each number in it."""
    some = among.any(axis=1, keepdims=True)
    largest = np.where(some, np.where(among, w, -np.inf).max(axis=1, keepdims=True), 0.0)
    e = np.where(among, np.exp(np.where(among, w - largest, 0.0)), 0.0)
    total = np.where(some, e.sum(axis=1, keepdims=True), 1.0)
    return (np.log(total) + largest)[:, 0], e / total
