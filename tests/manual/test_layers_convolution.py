"""Convolution, pooling and reshaping alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare.noise import Noisy
from manual.layers import Input
from manual.registry import twin

Maker = Callable[[], Any]

LAYERS: dict[str, tuple[Maker, tuple[int, ...]]] = {
    "Conv1D": (lambda: keras.layers.Conv1D(3, 3), (2, 6, 2)),
    "Conv1D, causal": (lambda: keras.layers.Conv1D(2, 3, padding="causal"), (2, 5, 2)),
    "Conv1D, causal and dilated": (
        lambda: keras.layers.Conv1D(2, 2, padding="causal", dilation_rate=3),
        (2, 6, 2),
    ),
    "Conv1D, causal with strides": (
        lambda: keras.layers.Conv1D(2, 3, strides=2, padding="causal"),
        (2, 6, 2),
    ),
    "Conv1D, channels_first": (
        lambda: keras.layers.Conv1D(3, 2, data_format="channels_first", padding="same"),
        (2, 3, 5),
    ),
    "Conv1D, strides beyond the kernel": (
        lambda: keras.layers.Conv1D(2, 2, strides=3, padding="same"),
        (2, 8, 2),
    ),
    "Conv2D": (lambda: keras.layers.Conv2D(3, 3), (2, 5, 4, 2)),
    "Conv2D, an oblong kernel": (lambda: keras.layers.Conv2D(2, (2, 3)), (2, 4, 5, 2)),
    "Conv2D of one": (lambda: keras.layers.Conv2D(3, 1), (2, 3, 2, 2)),
    "Conv2D, same": (lambda: keras.layers.Conv2D(2, 3, padding="same"), (2, 4, 3, 2)),
    "Conv2D, same and even": (lambda: keras.layers.Conv2D(2, 4, padding="same"), (1, 5, 3, 2)),
    "Conv2D, strides": (lambda: keras.layers.Conv2D(2, 3, strides=2), (2, 6, 5, 1)),
    "Conv2D, two strides, same": (
        lambda: keras.layers.Conv2D(2, 3, strides=(3, 2), padding="same"),
        (2, 5, 6, 2),
    ),
    "Conv2D, dilated": (lambda: keras.layers.Conv2D(2, 2, dilation_rate=2), (2, 4, 5, 2)),
    "Conv2D, dilated, same": (
        lambda: keras.layers.Conv2D(2, (3, 2), dilation_rate=(1, 2), padding="same"),
        (2, 4, 5, 2),
    ),
    "Conv2D, groups": (
        lambda: keras.layers.Conv2D(6, 2, groups=2, padding="same"),
        (2, 3, 4, 4),
    ),
    "Conv2D, groups and strides": (
        lambda: keras.layers.Conv2D(3, 2, groups=3, strides=2),
        (2, 4, 5, 3),
    ),
    "Conv2D without bias": (lambda: keras.layers.Conv2D(2, 2, use_bias=False), (2, 3, 3, 2)),
    "Conv2D, channels_first": (
        lambda: keras.layers.Conv2D(4, (2, 3), strides=2, data_format="channels_first"),
        (2, 3, 4, 5),
    ),
    "Conv3D": (lambda: keras.layers.Conv3D(2, 2), (2, 3, 3, 3, 2)),
    "Conv3D, same and strides": (
        lambda: keras.layers.Conv3D(2, (1, 2, 3), strides=(1, 2, 1), padding="same"),
        (1, 2, 3, 4, 2),
    ),
    "MaxPooling1D": (lambda: keras.layers.MaxPooling1D(2), (2, 5, 3)),
    "MaxPooling2D": (lambda: keras.layers.MaxPooling2D(2), (2, 4, 5, 2)),
    "MaxPooling2D, overlapping": (lambda: keras.layers.MaxPooling2D(3, 1), (2, 5, 4, 2)),
    "MaxPooling2D, same": (
        lambda: keras.layers.MaxPooling2D((3, 2), (2, 1), padding="same"),
        (2, 5, 4, 2),
    ),
    "MaxPooling2D, apart": (lambda: keras.layers.MaxPooling2D(2, 3), (2, 6, 5, 2)),
    "MaxPooling2D, channels_first": (
        lambda: keras.layers.MaxPooling2D(2, data_format="channels_first"),
        (2, 3, 4, 6),
    ),
    "MaxPooling3D": (lambda: keras.layers.MaxPooling3D(2), (2, 4, 2, 3, 2)),
    "AveragePooling1D": (lambda: keras.layers.AveragePooling1D(3, 2), (2, 6, 2)),
    "AveragePooling2D": (lambda: keras.layers.AveragePooling2D(2), (2, 4, 5, 2)),
    "AveragePooling2D, same": (
        lambda: keras.layers.AveragePooling2D((3, 2), (2, 1), padding="same"),
        (2, 5, 4, 2),
    ),
    "AveragePooling2D, channels_first": (
        lambda: keras.layers.AveragePooling2D(2, 1, data_format="channels_first"),
        (2, 3, 4, 3),
    ),
    "AveragePooling3D": (lambda: keras.layers.AveragePooling3D(2), (2, 4, 2, 3, 2)),
    "GlobalMaxPooling1D": (lambda: keras.layers.GlobalMaxPooling1D(), (3, 4, 2)),
    "GlobalMaxPooling2D": (lambda: keras.layers.GlobalMaxPooling2D(keepdims=True), (3, 2, 4, 2)),
    "GlobalMaxPooling3D": (
        lambda: keras.layers.GlobalMaxPooling3D("channels_first"), (3, 2, 4, 2, 1)),
    "GlobalAveragePooling1D": (lambda: keras.layers.GlobalAveragePooling1D(), (3, 4, 2)),
    "GlobalAveragePooling2D": (
        lambda: keras.layers.GlobalAveragePooling2D("channels_first", keepdims=True),
        (3, 2, 4, 3),
    ),
    "GlobalAveragePooling3D": (lambda: keras.layers.GlobalAveragePooling3D(), (3, 2, 4, 2, 2)),
}  # fmt: skip
NO_FLOAT64_IN_TENSORFLOW = {"MaxPooling3D", "AveragePooling3D"}


def twin_of_layer(layer: Any, shape: tuple[int, ...]) -> Any:
    """Build the hand-written twin from Keras's own configuration."""
    made = twin("layer", type(layer).__name__).from_config(layer.get_config())
    symbol = made(Input(shape[1:]))
    assert symbol.shape == tuple(layer.compute_output_shape(shape))[1:]
    return made


