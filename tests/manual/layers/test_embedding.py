"""Embedding and Masking, and what becomes of a mask on its way to the loss."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare import lockstep
from manual.layers import Add, Concatenate, Embedding, Flatten, Input, Masking
from manual.network import Network

NUMBERS = np.array([[3, 1, 3, 0], [2, 3, 0, 0]])


def data(samples: int = 10, length: int = 4, words: int = 5) -> np.ndarray:
    numbers = np.random.default_rng(1).integers(1, words, (samples, length))
    numbers[::2, 2:] = 0
    return numbers


@pytest.mark.parametrize("mask_zero", [False, True])
def test_embedding_equals_keras(
    mask_zero: bool, ruler: Any, loaded: Any, generator: np.random.Generator
) -> None:
    layer = keras.layers.Embedding(5, 3, mask_zero=mask_zero)
    layer.build((None, 4))
    table = generator.normal(size=(5, 3)).astype(ruler.precision)
    dy = generator.normal(size=(2, 4, 3)).astype(ruler.precision)
    layer.set_weights([table])
    with tf.GradientTape() as tape:
        y = layer(tf.constant(NUMBERS))
    (gradient,) = tape.gradient(y, [layer.embeddings.value], output_gradients=[tf.constant(dy)])

    by_hand = Embedding.from_config(layer.get_config())
    assert by_hand(Input((4,))).shape == (4, 3)
    loaded(by_hand, [table], ruler.exact)
    expected, saved = by_hand.forward(ruler.exact(NUMBERS))
    ruler.agrees(y, expected, "output")
    dx = by_hand.backward(ruler.exact(dy), saved)
    ruler.agrees(tf.convert_to_tensor(gradient), by_hand.embeddings.gradient, "embeddings")
    np.testing.assert_array_equal(dx.value, np.zeros((2, 4)))
    mask = layer.compute_mask(tf.constant(NUMBERS))
    ours = by_hand.compute_mask(NUMBERS, None)
    assert (mask is None) == (ours is None) == (not mask_zero)
    if mask_zero:
        np.testing.assert_array_equal(ours, mask)


def test_the_gradients_of_a_number_that_comes_twice_add_up(precision: str) -> None:
    layer = Embedding(4, 1)
    layer(Input((4,)))
    parameter = layer.embeddings
    parameter.value = np.arange(4.0, dtype=precision)[:, None]
    parameter.gradient = np.zeros((4, 1), precision)
    y, saved = layer.forward(NUMBERS.astype(precision))
    np.testing.assert_array_equal(y[..., 0], NUMBERS)
    assert y.dtype == precision
    dy = np.array([[1, 2, 4, 8], [16, 32, 64, 128]], precision)[..., None]
    assert layer.backward(dy, saved).dtype == precision
    np.testing.assert_array_equal(parameter.gradient[:, 0], [200, 2, 16, 37])


@pytest.mark.parametrize("value", [0.0, 0.1, -1.0])
def test_masking_equals_keras(
    value: float, ruler: Any, on_tape: Any, generator: np.random.Generator
) -> None:
    layer = keras.layers.Masking(value)
    x = generator.normal(size=(3, 4, 2)).astype(ruler.precision)
    rounded = np.float32(value)  # as Keras does in either precision
    x[0, 1], x[1, :2], x[2, 3, 0] = rounded, rounded, rounded
    dy = generator.normal(size=x.shape).astype(ruler.precision)
    y, (dx,) = on_tape(layer, [x], dy)
    by_hand = Masking.from_config(layer.get_config())
    expected, saved = by_hand.forward(ruler.exact(x))
    ruler.agrees(y, expected, "output")
    ruler.agrees(dx, by_hand.backward(ruler.exact(dy), saved), "input gradient")
    wanted = [[1, 0, 1, 1], [0, 0, 1, 1], [1, 1, 1, 1]]
    np.testing.assert_array_equal(by_hand.compute_mask(x, None), wanted)
    np.testing.assert_array_equal(layer.compute_mask(x), wanted)
    assert by_hand.forward(x)[0].dtype == ruler.precision


ONE, TWO = np.array([[True, False, False]]), np.array([[True, True, False]])
X = np.zeros((1, 3, 2))


@pytest.mark.parametrize(
    ("layer", "theirs", "masks", "wanted"),
    [
        (Add(), keras.layers.Add(), [ONE, TWO], TWO),
        (Add(), keras.layers.Add(), [ONE, None], None),
        (Concatenate(), keras.layers.Concatenate(), [ONE, TWO], TWO),
        (Concatenate(), keras.layers.Concatenate(), [ONE, None], np.ones((1, 3), bool)),
        (Concatenate(), keras.layers.Concatenate(), [None, None], None),
        (
            Concatenate(axis=1),
            keras.layers.Concatenate(axis=1),
            [ONE, TWO],
            np.concatenate([ONE, TWO], axis=1),
        ),
    ],
)
def test_masks_are_joined_as_keras_joins_them(
    layer: Any, theirs: Any, masks: list[Any], wanted: Any
) -> None:
    for found in (layer.compute_mask([X, X], masks), theirs.compute_mask([X, X], masks)):
        if wanted is None:
            assert found is None
        else:
            np.testing.assert_array_equal(found, wanted)


def test_flatten_lets_no_mask_through() -> None:
    assert Flatten().compute_mask(X, ONE) is None
    assert not keras.layers.Flatten().supports_masking


@pytest.mark.parametrize(
    ("dtype", "weighted", "precision", "eagerly"),
    [
        (None, False, "float32", True),
        ("int32", True, "float32", False),
        (None, True, "float64", True),
    ],
    indirect=["precision"],
)
def test_a_mask_reaches_the_loss_in_fit(
    dtype: Any, weighted: bool, precision: str, eagerly: bool
) -> None:
    """Through a skip connection, whose two ends have the same mask; with a weight for each step."""
    inputs = keras.Input((4,), dtype=dtype)
    words = keras.layers.Embedding(5, 3, mask_zero=True)(inputs)
    seen = keras.layers.GRU(3, return_sequences=True)(words)
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Add()([words, seen])))
    model.compile("sgd", "mse", run_eagerly=eagerly)
    draw = np.random.default_rng(2)
    weight = draw.uniform(0.5, 2.0, (10, 4)) if weighted else None
    y = draw.normal(size=(10, 4, 2))
    report = lockstep(model, data(), y, batch_size=4, sample_weight=weight)
    report.raise_if_different()


def test_a_masked_loss_is_the_mean_over_the_steps_that_count() -> None:
    x = Input((4,))
    words = Embedding(5, 1, mask_zero=True, name="words")
    network = Network(x, words(x), dtype="float64")
    network.compile("mse")
    network.set_weights([np.full((5, 1), 2.0)])
    y = np.zeros((2, 4, 1))
    y[0, 3] = 100.0  # a masked step: it doesn't count
    assert network.evaluate(NUMBERS, y) == 4.0
    run = network.forward(NUMBERS)
    _, upstream = network.loss(run, y)
    network.clear_gradients()
    network.backward(run, upstream)
    # dE = Σ 2 · 2 / 5 steps that count, and nothing in the row of the padding
    np.testing.assert_array_equal(words.embeddings.gradient[:, 0], np.array([0, 1, 1, 3, 0]) * 0.8)


def test_fit_hands_on_the_rows_of_each_batch() -> None:
    """Adam squares each row by itself: rows of an earlier batch would show in the weights."""

    def built() -> Any:
        x = Input((4,))
        network = Network(x, Flatten()(Embedding(3, 2, name="words")(x)), dtype="float64")
        network.compile("mse", {"class_name": "Adam", "config": {"learning_rate": 0.1}})
        return network

    draw = np.random.default_rng(0)
    x, y = draw.integers(0, 3, (24, 4)), draw.normal(size=(24, 8))
    by_fit, by_steps = built(), built()
    by_fit.fit(x, y, batch_size=3, epochs=2, shuffle=False)
    for _ in range(2):
        for start in range(0, 24, 3):
            by_steps.train_step(x[start : start + 3], y[start : start + 3])
    assert any(table.rows for table in by_fit.parameters.values())
    np.testing.assert_array_equal(by_fit.values, by_steps.values)
