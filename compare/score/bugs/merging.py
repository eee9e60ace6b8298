"""Bugs where branches join."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator, spread
from manual import layers
from manual.layers.merging import Merge, aligned, summed_to

_right_backward = Merge.backward

Made = Callable[[Choice], Planted]


def joined(join: str, branches: int = 2, **options: Any) -> Made:
    """Return a network in which several Dense layers are joined."""

    def build(bug: Choice) -> Planted:
        inputs = keras.Input((WIDTH,))
        made = [
            keras.layers.Dense(WIDTH, "tanh", name=f"branch{number}", **spread())(inputs)
            for number in range(branches)
        ]
        x = getattr(keras.layers, join)(name="join", **options)(made)
        outputs = keras.layers.Dense(2, name="last", **spread())(x)
        draw = generator()
        x = draw.normal(size=(SAMPLES, WIDTH))
        return keras.Model(inputs, outputs), x, draw.normal(size=(SAMPLES, 2))

    build.__name__ = f"{branches} branches to {join} {options or ''}"
    return build


def skipped(bug: Choice) -> Planted:
    """Two blocks with a skip connection around each."""
    x = inputs = keras.Input((WIDTH,))
    x = keras.layers.Dense(WIDTH, name="embed", **spread())(x)
    for number in (1, 2):
        inside = keras.layers.Dense(WIDTH, "tanh", name=f"block{number}", **spread())(x)
        x = keras.layers.Add(name=f"skip{number}")([x, inside])
    outputs = keras.layers.Dense(2, name="last", **spread())(x)
    draw = generator()
    data = draw.normal(size=(SAMPLES, WIDTH))
    return keras.Model(inputs, outputs), data, draw.normal(size=(SAMPLES, 2))


def gated(bug: Choice) -> Planted:
    """Multiply every step of a sequence with one gate."""
    inputs = keras.Input((3, WIDTH))
    x = keras.layers.Dense(WIDTH, name="steps", **spread())(inputs)
    gate = keras.layers.Dense(WIDTH, "sigmoid", name="gate", **spread())(
        keras.layers.Reshape((1, 3 * WIDTH))(inputs)
    )
    x = keras.layers.Multiply(name="join")([x, gate])
    outputs = keras.layers.Dense(2, name="last", **spread())(x)
    draw = generator()
    data = draw.normal(size=(SAMPLES, 3, WIDTH))
    return keras.Model(inputs, outputs), data, draw.normal(size=(SAMPLES, 3, 2))


def in_merging() -> Iterator[Bug]:
    """Give slips where branches join."""
    yield from _skip_connections()
    yield from _joined()


def backward_of(change: Callable[..., list[Any]], name: str = "join") -> Function:
    """Return a merging layer's derivative, made by ``change(dy, parts)`` in one layer."""

    def backward(self: Any, dy: Any, saved: Any) -> list[Any]:
        if self.name != name:
            return _right_backward(self, dy, saved)
        x, parts = saved
        found = change(dy, parts)
        return [
            summed_to(part.shape, dx).reshape(*one.shape)
            for one, part, dx in zip(x, parts, found, strict=True)
        ]

    return backward


def forward_of(change: Callable[..., Any]) -> Function:
    """Return a merging layer's forward map, made by ``change(parts)``."""

    def forward(self: Any, x: Any, **options: Any) -> Any:
        parts = aligned(x)
        return change(parts), (x, parts)

    return forward


def _skip_connections() -> Iterator[Bug]:
    """Give gradients that are forgotten or counted twice where a value is used twice."""
    slips: dict[str, tuple[Callable[..., list[Any]], tuple[str, ...]]] = {
        "skip forgotten": (
            lambda dy, parts: [dy * 0.0, dy],
            ("the gradient that comes back through skip2 is forgotten",),
        ),
        "skip counted twice": (
            lambda dy, parts: [dy + dy, dy],
            ("the gradient that comes back through skip2 is counted twice",),
        ),
        "skip with the wrong sign": (
            lambda dy, parts: [-dy, dy],
            ("the sign is reversed (factor −1), in what comes back through skip2",),
        ),
        "skip times 1.3 (trap)": (lambda dy, parts: [dy * 1.3, dy], ()),
    }
    for name, (change, causes) in slips.items():
        function = backward_of(change, "skip2")
        yield at("skip1", f"merging: {name}", Merge, function, causes, skipped)
    dense = layers.Dense.backward

    def no_activation(self: Any, dz: Any, x: Any) -> Any:
        return dz @ self.kernel.value if self.name == "block2" else dense(self, dz, x)

    causes = ("the kernel is not transposed, in what comes back through block2",)
    yield at("skip1", "merging: beside a skip", layers.Dense, no_activation, causes, skipped)


