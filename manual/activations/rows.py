"""Activation functions that look at all numbers of a row together."""

from __future__ import annotations

import numpy as np

from manual import sums
from manual.activations.base import ActivationFunction
from manual.activations.functions import log_softmax, softmax
from manual.arrays import Array
from manual.registry import twin_of


@twin_of("softmax")
class Softmax(ActivationFunction):
    """Softmax over an axis, shifted by the row's maximum so that nothing overflows."""

    derivation = {
        "forward": "aᵢ = e^zᵢ / Σⱼ e^zⱼ",
        "local gradient": "∂aᵢ/∂zⱼ = aᵢ ([i = j] − aⱼ)",
        "input gradient": "dz = a · (da − Σⱼ daⱼ aⱼ)",
    }
    carries_logits = True

    def __init__(self, axis: int | tuple[int, ...] = -1) -> None:
        self.axis = axis

    def forward(self, z: Array) -> Array:
        return softmax(z, self.axis)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return a * (da - sums.over(da * a, self.axis))


@twin_of("log_softmax")
class LogSoftmax(ActivationFunction):
    derivation = {
        "forward": "aᵢ = zᵢ − log Σⱼ e^zⱼ",
        "local gradient": "∂aᵢ/∂zⱼ = [i = j] − e^aⱼ",
        "input gradient": "dz = da − eᵃ Σⱼ daⱼ",
    }

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, z: Array) -> Array:
        return log_softmax(z, self.axis)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da - np.exp(a) * sums.over(da, self.axis)


@twin_of("sparsemax")
class Sparsemax(ActivationFunction):
    """Keras's sparsemax (after Martins & Astudillo 2016), in which rows need not add up to 1.

    The projection onto the simplex subtracts τ = (Σ z(j) − 1)/k, with the sum over the k largest
    numbers. Keras 3.15 adds up the *cumulative* sums of these instead, so that z(j), the j-th
    largest, counts k − j + 1 times. For k = 1 that is the same. This is a defect of Keras, and
    this twin has it too: for z = (1, 1) both give (0, 0), where the paper has (½, ½).
    """

    derivation = {
        "forward": "a = max(z − τ, 0), τ = (Σ (k − j + 1) z(j) − 1)/k over the k largest z(j); "
        "k counts the j with z(j) > (Σ z(1)…z(j) − 1)/j",
        "local gradient": "∂aᵢ/∂z(j) = [zᵢ ≥ τ] ([i = (j)] − (k − j + 1)/k · [j ≤ k])",
        "input gradient": "dz(j) = d(j) − (k − j + 1)/k · [j ≤ k] Σ d, with d = da · [z ≥ τ]",
    }

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def forward(self, z: Array) -> Array:
        rows = np.moveaxis(z, self.axis, -1)
        return np.moveaxis(np.maximum(rows - self._threshold(rows)[0], 0.0), -1, self.axis)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        rows = np.moveaxis(z, self.axis, -1)
        tau, share = self._threshold(rows)
        d = np.moveaxis(da, self.axis, -1) * (rows >= tau)
        return np.moveaxis(d - share * d.sum(axis=-1, keepdims=True), -1, self.axis)

    @staticmethod
    def _threshold(rows: Array) -> tuple[Array, Array]:
        """Return τ, and the share that each number has in it: its derivative."""
        n = rows.shape[-1]
        order = np.argsort(-rows, axis=-1, kind="stable")  # of equal numbers the first comes first
        place = np.argsort(order, axis=-1).astype(rows.dtype)  # j − 1
        descending = np.take_along_axis(rows, order, axis=-1)
        cumulative = descending @ np.triu(np.ones((n, n))).astype(rows.dtype)
        supported = descending - (cumulative - 1.0) / np.arange(1, n + 1).astype(rows.dtype) > 0.0
        k = (supported * np.ones((), rows.dtype)).sum(axis=-1, keepdims=True)
        share = np.maximum(k - place, 0.0) / np.maximum(k, 1.0)  # rounding may leave none
        return (share * rows).sum(axis=-1, keepdims=True) - 1.0 / k, share
