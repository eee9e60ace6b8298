"""Dense, Activation, Flatten and Input alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from manual.layers import Activation, Dense, Flatten, Input, InputLayer
from manual.registry import NoTwin

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Dense": (lambda: keras.layers.Dense(4), (5, 3)),
    "Dense without bias": (lambda: keras.layers.Dense(4, use_bias=False), (5, 3)),
    "Dense of rank 3": (lambda: keras.layers.Dense(2), (4, 3, 5)),
    "Dense of rank 3 without bias": (lambda: keras.layers.Dense(2, use_bias=False), (4, 3, 5)),
    "Dense of rank 4": (lambda: keras.layers.Dense(3), (2, 2, 3, 4)),
    "Dense of one": (lambda: keras.layers.Dense(1), (1, 1)),
    "Dense, wide": (lambda: keras.layers.Dense(70), (33, 130)),
    "Activation": (lambda: keras.layers.Activation("tanh"), (4, 3)),
    "Activation of rank 3": (lambda: keras.layers.Activation("softmax"), (4, 2, 3)),
    "Flatten of rank 2": (lambda: keras.layers.Flatten(), (4, 3)),
    "Flatten of rank 3": (lambda: keras.layers.Flatten(), (4, 3, 2)),
    "Flatten of rank 4": (lambda: keras.layers.Flatten(), (3, 2, 4, 5)),
    "Flatten, channels_first, rank 2": (lambda: keras.layers.Flatten("channels_first"), (4, 3)),
    "Flatten, channels_first": (lambda: keras.layers.Flatten("channels_first"), (3, 2, 4, 5)),
    "Flatten, channels_last": (lambda: keras.layers.Flatten("channels_last"), (3, 2, 4, 5)),
}
SMALL = [name for name in LAYERS if name != "Dense, wide"]


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", SMALL)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


def test_the_gradients_of_two_calls_add_up(generator: np.random.Generator) -> None:
    """Nothing is stashed on the layer: each call's backward uses its own input."""
    layer = Dense(3)
    layer(Input((2,)))
    x1, x2, dz1, dz2 = (generator.normal(size=shape) for shape in [(4, 2)] * 2 + [(4, 3)] * 2)
    _, saved1 = layer.forward(x1)
    _, saved2 = layer.forward(x2)
    layer.backward(dz2, saved2)
    np.testing.assert_array_equal(layer.kernel.gradient, x2.T @ dz2)
    layer.backward(dz1, saved1)
    np.testing.assert_array_equal(layer.kernel.gradient, x2.T @ dz2 + x1.T @ dz1)
    np.testing.assert_array_equal(layer.bias.gradient, dz2.sum(axis=0) + dz1.sum(axis=0))


def test_a_dense_layers_own_activation_is_a_step_of_its_own() -> None:
    symbol = Dense(3, "sigmoid", name="hidden")(Input((2,)))
    assert isinstance(symbol.layer, Activation)
    assert symbol.layer.name == "hidden"
    assert symbol.is_activation_of_its_input
    assert isinstance(symbol.inputs[0].layer, Dense)


def test_flatten_reads_the_last_axis_fastest() -> None:
    x = np.arange(12).reshape(1, 2, 2, 3)
    np.testing.assert_array_equal(Flatten().forward(x)[0], [np.arange(12)])
    first, saved = Flatten("channels_first").forward(x)
    np.testing.assert_array_equal(first, [[0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5, 11]])
    np.testing.assert_array_equal(Flatten("channels_first").backward(first, saved), x)


def test_dense_starts_with_glorots_uniform_draw_and_no_bias() -> None:
    layer = Dense(50, name="wide")
    layer(Input((70,)))
    limit = np.sqrt(6.0 / 120)
    assert np.abs(layer.kernel.value).max() <= limit
    assert np.abs(layer.kernel.value).max() > 0.99 * limit
    np.testing.assert_array_equal(layer.bias.value, np.zeros(50))


def test_an_input_needs_its_sizes() -> None:
    with pytest.raises(ValueError, match=r"Input 'words' has the shape \(None, 3\)"):
        InputLayer(batch_shape=(None, None, 3), name="words").of_size((None, 3))


@pytest.mark.parametrize("layer", [Dense(2), Flatten(), Activation("relu")])
def test_the_layer_says_its_name(layer: Any) -> None:
    assert repr(layer) == f"{type(layer).__name__}(name={layer.name!r})"


def test_an_unknown_activation_is_refused_by_name() -> None:
    with pytest.raises(NoTwin, match="activation 'own' of layer 'hidden'"):
        Dense(2, "own", name="hidden")
