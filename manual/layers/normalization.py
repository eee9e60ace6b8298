"""Layers that bring their input to mean 0 and variance 1, or to length 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Parameter, Shape
from manual.layers.standardization import (
    Standardization,
    Statistics,
    along,
    statistics,
    statistics_of_squares,
    total,
)
from manual.registry import twin_of


@twin_of("BatchNormalization")
class BatchNormalization(Standardization):
    """Standardizes every channel over the batch (Ioffe & Szegedy 2015).

    In training by the batch's own mean and biased variance; at inference, and with
    ``trainable=False`` always, by moving averages of these, which a step in training moves. Keras
    keeps the *biased* variance in the average too (PyTorch the unbiased one), and its momentum is
    the share of the old (PyTorch's that of the new).

    With a mask the statistics are taken over the time steps that count, and all are standardized.

    Batch *re*normalization (Ioffe 2017) makes up for the difference between the batch's statistics
    and averages of their own, by a factor r and an offset d that no gradient flows through. What is
    averaged is then the deviation √(σ² + ε), and the variance follows from it.

    Parameters
    ----------
    axis : int
        Of the channels; statistics are taken over all the others.
    momentum, epsilon : float
    center, scale : bool
        Whether there are β and γ.
    renorm : bool
    renorm_clipping : mapping, optional
        Bounds of r and d: ``rmin``, ``rmax``, ``dmax``.
    renorm_momentum : float
        That of the averages by which r and d are found.
    synchronized : bool
        Whether the variance is mean x² − μ², as several devices work it out together.
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
        renorm: bool = False,
        renorm_clipping: Mapping[str, float] | None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.axis = axis
        self.momentum = momentum
        self.renorm, self.renorm_momentum = renorm, renorm_momentum
        self.bounds = renorm_clipping or {}
        self.synchronized = synchronized
        if renorm:
            self.derivation = RENORMALIZED  # type: ignore[misc]

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        ndim = len(input_shape) + 1
        channel = self.axis % ndim
        size = input_shape[channel - 1]
        spread = tuple(size if axis == channel else 1 for axis in range(ndim))
        self.axes = tuple(axis for axis in range(ndim) if axis != channel)
        self.add_gamma_and_beta((size,), spread)
        self.moving_mean = self.add_weight("moving_mean", np.zeros(size), is_state=True)
        self.moving_variance = self.add_weight("moving_variance", np.ones(size), is_state=True)
        if self.renorm:
            self.moving_stddev = self.add_weight("moving_stddev", np.ones(size), is_state=True)
            self.renorm_mean = self.add_weight("renorm_mean", np.zeros(size), is_state=True)
            self.renorm_stddev = self.add_weight("renorm_stddev", np.ones(size), is_state=True)

    def forward(
        self, x: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        if not (training and self.trainable):
            moving = self.moving_mean.value, self.moving_variance.value
            of = Statistics(*(average.reshape(self.spread) for average in moving))
            return self.standardize(x, of)
        if self.synchronized and mask is None:
            of = statistics_of_squares(x, self.axes)
        else:
            of = statistics(x, self.axes, None if mask is None else mask[..., None])
        return self.standardize(x, of, *([self.corrections(of)] if self.renorm else []))

    def corrections(self, of: Statistics) -> tuple[Array, Array]:
        """Return r and d: how the batch's deviation and mean lie to those of many batches.

        Keras rounds ε to float32 where it bounds the deviation of many batches by √ε.
        """
        mean, deviation = (
            one.value.reshape(self.spread) for one in (self.renorm_mean, self.renorm_stddev)
        )
        deviation = np.maximum(deviation, float(np.sqrt(float(np.float32(self.epsilon)))))
        r = np.sqrt(of.variance + self.epsilon) / deviation
        d = (of.mean - mean) / deviation
        if self.bounds.get("rmin") is not None:
            r = np.maximum(r, self.bounds["rmin"])
        if self.bounds.get("rmax") is not None:
            r = np.minimum(r, self.bounds["rmax"])
        if self.bounds.get("dmax") is not None:
            d = np.minimum(np.maximum(d, -self.bounds["dmax"]), self.bounds["dmax"])
        return r, d

    def backward(self, dy: Array, saved: Any) -> Array:
        return self.standardize_backward(dy, saved)

    def update_state(self, saved: Any) -> None:
        *_, of = saved
        if not self.renorm:
            move(self.moving_mean, of.mean, self.momentum)
            move(self.moving_variance, of.variance, self.momentum)
            return
        deviation = np.sqrt(of.variance + self.epsilon)
        move(self.renorm_mean, of.mean, self.renorm_momentum)
        move(self.renorm_stddev, deviation, self.renorm_momentum)
        move(self.moving_mean, of.mean, self.momentum)
        move(self.moving_stddev, deviation, self.momentum)
        squared = np.square(self.moving_stddev.value)
        self.moving_variance.value[...] = np.maximum(squared - self.epsilon, 0.0)


RENORMALIZED = {
    **BatchNormalization.derivation,
    "forward": "y = γ (x̂ r + d) + β, with x̂ = (x − μ) / s, s = √(σ² + ε), r = s / s̄, "
    "d = (μ − μ̄) / s̄",
    "gamma gradient": "dγ = Σ dy · (x̂ r + d)",
    "input gradient": "dx as without, with γ r for γ: r and d are constants",
    "moving_variance": "σ̄²⁺ = s̄ₘ⁺² − ε, at least 0",
    "moving_stddev": "s̄ₘ⁺ = momentum · s̄ₘ + (1 − momentum) · s",
    "renorm_mean": "μ̄⁺ = momentum · μ̄ + (1 − momentum) · μ, with the momentum of its own",
    "renorm_stddev": "s̄⁺ = momentum · s̄ + (1 − momentum) · s, with the momentum of its own",
}


def move(average: Parameter, new: Array, momentum: float) -> None:
    """Let a moving average take in something new."""
    old = average.value
    average.value[...] = old * momentum + new.reshape(average.shape) * (1.0 - momentum)


@twin_of("LayerNormalization")
class LayerNormalization(Standardization):
    """Standardizes every sample over its own features (Ba, Kiros & Hinton 2016).

    Parameters
    ----------
    axis : int or sequence of int
        Over which mean and variance are taken; γ and β have these axes.
    epsilon : float
    center, scale : bool
        Whether there are β and γ.
    rms_scaling : bool
        Keras's old mistake, kept by it: x is divided by its standard deviation without the mean
        being subtracted, and there is no β: y = γ x r.
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        rms_scaling: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.center = self.center and not rms_scaling
        self.scale = self.scale or rms_scaling
        self.axis = axis
        self.rms_scaling = rms_scaling
        if rms_scaling:
            self.derivation = {  # type: ignore[misc]
                "forward": "y = γ x r, with r = 1 / √(σ² + ε)",
                "gamma gradient": "dγ = Σ dy · x r",
                "input gradient": "dx = γ r dy + 2 (x − μ) dσ² / n, with dσ² = −½ r³ Σ γ dy x",
            }

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        shape, self.axes = along(self.axis, input_shape)
        sizes = (1, *input_shape)
        spread = tuple(size if axis in self.axes else 1 for axis, size in enumerate(sizes))
        self.add_gamma_and_beta(shape, spread)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        of = statistics(x, self.axes)
        if not self.rms_scaling:
            return self.standardize(x, of)
        r = 1.0 / np.sqrt(of.variance + self.epsilon)
        return x * r * self.gamma.value.reshape(self.spread), (x, r, of)

    def backward(self, dy: Array, saved: Any) -> Array:
        if not self.rms_scaling:
            return self.standardize_backward(dy, saved)
        x, r, of = saved
        gamma = self.gamma.value.reshape(self.spread)
        self.gamma.gradient += total(dy * (x * r), gamma).reshape(self.gamma.shape)
        dvariance = -0.5 * total(dy * gamma * x, r) * (r * r * r)
        return dy * gamma * r + 2.0 * (x - of.mean) * dvariance / of.count


@twin_of("GroupNormalization")
class GroupNormalization(Standardization):
    """Standardizes every sample over groups of its channels (Wu & He 2018).

    Parameters
    ----------
    groups : int
        How many groups the channels form; −1 for one channel in each (instance normalization).
    axis : int
        Of the channels.
    epsilon : float
    center, scale : bool
        Whether there are β and γ, a number for each channel.
    """

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.groups = groups
        self.axis = axis

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        ndim = len(input_shape) + 1
        channel = self.axis % ndim
        size = input_shape[channel - 1]
        groups = size if self.groups == -1 else self.groups
        if size % groups:
            raise ValueError(
                f"The layer {self.name!r} can't form {groups} equal groups of {size} channels."
            )
        self.grouped = (*input_shape[: channel - 1], groups, size // groups, *input_shape[channel:])
        self.axes = tuple(axis for axis in range(1, ndim + 1) if axis != channel)
        spread = [1] * (ndim + 1)
        spread[channel : channel + 2] = groups, size // groups
        self.add_gamma_and_beta((size,), tuple(spread))

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x_grouped = x.reshape(len(x), *self.grouped)
        y, saved = self.standardize(x_grouped, statistics(x_grouped, self.axes))
        return y.reshape(x.shape), saved

    def backward(self, dy: Array, saved: Any) -> Array:
        dx = self.standardize_backward(dy.reshape(len(dy), *self.grouped), saved)
        return dx.reshape(dy.shape)


@twin_of("RMSNormalization")
class RMSNormalization(Layer):
    """Divides by the root of the mean square: no mean is subtracted (Zhang & Sennrich 2019).

    Keras lets the scale meet the *last* axes of the input, whichever axis the mean is taken over.
    No mask passes this layer.

    Parameters
    ----------
    axis : int or sequence of int
        Over which the mean square is taken; the scale has these axes.
    epsilon : float
    """

    derivation = {
        "forward": "y = γ x r, with r = 1 / √(mean x² + ε)",
        "scale gradient": "dγ = Σ dy · x r",
        "input gradient": "dx = γ r dy − x r³ Σ (γ dy · x) / n",
    }

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-6,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis = axis
        self.epsilon = epsilon

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        shape, self.axes = along(self.axis, input_shape)
        self.spread = (1,) * (len(input_shape) + 1 - len(shape)) + shape
        self.scale = self.add_weight("scale", np.ones(shape))

    def compute_mask(self, x: Array, mask: Any) -> None:
        return None

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        r = 1.0 / np.sqrt(np.square(x).mean(axis=self.axes, keepdims=True) + self.epsilon)
        return x * r * self.scale.value.reshape(self.spread), (x, r)

    def backward(self, dy: Array, saved: Any) -> Array:
        x, r = saved
        gamma = self.scale.value.reshape(self.spread)
        self.scale.gradient += total(dy * (x * r), gamma).reshape(self.scale.shape)
        dy = dy * gamma
        return dy * r - x * (r * r * r) * (dy * x).mean(axis=self.axes, keepdims=True)


@twin_of("UnitNormalization")
class UnitNormalization(Layer):
    """Brings every vector along the axis to length 1; shorter than 10⁻¹² ones grow 10¹² times.

    Parameters
    ----------
    axis : int or sequence of int
        Over which the length is taken.
    """

    derivation = {
        "forward": "y = x r, with r = 1 / ‖x‖, at most 10¹²",
        "input gradient": "dx = r dy − x r³ Σ dy · x; r dy where r is at its bound",
    }
    shortest = 1e-12

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis = axis

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        written = [self.axis] if isinstance(self.axis, int) else self.axis
        self.axes = tuple(sorted(one % (len(input_shape) + 1) for one in written))

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        length = np.sqrt(np.square(x).sum(axis=self.axes, keepdims=True))
        r = 1.0 / np.maximum(length, self.shortest)
        return x * r, (x, r, length > self.shortest)

    def backward(self, dy: Array, saved: Any) -> Array:
        x, r, moves = saved
        turned = x * (r * r * r) * (dy * x).sum(axis=self.axes, keepdims=True)
        return dy * r - np.where(moves, turned, 0.0)
