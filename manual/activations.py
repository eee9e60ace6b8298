"""Activation functions, each with the derivative written under it.

``forward(z)`` maps the pre-activation to the activation ``a``; ``backward(da, z, a)`` maps the
gradient that arrives from the right to the gradient at the pre-activation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import twin_of


class ActivationFunction:
    """An activation a = f(z) and its derivative.

    Attributes
    ----------
    derivation : mapping of str to str
        The formulas by quantity, in the field's notation.
    carries_logits : bool
        True where Keras hands the loss the pre-activation ``z`` beside ``a``, so that a
        cross-entropy is computed, and differentiated, from the logits.
    """

    kind: ClassVar[str] = "activation"
    derivation: ClassVar[Mapping[str, str]]
    carries_logits: ClassVar[bool] = False

    def forward(self, z: Array) -> Array:
        raise NotImplementedError

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        raise NotImplementedError


@twin_of("linear")
class Linear(ActivationFunction):
    derivation = {
        "forward": "a = z",
        "local gradient": "∂a/∂z = 1",
        "input gradient": "dz = da",
    }

    def forward(self, z: Array) -> Array:
        return z

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da


@twin_of("sigmoid")
class Sigmoid(ActivationFunction):
    """The logistic function, computed without overflow for either sign of z."""

    derivation = {
        "forward": "a = σ(z) = 1 / (1 + e⁻ᶻ)",
        "local gradient": "∂a/∂z = a (1 − a)",
        "input gradient": "dz = da · a (1 − a)",
    }
    carries_logits = True

    def forward(self, z: Array) -> Array:
        return sigmoid(z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * (a * (1.0 - a))


@twin_of("tanh")
class Tanh(ActivationFunction):
    derivation = {
        "forward": "a = tanh z",
        "local gradient": "∂a/∂z = 1 − a²",
        "input gradient": "dz = da · (1 − a²)",
    }

    def forward(self, z: Array) -> Array:
        return np.tanh(z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * (1.0 - a * a)


@twin_of("relu")
class ReLU(ActivationFunction):
    """At the kink z = 0 the derivative is taken as 0, as TensorFlow does."""

    derivation = {
        "forward": "a = max(z, 0)",
        "local gradient": "∂a/∂z = 1 where z > 0, else 0",
        "input gradient": "dz = da · [z > 0]",
    }

    def forward(self, z: Array) -> Array:
        return np.maximum(z, 0.0)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * (z > 0.0)


@twin_of("elu")
class ELU(ActivationFunction):
    """The exponential linear unit (Clevert et al. 2015) with α = 1.

    Written with eᶻ − 1 as Keras on TensorFlow computes it, not with the more accurate expm1.
    """

    derivation = {
        "forward": "a = z where z > 0, else eᶻ − 1",
        "local gradient": "∂a/∂z = 1 where z > 0, else a + 1",
        "input gradient": "dz = da · (1 where z > 0, else a + 1)",
    }

    def forward(self, z: Array) -> Array:
        return np.where(z > 0.0, z, np.exp(np.minimum(z, 0.0)) - 1.0)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * np.where(z > 0.0, 1.0, a + 1.0)


@twin_of("softplus")
class Softplus(ActivationFunction):
    derivation = {
        "forward": "a = log(1 + eᶻ)",
        "local gradient": "∂a/∂z = σ(z)",
        "input gradient": "dz = da · σ(z)",
    }

    def forward(self, z: Array) -> Array:
        return softplus(z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * sigmoid(z)


@twin_of("softmax")
class Softmax(ActivationFunction):
    """Softmax over the last axis, shifted by the row's maximum so that nothing overflows."""

    derivation = {
        "forward": "aᵢ = e^zᵢ / Σⱼ e^zⱼ",
        "local gradient": "∂aᵢ/∂zⱼ = aᵢ ([i = j] − aⱼ)",
        "input gradient": "dz = a · (da − Σⱼ daⱼ aⱼ)",
    }
    carries_logits = True

    def forward(self, z: Array) -> Array:
        return softmax(z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return a * (da - (da * a).sum(axis=-1, keepdims=True))


def sigmoid(z: Array) -> Array:
    """Return 1 / (1 + e⁻ᶻ), exponentiating only numbers that are not positive."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0, e) / (1.0 + e)


def softplus(z: Array) -> Array:
    """Return log(1 + eᶻ) = max(z, 0) + log(1 + e^−|z|)."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def softmax(z: Array) -> Array:
    """Return e^zᵢ / Σⱼ e^zⱼ over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(z: Array) -> Array:
    """Return zᵢ − log Σⱼ e^zⱼ over the last axis."""
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
