"""SimpleRNN, LSTM and GRU alone: equal to Keras in every option, and right derivatives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare import lockstep
from compare.errors import BadInput
from compare.noise import Noisy
from manual.layers import GRU, LSTM, Input, SimpleRNN
from manual.registry import NoTwin, twin

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


def built(make: Any, **options: Any) -> tuple[Any, Any]:
    """Return a Keras layer and its hand-written twin."""
    layer = make(**options)
    layer.build((None, LENGTH, INPUTS))
    by_hand = twin("layer", type(layer).__name__).from_config(layer.get_config())
    symbol = by_hand(Input((LENGTH, INPUTS)))
    assert symbol.shape == tuple(layer.compute_output_shape((BATCH, LENGTH, INPUTS)))[1:]
    assert [w.name for w in layer.weights] == [p.name for p in by_hand.parameters]
    return layer, by_hand


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", LAYERS)
def test_equals_keras(
    kind: str,
    option: str,
    ruler: Any,
    on_tape: Any,
    loaded: Any,
    generator: np.random.Generator,
) -> None:
    options, masked = OPTIONS[option]
    layer, by_hand = built(LAYERS[kind], **options)
    weights = [generator.normal(size=w.shape).astype(ruler.precision) for w in layer.weights]
    layer.set_weights(weights)
    x = generator.normal(size=(BATCH, LENGTH, INPUTS)).astype(ruler.precision)
    dy = generator.normal(size=layer.compute_output_shape(x.shape)).astype(ruler.precision)
    variables = [weight.value for weight in layer.trainable_variables]
    mask = MASK if masked else None
    given = None if mask is None else tf.constant(mask)
    y, actual = on_tape(lambda tensor: layer(tensor, mask=given), [x], dy, variables)

    loaded(by_hand, weights, ruler.exact)
    expected, saved = by_hand.forward(ruler.exact(x), mask=mask)
    ruler.agrees(y, expected, "output")
    ruler.agrees(actual[0], by_hand.backward(ruler.exact(dy), saved), "input gradient")
    for parameter, gradient in zip(by_hand.parameters, actual[1:], strict=True):
        ruler.agrees(gradient, parameter.gradient, f"{parameter.name} gradient")


@pytest.mark.parametrize("option", ["masked", "masked sequences, zero output", "backwards"])
@pytest.mark.parametrize("kind", LAYERS)
def test_derivative_is_that_of_the_forward_map(
    kind: str, option: str, differences: Any, loaded: Any, smooth_points: Any
) -> None:
    options, masked = OPTIONS[option]
    layer, by_hand = built(LAYERS[kind], **options)
    mask, exact = (MASK[1:3, :3] if masked else None), differences.exact
    x = smooth_points(2, 3, INPUTS) / 4.0
    weights = [smooth_points(*parameter.shape) / 4.0 for parameter in by_hand.parameters]
    dy = smooth_points(*layer.compute_output_shape((2, 3, INPUTS)))

    def function(points: list[Noisy]) -> Noisy:
        loaded(by_hand, points[1:], exact)
        return (by_hand.forward(points[0], mask=mask)[0] * dy).sum()

    loaded(by_hand, weights, exact)
    _, saved = by_hand.forward(exact(x), mask=mask)
    dx = by_hand.backward(exact(dy), saved)
    gradients = [dx, *(parameter.gradient for parameter in by_hand.parameters)]
    differences.agree(function, [x, *weights], gradients)


@pytest.mark.parametrize("kind", LAYERS)
def test_the_precision_stays(kind: str, precision: str, generator: np.random.Generator) -> None:
    _, by_hand = built(LAYERS[kind], dropout=0.2, recurrent_dropout=0.3, return_sequences=True)
    for parameter in by_hand.parameters:
        parameter.value = parameter.value.astype(precision)
        parameter.gradient = parameter.gradient.astype(precision)
    x = generator.normal(size=(BATCH, LENGTH, INPUTS)).astype(precision)
    y, saved = by_hand.forward(x, training=True, mask=MASK)
    assert y.dtype == precision
    assert by_hand.backward(np.ones_like(y), saved).dtype == precision
    assert {parameter.gradient.dtype.name for parameter in by_hand.parameters} == {precision}


TRAINED: list[tuple[str, dict[str, Any], str]] = [
    ("SimpleRNN", {"dropout": 0.3, "recurrent_dropout": 0.4}, "float32"),
    ("LSTM", {"dropout": 0.3, "return_sequences": True}, "float32"),
    ("LSTM", {"dropout": 0.3, "recurrent_dropout": 0.4}, "float64"),
    ("GRU", {"recurrent_dropout": 0.4, "kernel_regularizer": "l2"}, "float64"),
    (
        "GRU, reset before",
        {"dropout": 0.2, "recurrent_dropout": 0.4, "recurrent_constraint": "non_neg"},
        "float32",
    ),
]


@pytest.mark.parametrize(
    ("kind", "options", "precision"), TRAINED, indirect=["precision"], ids=lambda one: str(one)
)
def test_a_masked_training_with_dropout_is_replayed(
    kind: str, options: dict[str, Any], precision: str
) -> None:
    """In a graph, as `fit` runs by default, with a last batch of another size."""
    model = keras.Sequential(
        [
            keras.Input((LENGTH, INPUTS)),
            keras.layers.Masking(),
            LAYERS[kind](**options),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
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
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(UNITS), atol=1e-15)
    np.testing.assert_array_equal(start, bias)


def test_a_mask_goes_on_only_with_a_time_axis() -> None:
    assert LSTM(2).compute_mask(None, MASK) is None
    assert LSTM(2, return_sequences=True, go_backwards=True).compute_mask(None, MASK) is MASK


@pytest.mark.parametrize("option", ["return_state", "stateful"])
def test_an_option_without_a_twin_is_refused_by_name(option: str) -> None:
    with pytest.raises(NoTwin, match=f"layer 'memory': the option {option}=True"):
        GRU(2, name="memory", **{option: True})


def test_a_dropout_of_everything_is_refused() -> None:
    with pytest.raises(NoTwin, match="a dropout of everything"):
        GRU(2, recurrent_dropout=1.0)


def test_a_mask_that_no_layer_makes_is_refused() -> None:
    x = keras.Input((LENGTH, INPUTS))
    given = keras.Input((LENGTH,), dtype="bool")
    model = keras.Model([x, given], keras.layers.LSTM(2, name="memory")(x, mask=given))
    model.compile("sgd", "mse")
    with pytest.raises(BadInput, match="'memory' is called with mask=…, a mask that no layer"):
        lockstep(model, [np.zeros((4, LENGTH, INPUTS)), MASK], np.zeros((4, 2)), batch_size=4)
