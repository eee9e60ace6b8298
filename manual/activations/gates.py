"""Activation functions z · g(z): a gate g decides how much of z passes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from manual.activations.base import ActivationFunction
from manual.activations.functions import erfc, sigmoid, softplus
from manual.arrays import Array
from manual.registry import twin_of


@twin_of("silu")
@twin_of("swish")
class SiLU(ActivationFunction):
    """The sigmoid-weighted linear unit, also called swish (Ramachandran et al. 2017)."""

    derivation = {
        "forward": "a = z σ(z)",
        "local gradient": "∂a/∂z = σ(z) (1 + z (1 − σ(z)))",
        "input gradient": "dz = da · σ(z) (1 + z (1 − σ(z)))",
    }

    def forward(self, z: Array) -> Array:
        return z * sigmoid(z)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        s = sigmoid(z)
        return da * (s * (1.0 + z * (1.0 - s)))


@twin_of("hard_silu")
@twin_of("hard_swish")
class HardSiLU(ActivationFunction):
    """z times the hard sigmoid (Howard et al. 2019)."""

    derivation = {
        "forward": "a = z h, with h = min(max(z + 3, 0), 6) / 6",
        "local gradient": "∂a/∂z = h + z/6 · [0 < z + 3 < 6]",
        "input gradient": "dz = da · (h + z/6 · [0 < z + 3 < 6])",
    }

    def forward(self, z: Array) -> Array:
        return z * (np.minimum(np.maximum(z + 3.0, 0.0), 6.0) / 6.0)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        shifted = z + 3.0
        h = np.minimum(np.maximum(shifted, 0.0), 6.0) / 6.0
        return da * h + da * z / 6.0 * ((shifted > 0.0) & (shifted < 6.0))


@twin_of("gelu")
class GELU(ActivationFunction):
    """The Gaussian error linear unit (Hendrycks & Gimpel 2016): z · P(X ≤ z) of a normal X.

    TensorFlow rounds 1/√2 and the 0.044715 of the approximation to float32.
    """

    INVERSE_ROOT_2 = float(np.float32(math.sqrt(0.5)))
    CUBIC = float(np.float32(0.044715))
    SLOPE = math.sqrt(2.0 / math.pi)

    derivation: ClassVar[Mapping[str, str]] = {
        "forward": "a = ½ z erfc(−z/√2)",
        "local gradient": "∂a/∂z = ½ erfc(−z/√2) + z e^(−z²/2)/√(2π)",
        "input gradient": "dz = da · (½ erfc(−z/√2) + z e^(−z²/2)/√(2π))",
    }
    approximation: ClassVar[Mapping[str, str]] = {
        "forward": "a = ½ z (1 + t), with t = tanh(√(2/π) (z + 0.044715 z³))",
        "local gradient": "∂a/∂z = ½ (1 + t) + ½ z (1 − t²) √(2/π) (1 + 3 · 0.044715 z²)",
        "input gradient": "dz = da · (½ (1 + t) + ½ z (1 − t²) √(2/π) (1 + 3 · 0.044715 z²))",
    }

    def __init__(self, approximate: bool = False) -> None:
        self.approximate = approximate
        if approximate:
            self.derivation = self.approximation  # type: ignore[misc]

    def forward(self, z: Array) -> Array:
        if self.approximate:
            return 0.5 * z * (1.0 + self._tanh(z))
        return 0.5 * z * erfc(-z * self.INVERSE_ROOT_2)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        if self.approximate:
            t = self._tanh(z)
            inner = self.SLOPE * (1.0 + 3.0 * self.CUBIC * (z * z))
            return da * (0.5 * (1.0 + t)) + da * (0.5 * z) * (1.0 - t * t) * inner
        r = z * self.INVERSE_ROOT_2
        bell = np.exp(-(r * r)) * (self.INVERSE_ROOT_2 / math.sqrt(math.pi))
        return da * (0.5 * erfc(-r)) + da * z * bell

    def _tanh(self, z: Array) -> Array:
        return np.tanh(self.SLOPE * (z + self.CUBIC * (z * z * z)))


@twin_of("mish")
class Mish(ActivationFunction):
    """z · tanh(softplus(z)) (Misra 2019)."""

    derivation = {
        "forward": "a = z t, with t = tanh(log(1 + eᶻ))",
        "local gradient": "∂a/∂z = t + z (1 − t²) σ(z)",
        "input gradient": "dz = da · (t + z (1 − t²) σ(z))",
    }

    def forward(self, z: Array) -> Array:
        return z * np.tanh(softplus(z))

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        t = np.tanh(softplus(z))
        return da * t + da * z * (1.0 - t * t) * sigmoid(z)


@twin_of("glu")
class GLU(ActivationFunction):
    """The gated linear unit (Dauphin et al. 2017): one half of the axis gates the other."""

    derivation = {
        "forward": "a = u σ(v), with z = [u, v] along the axis",
        "local gradient": "∂a/∂u = σ(v), ∂a/∂v = u σ(v) (1 − σ(v))",
        "input gradient": "dz = [da · σ(v), da · u σ(v) (1 − σ(v))]",
    }

    def __init__(self, axis: int = -1) -> None:
        self.axis = axis

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return self.forward(np.zeros((2, *shape))).shape[1:]  # type: ignore[no-any-return]

    def forward(self, z: Array) -> Array:
        if z.shape[self.axis] % 2:
            raise ValueError(f"glu halves axis {self.axis}. Received: z of shape {z.shape}.")
        u, v = np.split(z, 2, axis=self.axis)
        return u * sigmoid(v)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        u, v = np.split(z, 2, axis=self.axis)
        s = sigmoid(v)
        return np.concatenate([da * s, da * u * (s * (1.0 - s))], axis=self.axis)
