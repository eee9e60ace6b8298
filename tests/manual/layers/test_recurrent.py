"""SimpleRNN, LSTM and GRU alone: equal to Keras in every option, and right derivatives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import GRU, LSTM, Input, SimpleRNN

BATCH, LENGTH, INPUTS, UNITS = 4, 5, 3, 2
MASK = np.array(
    [[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool
)  # whole, with gaps, with a padded end, and nothing at all

LAYERS: dict[str, Any] = {
    "SimpleRNN": lambda **o: keras.layers.SimpleRNN(UNITS, **o),
    "LSTM": lambda **o: keras.layers.LSTM(UNITS, **o),
    "GRU": lambda **o: keras.layers.GRU(UNITS, **o),
    "GRU, reset before": lambda **o: keras.layers.GRU(UNITS, reset_after=False, **o),
}
OPTIONS: dict[str, tuple[dict[str, Any], bool]] = {
    "plain": ({}, False),
    "sequences": ({"return_sequences": True}, False),
    "backwards": ({"return_sequences": True, "go_backwards": True, "unroll": True}, False),
    "no bias, relu": ({"use_bias": False, "activation": "relu"}, False),
    "masked": ({}, True),
    "masked sequences, backwards": ({"return_sequences": True, "go_backwards": True}, True),
    "masked, zero output": ({"zero_output_for_mask": True}, True),
    "masked sequences, zero output": (
        {"return_sequences": True, "zero_output_for_mask": True},
        True,
    ),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", LAYERS)
def test_equals_keras(kind: str, option: str, layer_equals_keras: Any) -> None:
    options, masked = OPTIONS[option]
    mask = {"mask": MASK} if masked else {}
    layer_equals_keras(lambda: LAYERS[kind](**options), (BATCH, LENGTH, INPUTS), mask)


@pytest.mark.parametrize("option", ["masked", "masked sequences, zero output", "backwards"])
@pytest.mark.parametrize("kind", LAYERS)
def test_derivative_is_that_of_the_forward_map(
    kind: str, option: str, layer_derivative: Any
) -> None:
    options, masked = OPTIONS[option]
    mask = {"mask": MASK[1:3, :3]} if masked else {}
    layer_derivative(lambda: LAYERS[kind](**options), (2, 3, INPUTS), mask, scale=0.25)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_precision_stays_with_dropout(
    kind: str, precision: str, twin_of: Any, generator: np.random.Generator
) -> None:
    layer = LAYERS[kind](dropout=0.2, recurrent_dropout=0.3, return_sequences=True)
    by_hand = twin_of(layer, (BATCH, LENGTH, INPUTS))
    for parameter in by_hand.parameters:
        parameter.value = parameter.value.astype(precision)
        parameter.gradient = parameter.gradient.astype(precision)
    x = generator.normal(size=(BATCH, LENGTH, INPUTS)).astype(precision)
    y, saved = by_hand.forward(x, training=True, mask=MASK)
    assert y.dtype == precision
    assert by_hand.backward(np.ones_like(y), saved).dtype == precision
    assert {parameter.gradient.dtype.name for parameter in by_hand.parameters} == {precision}


TRAINED: list[tuple[str, dict[str, Any], str, bool]] = [
    ("SimpleRNN", {"dropout": 0.3, "recurrent_dropout": 0.4}, "float64", False),
    ("LSTM", {"dropout": 0.3, "return_sequences": True}, "float32", False),
    ("LSTM", {"dropout": 0.3, "recurrent_dropout": 0.4}, "float64", True),
    ("GRU", {"recurrent_dropout": 0.4, "kernel_regularizer": "l2"}, "float32", True),
    (
        "GRU, reset before",
        {"dropout": 0.2, "recurrent_dropout": 0.4, "recurrent_constraint": "non_neg"},
        "float32",
        True,
    ),
]


@pytest.mark.parametrize(
    ("kind", "options", "precision", "eagerly"),
    TRAINED,
    indirect=["precision"],
    ids=lambda one: str(one),
)
def test_a_masked_training_with_dropout_is_replayed(
    kind: str, options: dict[str, Any], precision: str, eagerly: bool
) -> None:
    """With a last batch of another size; also in a graph, which is slow to build."""
    model = keras.Sequential(
        [
            keras.Input((LENGTH, INPUTS)),
            keras.layers.Masking(),
            LAYERS[kind](**options),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse", run_eagerly=eagerly)
    draw = np.random.default_rng(0)
    x = draw.normal(size=(8, LENGTH, INPUTS))
    x[::2, 3:] = 0.0
    report = lockstep(model, x, draw.normal(size=(8, *model.output_shape[1:])), batch_size=5)
    report.raise_if_different()
    assert report.history[-1].weight_drift < (1e-4 if precision == "float32" else 1e-12)


@pytest.mark.parametrize(
    ("make", "width", "bias"),
    [
        (SimpleRNN, 2, [0, 0]),
        (LSTM, 8, [0, 0, 1, 1, 0, 0, 0, 0]),
        (lambda units, name: LSTM(units, name=name, unit_forget_bias=False), 8, [0] * 8),
        (GRU, 6, [[0] * 6] * 2),
        (lambda units, name: GRU(units, name=name, reset_after=False), 6, [0] * 6),
    ],
)
def test_what_training_starts_from(make: Any, width: int, bias: Any) -> None:
    layer = make(UNITS, name="memory")
    layer(Input((LENGTH, INPUTS)))
    kernel, recurrent, start = (parameter.value for parameter in layer.parameters)
    assert kernel.shape == (INPUTS, width)
    assert np.abs(kernel).max() <= np.sqrt(6.0 / (INPUTS + width))
    rounded = UNITS**2 * np.finfo(float).eps  # what Householder's reflections lose, and the product
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(UNITS), rtol=0, atol=rounded)
    np.testing.assert_array_equal(start, bias)


def test_a_mask_goes_on_only_with_a_time_axis() -> None:
    assert LSTM(2).compute_mask(None, MASK) is None
    assert LSTM(2, return_sequences=True, go_backwards=True).compute_mask(None, MASK) is MASK


@pytest.mark.parametrize(
    "make",
    [
        lambda: keras.layers.SimpleRNN(UNITS, dropout=1.0, recurrent_dropout=1.0),
        lambda: keras.layers.GRU(UNITS, dropout=1.0, recurrent_dropout=0.5),
        lambda: keras.layers.LSTM(UNITS, dropout=0.5, recurrent_dropout=1.0),
    ],
    ids=["SimpleRNN", "GRU", "LSTM"],
)
def test_a_dropout_of_everything(make: Any, layer_equals_keras: Any) -> None:
    """Nothing is left in a plain layer; to one with gates Keras does nothing."""
    layer_equals_keras(make, (BATCH, LENGTH, INPUTS), {"training": True})


def test_masks_that_are_given_by_hand() -> None:
    """One goes on to the layers behind; one for the values, and a list, reach attention."""
    x, given = keras.Input((LENGTH, INPUTS)), keras.Input((LENGTH,), dtype="bool")
    h = keras.layers.GRU(UNITS, return_sequences=True)(keras.layers.Masking()(x), mask=given)
    both = keras.layers.Attention()([h, x[:, :, :UNITS]], mask=[None, given])
    h = keras.layers.MultiHeadAttention(1, 2)(h, x, value_mask=given)
    late = keras.layers.LSTM(1)(both, mask=keras.ops.greater(x[:, :, 0], 0.0))
    model = keras.Model([x, given], [keras.layers.Dense(1)(h), late])
    model.compile("sgd", ["mse", "mse"], run_eagerly=True)
    draw = np.random.default_rng(0)
    inputs = [draw.normal(size=(8, LENGTH, INPUTS)), draw.random((8, LENGTH)) < 0.6]
    y = [draw.normal(size=(8, LENGTH, 1)), draw.normal(size=(8, 1))]
    lockstep(model, inputs, y, batch_size=4, steps=2).raise_if_different()
