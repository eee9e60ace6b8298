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
# z, in rows (`manual.layers.columns`).


def correlate(taken: Array, W: Array, groups: int = 1) -> Array:
    """Return z[p, f] = Σ x[p s + o d − before, c] W[o, c, f] from the windows of x."""
    each = _channels_of(taken, W.shape, groups), _parts(W, groups, -1)
    return _joined([w.reshape(-1, w.shape[-1]).T @ x for x, w in zip(*each, strict=True)], 1)


def kernel_gradient(taken: Array, dz: Array, shape: Shape, groups: int = 1) -> Array:
    """Return dW[o, c, f] = Σ x[p s + o d − before, c] dz[p, f] over samples and positions."""
    each = _channels_of(taken, shape, groups), _parts(dz, groups, 1)
    parts = [summed_products(x, np.moveaxis(one, 1, 2)) for x, one in zip(*each, strict=True)]
    return _joined(parts, -1).reshape(shape)


@in_any_way
def correlate_back(windows: Windows, dz: Array, space: Shape, W: Array, groups: int = 1) -> Array:
    """Return dx[i, c] = Σ dz[(i + before − o d) / s, f] W[o, c, f] for an input of this size.

    Over the filters and the kernel's rows, that is a product with the rows of dz in which a row of
    x takes part. The sum over the places in the kernel's rows is left to `put_back`.
    """
    of_rows, within = by_axis(windows)
    height, *width = space if windows.rank > 1 else (1, *space)
    W = W.reshape(*of_rows.size, *within.size, *W.shape[-2:])
    each = _parts(rows_back(of_rows, dz, height), groups, 2), _parts(W[::-1], groups, -1)
    parts = []
    for rows, w in zip(*each, strict=True):
        kernel = np.moveaxis(w, 0, -2).reshape(int(np.prod(w.shape[1:-1])), -1)
        shares = kernel @ rows.reshape(height, kernel.shape[-1], -1)
        parts.append(
            put_back(within, shares.reshape(height, -1, w.shape[-2], shares.shape[-1]), width)
        )
    dx = np.moveaxis(_joined(parts, 1), (-1, 1), (0, -1))
    return dx if windows.rank > 1 else dx[:, 0]


def _channels_of(taken: Array, kernel: Shape, groups: int) -> list[Array]:
    """Return each group's channels of all windows, as columns; a window has a kernel's offsets."""
    if groups == 1:
        return [taken]
    rows, _, others = taken.shape
    by_offset = taken.reshape(rows, int(np.prod(kernel[:-2])), -1, others)
    return [part.reshape(rows, -1, others) for part in np.split(by_offset, groups, 2)]


def _parts(array: Array, groups: int, axis: int) -> list[Array]:
    return [array] if groups == 1 else np.split(array, groups, axis)


def _joined(parts: list[Array], axis: int) -> Array:
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis)


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
            misplaced = self.is_misplaced(dz.shape)
            db = self.bias_gradient(dz) if misplaced else rows.sum(axis=(0, 2))
            self.bias.gradient += db
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
