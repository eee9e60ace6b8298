"""Convolutions: one kernel slides over the input; every position uses the same weights.

What deep learning calls convolution is a cross-correlation: the kernel is *not* flipped (Goodfellow
et al. 2016, section 9.1). Indices: p is a position of the output, i one of the input, o an offset
in the kernel, c an input channel, f a filter; i = p s + o d − before ties the three together
(`manual.layers.windows.Windows`), on each spatial axis.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manual import sums
from manual.arrays import Array, in_any_way, summed_products
from manual.bias import misplaced_axis
from manual.constraints import Constraint
from manual.layers.base import Shape
from manual.layers.columns import by_axis, columns, from_rows, in_rows, put_back, rows_back
from manual.layers.windows import SpatialLayer, Windows
from manual.registry import twin_of
from manual.regularizers import Regularizer

Config = Mapping[str, Any]

# Three products, each a matrix multiplication over offsets and channels at once.
# W: (*size, channels / groups, filters). The windows of x stand in columns, and what comes of them,
# z, in rows (`manual.layers.columns`). Of groups, all products are made in one call: a depthwise
# convolution has as many as channels, and is nothing but small ones.


def correlate(taken: Array, W: Array, groups: int = 1) -> Array:
    """Return z[p, f] = Σ x[p s + o d − before, c] W[o, c, f] from the windows of x."""
    if groups == 1:
        return W.reshape(-1, W.shape[-1]).T @ taken
    w = _apart(W.reshape(-1, W.shape[-1]), groups, -1)  # (groups, offsets · channels, filters)
    z = np.moveaxis(w, 1, 2)[:, None] @ _channels_apart(taken, W.shape, groups)
    return _together(z, 1)


def kernel_gradient(taken: Array, dz: Array, shape: Shape, groups: int = 1) -> Array:
    """Return dW[o, c, f] = Σ x[p s + o d − before, c] dz[p, f] over samples and positions."""
    if groups == 1:
        return summed_products(taken, np.moveaxis(dz, 1, 2)).reshape(shape)
    x, dz = _channels_apart(taken, shape, groups), _apart(dz, groups, 1)
    return _together(summed_products(x, np.moveaxis(dz, 2, 3)), 1).reshape(shape)


@in_any_way
def correlate_back(windows: Windows, dz: Array, space: Shape, W: Array, groups: int = 1) -> Array:
    """Return dx[i, c] = Σ dz[(i + before − o d) / s, f] W[o, c, f] for an input of this size.

    Over the filters and the kernel's rows, that is a product with the rows of dz in which a row of
    x takes part. The sum over the places in the kernel's rows is left to `put_back`.
    """
    of_rows, within = by_axis(windows)
    height, *width = space if windows.rank > 1 else (1, *space)
    W = np.moveaxis(W.reshape(*of_rows.size, *within.size, *W.shape[-2:])[::-1], 0, -2)
    rows, places, channels = rows_back(of_rows, dz, height), within.size, W.shape[-3]
    if groups == 1:
        kernel = W.reshape(-1, W.shape[-2] * W.shape[-1])
        shares = kernel @ rows.reshape(height, kernel.shape[-1], -1)
    else:
        kernel = _apart(W, groups, -1)
        kernel = kernel.reshape(groups, int(np.prod(places)) * channels, -1)
        rows = np.moveaxis(_apart(rows, groups, 2), 0, 1)
        shares = kernel @ rows.reshape(height, groups, kernel.shape[-1], -1)
        shares = shares.reshape(height, groups, -1, channels, shares.shape[-1])
        shares = np.moveaxis(shares, 1, 2)  # a channel of a group is a channel of x
    shares = shares.reshape(height, int(np.prod(places)), groups * channels, -1)
    dx = np.moveaxis(put_back(within, shares, width), (-1, 1), (0, -1))
    return dx if windows.rank > 1 else dx[:, 0]


def _channels_apart(taken: Array, kernel: Shape, groups: int) -> Array:
    """Return each group's channels of all windows, as columns; a window has a kernel's offsets.

    Returns
    -------
    array, shape (groups, rows, offsets · channels / groups, others)
    """
    rows, _, others = taken.shape
    by_offset = taken.reshape(rows, int(np.prod(kernel[:-2])), -1, others)
    return _apart(by_offset, groups, 2).reshape(groups, rows, -1, others)


def _apart(array: Array, groups: int, axis: int) -> Array:
    """Return what belongs to each group, one after the other along a new first axis."""
    axis %= array.ndim
    shape = *array.shape[:axis], groups, -1, *array.shape[axis + 1 :]
    return np.moveaxis(array.reshape(shape), axis, 0)


def _together(array: Array, axis: int) -> Array:
    """Put what belongs to each group side by side again, along an axis of each."""
    moved = np.moveaxis(array, 0, axis)
    return moved.reshape(*moved.shape[:axis], -1, *moved.shape[axis + 2 :])


class SlidingKernel(SpatialLayer):
    """What convolutions and transposed ones share: a kernel that slides, and a bias.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or sequence of int
    padding : str
    groups : int
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        groups: int = 1,
        activation: str | Config | None = None,
        use_bias: bool = True,
        *,
        kernel_regularizer: Config | Regularizer | None = None,
        bias_regularizer: Config | Regularizer | None = None,
        kernel_constraint: Config | Constraint | None = None,
        bias_constraint: Config | Constraint | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activation=activation)
        self.filters, self.groups, self.use_bias = filters, groups, use_bias
        self._placed(data_format)
        self.windows = self._geometry(kernel_size, strides, dilation_rate, padding)
        self.of_kernel = kernel_constraint, kernel_regularizer
        self.of_bias = bias_constraint, bias_regularizer

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        shape = self.kernel_shape(self._split(input_shape)[1])
        self.kernel = self.add_weight("kernel", glorot_uniform(shape, generator), *self.of_kernel)
        if self.use_bias:
            self.bias = self.add_weight("bias", np.zeros(self.filters), *self.of_bias)

    def kernel_shape(self, channels: int) -> Shape:
        """Return the kernel's shape for an input with so many channels."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the bias, as Keras adds it

    def is_misplaced(self, shape: Shape) -> bool:
        """Say whether Keras adds the bias along the last axis of space, given z's shape."""
        first = self.data_format == "channels_first"
        kept = (self.filters, *(1,) * self.rank)
        return first and misplaced_axis(kept, (shape[0], shape[-1], *shape[1:-1])) is not None

    def bias_at(self, shape: Shape) -> Array:
        """Return the bias, lying as it is added to z of a shape with the channels last."""
        return self.bias.value[:, None] if self.is_misplaced(shape) else self.bias.value

    def bias_gradient(self, dz: Array) -> Array:
        """Return the bias's gradient for dz with the channels last."""
        return sums.over_rows(np.moveaxis(dz, -2, -1) if self.is_misplaced(dz.shape) else dz)


