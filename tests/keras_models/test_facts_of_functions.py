"""What Keras does that a textbook wouldn't: of activation functions and operations.

Each fact is told in docs/keras_facts.md.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from asking import EXACT, rounded, slope

activations, ops = keras.activations, keras.ops
pytestmark = pytest.mark.usefixtures("float64")


def test_sparsemax_adds_up_cumulative_sums() -> None:
    found = np.asarray(activations.sparsemax(tf.constant([[1.0, 1.0]], tf.float64)))
    np.testing.assert_array_equal(found, [[0.0, 0.0]])  # Martins & Astudillo have ½, ½


def test_celu_has_the_slope_2_at_0() -> None:
    assert slope(activations.celu, [0.0]) == 2.0
    assert slope(activations.elu, [0.0]) == 1.0


def test_elu_subtracts_1_after_the_exponential() -> None:
    found = np.asarray(activations.elu(tf.constant([-1e-12], tf.float64))).item()
    assert abs(found / np.expm1(-1e-12) - 1.0) > 1e-6


def test_on_an_edge_where_a_function_is_cut_off_the_gradient_passes_but_for_relu6() -> None:
    for function, edge in (
        (activations.hard_tanh, 1.0),
        (activations.hard_tanh, -1.0),
        (lambda x: activations.relu(x, max_value=2.0), 2.0),
        (lambda x: ops.clip(x, -1.0, 1.0), 1.0),
    ):
        assert slope(function, [edge]) == 1.0
    assert slope(activations.relu6, [6.0]) == 0.0


def test_of_two_equal_numbers_the_first_takes_the_whole_gradient() -> None:
    assert slope(ops.maximum, [1.0], [1.0]) == 1.0
    assert slope(ops.minimum, [1.0], [1.0]) == 1.0
    np.testing.assert_array_equal(slope(ops.max, [1.0, 1.0]), [0.5, 0.5])


def test_constants_of_activation_functions_are_rounded() -> None:
    x = tf.constant([-1.0], tf.float64)
    assert np.asarray(activations.leaky_relu(x, 0.3)) == -rounded(0.3)
    found = np.asarray(activations.gelu(x, approximate=True)).item()
    root = np.sqrt(2 / np.pi)
    by_hand, textbook = (
        -0.5 * (1 + np.tanh(root * (-1 - c))) for c in (rounded(0.044715), 0.044715)
    )
    assert abs(found - by_hand) < abs(found - textbook)


def test_a_number_of_python_goes_through_float32_in_comparisons_and_some_functions() -> None:
    x = tf.constant([0.1], tf.float64)
    assert np.asarray(ops.less(x, 0.1)) and not np.asarray(ops.equal(x, 0.1))
    for function in (ops.arctan2, ops.logaddexp, ops.hypot):
        exact, as_float32 = (
            np.asarray(function(x, tf.constant(one, tf.float64))) for one in (0.3, rounded(0.3))
        )
        found = np.asarray(function(x, 0.3))
        assert found == as_float32 != exact, function.__name__
    for function in (ops.add, ops.multiply, ops.power, ops.maximum):
        assert np.asarray(function(x, 0.3)) == np.asarray(function(x, tf.constant(0.3, tf.float64)))


def test_constants_of_operations_are_rounded() -> None:
    zero = tf.constant([0.0], tf.float64)
    log_of_base = np.log(np.float32(2.0)).astype(float)
    found = np.asarray(ops.logaddexp2(zero, zero)).item()
    assert found == pytest.approx(np.log(2.0) / log_of_base, rel=EXACT) != 1.0
    assert np.asarray(ops.quantile(tf.constant([0.0, 1.0], tf.float64), 0.1)) == rounded(0.1)
    assert np.asarray(ops.cast(0.1, "float64")) == rounded(0.1)


def test_a_third_root_of_0_and_a_running_product_with_0_have_no_gradient_there() -> None:
    assert np.isnan(slope(ops.cbrt, [0.0]))
    np.testing.assert_array_equal(slope(ops.cumprod, [0.0, 2.0]), [0.0, 0.0])
    np.testing.assert_array_equal(slope(ops.prod, [0.0, 2.0]), [2.0, 0.0])
