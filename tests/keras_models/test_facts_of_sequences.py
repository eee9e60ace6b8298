"""What Keras does that a textbook wouldn't: of sequences, masks and attention.

Each fact is told in docs/keras_facts.md.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from asking import EXACT, MASK, masked, rounded

layers = keras.layers
pytestmark = pytest.mark.usefixtures("float64")

X = np.array([[[0.5], [-1.0], [2.0]]])


def adding(**options: Any) -> Any:
    """Return a recurrent layer whose state is the sum of what it has seen."""
    ones = {"kernel_initializer": "ones", "recurrent_initializer": "ones"}
    return layers.SimpleRNN(1, activation="linear", **ones, **options)


def test_beside_an_initial_state_a_mask_counts_only_if_the_call_names_it() -> None:
    state = np.zeros((1, 1))
    assert np.asarray(adding()(masked(X))) == -0.5
    assert np.asarray(adding()(masked(X), initial_state=state)) == 1.5
    named = {"initial_state": state, "mask": tf.constant([MASK])}
    assert np.asarray(adding()(masked(X), **named)) == -0.5


def test_an_unrolled_loop_that_runs_backwards_looks_at_the_mask_the_wrong_way_round() -> None:
    options = {"return_sequences": True, "go_backwards": True, "zero_output_for_mask": True}
    outputs = [
        np.asarray(adding(unroll=unroll, **options)(X, mask=tf.constant([MASK]))).ravel().tolist()
        for unroll in (False, True)
    ]
    assert outputs == [[0.0, -1.0, -0.5], [0.0, -1.0, 0.0]]


def test_a_bidirectional_layer_can_not_be_stateful_and_return_its_state() -> None:
    layer = layers.Bidirectional(layers.LSTM(2, stateful=True, return_state=True))
    with pytest.raises(TypeError, match="generator"):
        layer(X)


def test_the_update_gate_of_a_gru_keeps_the_old_state() -> None:
    layer = layers.GRU(1)
    layer.build((1, 1, 1))
    bias = np.array([[100.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    layer.set_weights([np.ones((1, 3)), np.ones((1, 3)), bias])
    assert np.asarray(layer(np.ones((1, 1, 1)), initial_state=np.full((1, 1), 7.0))) == 7.0
    assert layer.reset_after  # r is multiplied to the product, and not to the state before it


def test_each_gate_of_a_cell_drops_for_itself_once_a_batch() -> None:
    for make, gates in ((layers.SimpleRNN, 1), (layers.GRU, 3), (layers.LSTM, 4)):
        layer = make(2, dropout=0.5, recurrent_dropout=0.5)
        layer(X, training=True)
        assert layer.cell.seed_generator.state.numpy()[1] == 2 * gates, make.__name__


def test_sums_and_means_of_inputs_take_in_what_is_masked_and_products_and_extremes_do_not() -> None:
    one = masked([[[1.0], [2.0], [3.0]]])
    other = masked([[[5.0], [7.0], [-9.0]]], [[True, False, False]])
    found = {
        make.__name__: np.asarray(make()([one, other])).ravel().tolist()
        for make in (layers.Add, layers.Average, layers.Multiply, layers.Maximum, layers.Minimum)
    }
    assert found == {
        "Add": [6.0, 9.0, -6.0],
        "Average": [3.0, 4.5, -3.0],
        "Multiply": [5.0, 2.0, 0.0],
        "Maximum": [5.0, 2.0, 3.0],
        "Minimum": [1.0, 2.0, 3.0],
    }


@pytest.mark.filterwarnings("ignore:Layer .* was passed an input with a mask")
def test_an_einsum_dense_drops_the_mask_that_a_dense_hands_on() -> None:
    x = masked(np.ones((1, 3, 2)))
    assert layers.Dense(2)(x)._keras_mask is not None
    for layer in (layers.EinsumDense("abc,cd->abd", (None, 2)), layers.RMSNormalization()):
        assert getattr(layer(x), "_keras_mask", None) is None
    assert getattr(x + 1.0, "_keras_mask", None) is None


def test_rows_that_are_masked_altogether_come_out_in_three_ways() -> None:
    """Zeros of a Softmax; in float64 nothing masked at all of Attention; a mean of MultiHead."""
    nothing = np.zeros((1, 2), bool)
    np.testing.assert_array_equal(np.asarray(layers.Softmax()(X[:, :2, 0], mask=nothing)), 0.0)
    q = np.array([[[1.0, -0.5], [0.25, 2.0]]])

    def attended(scores: np.ndarray) -> np.ndarray:
        A = np.exp(scores - scores.max(axis=1, keepdims=True))
        return A / A.sum(axis=1, keepdims=True) @ q[0]

    scores = q[0] @ q[0].T
    found = np.asarray(layers.Attention()([q, q], mask=[None, tf.constant(nothing)]))[0]
    np.testing.assert_allclose(found, attended(scores - 1e9), rtol=EXACT)
    assert np.abs(found - attended(scores)).max() <= np.abs(q).max() * np.spacing(1e9)
    attend = layers.MultiHeadAttention(1, 2, use_bias=False)
    found = np.asarray(attend(q, q, attention_mask=np.zeros((1, 2, 2), bool)))[0]
    *_, of_value, of_output = (weight.numpy() for weight in attend.weights)
    mean = (q[0] @ of_value[:, 0]).mean(axis=0) @ of_output[0]
    np.testing.assert_allclose(found, [mean, mean], rtol=EXACT)


def test_a_multi_head_attention_rounds_the_root_of_its_width() -> None:
    q = np.array([[[1.0, -0.5], [0.25, 2.0]]])
    attend = layers.MultiHeadAttention(1, 3, use_bias=False)
    found = np.asarray(attend(q, q))[0]
    Q, K, V = (q[0] @ weight.numpy()[:, 0] for weight in attend.weights[:3])

    W = attend.weights[3].numpy()[0]

    def weights(scale: float) -> np.ndarray:
        A = np.exp(Q * scale @ K.T)
        return A / A.sum(axis=1, keepdims=True)

    A = weights(rounded(1 / np.sqrt(3.0)))
    assert (np.abs(found - A @ V @ W) <= EXACT * (A @ np.abs(V) @ np.abs(W))).all()
    assert np.abs(found - weights(1 / np.sqrt(3.0)) @ V @ W).max() > 1e-12


def test_a_dropout_of_everything_is_none_in_a_cell_with_gates() -> None:
    x = np.ones((2, 3, 4))
    for kind in (layers.SimpleRNN, layers.GRU, layers.LSTM):
        layer = kind(2, dropout=1.0)
        dropped, whole = (np.asarray(layer(x, training=training)) for training in (True, False))
        if kind is layers.SimpleRNN:
            assert not dropped.any() and whole.any()
        else:
            np.testing.assert_array_equal(dropped, whole)


def test_a_multi_head_attention_passes_over_a_query_mask_that_is_given() -> None:
    x = np.random.default_rng(0).normal(size=(2, 3, 4))
    attend, mask = layers.MultiHeadAttention(1, 2), np.array([[True, False, False]] * 2)
    given, none = attend(x, x, query_mask=mask), attend(x, x)
    np.testing.assert_array_equal(given, none)
    assert np.abs(attend(x, x, value_mask=mask) - none).max() > 1e-3


def test_a_group_query_attention_charges_twice_for_what_it_gives() -> None:
    x = np.random.default_rng(0).normal(size=(1, 3, 4))
    options: dict[str, Any] = {"activity_regularizer": keras.regularizers.L2(1.0)}
    for layer, times in (
        (layers.MultiHeadAttention(1, 2, **options), 1),
        (layers.GroupQueryAttention(2, 1, 1, **options), 2),
    ):
        own = pytest.approx(np.square(layer(x, x)).sum(), rel=EXACT)
        assert len(layer.losses) == 3 + times  # for each projection, too
        assert [float(cost) == own for cost in layer.losses].count(True) == times


def test_what_a_layer_within_time_gives_costs_nothing() -> None:
    dense = layers.Dense(2, activity_regularizer="l2")
    dense(X)
    assert len(dense.losses) == 1
    over_time = layers.TimeDistributed(layers.Dense(2, activity_regularizer="l2"))
    over_time(X)
    assert over_time.losses == []
