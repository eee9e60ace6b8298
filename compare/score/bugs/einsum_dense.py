"""Bugs in EinsumDense: in its product along named axes, and in each derivative."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, Choice, Planted, generator, spread
from manual.layers.einsum_dense import Projection

STEPS, NUMBERS = 3, 4


def _along(equation: str, output_shape: tuple[int, ...], bias_axes: str) -> Any:
    def network(bug: Choice) -> Planted:
        layer = keras.layers.EinsumDense(
            equation,
            output_shape,
            activation=bug.activation,
            bias_axes=bias_axes,
            name="along",
            **spread(),
        )
        layers = [
            keras.Input((STEPS, NUMBERS)),
            keras.layers.Dense(NUMBERS, "tanh", name="below", **spread()),
            layer,
            keras.layers.Flatten(name="flat"),
            keras.layers.Dense(2, name="last"),
        ]
        model, draw = keras.Sequential(layers), generator()
        x = draw.normal(size=(SAMPLES, STEPS, NUMBERS))
        return model, x, draw.normal(size=(SAMPLES, 2))

    return network


SQUARE = _along("abc,cd->abd", (STEPS, NUMBERS), "d")
HEADS = _along("abc,cde->abde", (STEPS, 3, 2), "de")
BY_STEP = _along("abc,bcd->abd", (STEPS, 5), "bd")


def in_einsum_dense() -> Iterator[Bug]:
    """Give slips in the product, in the sums over axes, and in what is transposed."""
    right: Function = Projection.forward
    right_back: Function = Projection.backward

    def forward(change: Callable[[Any, Any], Any]) -> Function:
        return lambda self, x: change(self, right(self, x))

    def of_weights(change: Callable[[Any, Any, Any], None]) -> Function:
        def backward(self: Any, dz: Any, x: Any) -> Any:
            dx = right_back(self, dz, x)
            change(self, dz, x)
            return dx

        return backward

    def turned(self: Any, z: Any) -> Any:
        b, t, n, h = z.shape
        return np.transpose(z.reshape(b, t, h, n), (0, 1, 3, 2))

    def transposed(self: Any, dz: Any, x: Any) -> None:
        self.kernel.gradient[...] = self.kernel.gradient.T

    def averaged(self: Any, dz: Any, x: Any) -> None:
        self.kernel.gradient *= 1.0 / STEPS

    def last(self: Any, dz: Any, x: Any) -> None:
        self.kernel.gradient[...] = x[:, -1].T @ dz[:, -1]

    def mean_bias(self: Any, dz: Any, x: Any) -> None:
        self.bias.gradient *= 1.0 / STEPS

    def more_bias(self: Any, dz: Any, x: Any) -> None:
        self.bias.gradient[...] = self.bias.gradient.sum(axis=0, keepdims=True)

    def a_little(self: Any, dz: Any, x: Any) -> None:
        self.kernel.gradient *= 1.0 + 1e-5 * (np.arange(NUMBERS) == 1)

    def through(self: Any, dz: Any, x: Any) -> Any:
        right_back(self, dz, x)
        return dz @ self.kernel.value

    for name, network, change, cause in (
        (
            "the bias forgotten",
            SQUARE,
            lambda self, z: z - self.bias.value,
            "the bias is forgotten",
        ),
        ("the bias twice", BY_STEP, lambda self, z: z + self.bias.value, "the bias is added twice"),
        ("heads and numbers mixed up", HEADS, turned, "the axes d and e are mixed up in the res"),
    ):
        where, causes = "along/pre_activation", (cause,)
        function = forward(change)
        yield Bug(
            f"EinsumDense: {name}",
            Projection,
            "forward",
            function,
            "activation",
            where,
            causes,
            network=network,
        )
    of_kernel: list[tuple[str, Any, Any, str, str]] = [
        ("dW transposed", SQUARE, transposed, "kernel", "the matrix is transposed"),
        ("dW averaged", HEADS, averaged, "kernel", "the gradient is averaged over the axis b"),
        ("the last step's dW", SQUARE, last, "kernel", "only the last share along the axis b"),
        ("db averaged", HEADS, mean_bias, "bias", "the gradient is averaged over the axis b"),
        ("db over the steps", BY_STEP, more_bias, "bias", "the sum runs over the axis b as well"),
        ("trap: one column a little off", SQUARE, a_little, "kernel", ""),
    ]
    for name, network, line, weight, cause in of_kernel:
        yield Bug(
            f"EinsumDense: {name}",
            Projection,
            "backward",
            of_weights(line),
            "weight gradient",
            f"along/{weight}",
            (cause,) if cause else (),
            network=network,
        )
    yield Bug(
        "EinsumDense: dx without a transposition",
        Projection,
        "backward",
        through,
        "activation gradient",
        "below",
        ("the kernel's axes lie in the order dc instead of cd",),
        network=SQUARE,
    )
