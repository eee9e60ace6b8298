"""Adaptive pooling alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

Maker = Callable[[], Any]

LAYERS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    "average 1D": (lambda: keras.layers.AdaptiveAveragePooling1D(3), (2, 8, 2)),
    "average 1D, to more": (lambda: keras.layers.AdaptiveAveragePooling1D(5), (2, 3, 2)),
    "average 2D": (lambda: keras.layers.AdaptiveAveragePooling2D((2, 3)), (2, 5, 4, 2)),
    "average 2D, to one": (lambda: keras.layers.AdaptiveAveragePooling2D(1), (2, 3, 4, 2)),
    "average 2D, channels_first": (
        lambda: keras.layers.AdaptiveAveragePooling2D(2, data_format="channels_first"),
        (2, 3, 5, 4),
    ),
    "average 3D": (lambda: keras.layers.AdaptiveAveragePooling3D((3, 2, 2)), (2, 4, 3, 5, 1)),
    "maximum 1D": (lambda: keras.layers.AdaptiveMaxPooling1D(3), (2, 8, 2)),
    "maximum 2D": (lambda: keras.layers.AdaptiveMaxPooling2D((2, 3)), (2, 5, 4, 2)),
    "maximum 2D, as large": (lambda: keras.layers.AdaptiveMaxPooling2D((3, 2)), (2, 3, 2, 2)),
    "maximum 2D, channels_first": (
        lambda: keras.layers.AdaptiveMaxPooling2D(2, data_format="channels_first"),
        (2, 3, 5, 4),
    ),
    "maximum 3D": (lambda: keras.layers.AdaptiveMaxPooling3D((1, 2, 2)), (2, 2, 3, 5, 1)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, precision: str, layer_equals_keras: Any) -> None:
    if (name, precision) == ("maximum 3D", "float64"):
        pytest.skip("TensorFlow has no such operation")
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


def test_ties_go_to_the_first_along_each_axis(
    hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> None:
    x = np.maximum(generator.integers(-3, 2, (3, 7, 5, 2)), 0).astype(ruler.precision)
    hold_layer(keras.layers.AdaptiveMaxPooling2D((3, 2)), x)