def has_channels_first(layer: Any) -> bool:
    return "Conv" in type(layer).__name__ and layer.data_format == "channels_first"


def hold_against_keras(
    layer: Any, x: np.ndarray, ruler: Any, on_tape: Any, loaded: Any, generator: Any
) -> None:
    """Run both twins on the same numbers, forward and backward."""
    layer.build(x.shape)
    weights = [generator.normal(size=w.shape).astype(ruler.precision) for w in layer.weights]
    layer.set_weights(weights)
    dy = generator.normal(size=layer.compute_output_shape(x.shape)).astype(ruler.precision)
    variables = [weight.value for weight in layer.trainable_variables]
    # TensorFlow's own kernels for the CPU take channels last only; XLA takes both.
    call = tf.function(layer, jit_compile=True) if has_channels_first(layer) else layer
    y, actual = on_tape(call, [x], dy, variables)
    by_hand = loaded(twin_of_layer(layer, x.shape), weights, ruler.exact)
    expected, saved = by_hand.forward(ruler.exact(x))
    ruler.agrees(y, expected, "output")
    ruler.agrees(actual[0], by_hand.backward(ruler.exact(dy), saved), "input gradient")
    assert [w.name for w in layer.weights] == [p.name for p in by_hand.parameters]
    for parameter, gradient in zip(by_hand.parameters, actual[1:], strict=True):
        ruler.agrees(gradient, parameter.gradient, f"{parameter.name} gradient")


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(
    name: str, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    if ruler.precision == "float64" and name in NO_FLOAT64_IN_TENSORFLOW:
        pytest.skip("TensorFlow has no float64 kernel for it")
    make, shape = LAYERS[name]
    x = generator.normal(size=shape).astype(ruler.precision)
    hold_against_keras(make(), x, ruler, on_tape, loaded, generator)


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(
    name: str, differences: Any, loaded: Any, smooth_points: Any
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    layer.build(shape)
    by_hand = twin_of_layer(layer, shape)
    x = smooth_points(*shape)
    weights = [smooth_points(*parameter.shape) for parameter in by_hand.parameters]
    dy = smooth_points(*layer.compute_output_shape(shape))
    exact = differences.exact

    def function(points: list[Noisy]) -> Noisy:
        loaded(by_hand, points[1:], exact)
        return (by_hand.forward(points[0])[0] * dy).sum()

    loaded(by_hand, weights, exact)
    _, saved = by_hand.forward(exact(x))
    dx = by_hand.backward(exact(dy), saved)
    gradients = [dx, *(parameter.gradient for parameter in by_hand.parameters)]
    differences.agree(function, [x, *weights], gradients)


@pytest.mark.parametrize("name", LAYERS)
def test_the_precision_stays_and_the_arguments_too(
    name: str, precision: str, generator: np.random.Generator
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    layer.build(shape)
    by_hand = twin_of_layer(layer, shape)
    for parameter in by_hand.parameters:
        parameter.value = parameter.value.astype(precision)
        parameter.gradient = parameter.gradient.astype(precision)
    x = generator.normal(size=shape).astype(precision)
    kept = x.copy()
    y, saved = by_hand.forward(x)
    assert y.dtype == precision
    dy = np.ones_like(y)
    dx = by_hand.backward(dy, saved)
    assert dx.dtype == precision and dx.shape == x.shape
    assert {parameter.gradient.dtype.name for parameter in by_hand.parameters} <= {precision}
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(dy, np.ones_like(y))
