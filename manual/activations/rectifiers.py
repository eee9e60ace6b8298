"""Activation functions made of straight pieces: rectifiers, shrinkages, thresholds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from manual.activations.base import ActivationFunction
from manual.arrays import Array
from manual.registry import twin_of


@twin_of("relu")
class ReLU(ActivationFunction):
    """The rectified linear unit; at the kink z = θ the derivative is that of the left piece.

    Parameters
    ----------
    negative_slope : float
        The slope s to the left of the threshold. With neither of the other two options it is
        rounded to float32, as TensorFlow's leaky kernel does.
    max_value : float, optional
        Where the right piece is cut off, rounded to float32. On that edge the gradient passes,
        except on that of ReLU6, for which TensorFlow has a kernel of its own.
    threshold : float
        Where the right piece begins, θ. The right piece sees it rounded to float32.
    """

    derivation: ClassVar[Mapping[str, str]] = {
        "forward": "a = max(z, 0)",
        "local gradient": "∂a/∂z = 1 where z > 0, else 0",
        "input gradient": "dz = da · [z > 0]",
    }
    with_options: ClassVar[Mapping[str, str]] = {
        "forward": "a = min(z, max_value) where z > θ, else s (z − θ)",
        "local gradient": "∂a/∂z = 1 where θ < z ≤ max_value, s where z < θ, else 0",
        "input gradient": "dz = da · (1 where θ < z ≤ max_value, s where z < θ, else 0)",
    }

    def __init__(
        self,
        negative_slope: float = 0.0,
        max_value: float | None = None,
        threshold: float = 0.0,
    ) -> None:
        leaky = max_value is None and not threshold
        self.negative_slope = float(np.float32(negative_slope)) if leaky else negative_slope
        self.max_value = None if max_value is None else float(np.float32(max_value))
        self.threshold, self.start = threshold, float(np.float32(threshold))
        if type(self) is ReLU and (negative_slope or max_value is not None or threshold):
            self.derivation = self.with_options  # type: ignore[misc]

    def forward(self, z: Array) -> Array:
        a = z * (z > self.start) if self.threshold else np.maximum(z, 0.0)
        if self.max_value is not None:
            a = np.minimum(a, self.max_value)
        if self.negative_slope:
            a = a - self.negative_slope * np.maximum(self.threshold - z, 0.0)
        return a

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        right = z > self.start
        if self.max_value is not None:
            ends_at_6 = self.max_value == 6 and not self.threshold
            right = right & ((z < 6.0) if ends_at_6 else (z <= self.max_value))
        dz = da * right
        if self.negative_slope:
            leaky = self.max_value is None and not self.threshold
            left = (z <= 0.0) if leaky else (z < self.threshold)
            dz = dz + da * self.negative_slope * left
        return dz


@twin_of("relu6")
class ReLU6(ReLU):
    derivation = {
        "forward": "a = min(max(z, 0), 6)",
        "local gradient": "∂a/∂z = 1 where 0 < z < 6, else 0",
        "input gradient": "dz = da · [0 < z < 6]",
    }

    def __init__(self) -> None:
        super().__init__(max_value=6.0)


@twin_of("leaky_relu")
class LeakyReLU(ReLU):
    """The leaky rectifier (Maas et al. 2013); TensorFlow rounds the slope s to float32."""

    derivation = {
        "forward": "a = z where z > 0, else s z",
        "local gradient": "∂a/∂z = 1 where z > 0, else s",
        "input gradient": "dz = da · (1 where z > 0, else s)",
    }

    def __init__(self, negative_slope: float = 0.2) -> None:
        super().__init__(negative_slope)


@twin_of("threshold")
class Threshold(ActivationFunction):
    """Lets pass what lies above θ, and puts ``default_value`` in the place of all else."""

    derivation = {
        "forward": "a = z where z > θ, else the default value",
        "local gradient": "∂a/∂z = 1 where z > θ, else 0",
        "input gradient": "dz = da · [z > θ]",
    }

    def __init__(self, threshold: float, default_value: float) -> None:
        self.threshold, self.default_value = threshold, default_value

    def forward(self, z: Array) -> Array:
        return np.where(z > self.threshold, z, self.default_value)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * (z > self.threshold)


@twin_of("hard_shrink")
class HardShrink(ActivationFunction):
    derivation = {
        "forward": "a = z where |z| > λ, else 0",
        "local gradient": "∂a/∂z = 1 where |z| > λ, else 0",
        "input gradient": "dz = da · [|z| > λ]",
    }

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def forward(self, z: Array) -> Array:
        return z * (np.abs(z) > self.threshold)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * (np.abs(z) > self.threshold)


@twin_of("soft_shrink")
class SoftShrink(ActivationFunction):
    """Moves everything towards 0 by λ: the proximal map of ``λ |z|``."""

    derivation = {
        "forward": "a = sign(z) · max(|z| − λ, 0)",
        "local gradient": "∂a/∂z = 1 where |z| > λ, else 0",
        "input gradient": "dz = da · [|z| > λ]",
    }

    def __init__(self, threshold: float = 0.5) -> None:
        self.threshold = threshold

    def forward(self, z: Array) -> Array:
        return np.maximum(z - self.threshold, 0.0) - np.maximum(-z - self.threshold, 0.0)

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        return da * (np.abs(z) > self.threshold)
