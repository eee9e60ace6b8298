"""Depthwise and separable convolutions alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import pytest

Maker = Callable[[], Any]

LAYERS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    "depthwise 1D": (lambda: keras.layers.DepthwiseConv1D(3), (2, 6, 3)),
    "depthwise 1D, multiplied": (
        lambda: keras.layers.DepthwiseConv1D(2, strides=2, padding="same", depth_multiplier=2),
        (2, 5, 2),
    ),
    "depthwise 2D": (lambda: keras.layers.DepthwiseConv2D(3), (2, 5, 4, 2)),
    "depthwise 2D, multiplied and dilated": (
        lambda: keras.layers.DepthwiseConv2D(
            (3, 2), padding="same", depth_multiplier=3, dilation_rate=2
        ),
        (2, 4, 5, 2),
    ),
    "depthwise 2D, strides, without bias": (
        lambda: keras.layers.DepthwiseConv2D(2, strides=2, use_bias=False),
        (2, 5, 4, 3),
    ),
    "depthwise 2D, channels_first": (
        lambda: keras.layers.DepthwiseConv2D(2, depth_multiplier=2, data_format="channels_first"),
        (2, 2, 4, 3),
    ),
    "separable 1D": (lambda: keras.layers.SeparableConv1D(3, 3), (2, 6, 2)),
    "separable 1D, multiplied": (
        lambda: keras.layers.SeparableConv1D(2, 2, strides=2, padding="same", depth_multiplier=2),
        (2, 5, 3),
    ),
    "separable 2D": (lambda: keras.layers.SeparableConv2D(3, 3), (2, 5, 4, 2)),
    "separable 2D, multiplied and dilated": (
        lambda: keras.layers.SeparableConv2D(
            2, (3, 2), padding="same", depth_multiplier=2, dilation_rate=2
        ),
        (2, 4, 5, 2),
    ),
    "separable 2D, strides, without bias": (
        lambda: keras.layers.SeparableConv2D(4, 2, strides=2, use_bias=False),
        (2, 5, 4, 2),
    ),
    "separable 2D, channels_first": (
        lambda: keras.layers.SeparableConv2D(4, 2, data_format="channels_first", padding="same"),
        (2, 2, 3, 2),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, precision: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])