def at(
    where: str,
    name: str,
    owner: type,
    function: Function,
    causes: tuple[str, ...],
    network: Made,
    method: str = "backward",
) -> Bug:
    """Return a bug in a forward map or a backward one."""
    phase = "activation gradient" if method == "backward" else "activation"
    return Bug(name, owner, method, function, phase, where, causes, network=network)


def _joined() -> Iterator[Bug]:
    """Give wrong derivatives, and wrong forward maps, of layers with several inputs."""
    gradients: list[tuple[str, Made, str, Callable[..., list[Any]], tuple[str, ...]]] = [
        (
            "Multiply without the other factor",
            joined("Multiply"),
            "branch1",
            lambda dy, parts: [dy, dy],
            ("the other factor is missing",),
        ),
        (
            "Multiply with its own factor",
            joined("Multiply"),
            "branch1",
            lambda dy, parts: [dy * part for part in parts],
            ("the input's own value stands for the other factor",),
        ),
        (
            "Multiply of 3 with one other factor",
            joined("Multiply", 3),
            "branch2",
            lambda dy, parts: [dy * parts[1], dy * parts[0], dy * parts[0]],
            ("only one of the other factors is there",),
        ),
        (
            "Multiply without the gradient from the right",
            joined("Multiply"),
            "branch1",
            lambda dy, parts: [parts[1], parts[0]],
            ("the gradient from the right is not multiplied in",),
        ),
        (
            "Multiply, repeated, first copy",
            gated,
            "gate",
            lambda dy, parts: [dy * parts[1], (dy * parts[0])[:, :1]],
            ("of repeated numbers only the first copy's gradient",),
        ),
        (
            "Multiply, repeated, averaged",
            gated,
            "gate",
            lambda dy, parts: [dy * parts[1], (dy * parts[0]).mean(axis=1, keepdims=True)],
            ("repeated numbers get the mean of their gradients",),
        ),
        (
            "Average without 1/n",
            joined("Average"),
            "branch1",
            lambda dy, parts: [dy, dy],
            ("the division by the number of inputs is missing",),
        ),
        (
            "Average of 3 twice",
            joined("Average", 3),
            "branch2",
            lambda dy, parts: [dy / 9.0] * 3,
            ("the division by the number of inputs is done twice",),
        ),
        (
            "Subtract without a sign",
            joined("Subtract"),
            "branch1",
            lambda dy, parts: [dy, dy],
            ("the sign of the second input's gradient is wrong",),
        ),
        (
            "Maximum to both",
            joined("Maximum"),
            "branch1",
            lambda dy, parts: [dy, dy],
            ("every input gets the gradient instead of the chosen one",),
        ),
        (
            "Minimum to the other",
            joined("Minimum"),
            "branch1",
            lambda dy, parts: [
                np.where(parts[0] > parts[1], dy, 0.0),
                np.where(parts[0] > parts[1], 0.0, dy),
            ],
            ("the inputs that were not chosen get the gradient",),
        ),
        (
            "Add divided",
            joined("Add", 3),
            "branch2",
            lambda dy, parts: [dy / 3.0] * 3,
            ("the gradient of a sum is divided among its inputs",),
        ),
        (
            "Multiply squared (trap)",
            joined("Multiply"),
            "branch1",
            lambda dy, parts: [dy * parts[1] * parts[1], dy * parts[0] * parts[0] * parts[0]],
            (),
        ),
    ]
    for name, network, where, change, causes in gradients:
        yield at(where, f"merging: {name}", Merge, backward_of(change), causes, network)
    forward: list[tuple[str, Made, Callable[..., Any], str]] = [
        (
            "Average as a sum",
            joined("Average"),
            lambda x: x[0] + x[1],
            "the division by the number",
        ),
        ("Subtract turned", joined("Subtract"), lambda x: x[1] - x[0], "the inputs are subtracted"),
        ("Multiply as a sum", joined("Multiply"), lambda x: x[0] + x[1], "the inputs are added"),
        (
            "Average of averages",
            joined("Average", 3),
            lambda x: ((x[0] + x[1]) / 2.0 + x[2]) / 2.0,
            "each input is averaged with the mean so far",
        ),
        (
            "Maximum as a minimum",
            joined("Maximum"),
            lambda x: np.minimum(x[0], x[1]),
            "the smallest is taken",
        ),
    ]
    for name, network, change, cause in forward:
        function = forward_of(change)
        yield at("join", f"merging: {name}", Merge, function, (cause,), network, "forward")
    yield from _concatenated_and_dotted()


