"""Layers that move numbers around, and EinsumDense: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from manual.layers import EinsumDense, Input, Reshape, UpSampling2D
from manual.layers.einsum_dense import spelled_out
from manual.registry import NoTwin

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "Identity": (lambda: keras.layers.Identity(), (3, 4)),
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


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


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
    with pytest.raises(NoTwin, match="layer 'sum': the equation 'abc,cd->ad' sums over an axis"):
        EinsumDense("abc,cd->ad", 3, name="sum")(Input((4, 5)))


def test_an_ellipsis_is_spelled_out() -> None:
    assert spelled_out("...x,xy->...y", 4) == "ABCx,xy->ABCy"
    assert spelled_out("abx...,xy->aby...", 5) == "abxAB,xy->abyAB"
    assert spelled_out("Ax...,xy->Ay...", 3) == "AxB,xy->AyB"
    assert spelled_out("ab,bc->ac", 2) == "ab,bc->ac"
