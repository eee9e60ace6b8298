"""Depthwise convolutions, with kernels for each channel, and separable ones, which mix after that.

A depthwise convolution is one with as many groups as channels (`manual.layers.convolution`); only
its kernel lies otherwise. Indices as there, and m counts the kernels of a channel.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array, summed_products
from manual.constraints import Constraint
from manual.layers.base import Shape
from manual.layers.columns import columns, from_rows, in_rows
from manual.layers.convolution import (
    Config,
    SlidingKernel,
    correlate,
    correlate_back,
    glorot_uniform,
    kernel_gradient,
)
from manual.registry import twin_of
from manual.regularizers import Regularizer


class ChannelByChannel(SlidingKernel):
    """What both share: kernels that see one channel each.

    Parameters
    ----------
    depth_multiplier : int
        How many kernels a channel has.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int],
        padding: str,
        data_format: str | None,
        dilation_rate: int | Sequence[int],
        depth_multiplier: int,
        depthwise_regularizer: Config | Regularizer | None = None,
        depthwise_constraint: Config | Constraint | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            filters, kernel_size, strides, padding, data_format, dilation_rate, **options
        )
        self.depth_multiplier = depth_multiplier
        self.of_kernel = depthwise_constraint, depthwise_regularizer

    def kernel_shape(self, channels: int) -> Shape:
        return (*self.windows.size, channels, self.depth_multiplier)

    def output_shape(self, input_shape: Shape) -> Shape:
        space, _ = self._split(input_shape)
        return self._joined(self.windows.positions(space), self.filters)

    def of_groups(self, W: Array) -> Array:
        """Return the kernel as that of a convolution with a group for each channel."""
        return W.reshape(*W.shape[:-2], 1, -1)


class DepthwiseConvolution(ChannelByChannel):
    """A convolution of each channel by itself, over any number of spatial axes.

    Takes x of shape ``(batch, *space, channels)`` and returns z of shape
    ``(batch, *positions, channels · depth_multiplier)``, a channel's results side by side (channels
    second with ``data_format="channels_first"``). The kernel has shape
    ``(*kernel_size, channels, depth_multiplier)``, the bias ``(channels · depth_multiplier,)``.

    Parameters
    ----------
    kernel_size, strides, dilation_rate : int or sequence of int
    padding : str
        ``"valid"`` or ``"same"``.
    depth_multiplier : int
        How many kernels a channel has.
    """

    derivation = {
        "forward": "z[p, c m] = Σ x[p s + o d − before, c] W[o, c, m] + b over the offsets o",
        "kernel gradient": "dW[o, c, m] = Σ x[p s + o d − before, c] dz[p, c m] over samples and "
        "positions p",
        "bias gradient": "db = Σ dz over samples and positions",
        "input gradient": "dx[i, c] = Σ dz[p, c m] W[o, c, m] over m and all p, o with "
        "p s + o d − before = i",
    }

    def __init__(
        self,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        **options: Any,
    ) -> None:
        filters = 0  # known when the channels are
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            depth_multiplier,
            **options,
        )

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        self.filters = self._split(input_shape)[1] * self.depth_multiplier
        super().build(input_shape, generator)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x = self._channels_last(x)
        space, channels = x.shape[1:-1], x.shape[-1]
        taken = columns(self.windows, x)
        rows = correlate(taken, self.of_groups(self.kernel.value), channels)
        z = from_rows(rows, self.windows.positions(space))
        if self.use_bias:
            z = z + self.bias_at(z.shape)
        return self._in_format(z), (taken, space, channels)

    def backward(self, dz: Array, saved: Any) -> Array:
        taken, space, channels = saved
        dz = self._channels_last(dz)
        rows, W = in_rows(dz), self.of_groups(self.kernel.value)
        dW = kernel_gradient(taken, rows, W.shape, channels)
        self.kernel.gradient += dW.reshape(self.kernel.shape)
        if self.use_bias:
            self.bias.gradient += self.bias_gradient(dz)
        return self._in_format(correlate_back(self.windows, rows, space, W, channels))


