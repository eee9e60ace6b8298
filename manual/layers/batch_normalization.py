"""Batch normalization: every channel brought to mean 0 and variance 1 over the batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from manual.arrays import Array, at_least_single
from manual.layers.base import Layer, Shape
from manual.layers.parameter import Parameter
from manual.layers.standardization import (
    Standardization,
    Statistics,
    statistics,
    statistics_of_squares,
    through_statistics,
    total,
)
from manual.registry import NoTwin, twin_of


@twin_of("BatchNormalization")
class BatchNormalization(Standardization):
    """Standardizes every channel over the batch (Ioffe & Szegedy 2015).

    In training by the batch's own mean and biased variance; at inference, and with
    ``trainable=False`` always, by moving averages of these, which a step in training moves. Keras
    keeps the *biased* variance in the average too (PyTorch the unbiased one), and its momentum is
    the share of the old (PyTorch's that of the new).

    With a mask the statistics are taken over the time steps that count, and all are standardized.

    Parameters
    ----------
    axis : int
        Of the channels; statistics are taken over all the others.
    momentum, epsilon : float
    center, scale : bool
        Whether there are β and γ.
    synchronized : bool
        Whether Keras takes the statistics over several devices. On one it then computes the
        variance as mean x² − μ², and so does this layer.
    renorm, renorm_clipping, renorm_momentum
        A configuration with ``renorm=True`` gives a ``BatchRenormalization``, which has these.
    """

    derivation = {
        **Standardization.derivation,
        "moving_mean": "μ̄⁺ = momentum · μ̄ + (1 − momentum) · μ",
        "moving_variance": "σ̄²⁺ = momentum · σ̄² + (1 − momentum) · σ², σ² divided by n",
    }
    takes_mask = True

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        *,
        synchronized: bool = False,
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_momentum: float = 0.99,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if renorm and not isinstance(self, BatchRenormalization):
            raise ValueError("With renorm=True it is a BatchRenormalization: make one.")
        self.clipping = renorm_clipping or {}
        self.renorm_momentum = renorm_momentum
        self.axis = axis
        self.synchronized = synchronized
        self.momentum = momentum

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Layer:
        kind = BatchRenormalization if config.get("renorm") else cls
        return super(BatchNormalization, kind).from_config(config)

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        ndim = len(input_shape) + 1
        channel = self.axis % ndim
        size = (self.samples, *input_shape)[channel]
        if size is None:
            raise NoTwin(f"layer {self.name!r}: each sample of any batch can't have its own γ.")
        spread = tuple(size if axis == channel else 1 for axis in range(ndim))
        self.axes = tuple(axis for axis in range(ndim) if axis != channel)
        self.add_gamma_and_beta((size,), spread)
        self.moving_mean = self.add_weight("moving_mean", np.zeros(size), is_state=True)
        self.moving_variance = self.add_weight("moving_variance", np.ones(size), is_state=True)

    @at_least_single
    def forward(
        self, x: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        if training and self.trainable:
            of = self.moments(x, mask)
        else:
            moving = self.moving_mean.value, self.moving_variance.value
            of = Statistics(*(average.reshape(self.spread) for average in moving))
        return self.standardize(x, of)

    def moments(self, x: Array, mask: Array | None) -> Statistics:
        """Return the batch's own mean and variance."""
        if mask is None and self.synchronized:
            return statistics_of_squares(x, self.axes)
        return statistics(x, self.axes, None if mask is None else mask[..., None])

    @at_least_single
    def backward(self, dy: Array, saved: Any) -> Array:
        return self.standardize_backward(dy, saved)

    @property
    def keeps_state(self) -> bool:
        return self.trainable  # a frozen one is frozen whole

    def update_state(self, saved: Any) -> None:
        *_, of = saved
        for moving, new in ((self.moving_mean, of.mean), (self.moving_variance, of.variance)):
            moved(moving, new, self.momentum)


def moved(moving: Parameter, new: Array, momentum: float) -> None:
    """Let a moving average take in a new value."""
    new = new.reshape(moving.shape)
    moving.value[...] = moving.value * momentum + new * (1.0 - momentum)


class BatchRenormalization(BatchNormalization):
    """Batch normalization that in training, too, ends near the moving averages (Ioffe 2017).

    What is standardized by the batch is moved and stretched to where averages would have brought
    it, by r and d, which no gradient passes through. These averages are a mean and a standard
    deviation with a momentum of their own; another deviation's, squared, is the moving variance of
    inference.

    Parameters
    ----------
    renorm_clipping : mapping of str to float, optional
        Bounds ``rmin`` and ``rmax`` of r, and ``dmax`` of d's size.
    renorm_momentum : float
    """

    derivation = {
        "forward": "y = γ (x̂ r + d) + β, with x̂ = (x − μ) / σ, σ² + ε its variance, "
        "r = σ / σᵣ and d = (μ − μᵣ) / σᵣ clipped, σᵣ at least √ε",
        "gamma gradient": "dγ = Σ dy · (x̂ r + d)",
        "beta gradient": "dβ = Σ dy",
        "input gradient": "dx as batch normalization has it for γ r in the place of γ",
        "moving_mean": "μ̄⁺ = momentum · μ̄ + (1 − momentum) · μ",
        "moving_stddev": "σ̄⁺ = momentum · σ̄ + (1 − momentum) · σ",
        "moving_variance": "σ̄²⁺ = σ̄⁺ · σ̄⁺ − ε, at least 0",
        "renorm_mean": "μᵣ⁺ = renorm_momentum · μᵣ + (1 − renorm_momentum) · μ",
        "renorm_stddev": "σᵣ⁺ = renorm_momentum · σᵣ + (1 − renorm_momentum) · σ",
    }

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        super().build(input_shape, generator)
        zeros, ones = np.zeros(self.moving_mean.shape), np.ones(self.moving_mean.shape)
        self.moving_stddev = self.add_weight("moving_stddev", ones, is_state=True)
        self.renorm_mean = self.add_weight("renorm_mean", zeros, is_state=True)
        self.renorm_stddev = self.add_weight("renorm_stddev", ones.copy(), is_state=True)

    def corrections(self, of: Statistics) -> tuple[Array, Array]:
        """Return r and d; Keras rounds the ε that bounds σᵣ to float32."""
        sigma = np.sqrt(of.variance + self.epsilon)
        least = math.sqrt(float(np.float32(self.epsilon)))
        average = np.maximum(self.renorm_stddev.value.reshape(self.spread), least)
        r = sigma / average
        d = (of.mean - self.renorm_mean.value.reshape(self.spread)) / average
        rmin, rmax, dmax = (self.clipping.get(bound) for bound in ("rmin", "rmax", "dmax"))
        r = r if rmin is None else np.maximum(r, rmin)
        r = r if rmax is None else np.minimum(r, rmax)
        return r, (d if dmax is None else np.minimum(np.maximum(d, -dmax), dmax))

    @at_least_single
    def forward(
        self, x: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        if not (training and self.trainable):
            return super().forward(x, training=training, mask=mask)
        of = self.moments(x, mask)
        r, d = self.corrections(of)
        scale, shift = r, d
        if self.scale:
            gamma = self.gamma.value.reshape(self.spread)
            scale, shift = r * gamma, d * gamma
        if self.center:
            shift = shift + self.beta.value.reshape(self.spread)
        inverse = 1.0 / np.sqrt(of.variance + self.epsilon)
        s = inverse * scale
        return x * s + (shift - of.mean * s), (x, inverse, s, (r, d, scale), of)

    @at_least_single
    def backward(self, dy: Array, saved: Any) -> Array:
        if len(saved) == 4:  # not in training
            return super().backward(dy, saved)
        x, inverse, s, (r, d, scale), of = saved
        dy_sum = total(dy, s)
        ds = total(dy * x, s) - of.mean * dy_sum
        if self.center:
            self.beta.gradient += dy_sum.reshape(self.beta.shape)
        if self.scale:
            self.gamma.gradient += (ds * inverse * r + dy_sum * d).reshape(self.gamma.shape)
        dvariance = -0.5 * (ds * scale) * (inverse * inverse * inverse)
        return through_statistics(x, dy * s, -(dy_sum * s), dvariance, of)

    def update_state(self, saved: Any) -> None:
        *_, of = saved
        sigma = np.sqrt(of.variance + self.epsilon)
        moved(self.renorm_mean, of.mean, self.renorm_momentum)
        moved(self.renorm_stddev, sigma, self.renorm_momentum)
        moved(self.moving_mean, of.mean, self.momentum)
        moved(self.moving_stddev, sigma, self.momentum)
        deviation = self.moving_stddev.value
        self.moving_variance.value[...] = np.maximum(deviation * deviation - self.epsilon, 0.0)
