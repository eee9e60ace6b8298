"""How often a prediction is right."""

from __future__ import annotations

import numpy as np

from manual.arrays import Array
from manual.losses.shapes import of_one_rank
from manual.metrics.base import Mean
from manual.registry import twin_of


@twin_of("Accuracy")
class Accuracy(Mean):
    formula = "mean of [y = p]"

    def values(self, y: Array, p: Array) -> Array:
        y, p = of_one_rank(y, p)
        return 1.0 * (p == y)


@twin_of("BinaryAccuracy")
@twin_of("binary_accuracy")
class BinaryAccuracy(Mean):
    """Where each output is a yes or a no.

    Parameters
    ----------
    threshold : float
        Where a probability turns into a yes.
    """

    formula = "mean of [y = [p > threshold]]"

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def values(self, y: Array, p: Array) -> Array:
        y, p = of_one_rank(y, p)
        right = (1.0 * (p > self.threshold)) == y
        return right.mean(axis=-1) if right.ndim > 1 else 1.0 * right


@twin_of("CategoricalAccuracy")
@twin_of("categorical_accuracy")
class CategoricalAccuracy(Mean):
    formula = "mean of [argmax y = argmax p]"

    def values(self, y: Array, p: Array) -> Array:
        return 1.0 * (y.argmax(axis=-1) == p.argmax(axis=-1))


@twin_of("SparseCategoricalAccuracy")
@twin_of("sparse_categorical_accuracy")
class SparseCategoricalAccuracy(Mean):
    formula = "mean of [y = argmax p]"

    def values(self, y: Array, p: Array) -> Array:
        return 1.0 * (y.reshape(p.shape[:-1]) == p.argmax(axis=-1))


class _TopK(Mean):
    """Whether the class is among the k likeliest: fewer than k others are likelier."""

    def __init__(self, k: int = 5) -> None:
        self.k = k

    def among_first(self, chosen: Array, p: Array) -> Array:
        """Return it for one-hot rows; those that are as likely don't count as likelier."""
        its = (p * chosen).sum(axis=-1, keepdims=True)
        likelier = ((p > its) * (1.0 - chosen)).sum(axis=-1)
        return 1.0 * (likelier < self.k - 0.5)  # a count, which may carry the noise of a sum


@twin_of("TopKCategoricalAccuracy")
@twin_of("top_k_categorical_accuracy")
class TopKCategoricalAccuracy(_TopK):
    formula = "mean of [fewer than k of p are larger than that of argmax y]"

    def values(self, y: Array, p: Array) -> Array:
        return self.among_first(1.0 * (y.argmax(axis=-1)[..., None] == np.arange(p.shape[-1])), p)


@twin_of("SparseTopKCategoricalAccuracy")
@twin_of("sparse_top_k_categorical_accuracy")
class SparseTopKCategoricalAccuracy(_TopK):
    """With class numbers for targets.

    Parameters
    ----------
    k : int
    from_sorted_ids : bool
        Whether p holds no probabilities, but class numbers, the likeliest first.
    """

    formula = "mean of [fewer than k of p are larger than p[y]]"

    def __init__(self, k: int = 5, from_sorted_ids: bool = False) -> None:
        super().__init__(k)
        self.from_sorted_ids = from_sorted_ids

    def values(self, y: Array, p: Array) -> Array:
        y = y.reshape(p.shape[:-1])[..., None]
        if self.from_sorted_ids:
            return 1.0 * ((1.0 * (p[..., : self.k] == y)).sum(axis=-1) > 0.5)
        return self.among_first(1.0 * (y == np.arange(p.shape[-1])), p)