class SeparableConvolution(ChannelByChannel):
    """A depthwise convolution and then a mixing of its results at each position: z = (x ⋆ D) P + b.

    Takes x of shape ``(batch, *space, channels)`` and returns z of shape
    ``(batch, *positions, filters)`` (channels second with ``data_format="channels_first"``). The
    depthwise kernel D has shape ``(*kernel_size, channels, depth_multiplier)``, the pointwise one P
    ``(*1s, channels · depth_multiplier, filters)``, the bias ``(filters,)``.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or sequence of int
    padding : str
        ``"valid"`` or ``"same"``.
    depth_multiplier : int
        How many depthwise kernels a channel has.
    """

    derivation = {
        "forward": "z[p] = u[p] P + b, with u[p, c m] = Σ x[p s + o d − before, c] D[o, c, m] over "
        "the kernel's offsets o",
        "pointwise_kernel gradient": "dP = Σ u[p]ᵀ · dz[p] over samples and positions p",
        "depthwise_kernel gradient": "dD[o, c, m] = Σ x[p s + o d − before, c] du[p, c m] over "
        "samples and positions p, with du = dz · Pᵀ",
        "bias gradient": "db = Σ dz over samples and positions",
        "input gradient": "dx[i, c] = Σ du[p, c m] D[o, c, m] over m and all p, o with "
        "p s + o d − before = i",
    }

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        depth_multiplier: int = 1,
        *,
        pointwise_regularizer: Config | Regularizer | None = None,
        pointwise_constraint: Config | Constraint | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            depth_multiplier,
            **options,
        )
        self.of_pointwise = pointwise_constraint, pointwise_regularizer

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        channels = self._split(input_shape)[1]
        D = glorot_uniform(self.kernel_shape(channels), generator)
        shape = *(1,) * self.rank, channels * self.depth_multiplier, self.filters
        P = glorot_uniform(shape, generator)
        self.depthwise_kernel = self.add_weight("depthwise_kernel", D, *self.of_kernel)
        self.pointwise_kernel = self.add_weight("pointwise_kernel", P, *self.of_pointwise)
        if self.use_bias:
            self.bias = self.add_weight("bias", np.zeros(self.filters), *self.of_bias)

    @property
    def mixing(self) -> Array:
        """P as a matrix."""
        return self.pointwise_kernel.value.reshape(-1, self.filters)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x = self._channels_last(x)
        space, channels = x.shape[1:-1], x.shape[-1]
        taken = columns(self.windows, x)
        u = correlate(taken, self.of_groups(self.depthwise_kernel.value), channels)
        z = from_rows(self.mixing.T @ u, self.windows.positions(space))
        if self.use_bias:
            z = z + self.bias_at(z.shape)
        return self._in_format(z), (taken, u, space, channels)

    def backward(self, dz: Array, saved: Any) -> Array:
        taken, u, space, channels = saved
        dz = self._channels_last(dz)
        rows, D = in_rows(dz), self.of_groups(self.depthwise_kernel.value)
        dP = summed_products(u, np.moveaxis(rows, 1, 2))
        self.pointwise_kernel.gradient += dP.reshape(self.pointwise_kernel.shape)
        du = self.mixing @ rows
        dD = kernel_gradient(taken, du, D.shape, channels)
        self.depthwise_kernel.gradient += dD.reshape(self.depthwise_kernel.shape)
        if self.use_bias:
            self.bias.gradient += self.bias_gradient(dz)
        return self._in_format(correlate_back(self.windows, du, space, D, channels))


@twin_of("DepthwiseConv1D")
class DepthwiseConv1D(DepthwiseConvolution):
    """A depthwise convolution along one axis, time say."""

    rank = 1


@twin_of("DepthwiseConv2D")
class DepthwiseConv2D(DepthwiseConvolution):
    """A depthwise convolution over the height and width of an image."""

    rank = 2


@twin_of("SeparableConv1D")
class SeparableConv1D(SeparableConvolution):
    """A separable convolution along one axis, time say."""

    rank = 1


@twin_of("SeparableConv2D")
class SeparableConv2D(SeparableConvolution):
    """A separable convolution over the height and width of an image."""

    rank = 2
