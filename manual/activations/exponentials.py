"""Activation functions with an exponential piece, and the exponential itself."""

from __future__ import annotations

import numpy as np

from manual.activations.base import ActivationFunction
from manual.arrays import Array
from manual.registry import twin_of


@twin_of("elu")
class ELU(ActivationFunction):
    """The exponential linear unit (Clevert et al. 2015).

    Written with eᶻ − 1 as Keras on TensorFlow computes it, not with the more accurate expm1.
    """

    derivation = {
        "forward": "a = z where z > 0, else α (eᶻ − 1)",
        "local gradient": "∂a/∂z = 1 where z > 0, else α eᶻ",
        "input gradient": "dz = da · (1 where z > 0, else α eᶻ)",
    }

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, z: Array) -> Array:
        return np.where(z > 0.0, z, self.alpha * (np.exp(np.minimum(z, 0.0)) - 1.0))

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        # TensorFlow has eᶻ from a, with the digits that the subtraction of 1 has left
        e = (np.exp(np.minimum(z, 0.0)) - 1.0) + 1.0
        return da * np.where(z > 0.0, 1.0, self.alpha * e)


@twin_of("celu")
class CELU(ActivationFunction):
    """The continuously differentiable exponential linear unit (Barron 2017).

    At z = 0 both of TensorFlow's terms pass the gradient on, so that the derivative is 2 there.
    """

    derivation = {
        "forward": "a = max(z, 0) + α (e^(min(z, 0)/α) − 1)",
        "local gradient": "∂a/∂z = [z ≥ 0] + [z ≤ 0] e^(z/α)",
        "input gradient": "dz = da · ([z ≥ 0] + [z ≤ 0] e^(z/α))",
    }

    def __init__(self, alpha: float = 1.0) -> None:
        self.alpha = alpha

    def forward(self, z: Array) -> Array:
        return np.maximum(z, 0.0) + self.alpha * np.expm1(np.minimum(z, 0.0) / self.alpha)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        e = np.exp(np.minimum(z, 0.0) / self.alpha)
        return da * (z >= 0.0) + da * e * (z <= 0.0)


@twin_of("selu")
class SELU(ActivationFunction):
    """The scaled exponential linear unit (Klambauer et al. 2017): λ times an ELU of α.

    The two constants make mean 0 and variance 1 a fixed point; TensorFlow has λ and λα.
    """

    derivation = {
        "forward": "a = λ z where z > 0, else λα (eᶻ − 1), with λ = 1.0507…, α = 1.6733…",
        "local gradient": "∂a/∂z = λ where z ≥ 0, else λα eᶻ = a + λα",
        "input gradient": "dz = da · (λ where z ≥ 0, else a + λα)",
    }
    scale = 1.0507009873554804934193349852946
    scale_alpha = 1.7580993408473768599402175208123

    def forward(self, z: Array) -> Array:
        e = np.exp(np.minimum(z, 0.0))
        return np.where(z > 0.0, self.scale * z, self.scale_alpha * (e - 1.0))

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * np.where(a < 0.0, a + self.scale_alpha, self.scale)


@twin_of("exponential")
class Exponential(ActivationFunction):
    derivation = {
        "forward": "a = eᶻ",
        "local gradient": "∂a/∂z = a",
        "input gradient": "dz = da · a",
    }

    def forward(self, z: Array) -> Array:
        return np.exp(z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * a
