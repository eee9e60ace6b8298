"""EinsumDense: a product along named axes, with a bias."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manual import sums
from manual.arrays import Array
from manual.bias import as_added, misplaced_axis
from manual.einsum import Product, axes_of, einsum
from manual.layers.base import Layer, Shape
from manual.layers.parameter import Parameter
from manual.registry import NoTwin, twin_of


class Projection:
    """A kernel, its bias, and the equation that says which axes they act on.

    What an `EinsumDense` is, and what attention has four of.

    Parameters
    ----------
    equation : str
        Axes of input, kernel and output: ``"btd,dnh->btnh"``.
    kernel : Parameter
    bias : Parameter, optional
    bias_axes : str
        The output's axes that the bias has; where it lacks one behind these, it has a 1.
    """

    def __init__(
        self, equation: str, kernel: Parameter, bias: Parameter | None = None, bias_axes: str = ""
    ) -> None:
        self.equation, self.kernel, self.bias = equation, kernel, bias
        self.bias_axes = bias_axes
        _, _, of_y = axes_of(equation)
        self.over = tuple(place for place, axis in enumerate(of_y) if axis not in bias_axes)
        """The axes along which every number gets the same bias."""

    def forward(self, x: Array) -> Array:
        z = einsum(self.equation, x, self.kernel.value)
        if self.bias is not None:
            z = z + as_added(self.bias.value, z.shape)
        return z

    def backward(self, dz: Array, x: Array) -> Array:
        product = Product(self.equation, x, self.kernel.value)
        dZ = product.of_y.matrices(dz)
        dx, dW = product.gradients(dZ)
        self.kernel.gradient += dW
        if self.bias is not None:
            axis = misplaced_axis(self.bias.shape, dz.shape)
            if axis is not None:
                db = sums.over_rows(np.moveaxis(dz, axis, -1))
            elif self.bias_axes == product.of_y.columns and dZ.ndim == 2:
                db = sums.over_rows(dZ)
            else:
                db = dz.sum(axis=self.over) if self.over else dz
            self.bias.gradient += db.reshape(*self.bias.shape)
        return dx


def glorot(generator: np.random.Generator, shape: Shape, inputs: int, outputs: int) -> Array:
    """Draw a kernel as Glorot & Bengio 2010, eq. 16, do."""
    limit = np.sqrt(6.0 / (inputs + outputs))
    return generator.uniform(-limit, limit, shape)


@twin_of("EinsumDense")
class EinsumDense(Layer):
    """A dense layer along named axes: z = einsum(equation, x, W) + b.

    Parameters
    ----------
    equation : str
        ``"ab,bc->ac"`` is a Dense layer. As in Keras, an ellipsis may stand for any axes before
        the named ones (``"...x,xy->...y"``) or after them.
    output_shape : int or sequence of int or None
        The sizes of the output without its batch axis; None where the input says it.
    bias_axes : str, optional
        The output's axes that the bias has; without, there is none.
    """

    derivation = {
        "forward": "z = Σ x W over the axes that both have and z lacks, + b",
        "kernel gradient": "dW = Σ x dz over the axes that W lacks",
        "bias gradient": "db = Σ dz over the axes that b lacks",
        "input gradient": "dx = Σ dz W over the axes that x lacks",
    }

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: str | Mapping[str, Any] | None = None,
        bias_axes: str | None = None,
        *,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activation=activation)
        self.equation = equation
        self.sizes = [output_shape] if isinstance(output_shape, int) else list(output_shape)
        self.bias_axes = bias_axes or ""
        self.of_kernel = kernel_constraint, kernel_regularizer
        self.of_bias = bias_constraint, bias_regularizer

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        equation = spelled_out(self.equation, len(input_shape) + 1)
        of_x, of_w, of_z = axes_of(equation)
        lost = [axis for axis in of_x if axis not in of_w and axis not in of_z]
        if lost or of_x[0] != of_z[0]:
            raise NoTwin(
                f"layer {self.name!r}: the equation {self.equation!r} sums over an axis of the "
                "input alone or moves the batch axis, which has no hand-derived twin."
            )
        sizes = dict(zip(of_x[1:], input_shape, strict=True))
        written = self.equation.split("->")[1].strip()
        named = written.replace("...", "")
        if not written.startswith("...") or len(named) == len(of_z):  # the batch axis has a name
            named = named[1:]
        for axis, size in zip(named, self.sizes, strict=False):  # Keras passes over any further
            if size is not None:
                sizes.setdefault(axis, size)
        shape = tuple(sizes[axis] for axis in of_w)
        inputs = int(np.prod([sizes[axis] for axis in of_w if axis not in of_z]))
        outputs = int(np.prod([sizes[axis] for axis in of_w if axis not in of_x]))
        kernel = self.add_weight(
            "kernel", glorot(generator, shape, inputs, outputs), *self.of_kernel
        )
        bias = None
        if self.bias_axes:
            behind = of_z[min(of_z.index(axis) for axis in self.bias_axes) :]
            initial = np.zeros([sizes[axis] if axis in self.bias_axes else 1 for axis in behind])
            bias = self.add_weight("bias", initial, *self.of_bias)
        self.projection = Projection(equation, kernel, bias, self.bias_axes)
        self.shape = tuple(sizes[axis] for axis in of_z[1:])

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Give no mask: Keras's layer doesn't pass one on."""

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.shape

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        return self.projection.forward(x), x

    def backward(self, dz: Array, saved: Array) -> Array:
        return self.projection.backward(dz, saved)


def spelled_out(equation: str, rank: int) -> str:
    """Replace an ellipsis by as many letters as the input has further axes."""
    if "..." not in equation:
        return equation
    of_x = equation.split(",")[0]
    unused = [letter for letter in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if letter not in equation]
    return equation.replace("...", "".join(unused[: rank - len(of_x.replace("...", ""))]))
