"""Layers that move numbers around, and EinsumDense: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare.noise import Noisy
from manual.layers import EinsumDense, Input, Reshape, UpSampling2D
from manual.layers.einsum_dense import spelled_out
from manual.registry import NoTwin, twin

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Identity": (lambda: keras.layers.Identity(), (3, 4)),
    "Rescaling": (lambda: keras.layers.Rescaling(0.1, offset=-0.7), (3, 4)),
    "Reshape": (lambda: keras.layers.Reshape((3, 4)), (2, 2, 6)),
    "Reshape, the rest": (lambda: keras.layers.Reshape((-1, 2, 2)), (2, 12)),
    "Reshape to rank 2": (lambda: keras.layers.Reshape((12,)), (2, 3, 4)),
    "Permute": (lambda: keras.layers.Permute((2, 1)), (2, 3, 4)),
    "Permute of 3": (lambda: keras.layers.Permute((2, 3, 1)), (2, 3, 4, 5)),
    "Permute of 3, back": (lambda: keras.layers.Permute((3, 1, 2)), (2, 3, 4, 5)),
    "RepeatVector": (lambda: keras.layers.RepeatVector(3), (2, 4)),
    "ZeroPadding1D": (lambda: keras.layers.ZeroPadding1D(2), (2, 3, 2)),
    "ZeroPadding1D, uneven": (lambda: keras.layers.ZeroPadding1D((0, 3)), (2, 3, 2)),
    "ZeroPadding2D": (lambda: keras.layers.ZeroPadding2D(1), (2, 3, 2, 2)),
    "ZeroPadding2D of two": (lambda: keras.layers.ZeroPadding2D((1, 2)), (2, 3, 2, 2)),
    "ZeroPadding2D of four": (
        lambda: keras.layers.ZeroPadding2D(((1, 0), (2, 3)), data_format="channels_first"),
        (2, 3, 2, 2),
    ),
    "ZeroPadding3D": (
        lambda: keras.layers.ZeroPadding3D(((1, 0), (2, 3), (0, 1))),
        (1, 2, 2, 3, 2),
    ),
    "Cropping1D": (lambda: keras.layers.Cropping1D((1, 2)), (2, 6, 2)),
    "Cropping1D, one end": (lambda: keras.layers.Cropping1D((2, 0)), (2, 6, 2)),
    "Cropping2D": (lambda: keras.layers.Cropping2D(1), (2, 4, 5, 2)),
    "Cropping2D of four": (
        lambda: keras.layers.Cropping2D(((1, 0), (0, 2)), data_format="channels_first"),
        (2, 3, 4, 5),
    ),
    "Cropping3D": (lambda: keras.layers.Cropping3D((1, 0, 1)), (1, 4, 2, 3, 2)),
    "UpSampling1D": (lambda: keras.layers.UpSampling1D(3), (2, 3, 2)),
    "UpSampling2D": (lambda: keras.layers.UpSampling2D((2, 3)), (2, 2, 3, 2)),
    "UpSampling2D, channels_first": (
        lambda: keras.layers.UpSampling2D(2, data_format="channels_first"),
        (2, 3, 2, 2),
    ),
    "UpSampling3D": (lambda: keras.layers.UpSampling3D((2, 1, 2)), (1, 2, 2, 2, 2)),
    "EinsumDense": (lambda: keras.layers.EinsumDense("ab,bc->ac", 4, bias_axes="c"), (5, 3)),
    "EinsumDense without bias": (lambda: keras.layers.EinsumDense("ab,bc->ac", 4), (5, 3)),
    "EinsumDense to heads": (
        lambda: keras.layers.EinsumDense("abc,cde->abde", (None, 3, 2), bias_axes="de"),
        (2, 4, 5),
    ),
    "EinsumDense from heads": (
        lambda: keras.layers.EinsumDense("abde,dec->abc", (None, 5), bias_axes="c"),
        (2, 4, 3, 2),
    ),
    "EinsumDense, another order": (
        lambda: keras.layers.EinsumDense("abc,cd->adb", (3, None), bias_axes="d"),
        (2, 4, 5),
    ),
    "EinsumDense by step": (
        lambda: keras.layers.EinsumDense("abc,bcd->abd", (4, 3), bias_axes="bd"),
        (2, 4, 5),
    ),
    "EinsumDense, number by number": (
        lambda: keras.layers.EinsumDense("abc,c->abc", (4, 5), bias_axes="b"),
        (2, 4, 5),
    ),
    "EinsumDense, ellipsis": (
        lambda: keras.layers.EinsumDense("...x,xy->...y", 3, bias_axes="y"),
        (2, 4, 5),
    ),
    "EinsumDense, ellipsis behind": (
        lambda: keras.layers.EinsumDense("abx...,xy->aby...", (4, 3), bias_axes="y"),
        (2, 4, 5, 2),
    ),
}


def twin_of_layer(layer: Any, shape: tuple[int, ...]) -> Any:
    made = twin("layer", type(layer).__name__).from_config(layer.get_config())
    symbol = made(Input(shape[1:]))
    assert symbol.shape == output_shape(layer, shape)[1:]
    return made


def output_shape(layer: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Ask Keras by a call: EinsumDense's compute_output_shape leaves open what was left open."""
    return tuple(layer(np.zeros(shape)).shape)


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(
    name: str, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    layer.build(shape)
    weights = [generator.normal(size=w.shape).astype(ruler.precision) for w in layer.weights]
    layer.set_weights(weights)
    x = generator.normal(size=shape).astype(ruler.precision)
    dy = generator.normal(size=output_shape(layer, shape)).astype(ruler.precision)
    y, actual = on_tape(layer, [x], dy, [weight.value for weight in layer.trainable_variables])

    by_hand = loaded(twin_of_layer(layer, shape), weights, ruler.exact)
    expected, saved = by_hand.forward(ruler.exact(x))
    ruler.agrees(y, expected, "output")
    ruler.agrees(actual[0], by_hand.backward(ruler.exact(dy), saved), "input gradient")
    assert [w.name for w in layer.weights] == [p.name for p in by_hand.parameters]
    for parameter, gradient in zip(by_hand.parameters, actual[1:], strict=True):
        ruler.agrees(gradient, parameter.gradient, f"{parameter.name} gradient")


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(
    name: str, differences: Any, loaded: Any, smooth_points: Any
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    by_hand = twin_of_layer(layer, shape)
    x = smooth_points(*shape)
    weights = [smooth_points(*parameter.shape) for parameter in by_hand.parameters]
    dy = smooth_points(*output_shape(layer, shape))
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
def test_the_precision_stays(name: str, precision: str, generator: np.random.Generator) -> None:
    make, shape = LAYERS[name]
    by_hand = twin_of_layer(make(), shape)
    for parameter in by_hand.parameters:
        parameter.value = parameter.value.astype(precision)
        parameter.gradient = parameter.gradient.astype(precision)
    x = generator.normal(size=shape).astype(precision)
    kept = x.copy()
    y, saved = by_hand.forward(x)
    assert y.dtype == precision
    assert by_hand.backward(np.ones_like(y), saved).dtype == precision
    assert all(parameter.gradient.dtype == precision for parameter in by_hand.parameters)
    np.testing.assert_array_equal(x, kept)


def test_reshape_reads_the_last_axis_fastest() -> None:
    x = np.arange(6.0).reshape(1, 2, 3)
    y, saved = Reshape((3, 2)).forward(x)
    np.testing.assert_array_equal(y, [[[0, 1], [2, 3], [4, 5]]])
    np.testing.assert_array_equal(Reshape((3, 2)).backward(y, saved), x)


def test_upsampling_sums_the_gradients_of_the_copies() -> None:
    layer = UpSampling2D(2)
    y, saved = layer.forward(np.array([[[[1.0], [2.0]]]]))
    np.testing.assert_array_equal(y[0, :, :, 0], [[1, 1, 2, 2], [1, 1, 2, 2]])
    dy = np.arange(8.0).reshape(1, 2, 4, 1)
    np.testing.assert_array_equal(layer.backward(dy, saved)[0, :, :, 0], [[10, 18]])


def test_what_has_no_twin_is_refused() -> None:
    with pytest.raises(NoTwin, match="layer 'up': only interpolation='nearest'"):
        UpSampling2D(interpolation="bilinear", name="up")
    with pytest.raises(NoTwin, match="layer 'sum': the equation 'abc,cd->ad' sums over an axis"):
        EinsumDense("abc,cd->ad", 3, name="sum")(Input((4, 5)))
    with pytest.raises(NoTwin, match="layer 'scale': scale has a twin as one number only"):
        twin("layer", "Rescaling")([1.0, 2.0], name="scale")


def test_an_ellipsis_is_spelled_out() -> None:
    assert spelled_out("...x,xy->...y", 4) == "ABCx,xy->ABCy"
    assert spelled_out("abx...,xy->aby...", 5) == "abxAB,xy->abyAB"
    assert spelled_out("Ax...,xy->Ay...", 3) == "AxB,xy->AyB"
    assert spelled_out("ab,bc->ac", 2) == "ab,bc->ac"
