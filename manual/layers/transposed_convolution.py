"""Transposed convolutions: what a convolution does to gradients, done to numbers.

They enlarge: where a convolution from z's space to x's would go forward, these go back. Of the same
three products, then, the derivative for the input is the one that convolves. Indices are those of
`manual.layers.convolution`: p is a position of the *input* here, and i one of the output.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.columns import columns, from_rows, in_rows
from manual.layers.convolution import (
    Config,
    SlidingKernel,
    correlate,
    correlate_back,
    kernel_gradient,
)
from manual.registry import NoTwin, twin_of


class TransposedConvolution(SlidingKernel):
    """The transpose of a convolution, over any number of spatial axes (Dumoulin & Visin 2016).

    Takes x of shape ``(batch, *space, channels)`` and returns z of shape
    ``(batch, *larger, filters)`` (channels second with ``data_format="channels_first"``). The
    kernel has shape ``(*kernel_size, filters, channels)``, the bias ``(filters,)``.

    On an axis of n elements, with kernels that span k elements (the gaps of a dilation included):

    - *valid* gives (n − 1) s + max(k, s), as if the last position had room for a stride;
    - *same* gives n s;
    - with an ``output_padding`` a, it is (n − 1) s + k + a for *valid*, and for *same*
      (n − 1) s + a, plus 1 where k is odd: in Keras a stands in the place of what is left of s.

    Parameters
    ----------
    filters : int
    kernel_size, strides, dilation_rate : int or sequence of int
    padding : str
        ``"valid"`` or ``"same"``.
    output_padding : int or sequence of int, optional
    """

    derivation = {
        "forward": "z[i] = Σ x[p] · W[o]ᵀ over all p, o with p s + o d − before = i, + b",
        "kernel gradient": "dW[o] = Σ dz[p s + o d − before]ᵀ · x[p] over samples and positions p",
        "bias gradient": "db = Σ dz over samples and positions",
        "input gradient": "dx[p] = Σ dz[p s + o d − before] W[o] over the kernel's offsets o",
    }

    def __init__(
        self,
        filters: int,
        kernel_size: int | Sequence[int],
        strides: int | Sequence[int] = 1,
        padding: str = "valid",
        output_padding: int | Sequence[int] | None = None,
        data_format: str | None = None,
        dilation_rate: int | Sequence[int] = 1,
        activation: str | Config | None = None,
        use_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(
            filters,
            kernel_size,
            strides,
            padding,
            data_format,
            dilation_rate,
            activation=activation,
            use_bias=use_bias,
            **options,
        )
        if padding == "causal":
            raise NoTwin(f"layer {self.name!r}: a transposed convolution can't be causal.")
        self.output_padding = output_padding

    def kernel_shape(self, channels: int) -> Shape:
        return (*self.windows.size, self.filters, channels)

    def output_shape(self, input_shape: Shape) -> Shape:
        space, _ = self._split(input_shape)
        return self._joined(self.enlarged(space), self.filters)

    def enlarged(self, space: Shape) -> Shape:
        """Return the output's size on each axis, for an input of this size."""
        windows, padding = self.windows, self.output_padding
        extra = [None] * self.rank if padding is None else self._for_each_axis(padding)
        sizes = []
        for n, span, stride, more in zip(space, windows.spans, windows.strides, extra, strict=True):
            least = (n - 1) * stride
            if windows.padding == "valid":
                sizes.append(least + (max(span, stride) if more is None else span + more))
            else:
                sizes.append(least + (stride if more is None else span % 2 + more))
        return tuple(sizes)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        x = self._channels_last(x)
        rows, W = in_rows(x), self.kernel.value
        z = correlate_back(self.windows, rows, self.enlarged(x.shape[1:-1]), W)
        if self.use_bias:
            z = z + self.bias_at(z.shape)
        return self._in_format(z), (rows, x.shape[1:-1])

    def backward(self, dz: Array, saved: Any) -> Array:
        rows, space = saved
        dz, W = self._channels_last(dz), self.kernel.value
        taken = columns(self.windows, dz)
        self.kernel.gradient += kernel_gradient(taken, rows, W.shape)
        if self.use_bias:
            self.bias.gradient += self.bias_gradient(dz)
        return self._in_format(from_rows(correlate(taken, W), space))


@twin_of("Conv1DTranspose")
class Conv1DTranspose(TransposedConvolution):
    """A transposed convolution along one axis, time say."""

    rank = 1


@twin_of("Conv2DTranspose")
class Conv2DTranspose(TransposedConvolution):
    """A transposed convolution over the height and width of an image."""

    rank = 2


@twin_of("Conv3DTranspose")
class Conv3DTranspose(TransposedConvolution):
    """A transposed convolution over three axes."""

    rank = 3
