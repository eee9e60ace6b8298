"""Layers of constants: equal to Keras, with and without a gradient, alone and in fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare import lockstep
from manual.layers import CategoryEncoding, Discretization, Input, Normalization
from manual.registry import NoTwin, twin


def adapted(**options: Any) -> Callable[[], Any]:
    def make() -> Any:
        layer = keras.layers.Normalization(**options)
        layer.adapt(np.random.default_rng(4).normal(2.0, 3.0, (20, 3, 4)))
        return layer

    return make


MOVED: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "rescaled": (lambda: keras.layers.Rescaling(0.1, offset=-0.7), (3, 4)),
    "rescaled by whole numbers": (lambda: keras.layers.Rescaling(2, offset=1), (3, 4)),
    "rescaled by a list": (
        lambda: keras.layers.Rescaling([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]),
        (2, 2, 3),
    ),
    "rescaled by an array": (
        lambda: keras.layers.Rescaling(np.array([0.1, 0.2, 0.3]), np.array([[0.7], [0.1]])),
        (2, 2, 3),
    ),
    "normalized": (
        lambda: keras.layers.Normalization(mean=[0.1, 0.2, 0.3], variance=[1.1, 2.0, 0.5]),
        (2, 2, 3),
    ),
    "normalized, back": (
        lambda: keras.layers.Normalization(mean=0.3, variance=2.2, invert=True),
        (4, 3),
    ),
    "normalized, whole": (
        lambda: keras.layers.Normalization(axis=None, mean=0.3, variance=2.2),
        (4, 3),
    ),
    "normalized, inner axis": (
        lambda: keras.layers.Normalization(axis=1, mean=[0.3, 0.1], variance=[2.2, 3.0]),
        (4, 2, 3),
    ),
    "normalized, two axes": (
        lambda: keras.layers.Normalization(
            axis=(-1, 1), mean=[[0.3, 0.1, 0.2]], variance=[[2.2, 3.0, 0.1]]
        ),
        (4, 2, 3),
    ),
    "normalized, last of two axes": (
        lambda: keras.layers.Normalization(
            axis=(1, 2), mean=[0.3, 0.1, 0.2], variance=[2.2, 3.0, 0.1]
        ),
        (4, 2, 3),
    ),
    "normalized, no variance": (
        lambda: keras.layers.Normalization(mean=[1.0, 2.0], variance=[0.0, 1e-20]),
        (4, 2),
    ),
}
ADAPTED = {
    "to data": adapted(),
    "to data, back": adapted(invert=True),
    "to data, two axes": adapted(axis=(1, 2)),
    "to data, whole": adapted(axis=None),
}


@pytest.mark.parametrize("name", MOVED)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*MOVED[name])


@pytest.mark.parametrize("name", MOVED)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*MOVED[name])


@pytest.mark.parametrize("name", ADAPTED)
def test_what_was_taken_from_data_is_kept_in_weights(
    name: str, ruler: Any, on_tape: Any, loaded: Any, twin_of: Any, generator: np.random.Generator
) -> None:
    layer = ADAPTED[name]()
    by_hand = twin_of(layer, (2, 3, 4))
    assert [one.trainable for one in by_hand.parameters] == [False] * 3
    loaded(by_hand, [weight.numpy() for weight in layer.weights], ruler.exact)
    x, dy = generator.normal(size=(2, 2, 3, 4)).astype(ruler.precision)
    y, (dx,) = on_tape(layer, [x], dy)
    expected, saved = by_hand.forward(ruler.exact(x))
    ruler.agrees(y, expected, "output")
    ruler.agrees(dx, by_hand.backward(ruler.exact(dy), saved), "input gradient")
    wrong, _ = by_hand.forward(ruler.exact(-x))
    with pytest.raises(AssertionError, match="slip"):
        ruler.agrees(y, wrong, "slip")


NUMBERS = np.array([[3, 1, 3], [2, 0, 0]])
ENCODED: dict[str, tuple[Callable[[], Any], np.ndarray]] = {
    "one hot": (lambda: keras.layers.CategoryEncoding(5, "one_hot"), NUMBERS),
    "one hot, a column": (lambda: keras.layers.CategoryEncoding(5, "one_hot"), NUMBERS[:, :1]),
    "multi hot": (lambda: keras.layers.CategoryEncoding(4), NUMBERS),
    "multi hot, a column": (lambda: keras.layers.CategoryEncoding(4), NUMBERS[:, :1]),
    "counted": (lambda: keras.layers.CategoryEncoding(4, "count"), NUMBERS),
}
BINS = [-0.5, 0.1, 0.7]
REAL = np.array([[-2.0, -0.5, 0.3], [np.float32(0.1), 0.7, 9.0], [0.1, 0.5, 1.0]])
for mode in ("int", "one_hot", "multi_hot", "count"):
    ENCODED[f"bins, {mode}"] = (
        lambda mode=mode: keras.layers.Discretization(BINS, output_mode=mode),  # type: ignore[misc]
        REAL,
    )
    ENCODED[f"bins, {mode}, rank 3"] = (
        lambda mode=mode: keras.layers.Discretization(BINS, output_mode=mode),  # type: ignore[misc]
        np.stack([REAL, 2 * REAL]),
    )
ENCODED["bins, one hot, a column"] = (
    lambda: keras.layers.Discretization(BINS, output_mode="one_hot"),
    REAL[:, :1],
)


@pytest.mark.parametrize("name", ENCODED)
def test_whole_numbers_are_exactly_keras_s(name: str, precision: str) -> None:
    make, x = ENCODED[name]
    layer, x = make(), x.astype(precision)
    by_hand = twin("layer", type(layer).__name__).from_config(layer.get_config())
    given = tf.constant(x) if "bins" in name else tf.constant(x, "int32")
    y, saved = by_hand.forward(x)
    np.testing.assert_array_equal(y, layer(given))
    assert y.dtype == precision
    assert by_hand(Input(x.shape[1:])).shape == y.shape[1:]
    np.testing.assert_array_equal(by_hand.backward(y, saved), np.zeros(x.shape))


def test_boundaries_that_were_taken_from_data() -> None:
    layer = keras.layers.Discretization(num_bins=4, epsilon=0.01)
    x = np.random.default_rng(5).normal(size=(100, 1)).astype("float32")
    layer.adapt(x)
    by_hand = Discretization.from_config(layer.get_config())
    np.testing.assert_array_equal(by_hand.forward(x)[0], layer(x))


@pytest.mark.parametrize("precision", ["float32", "float64"], indirect=True)
def test_prepared_data_in_fit(precision: str) -> None:
    draw = np.random.default_rng(6)
    x = draw.normal(3.0, 2.0, (12, 4))
    normalized = keras.layers.Normalization()
    normalized.adapt(x)
    inputs = keras.Input((4,))
    bins = keras.layers.Discretization([1.0, 3.0, 5.0])(inputs)
    words = keras.layers.Flatten()(keras.layers.Embedding(4, 2)(bins))
    counts = keras.layers.CategoryEncoding(4, "count")(bins)
    hot = keras.layers.Discretization([2.0, 4.0], output_mode="multi_hot")(inputs)
    given = keras.layers.Normalization(mean=np.full(4, 0.1), variance=np.full(4, 1.1))(inputs)
    joined = keras.layers.Concatenate()([normalized(inputs), given, words, counts, hot])
    model = keras.Model(inputs, keras.layers.Dense(1)(joined))
    model.compile(keras.optimizers.SGD(0.01), "mse")
    report = lockstep(model, x, draw.normal(size=(12, 1)), batch_size=4, epochs=2)
    report.raise_if_different()


def test_what_has_no_twin_is_refused() -> None:
    with pytest.raises(NoTwin, match="layer 'bins': the boundaries"):
        Discretization(num_bins=3, name="bins")
    with pytest.raises(NoTwin, match="layer 'hot': sparse=True"):
        CategoryEncoding(3, sparse=True, name="hot")


def test_by_arithmetic() -> None:
    layer = Normalization(mean=1.0, variance=4.0)
    layer(Input((2,)))
    y, saved = layer.forward(np.array([[3.0, -1.0]]))
    np.testing.assert_array_equal(y, [[1.0, -1.0]])
    np.testing.assert_array_equal(layer.backward(y, saved), [[0.5, -0.5]])
