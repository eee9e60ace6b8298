"""The networks that are timed: one table, from which every contender builds its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

Value = TypeVar("Value")


@dataclass(frozen=True)
class Layer:
    """One layer, in Keras's words.

    Attributes
    ----------
    kind : str
        The name of Keras's class, which is also that of its hand-written twin.
    name : str
    options : mapping of str to object
        What its constructor is told.
    takes : tuple of str
        Names of the layers whose outputs it takes; by default the one before.
    """

    kind: str
    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    takes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Architecture:
    """A network, the loss that it is trained on, and how much of it is a batch.

    Attributes
    ----------
    name, title : str
    shape : tuple of int
        Of one sample.
    layers : tuple of Layer
    batch : int
        Samples in a batch.
    batches : int
        Batches in an epoch: many, so that a step is what is timed and not an epoch's beginning.
    positions : int
        At how many places of a sample a kernel is used, at most; a weight's gradient sums them.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    layers: tuple[Layer, ...]
    batch: int
    batches: int
    positions: int = 1

    @property
    def loss(self) -> str:
        """Keras's name of the loss: a cross-entropy behind a softmax, else the mean square."""
        last = self.layers[-1].options["activation"]
        return "categorical_crossentropy" if last == "softmax" else "mse"

    @property
    def is_dense(self) -> bool:
        return all(layer.kind == "Dense" for layer in self.layers)

    @property
    def widths(self) -> list[int]:
        """The numbers of inputs, units of each layer, and outputs of a dense network."""
        return [math.prod(self.shape), *(layer.options["units"] for layer in self.layers)]

    @property
    def outputs(self) -> int:
        return int(self.layers[-1].options["units"])


def assembled(
    architecture: Architecture, first: Value, apply: Callable[[Layer, Sequence[Value]], Value]
) -> Value:
    """Apply the layers one after the other, each to what it takes; return the last's output."""
    values = {"input": first}
    last = first
    for layer in architecture.layers:
        last = apply(layer, [values[name] for name in layer.takes] or [last])
        values[layer.name] = last
    return last


def dense(*units: int, hidden: str, last: str) -> tuple[Layer, ...]:
    """Return dense layers, one for each number of units."""
    names = [*(f"hidden{i}" for i in range(1, len(units))), "output"]
    activations = [*[hidden] * (len(units) - 1), last]
    return tuple(
        Layer("Dense", name, {"units": n, "activation": activation})
        for name, n, activation in zip(names, units, activations, strict=True)
    )


CLASSES = dense(10, hidden="", last="softmax")


def recurrent(kind: str) -> tuple[Layer, ...]:
    """Return a recurrent layer and the classes."""
    return (Layer(kind, "memory", {"units": 64}), *CLASSES)


CNN = (
    Layer("Conv2D", "conv1", {"filters": 6, "kernel_size": 5, "activation": "relu"}),
    Layer("MaxPooling2D", "pool1", {"pool_size": 2}),
    Layer("Conv2D", "conv2", {"filters": 16, "kernel_size": 5, "activation": "relu"}),
    Layer("MaxPooling2D", "pool2", {"pool_size": 2}),
    Layer("Flatten", "flat"),
    *CLASSES,
)
_SAME = {"filters": 16, "kernel_size": 3, "padding": "same", "use_bias": False}
RESNET = (
    Layer("Conv2D", "conv1", _SAME),
    Layer("BatchNormalization", "norm1"),
    Layer("Activation", "relu1", {"activation": "relu"}),
    Layer("Conv2D", "conv2", _SAME),
    Layer("BatchNormalization", "norm2"),
    Layer("Add", "skip", takes=("norm2", "input")),
    Layer("Activation", "relu2", {"activation": "relu"}),
    Layer("GlobalAveragePooling2D", "mean"),
    *CLASSES,
)
ATTENTION = (
    Layer("MultiHeadAttention", "attention", {"num_heads": 2, "key_dim": 16}, ("input", "input")),
    Layer("Add", "residual", takes=("input", "attention")),
    Layer("LayerNormalization", "norm"),
    Layer("GlobalAveragePooling1D", "mean"),
    *CLASSES,
)

NETWORKS: dict[str, Architecture] = {
    one.name: one
    for one in (
        Architecture(
            "2-2-2",
            "2-2-2, sigmoid, a sample at a time",
            (2,),
            dense(2, 2, hidden="sigmoid", last="sigmoid"),
            batch=1,
            batches=400,
        ),
        Architecture(
            "2-3-1",
            "2-3-1, sigmoid, batches of 3",
            (2,),
            dense(3, 1, hidden="sigmoid", last="sigmoid"),
            batch=3,
            batches=400,
        ),
        Architecture(
            "digits",
            "64-32-16-10, ReLU, batches of 32",
            (64,),
            dense(32, 16, 10, hidden="relu", last="softmax"),
            batch=32,
            batches=200,
        ),
        Architecture(
            "mnist",
            "784-128-10, ReLU, batches of 32",
            (784,),
            dense(128, 10, hidden="relu", last="softmax"),
            batch=32,
            batches=100,
        ),
        Architecture(
            "wide",
            "784-512-512-10, ReLU, batches of 128",
            (784,),
            dense(512, 512, 10, hidden="relu", last="softmax"),
            batch=128,
            batches=20,
        ),
        Architecture(
            "cnn",
            "LeNet-like: two convolutions on 28 × 28, batches of 32",
            (28, 28, 1),
            CNN,
            batch=32,
            batches=20,
            positions=24 * 24,
        ),
        Architecture(
            "resnet",
            "a residual block with batch normalization on 16 × 16 × 16, batches of 32",
            (16, 16, 16),
            RESNET,
            batch=32,
            batches=20,
            positions=16 * 16,
        ),
        Architecture(
            "lstm",
            "LSTM of 64 over 32 steps of 32 numbers, batches of 32",
            (32, 32),
            recurrent("LSTM"),
            batch=32,
            batches=20,
            positions=32,
        ),
        Architecture(
            "gru",
            "GRU of 64 over 32 steps of 32 numbers, batches of 32",
            (32, 32),
            recurrent("GRU"),
            batch=32,
            batches=20,
            positions=32,
        ),
        Architecture(
            "attention",
            "two heads over 32 steps of 32 numbers, residual, batches of 32",
            (32, 32),
            ATTENTION,
            batch=32,
            batches=20,
            positions=32,
        ),
    )
}
