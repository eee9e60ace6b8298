"""Convolution, pooling and reshaping alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import compare
from compare.rounding.noise import Noisy
from compare.rounding.plain_ways import PLAIN
from keras_models.precision import precision
from manual.layers import Conv2D, MaxPooling1D, MaxPooling2D
from manual.layers.columns import columns, from_rows, in_rows
from manual.layers.convolution import correlate, correlate_back
from manual.layers.windows import Windows
from manual.registry import NoTwin

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
    "Conv1D, a bias along space": (
        lambda: keras.layers.Conv1D(3, 2, data_format="channels_first", padding="same"),
        (2, 2, 3),
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
    "Conv2D of one, strides": (
        lambda: keras.layers.Conv2D(3, 1, strides=(3, 2), padding="same"),
        (2, 5, 4, 2),
    ),
    "Conv3D": (lambda: keras.layers.Conv3D(2, 2), (2, 3, 3, 3, 2)),
    "Conv3D, same and strides": (
        lambda: keras.layers.Conv3D(2, (1, 2, 3), strides=(1, 2, 1), padding="same"),
        (1, 2, 3, 4, 2),
    ),
    "MaxPooling1D": (lambda: keras.layers.MaxPooling1D(2), (2, 5, 3)),
    "MaxPooling2D": (lambda: keras.layers.MaxPooling2D(2), (2, 4, 5, 2)),
    "MaxPooling2D of one": (lambda: keras.layers.MaxPooling2D(1), (2, 3, 2, 2)),
    "MaxPooling2D, overlapping": (lambda: keras.layers.MaxPooling2D(3, 1), (2, 5, 4, 2)),
    "MaxPooling2D, same": (
        lambda: keras.layers.MaxPooling2D((3, 2), (2, 1), padding="same"),
        (2, 5, 4, 2),
    ),
    "MaxPooling2D, apart": (lambda: keras.layers.MaxPooling2D(2, 3), (2, 6, 5, 2)),
    "Conv2D, channels_first, as wide as filters": (
        lambda: keras.layers.Conv2D(3, 2, data_format="channels_first"),
        (2, 1, 3, 4),
    ),
    "SeparableConv2D, channels_first, as wide as filters": (
        lambda: keras.layers.SeparableConv2D(3, 2, data_format="channels_first"),
        (2, 1, 3, 4),
    ),
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


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, precision: str, layer_equals_keras: Any) -> None:
    if (name, precision) == ("MaxPooling3D", "float64"):
        pytest.skip("TensorFlow has no such operation")
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


def test_the_gradient_of_tied_maxima_goes_to_the_first(
    hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> None:
    """After a ReLU most windows hold several zeros: the common tie."""
    for size, strides, padding in (((2, 2), 2, "valid"), ((3, 2), 1, "same")):
        x = np.maximum(generator.normal(size=(3, 6, 7, 4)) - 0.5, 0.0).astype(ruler.precision)
        hold_layer(keras.layers.MaxPooling2D(size, strides, padding), x)
    layer = MaxPooling2D()
    y, saved = layer.forward(np.zeros((1, 2, 2, 1)))
    dx = layer.backward(np.ones(y.shape), saved)
    np.testing.assert_array_equal(dx[0, :, :, 0], [[1.0, 0.0], [0.0, 0.0]])


def test_a_global_maximum_shares_its_gradient_among_ties(
    hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> None:
    x = np.maximum(generator.integers(-3, 2, (4, 5, 3)), 0).astype(ruler.precision)
    hold_layer(keras.layers.GlobalMaxPooling1D(), x)


def test_a_near_tie_leaves_the_winner_open() -> None:
    """Numbers that lie within their noise of each other: the gradient is as uncertain as they."""
    noise = np.array([1.0, 1.0, 1.0, 1.0]).reshape(1, 4, 1)
    x = Noisy(np.array([1.0, 1.0 + 2.0**-23, 3.0, 2.0]).reshape(1, 4, 1), noise, unit=2.0**-24)
    layer = MaxPooling1D()
    _, saved = layer.forward(x)
    dx = layer.backward(Noisy(np.ones((1, 2, 1)), unit=2.0**-24), saved)
    np.testing.assert_array_equal(dx.value[0, :, 0], [0.0, 1.0, 1.0, 0.0])
    assert (dx.noise[0, :2, 0] * 2.0**-24 >= 1.0).all()
    assert (dx.noise[0, 2:, 0] < 2.0).all()


def test_a_masked_mean_counts_the_steps_that_are_left(
    hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> None:
    x = generator.normal(size=(3, 4, 2)).astype(ruler.precision)
    mask = np.array([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]], bool)
    by_hand = hold_layer(keras.layers.GlobalAveragePooling1D(), x, mask=mask)
    assert by_hand.compute_mask(x, mask) is None


def test_keras_adds_the_bias_along_the_width_where_that_is_as_long_as_the_filters(
    twin_of: Any,
) -> None:
    """A fault of Keras 3.15 on TensorFlow, with channels first, that the twin has, too."""
    x = np.zeros((1, 1, 3, 2), np.float32)
    layer = keras.layers.Conv2D(2, 1, data_format="channels_first")
    by_hand = twin_of(layer, x.shape)
    layer.set_weights([np.zeros((1, 1, 1, 2)), np.array([1.0, 2.0])])
    found = tf.function(layer, jit_compile=True)(tf.constant(x)).numpy()
    by_hand.bias.value = np.array([1.0, 2.0])
    for z in (found, by_hand.forward(x)[0]):
        np.testing.assert_array_equal(z[0, :, 0, 0], [1.0, 1.0])
        np.testing.assert_array_equal(z[0, 0, 0, :], [1.0, 2.0])


def test_an_unknown_padding_is_refused() -> None:
    with pytest.raises(NoTwin, match="layer 'blur': the padding 'causal' has no hand-derived twin"):
        Conv2D(2, 3, padding="causal", name="blur")


GEOMETRIES: dict[str, tuple[tuple[int, ...], Windows, int]] = {
    "one axis": ((7,), Windows((3,), (2,), (1,), "same"), 1),
    "causal": ((7,), Windows((2,), (1,), (3,), "causal"), 1),
    "an image": ((5, 6), Windows((3, 2), (1, 1), (1, 1), "valid"), 1),
    "strides": ((9, 8), Windows((3, 2), (2, 3), (1, 1), "same"), 1),
    "strides, and rows that are left over": ((8, 9), Windows((3, 2), (3, 4), (1, 1), "valid"), 1),
    "dilated": ((7, 8), Windows((3, 2), (1, 1), (2, 3), "same"), 1),
    "of one": ((4, 5), Windows((1, 1), (1, 1), (1, 1), "valid"), 1),
    "of one, with strides": ((5, 6), Windows((1, 1), (2, 3), (1, 1), "valid"), 1),
    "groups": ((5, 6), Windows((2, 3), (1, 2), (1, 1), "same"), 2),
    "a volume": ((4, 5, 3), Windows((2, 3, 2), (1, 2, 1), (2, 1, 1), "same"), 2),
}


@pytest.mark.parametrize("name", GEOMETRIES)
def test_the_sums_in_parts_are_those_in_one(name: str, generator: np.random.Generator) -> None:
    """In whole numbers, where nothing is rounded; and with the noise of the whole sum."""
    space, windows, groups = GEOMETRIES[name]
    shape = (*windows.size, 4 // groups, 6)
    W = generator.integers(-9, 10, shape) * 1.0
    positions = windows.positions(space)
    dz = generator.integers(-9, 10, (3, *positions, 6)) * 1.0
    rows = in_rows(dz)
    dx = correlate_back(windows, rows, space, W, groups)
    assert dx.shape == (3, *space, 4)
    assert np.any(dx)
    whole = PLAIN[correlate_back](windows, rows, space, W, groups)
    np.testing.assert_array_equal(dx, whole)
    x = generator.integers(-9, 10, dx.shape) * 1.0
    z = from_rows(correlate(columns(windows, x), W, groups), positions)
    assert (x * dx).sum() == (z * dz).sum()  # one is the other's transpose
    noisy = correlate_back(windows, Noisy(rows, unit=2.0**-24), space, W, groups)
    products = PLAIN[correlate_back](windows, Noisy(rows, unit=2.0**-24), space, W, groups)
    np.testing.assert_array_equal(noisy.value, dx)
    np.testing.assert_array_equal(noisy.noise, products.noise)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_in_lock_step_through_a_fit(dtype: str) -> None:
    """Each kind of layer in a fit; ReLU zeros are tied in the pooling."""
    layer = keras.layers
    with precision(dtype):
        keras.utils.set_random_seed(1)
        images = keras.Sequential(
            [
                keras.Input((9, 8, 2)),
                layer.Conv2D(4, 3, padding="same", activation="relu"),
                layer.MaxPooling2D(2),
                layer.Conv2D(3, 2, dilation_rate=2, padding="same", activation="tanh"),
                layer.AveragePooling2D(2, 1, padding="same"),
                layer.GlobalMaxPooling2D(keepdims=True),
                layer.Flatten(),
                layer.Dense(3, activation="softmax"),
            ]
        )
        series = keras.Sequential(
            [
                keras.Input((9, 2)),
                layer.Conv1D(4, 3, padding="causal", activation="relu"),
                layer.MaxPooling1D(2),
                layer.Conv1D(3, 2, strides=2),
                layer.GlobalAveragePooling1D(),
                layer.Dense(3, activation="softmax"),
            ]
        )
        draw = np.random.default_rng(2)
        for model in (images, series):
            # a graph is slow to build
            model.compile("sgd", "categorical_crossentropy", run_eagerly=dtype == "float64")
            x = draw.normal(size=(20, *model.input_shape[1:]))
            report = compare.lockstep(model, x, np.eye(3)[draw.integers(0, 3, 20)], batch_size=8)
            assert report.ok, str(report.first)
