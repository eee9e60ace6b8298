"""The activation functions that are layers: equal to Keras, right derivatives, and in a fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import Input, PReLU
from manual.layers import Softmax as SoftmaxByHand

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "ReLU": (lambda: keras.layers.ReLU(), (5, 4)),
    "ReLU, all options": (lambda: keras.layers.ReLU(1.5, 0.1, 0.25), (5, 4)),
    "ReLU to 6": (lambda: keras.layers.ReLU(max_value=6), (5, 4)),
    "LeakyReLU": (lambda: keras.layers.LeakyReLU(), (5, 4)),
    "LeakyReLU of 0.05": (lambda: keras.layers.LeakyReLU(negative_slope=0.05), (2, 3, 4)),
    "ELU": (lambda: keras.layers.ELU(), (5, 4)),
    "ELU of 0.4": (lambda: keras.layers.ELU(alpha=0.4), (5, 4)),
    "Softmax": (lambda: keras.layers.Softmax(), (5, 4)),
    "Softmax over axis 1": (lambda: keras.layers.Softmax(axis=1), (2, 3, 4)),
    "Softmax over two axes": (lambda: keras.layers.Softmax(axis=(1, 2)), (2, 3, 4)),
    "Softmax over one of a list": (lambda: keras.layers.Softmax(axis=[1]), (2, 3, 4)),
    "PReLU": (lambda: keras.layers.PReLU(), (5, 4)),
    "PReLU of rank 4": (lambda: keras.layers.PReLU(), (2, 3, 4, 2)),
    "PReLU, shared": (lambda: keras.layers.PReLU(shared_axes=[1, 2]), (2, 3, 4, 2)),
    "PReLU, shared last": (lambda: keras.layers.PReLU(shared_axes=-1), (2, 3, 4)),
    "PReLU of one": (lambda: keras.layers.PReLU(shared_axes=1), (5, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


@pytest.mark.parametrize("axis", [-1, (1, 2)], ids=str)
def test_a_masked_softmax_equals_keras(
    axis: Any, ruler: Any, on_tape: Any, generator: np.random.Generator
) -> None:
    """Also a row that is masked altogether: zeros, and no gradient."""
    layer = keras.layers.Softmax(axis)
    mask = generator.random((2, 3, 4)) < 0.6
    mask[0, 1], mask[1] = False, mask[1] & (axis == -1)
    x, dy = (generator.normal(size=(2, 3, 4)).astype(ruler.precision) for _ in range(2))
    y, (dx,) = on_tape(lambda tensor: layer(tensor, mask=mask), [x], dy)
    by_hand = SoftmaxByHand(axis)
    a, saved = by_hand.forward(ruler.exact(x), mask=mask)
    ruler.agrees(y, a)
    gradient = by_hand.backward(ruler.exact(dy), saved)
    ruler.agrees(dx, gradient)
    assert (y[0, 1] == 0.0).all()
    np.testing.assert_array_equal(gradient.value[~mask], 0.0)


def test_the_kink_of_prelu_is_tensorflows(precision: str, on_tape: Any) -> None:
    """At 0 neither the input nor the slope gets anything."""
    x = np.array([[0.0, -0.0, 2.0, -2.0]], precision)
    layer = keras.layers.PReLU(alpha_initializer=keras.initializers.Constant(0.25))
    layer.build(x.shape)
    _, (dx, dalpha) = on_tape(layer, [x], np.ones_like(x), [layer.alpha.value])
    by_hand = PReLU()
    by_hand(Input((4,)))
    by_hand.alpha.value[...] = 0.25
    gradient = by_hand.backward(np.ones_like(x), by_hand.forward(x)[1])
    np.testing.assert_array_equal(gradient, dx)
    np.testing.assert_array_equal(gradient, [[0.0, 0.0, 1.0, 0.25]])
    np.testing.assert_array_equal(by_hand.alpha.gradient, dalpha)
    np.testing.assert_array_equal(dalpha, [0.0, 0.0, 0.0, -2.0])


def test_in_lock_step(precision: str, generator: np.random.Generator) -> None:
    """All of them in one fit; the softmax layer hands its logits to the loss."""
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((3, 4)),
            layers.Dense(4, "gelu"),
            layers.PReLU(
                alpha_initializer="random_normal",
                alpha_regularizer=keras.regularizers.L2(0.1),
                alpha_constraint="non_neg",
                shared_axes=[1],
            ),
            layers.Dense(4),
            layers.ReLU(1.5, 0.1, 0.25),
            layers.Dense(4),
            layers.LeakyReLU(),
            layers.Dense(4),
            layers.ELU(0.4),
            layers.Dense(4, "sparsemax"),
            layers.Flatten(),
            layers.Dense(3),
            layers.Softmax(),
        ]
    )
    # a graph is slow to build
    model.compile("adam", "categorical_crossentropy", run_eagerly=precision == "float64")
    x, y = generator.normal(size=(11, 3, 4)), generator.dirichlet(np.ones(3), size=11)
    report = lockstep(model, x, y, batch_size=4)
    report.raise_if_different()
    assert report.steps == 3
