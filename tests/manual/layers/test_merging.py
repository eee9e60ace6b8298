"""Layers with several inputs: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from manual.layers import Add, Concatenate, Dot, Input, Maximum, Minimum, Multiply
from manual.registry import NoTwin

Shapes = list[tuple[int, ...]]
LAYERS: dict[str, tuple[Callable[[], Any], Shapes]] = {
    "Add of 2": (lambda: keras.layers.Add(), [(3, 4)] * 2),
    "Add of 3": (lambda: keras.layers.Add(), [(3, 4)] * 3),
    "Add of rank 3": (lambda: keras.layers.Add(), [(2, 3, 2)] * 2),
    "Add, repeated": (lambda: keras.layers.Add(), [(2, 3, 4), (2, 1, 4), (2, 3, 1)]),
    "Add of other ranks": (lambda: keras.layers.Add(), [(2, 4), (2, 3, 4)]),
    "Subtract": (lambda: keras.layers.Subtract(), [(3, 4)] * 2),
    "Subtract, repeated": (lambda: keras.layers.Subtract(), [(2, 1, 4), (2, 3, 1)]),
    "Average of 2": (lambda: keras.layers.Average(), [(3, 4)] * 2),
    "Average of 3": (lambda: keras.layers.Average(), [(3, 4)] * 3),
    "Average, repeated": (lambda: keras.layers.Average(), [(2, 3, 4), (2, 4), (2, 1, 1)]),
    "Multiply of 2": (lambda: keras.layers.Multiply(), [(3, 4)] * 2),
    "Multiply of 3": (lambda: keras.layers.Multiply(), [(3, 4)] * 3),
    "Multiply, repeated": (lambda: keras.layers.Multiply(), [(2, 3, 4), (2, 1, 4), (2, 1)]),
    "Maximum of 2": (lambda: keras.layers.Maximum(), [(3, 4)] * 2),
    "Maximum of 4": (lambda: keras.layers.Maximum(), [(3, 4)] * 4),
    "Maximum, repeated": (lambda: keras.layers.Maximum(), [(2, 1, 4), (2, 3, 1), (2, 3, 4)]),
    "Minimum of 2": (lambda: keras.layers.Minimum(), [(3, 4)] * 2),
    "Minimum of 4": (lambda: keras.layers.Minimum(), [(3, 4)] * 4),
    "Minimum, repeated": (lambda: keras.layers.Minimum(), [(2, 4), (2, 3, 1), (2, 3, 4)]),
    "Dot": (lambda: keras.layers.Dot(axes=1), [(3, 4), (3, 4)]),
    "Dot of rank 3": (lambda: keras.layers.Dot(axes=2), [(2, 3, 4), (2, 5, 4)]),
    "Dot of other axes": (lambda: keras.layers.Dot(axes=(2, 1)), [(2, 3, 4), (2, 4, 5)]),
    "Dot of a negative axis": (lambda: keras.layers.Dot(axes=-1), [(2, 3, 4), (2, 4)]),
    "Dot of ranks 2 and 3": (lambda: keras.layers.Dot(axes=(1, 2)), [(2, 4), (2, 3, 4)]),
    "Dot of rank 4": (lambda: keras.layers.Dot(axes=(1, 3)), [(2, 3, 2, 2), (2, 2, 2, 3)]),
    "Dot, normalized": (lambda: keras.layers.Dot(axes=1, normalize=True), [(3, 4), (3, 4)]),
    "Dot of rank 3, normalized": (
        lambda: keras.layers.Dot(axes=(1, 2), normalize=True),
        [(2, 4, 3), (2, 5, 4)],
    ),
    "Concatenate of 2": (lambda: keras.layers.Concatenate(), [(3, 4), (3, 2)]),
    "Concatenate of 3": (lambda: keras.layers.Concatenate(), [(3, 1), (3, 4), (3, 2)]),
    "Concatenate on 1": (lambda: keras.layers.Concatenate(axis=1), [(2, 3, 2), (2, 1, 2)]),
    "Concatenate on 2": (lambda: keras.layers.Concatenate(axis=2), [(2, 3, 2), (2, 3, 4)]),
    "Concatenate on -1": (lambda: keras.layers.Concatenate(axis=-1), [(2, 3, 2), (2, 3, 1)]),
    "Concatenate on -2": (lambda: keras.layers.Concatenate(axis=-2), [(2, 3, 2), (2, 1, 2)]),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*LAYERS[name])


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*LAYERS[name])


def test_the_same_input_twice_counts_twice() -> None:
    x = np.array([[1.0, 2.0]])
    y, saved = Add().forward([x, x])
    np.testing.assert_array_equal(y, [[2.0, 4.0]])
    np.testing.assert_array_equal(sum(Add().backward(x, saved)), [[2.0, 4.0]])


def test_concatenate_gives_each_input_its_own_slice() -> None:
    layer = Concatenate(axis=1)
    parts = [np.zeros((1, width, 2)) for width in (1, 3, 2)]
    _, saved = layer.forward(parts)
    dy = np.arange(12.0).reshape(1, 6, 2)
    first, second, third = layer.backward(dy, saved)
    np.testing.assert_array_equal(first, dy[:, :1])
    np.testing.assert_array_equal(second, dy[:, 1:4])
    np.testing.assert_array_equal(third, dy[:, 4:])


def test_inputs_that_do_not_fit_are_refused() -> None:
    message = r"Layer 'join' joins inputs number by number.*Received: \[\(3,\), \(2,\)\]"
    with pytest.raises(ValueError, match=message):
        Add(name="join")(Input((3,)), Input((2,)))


@pytest.mark.parametrize("layer", [Maximum, Minimum])
def test_of_equal_inputs_the_first_gets_the_gradient(layer: Any, ruler: Any, on_tape: Any) -> None:
    """It is TensorFlow's convention, and the twin's, so that ties raise no false alarm."""
    xs = [np.zeros((2, 3), ruler.precision) for _ in range(3)]
    dy = np.arange(1.0, 7.0).reshape(2, 3).astype(ruler.precision)
    of_keras = getattr(keras.layers, layer.__name__)()
    _, actual = on_tape(lambda *tensors: of_keras(list(tensors)), xs, dy)
    by_hand = layer()
    _, saved = by_hand.forward([ruler.exact(x) for x in xs])
    for one, dx, right in zip(
        actual, by_hand.backward(ruler.exact(dy), saved), [dy, 0.0 * dy, 0.0 * dy], strict=True
    ):
        ruler.agrees(one, dx)
        np.testing.assert_array_equal(dx.value, right)
        assert not dx.noise.any()


def test_where_noise_decides_which_is_larger_the_gradient_is_in_doubt(ruler: Any) -> None:
    """Two ways to compute one number: either input may get the gradient."""
    x = ruler.exact(np.full((1, 1), 0.1, ruler.precision))
    layer = Maximum()
    _, saved = layer.forward([x * x * x, x * (x * x)])
    first, second = layer.backward(ruler.exact(np.ones((1, 1))), saved)
    assert first.noise * ruler.unit >= 1.0 and second.noise * ruler.unit >= 1.0


def test_a_product_with_a_zero_still_has_a_gradient() -> None:
    """It is the product of the others, not the whole divided by the one."""
    x = [np.array([[0.0]]), np.array([[2.0]]), np.array([[5.0]])]
    layer = Multiply()
    _, saved = layer.forward(x)
    found = layer.backward(np.ones((1, 1)), saved)
    assert [dx.item() for dx in found] == [10.0, 0.0, 0.0]


def test_a_vector_of_length_0_has_no_direction(ruler: Any, on_tape: Any) -> None:
    x = [np.zeros((1, 2), ruler.precision), np.ones((1, 2), ruler.precision)]
    of_keras = keras.layers.Dot(axes=1, normalize=True)
    y, _ = on_tape(lambda *tensors: of_keras(list(tensors)), x)
    layer = Dot(axes=1, normalize=True)
    with np.errstate(invalid="ignore"):
        expected, _ = layer.forward([ruler.exact(one) for one in x])
    ruler.agrees(y, expected)
    with pytest.raises(NoTwin, match="Dot can't sum over the batch axis"):
        Dot(axes=0)


def test_masks_are_joined_as_in_keras() -> None:
    x = [np.ones((1, 3, 2))] * 2
    one, other = np.array([[True, False, False]]), np.array([[True, True, False]])
    np.testing.assert_array_equal(Add().compute_mask(x, [one, other]), one | other)
    assert Add().compute_mask(x, [one, None]) is None
    np.testing.assert_array_equal(keras.layers.Add().compute_mask(x, [one, other]), one | other)
    for axis, masks in ((1, [one, other]), (2, [one, other]), (1, [None, one])):
        np.testing.assert_array_equal(
            Concatenate(axis=axis).compute_mask(x, masks),
            keras.layers.Concatenate(axis=axis).compute_mask(x, masks),
        )
    assert Concatenate().compute_mask(x, [None, None]) is None


def test_what_a_mask_leaves_out_is_no_factor_and_no_extreme() -> None:
    x = [np.array([[[2.0], [3.0], [4.0]]]), np.array([[[5.0], [7.0], [1.0]]])]
    mask = [np.array([[True, False, False]]), np.array([[True, True, False]])]
    for layer, expected in (
        (Multiply(), [10.0, 7.0, 0.0]),
        (Maximum(), [5.0, 7.0, 4.0]),
        (Minimum(), [2.0, 7.0, 4.0]),
    ):
        np.testing.assert_array_equal(layer.forward(x, mask=mask)[0].ravel(), expected)


@pytest.mark.parametrize("layer", [Multiply, Maximum, Minimum])
def test_masks_of_images_are_refused(layer: Any) -> None:
    x, mask = [np.ones((1, 3, 2, 2))] * 2, [np.ones((1, 3), bool), None]
    with pytest.raises(NoTwin, match="layer 'join': masks of inputs with other axes"):
        layer(name="join").forward(x, mask=mask)
