"""Activation functions that round off the rectifier's corner."""

from __future__ import annotations

import numpy as np

from manual.activations.base import ActivationFunction
from manual.activations.functions import sigmoid, softplus
from manual.arrays import Array
from manual.registry import twin_of


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


@twin_of("log_sigmoid")
class LogSigmoid(ActivationFunction):
    derivation = {
        "forward": "a = log σ(z) = −log(1 + e⁻ᶻ)",
        "local gradient": "∂a/∂z = σ(−z)",
        "input gradient": "dz = da · σ(−z)",
    }

    def forward(self, z: Array) -> Array:
        return -softplus(-z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * sigmoid(-z)


@twin_of("squareplus")
class Squareplus(ActivationFunction):
    """A hyperbola for softplus (Barron 2021); b says how much is rounded off."""

    derivation = {
        "forward": "a = (z + √(z² + b)) / 2",
        "local gradient": "∂a/∂z = (1 + z/√(z² + b)) / 2",
        "input gradient": "dz = da · (1 + z/√(z² + b)) / 2",
    }

    def __init__(self, b: float = 4) -> None:
        self.b = float(b)

    def forward(self, z: Array) -> Array:
        return (z + np.sqrt(z * z + self.b)) / 2.0

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da / 2.0 + da / 2.0 * z / np.sqrt(z * z + self.b)


@twin_of("sparse_plus")
class SparsePlus(ActivationFunction):
    """A parabola between 0 and the identity: the integral of the sparse sigmoid."""

    derivation = {
        "forward": "a = 0 where z ≤ −1, z where z ≥ 1, else (z + 1)²/4",
        "local gradient": "∂a/∂z = 0 where z ≤ −1, 1 where z ≥ 1, else (z + 1)/2",
        "input gradient": "dz = da · (0 where z ≤ −1, 1 where z ≥ 1, else (z + 1)/2)",
    }

    def forward(self, z: Array) -> Array:
        inner = np.maximum(z + 1.0, 0.0)
        return np.where(z < 1.0, 0.25 * (inner * inner), z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * np.where(z < 1.0, 0.5 * np.maximum(z + 1.0, 0.0), 1.0)


@twin_of("tanh_shrink")
class TanhShrink(ActivationFunction):
    derivation = {
        "forward": "a = z − tanh z",
        "local gradient": "∂a/∂z = tanh² z",
        "input gradient": "dz = da · (1 − (1 − tanh² z))",
    }

    def forward(self, z: Array) -> Array:
        return z - np.tanh(z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        t = np.tanh(z)  # the two ones cancel only up to rounding, in TensorFlow too
        return da - da * (1.0 - t * t)
