"""Add and Concatenate alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare.noise import Noisy
from manual.layers import Add, Concatenate, Input
from manual.registry import twin

Shapes = list[tuple[int, ...]]
LAYERS: dict[str, tuple[Callable[[], Any], Shapes]] = {
    "Add of 2": (lambda: keras.layers.Add(), [(3, 4)] * 2),
    "Add of 3": (lambda: keras.layers.Add(), [(3, 4)] * 3),
    "Add of rank 3": (lambda: keras.layers.Add(), [(2, 3, 2)] * 2),
    "Concatenate of 2": (lambda: keras.layers.Concatenate(), [(3, 4), (3, 2)]),
    "Concatenate of 3": (lambda: keras.layers.Concatenate(), [(3, 1), (3, 4), (3, 2)]),
    "Concatenate on 1": (lambda: keras.layers.Concatenate(axis=1), [(2, 3, 2), (2, 1, 2)]),
    "Concatenate on 2": (lambda: keras.layers.Concatenate(axis=2), [(2, 3, 2), (2, 3, 4)]),
    "Concatenate on -1": (lambda: keras.layers.Concatenate(axis=-1), [(2, 3, 2), (2, 3, 1)]),
    "Concatenate on -2": (lambda: keras.layers.Concatenate(axis=-2), [(2, 3, 2), (2, 1, 2)]),
}


def twin_of_layer(layer: Any, shapes: Shapes) -> Any:
    made = twin("layer", type(layer).__name__).from_config(layer.get_config())
    symbol = made(*(Input(shape[1:]) for shape in shapes))
    assert symbol.shape == tuple(layer.compute_output_shape(shapes))[1:]
    return made


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, ruler: Any, on_tape: Any, generator: np.random.Generator) -> None:
    make, shapes = LAYERS[name]
    layer = make()
    xs = [generator.normal(size=shape).astype(ruler.precision) for shape in shapes]
    dy = generator.normal(size=layer.compute_output_shape(shapes)).astype(ruler.precision)
    y, actual = on_tape(lambda *tensors: layer(list(tensors)), xs, dy)

    by_hand = twin_of_layer(layer, shapes)
    expected, saved = by_hand.forward([ruler.exact(x) for x in xs])
    ruler.agrees(y, expected, "output")
    for place, (one, dx) in enumerate(
        zip(actual, by_hand.backward(ruler.exact(dy), saved), strict=True)
    ):
        ruler.agrees(one, dx, f"gradient of input {place}")


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(
    name: str, differences: Any, smooth_points: Any
) -> None:
    make, shapes = LAYERS[name]
    layer = make()
    by_hand = twin_of_layer(layer, shapes)
    xs = [smooth_points(*shape) for shape in shapes]
    dy = smooth_points(*layer.compute_output_shape(shapes))
    _, saved = by_hand.forward([differences.exact(x) for x in xs])

    def function(points: list[Noisy]) -> Noisy:
        return (by_hand.forward(points)[0] * dy).sum()

    differences.agree(function, xs, by_hand.backward(differences.exact(dy), saved))


@pytest.mark.parametrize("name", LAYERS)
def test_the_precision_stays_and_the_arguments_too(name: str, precision: str) -> None:
    make, shapes = LAYERS[name]
    by_hand = twin_of_layer(make(), shapes)
    xs = [np.full(shape, place + 1.0, precision) for place, shape in enumerate(shapes)]
    y, saved = by_hand.forward(xs)
    assert y.dtype == precision
    dxs = by_hand.backward(np.ones_like(y), saved)
    assert [dx.dtype.name for dx in dxs] == [precision] * len(shapes)
    for place, x in enumerate(xs):
        np.testing.assert_array_equal(x, np.full(shapes[place], place + 1.0))


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


def test_add_refuses_inputs_of_different_shapes() -> None:
    """Keras would broadcast; the derivative written here is that of equal shapes."""
    message = r"Layer 'join' adds inputs of one shape. Received: \[\(3,\), \(1,\)\]"
    with pytest.raises(ValueError, match=message):
        Add(name="join")(Input((3,)), Input((1,)))
