"""Mean 0 and variance 1: what batch, layer and group normalization share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manual import sums
from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.layers.parameter import Parameter
from manual.layers.symbol import Symbol
from manual.registry import NoTwin

FUZZ = 1e-7
"""Keras adds it (``keras.config.epsilon()``, at its default) where it divides by a masked count."""

Option = Any
"""A regularizer or constraint: an object, Keras's configuration of one, or None."""


@dataclass(frozen=True)
class Statistics:
    """By what a layer standardizes, in shapes that spread over its input.

    Attributes
    ----------
    mean, variance : array
    count : float or array
        How many numbers each was taken over; 0 where they are constants, through which no
        gradient flows.
    mask : array of bool, or None
        Which numbers they were taken over.
    deviation : array, or None
        x − μ, where no mask is, and the variance is the mean of its square.
    """

    mean: Array
    variance: Array
    count: Array = 0.0
    mask: Array | None = None
    deviation: Array | None = None

    @property
    def constant(self) -> bool:
        return isinstance(self.count, float) and self.count == 0.0


def statistics(x: Array, axes: tuple[int, ...], mask: Array | None = None) -> Statistics:
    """Return mean and (biased) variance over the axes, of what the mask lets through."""
    if mask is None:
        count = float(np.prod([x.shape[axis] for axis in axes]))
        mean = sums.over(x, axes) / count
        deviation = x - mean
        variance = sums.over(np.square(deviation), axes) / count
        return Statistics(mean, variance, count, deviation=deviation)
    everywhere = np.broadcast_to(mask, x.shape)
    count = everywhere.sum(axis=axes, keepdims=True).astype(x.dtype) + FUZZ
    mean = np.where(mask, x, 0.0).sum(axis=axes, keepdims=True) / count
    squares = np.square(np.where(mask, x - mean, 0.0))
    return Statistics(mean, squares.sum(axis=axes, keepdims=True) / count, count, mask)


def statistics_of_squares(x: Array, axes: tuple[int, ...]) -> Statistics:
    """Return mean and variance, this as the mean square less the square of the mean.

    The same to a mathematician, and far less exact where the mean is far larger than the deviation.
    """
    count = float(np.prod([x.shape[axis] for axis in axes]))
    mean = sums.over(x, axes) / count
    variance = np.maximum(sums.over(np.square(x), axes) / count - np.square(mean), 0.0)
    return Statistics(mean, variance, count)


def total(array: Array, like: Array) -> Array:
    """Sum over the axes along which ``like`` was spread."""
    pairs = enumerate(zip(array.shape, like.shape, strict=True))
    axes = tuple(axis for axis, (size, kept) in pairs if kept == 1 and size > 1)
    return sums.over(array, axes) if axes else array


def along(
    axis: int | Sequence[int], input_shape: Shape, samples: int | None = None
) -> tuple[Shape, tuple[int, ...]]:
    """Return the input's sizes along the given axes, in Keras's order, and the axes themselves.

    Keras sorts them as they were written: −1 comes before 1.
    """
    sizes = (samples or 1, *input_shape)
    written = [axis] if isinstance(axis, int) else sorted(axis)
    axes = tuple(sorted(one % len(sizes) for one in written))
    if 0 in axes and samples is None:
        raise NoTwin("Statistics over a batch of any size have no hand-derived twin.")
    return tuple(sizes[one] for one in written), axes


class Standardization(Layer):
    """What batch, layer and group normalization share: y = γ (x − μ) / √(σ² + ε) + β.

    It is computed as Keras does, y = x s + (β − μ s) with s = γ / √(σ² + ε), in float32 where the
    policy is narrower, and so are the derivatives: where μ is far larger than σ, that is what they
    lose digits to. Both are then the chain rule, line by line (Ioffe & Szegedy 2015, section 3).
    """

    derivation = {
        "forward": "y = γ x̂ + β, with x̂ = (x − μ) r, r = 1 / √(σ² + ε)",
        "gamma gradient": "dγ = Σ dy · x̂",
        "beta gradient": "dβ = Σ dy",
        "input gradient": (
            "dx = γ r dy + (dμ + 2 (x − μ) dσ²) / n, "
            "with dμ = −Σ γ r dy, dσ² = −½ r³ Σ γ dy (x − μ), n numbers in each mean"
        ),
    }

    samples: int | None = None
    """In a batch, if that is said of it: only then may each sample have weights of its own."""

    def __init__(
        self,
        *,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_regularizer: Option = None,
        gamma_regularizer: Option = None,
        beta_constraint: Option = None,
        gamma_constraint: Option = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.epsilon = epsilon
        self.center = center
        self.scale = scale
        self.of_gamma = gamma_constraint, gamma_regularizer
        self.of_beta = beta_constraint, beta_regularizer

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        self.samples = inputs[0].samples
        return super().apply(*inputs, call=call, **named)

    def add_gamma_and_beta(self, shape: Shape, spread: Shape) -> None:
        """Declare the weights; ``spread`` is the shape in which they meet the input."""
        self.spread = spread
        if self.scale:
            self.gamma = self.add_weight("gamma", np.ones(shape), *self.of_gamma)
        if self.center:
            self.beta = self.add_weight("beta", np.zeros(shape), *self.of_beta)

    def add_weight(self, *described: Any, **options: Any) -> Parameter:
        weight = super().add_weight(*described, **options)
        weight.autocast = False
        return weight

    def standardize(self, x: Array, of: Statistics) -> tuple[Array, Any]:
        """Return y, and what `standardize_backward` needs."""
        r = 1.0 / np.sqrt(of.variance + self.epsilon)
        s = r * self.gamma.value.reshape(self.spread) if self.scale else r
        shift = -of.mean * s
        if self.center:
            shift = self.beta.value.reshape(self.spread) + shift
        y = x * s
        y += shift
        return y, (x, r, s, of)

    def standardize_backward(self, dy: Array, saved: Any) -> Array:
        x, r, s, of = saved
        dy_sum = total(dy, s)
        if self.center:
            beta = self.beta.value.reshape(self.spread)
            dbeta = dy_sum if beta.shape == s.shape else total(dy, beta)
            self.beta.gradient += dbeta.reshape(self.beta.shape)
        ds = total(dy * x, s) - of.mean * dy_sum
        dr = ds
        if self.scale:
            gamma = self.gamma.value.reshape(self.spread)
            self.gamma.gradient += total(ds * r, gamma).reshape(self.gamma.shape)
            dr = total(ds * gamma, r)
        direct = dy * s
        if of.constant:
            return direct
        dvariance = -0.5 * dr * (r * r * r)
        dmean = -total(direct if dy_sum is dy else dy_sum * s, of.mean)
        return through_statistics(x, direct, dmean, dvariance, of)


def through_statistics(
    x: Array, direct: Array, dmean: Array, dvariance: Array, of: Statistics
) -> Array:
    """Add to a gradient what reaches x through its mean and variance."""
    if of.mask is None and of.deviation is None:  # of squares: σ² = mean x² − μ²
        dmean = dmean - 2.0 * of.mean * dvariance
        return direct + x * (2.0 * dvariance / of.count) + dmean / of.count
    if of.mask is None:  # Σ (x − μ) = 0: the variance doesn't change with the mean
        dx = direct
        dx += of.deviation * (2.0 * dvariance / of.count)
        dx += dmean / of.count
        return dx
    deviation = np.where(of.mask, x - of.mean, 0.0)
    dmean = dmean - 2.0 * total(deviation, of.mean) / of.count * dvariance
    return direct + np.where(of.mask, dmean + 2.0 * deviation * dvariance, 0.0) / of.count