def _concatenated_and_dotted() -> Iterator[Bug]:
    split, dotted = layers.Concatenate.backward, layers.Dot.backward
    right_dot: Function = layers.Dot.forward

    def turned(self: Any, dy: Any, saved: Any) -> Any:
        return split(self, dy, saved)[::-1]

    def straight(self: Any, dn: Any, n: Any, size: Any, axis: int) -> Any:
        return dn

    def constant_length(self: Any, dn: Any, n: Any, size: Any, axis: int) -> Any:
        return dn / size

    def not_divided(self: Any, dn: Any, n: Any, size: Any, axis: int) -> Any:
        return dn - n * (n * dn).sum(axis=axis, keepdims=True)

    def by_squares(self: Any, x: Any, **options: Any) -> Any:
        squares = [np.square(part).sum(axis=-1, keepdims=True) for part in x]
        products = x[0] / squares[0] * (x[1] / squares[1])
        return products.sum(axis=-1, keepdims=True), right_dot(self, x)[1]

    def interleaved(self: Any, x: Any, **options: Any) -> Any:
        y = np.stack(list(x), axis=-1)
        return y.reshape(len(x[0]), -1), [part.shape[-1] for part in x]

    def turned_forward(self: Any, x: Any, **options: Any) -> Any:
        sizes = [part.shape[self.axis] for part in x]
        return np.concatenate(list(x)[::-1], axis=self.axis), sizes

    def exchanged(self: Any, dy: Any, saved: Any) -> Any:
        return dotted(self, dy, saved)[::-1]

    concatenate, dot = joined("Concatenate"), joined("Dot", axes=1)
    cosine = joined("Dot", axes=1, normalize=True)
    slices = ("the slices go back to the inputs in the wrong order",)
    yield at("branch1", "merging: slices turned", layers.Concatenate, turned, slices, concatenate)
    yield at(
        "join",
        "merging: joined the other way round",
        layers.Concatenate,
        turned_forward,
        ("the inputs are joined in another order",),
        concatenate,
        "forward",
    )
    yield at(
        "join",
        "merging: joined one by one",
        layers.Concatenate,
        interleaved,
        ("the inputs are interleaved",),
        concatenate,
        "forward",
    )
    yield at(
        "join",
        "merging: Dot of squared lengths",
        layers.Dot,
        by_squares,
        ("the inputs are divided by their squared lengths",),
        cosine,
        "forward",
    )
    own = ("the input's own value stands for the other one",)
    yield at("branch1", "merging: Dot exchanged", layers.Dot, exchanged, own, dot)
    for name, function, cause in (
        ("Dot: derivative of the length", straight, "the derivative of the normalisation is m"),
        ("Dot: not divided by the length", not_divided, "it is not divided by the length"),
        ("Dot: constant length", constant_length, "the length is taken for a constant"),
    ):
        yield Bug(
            f"merging: {name}",
            layers.Dot,
            "_through_the_length",
            function,
            "activation gradient",
            "branch1",
            (cause,),
            network=cosine,
        )
