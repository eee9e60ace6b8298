"""Activation functions that are called as operations: ``ops.relu(x)``, ``ops.softmax(x)``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from manual import activations as functions
from manual.activations import ActivationFunction
from manual.arrays import Array
from manual.layers.core import Activation
from manual.operations.base import Operation
from manual.registry import NoTwin, twin_of, understood


class Applied(Operation, Activation):
    """An activation function as a node of its own, whose options the operation has.

    It is an `Activation` to the network: a loss reads the logits behind ``ops.softmax``, too.
    """

    makes: ClassVar[type[ActivationFunction]]

    def __init__(self, function: ActivationFunction, *, name: str | None = None) -> None:
        Activation.__init__(self, function, name=name)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Applied:
        name = config["name"]
        options = {option: value for option, value in config.items() if option != "name"}
        owner = f"operation {name!r} ({cls.__name__})"
        if "axis" in options and not isinstance(options["axis"], int):
            raise NoTwin(f"{owner}: axis={options['axis']} has no hand-derived twin.")
        return cls(cls.makes(**understood(cls.makes, options, owner)), name=name)

    def compute(self, x: Array) -> tuple[Array, Any]:
        a = self.function.forward(x)
        return a, (x, a)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        return (self.function.backward(dy, *saved),)


@twin_of("Relu")
@twin_of("ReLU")
class Relu(Applied):
    makes = functions.ReLU


@twin_of("Relu6")
class Relu6(Applied):
    makes = functions.ReLU6


@twin_of("LeakyRelu")
class LeakyRelu(Applied):
    makes = functions.LeakyReLU


@twin_of("Elu")
class Elu(Applied):
    makes = functions.ELU


@twin_of("Selu")
class Selu(Applied):
    makes = functions.SELU


@twin_of("Celu")
class Celu(Applied):
    makes = functions.CELU


@twin_of("Gelu")
class Gelu(Applied):
    makes = functions.GELU


@twin_of("Glu")
class Glu(Applied):
    makes = functions.GLU


@twin_of("Silu")
class Silu(Applied):
    makes = functions.SiLU


@twin_of("Mish")
class Mish(Applied):
    makes = functions.Mish


@twin_of("HardSilu")
class HardSilu(Applied):
    makes = functions.HardSiLU


@twin_of("Sigmoid")
class Sigmoid(Applied):
    makes = functions.Sigmoid


@twin_of("HardSigmoid")
class HardSigmoid(Applied):
    makes = functions.HardSigmoid


@twin_of("SparseSigmoid")
class SparseSigmoid(Applied):
    makes = functions.SparseSigmoid


@twin_of("LogSigmoid")
class LogSigmoid(Applied):
    makes = functions.LogSigmoid


@twin_of("Tanh")
class Tanh(Applied):
    makes = functions.Tanh


@twin_of("HardTanh")
class HardTanh(Applied):
    makes = functions.HardTanh


@twin_of("TanhShrink")
class TanhShrink(Applied):
    makes = functions.TanhShrink


@twin_of("HardShrink")
class HardShrink(Applied):
    makes = functions.HardShrink


@twin_of("SoftShrink")
class SoftShrink(Applied):
    makes = functions.SoftShrink


@twin_of("Threshold")
class Threshold(Applied):
    makes = functions.Threshold


@twin_of("Softplus")
class Softplus(Applied):
    makes = functions.Softplus


@twin_of("SparsePlus")
class SparsePlus(Applied):
    makes = functions.SparsePlus


@twin_of("Squareplus")
class Squareplus(Applied):
    makes = functions.Squareplus


@twin_of("Softsign")
class Softsign(Applied):
    makes = functions.Softsign


@twin_of("Softmax")
class Softmax(Applied):
    makes = functions.Softmax


@twin_of("LogSoftmax")
class LogSoftmax(Applied):
    makes = functions.LogSoftmax


@twin_of("Sparsemax")
class Sparsemax(Applied):
    makes = functions.Sparsemax
