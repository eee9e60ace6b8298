"""Transposed convolutions alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from manual.layers import Conv1DTranspose, Conv2D, Conv2DTranspose
from manual.registry import NoTwin

Maker = Callable[[], Any]

LAYERS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    "1D": (lambda: keras.layers.Conv1DTranspose(3, 3), (2, 4, 2)),
    "1D, strides beyond the kernel": (
        lambda: keras.layers.Conv1DTranspose(2, 2, strides=3),
        (2, 3, 2),
    ),
    "1D, channels_first": (
        lambda: keras.layers.Conv1DTranspose(
            3, 2, strides=2, data_format="channels_first", padding="same"
        ),
        (2, 3, 5),
    ),
    "1D, padded": (
        lambda: keras.layers.Conv1DTranspose(2, 3, strides=2, output_padding=1),
        (2, 4, 2),
    ),
    "1D, dilated": (lambda: keras.layers.Conv1DTranspose(2, 3, dilation_rate=2), (2, 4, 3)),
    "2D": (lambda: keras.layers.Conv2DTranspose(3, 3), (2, 3, 4, 2)),
    "2D, an oblong kernel": (
        lambda: keras.layers.Conv2DTranspose(2, (2, 3), strides=2),
        (2, 3, 2, 2),
    ),
    "2D, same": (
        lambda: keras.layers.Conv2DTranspose(2, 3, strides=2, padding="same"),
        (2, 3, 2, 3),
    ),
    "2D, same and even": (
        lambda: keras.layers.Conv2DTranspose(2, 4, strides=2, padding="same"),
        (1, 2, 3, 2),
    ),
    "2D, same and padded": (
        lambda: keras.layers.Conv2DTranspose(
            2, 3, strides=2, padding="same", output_padding=(1, 0)
        ),
        (2, 3, 2, 2),
    ),
    "2D, two strides": (
        lambda: keras.layers.Conv2DTranspose(1, 2, strides=(3, 2), padding="same"),
        (2, 2, 3, 2),
    ),
    "2D without bias": (lambda: keras.layers.Conv2DTranspose(2, 2, use_bias=False), (2, 3, 3, 1)),
    "2D, channels_first": (
        lambda: keras.layers.Conv2DTranspose(4, (2, 3), strides=2, data_format="channels_first"),
        (2, 3, 2, 3),
    ),
    "3D": (lambda: keras.layers.Conv3DTranspose(2, 2, strides=(1, 2, 1)), (2, 2, 2, 3, 2)),
    "3D, same": (
        lambda: keras.layers.Conv3DTranspose(2, (1, 2, 3), strides=2, padding="same"),
        (1, 2, 1, 2, 2),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


def test_it_is_the_transpose_of_a_convolution(generator: np.random.Generator) -> None:
    """⟨conv(x), y⟩ = ⟨x, transposed(y)⟩, in whole numbers, where nothing is rounded."""
    W = generator.integers(-9, 10, (3, 2, 4, 5)) * 1.0
    back = Conv2DTranspose(4, (3, 2), strides=2, padding="same", use_bias=False)
    there = Conv2D(5, (3, 2), strides=2, padding="same", use_bias=False)
    for layer, shape in ((back, (3, 4, 5)), (there, (6, 8, 4))):
        layer.build(shape, generator)
        layer.kernel.value = W
    x, y = (generator.integers(-9, 10, (2, *shape)) * 1.0 for shape in ((6, 8, 4), (3, 4, 5)))
    (z, _), (larger, _) = there.forward(x), back.forward(y)
    assert (z * y).sum() == (x * larger).sum() != 0.0


def test_the_future_has_no_transpose() -> None:
    with pytest.raises(NoTwin, match="layer 'up': a transposed convolution can't be causal"):
        Conv1DTranspose(2, 3, padding="causal", name="up")
