"""The layers that every network is made of: Input, Dense, Activation, Flatten."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from manual import sums
from manual.activations import ActivationFunction, Linear
from manual.arrays import Array, lying_as
from manual.constraints import Constraint
from manual.layers.base import Layer, Shape
from manual.layers.symbol import Symbol
from manual.registry import from_keras, twin_of
from manual.regularizers import Regularizer


@twin_of("InputLayer")
class InputLayer(Layer):
    """The place where data enters: the identity, with a shape; None is any size."""

    derivation = {"forward": "y = x"}

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        *,
        batch_shape: Sequence[int | None] | None = None,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        sample = shape if shape is not None else (batch_shape or ())[1:]
        self.shape: tuple[int | None, ...] = tuple(sample)
        self.samples = batch_shape[0] if batch_shape else None

    def of_size(self, shape: Sequence[int | None]) -> Symbol:
        """Return a symbolic value of this input, of a sample shape that fits its own."""
        if any(size is None for size in shape):
            raise ValueError(
                f"Input {self.name!r} has the shape {tuple(shape)}: every size but the batch "
                "must be known."
            )
        return Symbol(self, (), tuple(int(size) for size in shape if size is not None))

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> InputLayer:
        return cls(batch_shape=config["batch_shape"], name=config["name"])


def Input(shape: Sequence[int], name: str | None = None) -> Symbol:  # noqa: N802 (Keras's name)
    """Return a symbolic value of the given sample shape: where a network starts."""
    return InputLayer(shape, name=name).of_size(shape)


@twin_of("Dense")
class Dense(Layer):
    """A fully connected layer, z = x W + b.

    Takes x of shape ``(..., inputs)`` and returns z of shape ``(..., units)``; all leading axes
    are sample axes, as in Keras. The kernel has shape ``(inputs, units)``, the bias ``(units,)``.
    """

    derivation = {
        "forward": "z = x W + b",
        "kernel gradient": "dW = xᵀ · dz",
        "bias gradient": "db = Σ dz over the samples",
        "input gradient": "dx = dz · Wᵀ",
    }

    def __init__(
        self,
        units: int,
        activation: str | Mapping[str, Any] | None = None,
        use_bias: bool = True,
        *,
        kernel_regularizer: Mapping[str, Any] | Regularizer | None = None,
        bias_regularizer: Mapping[str, Any] | Regularizer | None = None,
        kernel_constraint: Mapping[str, Any] | Constraint | None = None,
        bias_constraint: Mapping[str, Any] | Constraint | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, activation=activation)
        self.units = units
        self.use_bias = use_bias
        self.of_kernel = kernel_constraint, kernel_regularizer
        self.of_bias = bias_constraint, bias_regularizer

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        inputs = input_shape[-1]
        limit = np.sqrt(6.0 / (inputs + self.units))  # Glorot & Bengio 2010, eq. 16
        initial = generator.uniform(-limit, limit, (inputs, self.units))
        self.kernel = self.add_weight("kernel", initial, *self.of_kernel)
        if self.use_bias:
            self.bias = self.add_weight("bias", np.zeros(self.units), *self.of_bias)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.units)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        z = x @ self.kernel.value
        if self.use_bias:
            z += self.bias.value
        return z, x

    def backward(self, dz: Array, saved: Array) -> Array:
        x = saved
        rows, dz_rows = x.reshape(-1, x.shape[-1]), dz.reshape(-1, self.units)
        self.kernel.gradient += rows.T @ dz_rows
        if self.use_bias:
            self.bias.gradient += sums.over_rows(dz_rows)
        return dz @ self.kernel.value.T


@twin_of("Activation")
class Activation(Layer):
    """An activation function as a layer of its own.

    Keras takes the output's shape for that of the input, which it isn't for ``glu``.
    """

    def __init__(
        self,
        activation: str | Mapping[str, Any] | ActivationFunction,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.function: ActivationFunction = (
            activation
            if isinstance(activation, ActivationFunction)
            else from_keras("activation", activation, f"layer {self.name!r}")
        )
        self.derivation = self.function.derivation  # type: ignore[misc]
        self.last_activation = self.function
        self.hands_on = isinstance(self.function, Linear)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.function.output_shape(input_shape)

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        """Make the symbol of a call, or of several where the function has parts."""
        output = super().apply(*inputs, call=call, **named)
        first, *further = self.function.parts
        if not further:
            return output
        applied = replace(output, layer=Activation(first, name=self.name), is_logits=True)
        applied.layer.precision = self.precision
        return self.activated(applied, further[0])

    def forward(self, z: Array, *, training: bool = False) -> tuple[Array, tuple[Array, Array]]:
        a = self.function.forward(z)
        return a, (z, a)

    def backward(self, da: Array, saved: tuple[Array, Array]) -> Array:
        return self.function.backward(da, *saved)


@twin_of("Flatten")
class Flatten(Layer):
    """All axes of a sample in one, row by row (the last axis runs fastest)."""

    derivation = {
        "forward": "y = x, read row by row",
        "input gradient": "dx = dy, in the shape of x",
    }

    def __init__(
        self,
        data_format: str | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.data_format = data_format

    def output_shape(self, input_shape: Shape) -> Shape:
        return (int(np.prod(input_shape)),)

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Return None: there is no time axis any more."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        if self.data_format == "channels_first" and x.ndim > 2:
            x = np.moveaxis(x, 1, -1)
        return x.reshape(x.shape[0], -1), x

    def backward(self, dy: Array, saved: Array) -> Array:
        x = saved
        dx = lying_as(dy.reshape(x.shape), x)
        if self.data_format == "channels_first" and x.ndim > 2:
            dx = np.moveaxis(dx, -1, 1)
        return dx