class Convolution(SlidingKernel):
    """A convolution over any number of spatial axes, z = x ⋆ W + b.

    Takes x of shape ``(batch, *space, channels)`` and returns z of shape
    ``(batch, *positions, filters)`` (channels second with ``data_format="channels_first"``). The
    kernel has shape ``(*kernel_size, channels / groups, filters)``, the bias ``(filters,)``.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or sequence of int
    padding : str
        ``"valid"``, ``"same"`` or, in one dimension, ``"causal"``.
    groups : int
        Channels and filters are cut into as many groups; a filter sees its own group's channels.
    """

    derivation = {
        "forward": "z[p] = Σ x[p s + o d − before] W[o] + b over the kernel's offsets o",
        "kernel gradient": "dW[o] = Σ x[p s + o d − before]ᵀ · dz[p] over samples and positions p",
        "bias gradient": "db = Σ dz over samples and positions",
        "input gradient": "dx[i] = Σ dz[p] · W[o]ᵀ over all p, o with p s + o d − before = i",
    }

    def kernel_shape(self, channels: int) -> Shape:
        return (*self.windows.size, channels // self.groups, self.filters)

    def output_shape(self, input_shape: Shape) -> Shape:
        space, _ = self._split(input_shape)
        return self._joined(self.windows.positions(space), self.filters)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x = self._channels_last(x)
        space = x.shape[1:-1]
        taken = columns(self.windows, x)
        rows = correlate(taken, self.kernel.value, self.groups)
        z = from_rows(rows, self.windows.positions(space))
        if self.use_bias:
            z += self.bias_at(z.shape)
        return self._in_format(z), (taken, space)

    def backward(self, dz: Array, saved: Any) -> Array:
        taken, space = saved
        dz = self._channels_last(dz)
        rows, W = in_rows(dz), self.kernel.value
        self.kernel.gradient += kernel_gradient(taken, rows, W.shape, self.groups)
        if self.use_bias:
            self.bias.gradient += self.bias_gradient(dz)
        return self._in_format(correlate_back(self.windows, rows, space, W, self.groups))


@twin_of("Conv1D")
class Conv1D(Convolution):
    """A convolution along one axis, time say."""

    rank = 1


@twin_of("Conv2D")
class Conv2D(Convolution):
    """A convolution over the height and width of an image."""

    rank = 2


@twin_of("Conv3D")
class Conv3D(Convolution):
    """A convolution over three axes: a volume, or a film."""

    rank = 3


def glorot_uniform(shape: Shape, generator: np.random.Generator) -> Array:
    """Draw a kernel: Glorot & Bengio 2010, eq. 16, with all offsets counted as units."""
    field = int(np.prod(shape[:-2]))
    limit = np.sqrt(6.0 / (field * (shape[-2] + shape[-1])))
    return generator.uniform(-limit, limit, shape)
