"""Layers that bring each sample to mean 0 and variance 1, or to length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array, at_least_single
from manual.layers.base import Layer, Shape
from manual.layers.standardization import Standardization, along, statistics, total
from manual.registry import NoTwin, twin_of


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
        shape, self.axes = along(self.axis, input_shape, self.samples)
        sizes = (self.samples or 1, *input_shape)
        spread = tuple(size if axis in self.axes else 1 for axis, size in enumerate(sizes))
        self.add_gamma_and_beta(shape, spread)

    @at_least_single
    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        of = statistics(x, self.axes)
        if not self.rms_scaling:
            return self.standardize(x, of)
        r = 1.0 / np.sqrt(of.variance + self.epsilon)
        return x * r * self.gamma.value.reshape(self.spread), (x, r, of)

    @at_least_single
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
        if channel == 0:
            raise NoTwin(f"layer {self.name!r}: groups of samples have no hand-derived twin.")
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

    @at_least_single
    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x_grouped = x.reshape(len(x), *self.grouped)
        y, saved = self.standardize(x_grouped, statistics(x_grouped, self.axes))
        return y.reshape(x.shape), saved

    @at_least_single
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
        if np.broadcast_shapes(input_shape, shape) != input_shape:
            raise NoTwin(
                f"layer {self.name!r}: Keras multiplies its scale of shape {shape} to the last "
                f"axes, which makes more of an input of shape {input_shape} than it tells."
            )
        self.scale = self.add_weight("scale", np.ones(shape))

    def compute_mask(self, x: Array, mask: Any) -> None:
        return None

    @at_least_single
    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        r = 1.0 / np.sqrt(np.square(x).mean(axis=self.axes, keepdims=True) + self.epsilon)
        return x * r * self.scale.value.reshape(self.spread), (x, r)

    @at_least_single
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
