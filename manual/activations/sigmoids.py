"""Activation functions that saturate on both sides, and the straight line."""

from __future__ import annotations

import numpy as np

from manual.activations.base import ActivationFunction
from manual.activations.functions import sigmoid
from manual.arrays import Array
from manual.registry import twin_of


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


@twin_of("softsign")
class Softsign(ActivationFunction):
    derivation = {
        "forward": "a = z / (1 + |z|)",
        "local gradient": "∂a/∂z = 1 / (1 + |z|)²",
        "input gradient": "dz = da / (1 + |z|)²",
    }

    def forward(self, z: Array) -> Array:
        return z / (1.0 + np.abs(z))

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        spread = 1.0 + np.abs(z)
        return da / (spread * spread)


@twin_of("hard_sigmoid")
class HardSigmoid(ActivationFunction):
    """The line (z + 3)/6, cut off at 0 and 1; on both edges the derivative is 0."""

    derivation = {
        "forward": "a = min(max(z + 3, 0), 6) / 6",
        "local gradient": "∂a/∂z = 1/6 where 0 < z + 3 < 6, else 0",
        "input gradient": "dz = da / 6 · [0 < z + 3 < 6]",
    }

    def forward(self, z: Array) -> Array:
        return np.minimum(np.maximum(z + 3.0, 0.0), 6.0) / 6.0

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        shifted = z + 3.0
        return da / 6.0 * ((shifted > 0.0) & (shifted < 6.0))


@twin_of("sparse_sigmoid")
class SparseSigmoid(ActivationFunction):
    """The line (z + 1)/2, cut off at 0 and 1 (Blondel et al. 2019)."""

    derivation = {
        "forward": "a = min(max((z + 1)/2, 0), 1)",
        "local gradient": "∂a/∂z = ½ where −1 < z < 1, else 0",
        "input gradient": "dz = ½ da · [−1 < z < 1]",
    }

    def forward(self, z: Array) -> Array:
        return np.minimum(np.maximum(0.5 * (z + 1.0), 0.0), 1.0)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return 0.5 * da * ((z > -1.0) & (z < 1.0))


@twin_of("hard_tanh")
class HardTanh(ActivationFunction):
    """The identity, cut off at −1 and 1; on an edge the gradient passes, as TensorFlow has it."""

    derivation = {
        "forward": "a = min(max(z, −1), 1)",
        "local gradient": "∂a/∂z = 1 where −1 ≤ z ≤ 1, else 0",
        "input gradient": "dz = da · [−1 ≤ z ≤ 1]",
    }

    def forward(self, z: Array) -> Array:
        return np.minimum(np.maximum(z, -1.0), 1.0)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * ((z >= -1.0) & (z <= 1.0))
