"""What Keras does that a textbook wouldn't: of optimizers.

Each fact is told in docs/keras_facts.md.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from asking import EXACT, fitted, moved, rounded

layers, optimizers, ops = keras.layers, keras.optimizers, keras.ops
pytestmark = pytest.mark.usefixtures("float64")


def test_sgd_has_the_learning_rate_within_its_velocity_and_rounds_its_momentum() -> None:
    optimizer = optimizers.SGD(0.1, momentum=0.9)
    velocity = -0.1 * 1.0
    velocity = rounded(0.9) * velocity - 0.2 * 1.0
    weight = keras.Variable([1.0], dtype="float64")
    optimizer.build([weight])
    optimizer.apply([tf.constant([1.0], tf.float64)], [weight])
    optimizer.learning_rate = 0.2
    optimizer.apply([tf.constant([1.0], tf.float64)], [weight])
    assert float(np.asarray(weight)[0]) == pytest.approx(1.0 - 0.1 + velocity, rel=EXACT)


def test_adam_adds_epsilon_outside_the_correction_and_rounds_beta_in_its_powers() -> None:
    g, b1, b2 = 1e-4, 0.9, 0.999
    m, v = g * (1 - b1), g * g * (1 - b2)
    alpha = 0.001 * np.sqrt(1 - rounded(b2)) / (1 - rounded(b1))
    found = moved(optimizers.Adam(0.001), g)
    assert found == pytest.approx(1.0 - m * alpha / (np.sqrt(v) + 1e-7), rel=EXACT)
    textbook = 0.001 * (m / (1 - b1)) / (np.sqrt(v / (1 - b2)) + 1e-7)
    assert abs((1.0 - found) / textbook - 1.0) > 0.01


def test_rmsprop_adds_epsilon_inside_the_root() -> None:
    g = 1e-3
    found = moved(optimizers.RMSprop(0.001), g)
    assert found == pytest.approx(1.0 - 0.001 * g / np.sqrt(0.1 * g * g + 1e-7), rel=EXACT)


def test_weight_decay_comes_before_the_update_in_all_rules() -> None:
    found = moved(optimizers.SGD(0.1, weight_decay=0.5), 1.0)
    assert found == pytest.approx(1.0 - 1.0 * 0.5 * 0.1 - 0.1, rel=EXACT)


def test_clipping_acts_on_the_accumulated_mean() -> None:
    optimizer = optimizers.SGD(1.0, gradient_accumulation_steps=2, clipvalue=1.0)
    assert moved(optimizer, 4.0, -4.0) == 1.0  # each by itself would be clipped too: ±1, mean 0
    optimizer = optimizers.SGD(1.0, gradient_accumulation_steps=2, clipvalue=1.0)
    assert moved(optimizer, 4.0, -3.0) == 0.5  # and not 1 + (1 − 1) / 2


def test_a_moving_average_starts_as_a_copy() -> None:
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    moved(optimizer, 1.0)
    assert float(np.asarray(optimizer._model_variables_moving_average[0])[0]) == 0.0


def test_schedules_give_a_rate_in_float32() -> None:
    rate = optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)(3)
    assert rate.dtype == "float32"
    assert float(rate) != 0.1 * 0.5**0.3


def test_regularizers_round_their_factors() -> None:
    assert float(keras.regularizers.L2(0.1)(np.ones(1))) == rounded(0.1)


def test_each_occurrence_of_an_index_is_squared_by_itself() -> None:
    table = keras.Variable(np.ones((2, 1)), dtype="float64")
    optimizer = optimizers.Adam(0.001)
    optimizer.build([table])
    rows = tf.constant([[1.0], [2.0]], tf.float64)
    optimizer.apply([tf.IndexedSlices(rows, tf.constant([0, 0]), (2, 1))], [table])
    velocity = float(np.asarray(optimizer._velocities[0])[0, 0])
    assert velocity == pytest.approx((1.0 + 4.0) * (1 - 0.999), rel=EXACT)  # and not of 3² = 9


def test_schedule_free_adamw_takes_the_new_z_for_the_old_one() -> None:
    """The old z is read through a variable that was assigned to in between."""
    b1, b2, eps = rounded(0.9), rounded(0.999), rounded(1e-8)

    def by_hand(aliased: bool) -> float:
        y = z = 1.0
        v = 0.0
        for t, g in enumerate((1.0, -3.0), start=1):
            v += (g * g - v) * (1 - b2)
            old, z = z, z - 0.1 * g / (np.sqrt(v / (1 - b2**t)) + eps)
            x = (y - (1 - b1) * (z if aliased else old)) / b1
            y = (1 - b1) * z + b1 * ((1 - 1 / t) * x + z / t)
        return y

    options = {"warmup_steps": 0, "weight_decay": None}
    found = moved(optimizers.ScheduleFreeAdamW(0.1, **options), 1.0, -3.0)
    assert found == pytest.approx(by_hand(aliased=True), rel=EXACT)
    assert abs(found - by_hand(aliased=False)) > 1e-3


def test_which_other_hyper_parameters_are_rounded() -> None:
    b1, b2, g = 0.9, 0.99, 0.3
    optimizer = optimizers.Lion(0.1)
    moved(optimizer, g)
    momentum = float(np.asarray(optimizer._momentums[0])[0])
    assert momentum == (1.0 - rounded(b2)) * g != (1.0 - b2) * g
    accumulator = rounded(0.1) + g * g
    found = moved(optimizers.Adagrad(0.5), g)
    assert found == pytest.approx(1.0 - 0.5 * g / np.sqrt(accumulator + 1e-7), rel=EXACT)
    assert moved(optimizers.SGD(1.0, weight_decay=0.1), 0.0) == 1.0 - rounded(0.1)
    small = optimizers.Adafactor(0.5, epsilon_2=0.1)
    found = moved(small, 1.0, start=0.0)  # rms(w) = 0, so that ε₂ stands in its place
    assert found == pytest.approx(-rounded(0.1) * 0.5, rel=EXACT)
    one, two = rounded(b1), rounded(0.999)
    now, following = (one * (1.0 - 0.5 * rounded(0.96) ** t) for t in (1, 2))
    product = b1 * (1.0 - 0.5 * 0.96)
    m_hat = following * g * (1 - one) / (1 - product * following) + (1 - now) * g / (1 - product)
    found = moved(optimizers.Nadam(0.1), g)
    expected = 1.0 - 0.1 * m_hat / (np.sqrt(g * g * (1 - two) / (1 - two)) + 1e-7)
    assert found == pytest.approx(expected, rel=EXACT)


def test_amsgrad_remembers_the_largest_uncorrected_moment() -> None:
    found = moved(optimizers.Adam(0.001, beta_1=0.0, amsgrad=True), 1.0, 0.0, 1e-3)
    v1 = 1 - 0.999
    largest, steps = v1, []
    v = v1
    for t, g in enumerate((1.0, 0.0, 1e-3), start=1):
        v = v if t == 1 else v + (g * g - v) * (1 - 0.999)
        largest = max(largest, v)
        alpha = 0.001 * np.sqrt(1 - rounded(0.999) ** t)
        steps.append(g * alpha / (np.sqrt(largest) + 1e-7))
    assert largest == v1  # corrected, v̂ would be divided by 1 − β₂ᵗ before it is compared
    assert found == pytest.approx(1.0 - sum(steps), rel=EXACT)


def test_adamax_adds_epsilon_to_the_largest_gradient() -> None:
    g = 1e-5
    found = moved(optimizers.Adamax(0.1), g)
    m = g * (1 - 0.9)
    assert found == pytest.approx(1 - 0.1 * m / ((1 - rounded(0.9)) * (g + 1e-7)), rel=EXACT)


def test_the_momentum_of_rmsprop_adds_up_increments_that_have_the_learning_rate() -> None:
    optimizer = optimizers.RMSprop(0.1, momentum=0.5)
    weight = keras.Variable([1.0], dtype="float64")
    optimizer.build([weight])
    optimizer.apply([tf.constant([1.0], tf.float64)], [weight])
    optimizer.learning_rate = 0.0
    before = float(np.asarray(weight)[0])
    optimizer.apply([tf.constant([1.0], tf.float64)], [weight])
    assert float(np.asarray(weight)[0]) == pytest.approx(before - (1.0 - before) / 2, rel=EXACT)


def test_adagrad_starts_at_a_tenth_and_adadelta_at_a_rate_of_a_thousandth() -> None:
    found = moved(optimizers.Adagrad(1.0), 1e-3)
    assert found == pytest.approx(1 - 1e-3 / np.sqrt(rounded(0.1) + 1e-6 + 1e-7), rel=EXACT)
    assert float(optimizers.Adadelta().learning_rate) == 0.001  # Zeiler has none: 1


def test_ftrl_shrinks_in_z_alone_and_takes_beta_for_a_penalty() -> None:
    g, rate, shrinkage, beta = 0.5, 0.1, 0.25, 2.0
    found = moved(
        optimizers.Ftrl(rate, l2_shrinkage_regularization_strength=shrinkage, beta=beta), g
    )
    n0 = rounded(0.1)
    n = n0 + g * g  # without the shrinkage
    z = g + 2 * shrinkage * 1.0 - (np.sqrt(n) - np.sqrt(n0)) / rate * 1.0
    assert found == pytest.approx(-z / (np.sqrt(n) / rate + 2 * beta / (2 * rate)), rel=EXACT)


def test_lamb_decays_outside_of_the_trust_ratio_which_a_zero_makes_one() -> None:
    decayed = 1.0 - 0.5 * 0.1
    assert moved(optimizers.Lamb(0.1, weight_decay=0.5), 0.0) == pytest.approx(decayed, rel=EXACT)
    found = moved(optimizers.Lamb(0.1, weight_decay=0.5), 1.0)
    assert found == pytest.approx(decayed - 0.1 * decayed, rel=EXACT)
    g = 1.0
    of_zero = -0.1 * (g * (1 - 0.9) / (1 - rounded(0.9)))
    of_zero /= np.sqrt((1 - 0.999) / (1 - rounded(0.999))) + 1e-7
    assert moved(optimizers.Lamb(0.1), g, start=0.0) == pytest.approx(of_zero, rel=EXACT)


def test_adafactor_bounds_its_rate_whether_the_step_is_relative_or_not() -> None:
    for relative in (True, False):
        found = moved(optimizers.Adafactor(10.0, relative_step=relative), 1.0)
        assert found == pytest.approx(0.0, abs=EXACT)  # η = min(10, 1/√1), times rms(w) = 1


def test_muon_leaves_all_but_matrices_to_adam_and_scales_by_a_fifth() -> None:
    a, b, c = 3.4445, -4.775, 2.0315
    matrix = keras.Variable(np.eye(2), dtype="float64")
    vector = keras.Variable(np.zeros(2), dtype="float64")
    optimizer = optimizers.Muon(1.0, weight_decay=None, adam_weight_decay=None)
    optimizer.build([matrix, vector])
    optimizer.apply([tf.constant(np.eye(2)), tf.constant([2.0, 2.0], tf.float64)], [matrix, vector])
    x = 1.95 / (1.95 * np.sqrt(2.0) + 1e-7)  # g + 0.95 m, over its norm
    for _ in range(5):
        x = a * x + b * x**3 + c * x**5
    moves = np.eye(2) * (1 - 0.2 * np.sqrt(2.0) * x)
    np.testing.assert_allclose(np.asarray(matrix), moves, rtol=EXACT)
    correction = np.sqrt(1 - rounded(0.999)) / (1 - rounded(0.9))
    adam = 2.0 * (1 - 0.9) * correction / (np.sqrt(4.0 * (1 - 0.999)) + 1e-7)
    np.testing.assert_allclose(np.asarray(vector), -adam, rtol=EXACT)


def test_a_moving_average_is_a_copy_until_the_first_accumulated_update_is_over() -> None:
    optimizer = optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5, gradient_accumulation_steps=2)
    weight = keras.Variable([1.0], dtype="float64")
    optimizer.build([weight])
    averages = []
    for _ in range(4):
        optimizer.apply([tf.constant([1.0], tf.float64)], [weight])
        averages.append(float(np.asarray(optimizer._model_variables_moving_average[0])[0]))
    assert averages == [1.0, 0.0, 0.0, -0.5]  # of weights 1, 0, 0, −1


def test_constraints_act_at_every_step_also_where_gradients_are_only_accumulated() -> None:
    weight = keras.Variable([1.0], dtype="float64")
    weight.constraint = lambda w: w * 0.5
    optimizer = optimizers.SGD(1.0, gradient_accumulation_steps=2)
    optimizer.build([weight])
    optimizer.apply([tf.constant([0.0], tf.float64)], [weight])
    assert float(np.asarray(weight)[0]) == 0.5


def test_norms_of_constraints_come_out_a_little_short() -> None:
    w = np.array([[3.0], [4.0]])
    found = np.asarray(keras.constraints.UnitNorm()(w))
    np.testing.assert_allclose(found, w / (5.0 + 1e-7), rtol=EXACT)
    assert np.linalg.norm(found) < 1.0 - 1e-8


def test_schedules_count_steps_and_not_updates() -> None:
    rate = optimizers.schedules.PiecewiseConstantDecay([0, 2], [1.0, 10.0, 100.0])
    optimizer = optimizers.SGD(rate, gradient_accumulation_steps=2)
    assert moved(optimizer, 1.0, 1.0, 1.0, 1.0) == 1.0 - 10.0 - 100.0  # at the steps 1 and 3


def test_a_loss_scale_factor_can_not_be_taken_out_of_a_table() -> None:
    model = keras.Sequential([keras.Input((2,)), layers.Embedding(3, 1), layers.Flatten()])
    with pytest.raises(TypeError, match="IndexedSlices"):
        fitted(
            model,
            np.array([[0, 1]]),
            np.ones((1, 2)),
            optimizer=optimizers.SGD(0.1, loss_scale_factor=2.0),
        )


def after_a_table(make: Any, by_rows: bool) -> np.ndarray:
    """Return what a rule makes of a table, two of whose rows' gradients go to the same number."""
    rows = np.array([[1.0, 2.0], [-3.0, 1.0]])
    table = keras.Variable(np.ones((2, 2)), dtype="float64")
    optimizer = make(0.1)
    optimizer.build([table])
    whole = tf.constant([rows.sum(axis=0), [0.0, 0.0]], tf.float64)
    sliced = tf.IndexedSlices(tf.constant(rows), tf.constant([0, 0]), (2, 2))
    optimizer.apply([sliced if by_rows else whole], [table])
    return np.asarray(table)


def test_what_is_not_linear_in_a_tables_gradient_sees_each_occurrence() -> None:
    adamax = 0.1 * np.array([-2.0, 3.0]) / (np.array([1.0 + 3.0, 2.0 + 1.0]) + 1e-7)
    adamax *= (1 - 0.9) / (1 - rounded(0.9))
    np.testing.assert_allclose(
        after_a_table(optimizers.Adamax, by_rows=True)[0], 1 - adamax, rtol=EXACT
    )
    for make in (optimizers.Adamax, optimizers.Adafactor, optimizers.Ftrl, optimizers.Lamb):
        apart, whole = (after_a_table(make, by_rows) for by_rows in (True, False))
        assert np.abs(apart - whole).max() > 0.01, make.__name__
    apart, whole = (after_a_table(optimizers.Lion, by_rows) for by_rows in (True, False))
    np.testing.assert_array_equal(apart, whole)


@pytest.mark.parametrize(("penalty", "velocity"), [(None, 1.0 + 1.0), (1e-30, (1.0 + 1.0) ** 2)])
def test_the_rows_of_a_table_are_added_up_first_if_it_is_regularized(
    penalty: float | None, velocity: float
) -> None:
    regularizer = keras.regularizers.L2(penalty) if penalty else None
    table = layers.Embedding(1, 1, "ones", embeddings_regularizer=regularizer)
    model = keras.Sequential([keras.Input((2,)), table, layers.GlobalAveragePooling1D()])
    optimizer = optimizers.RMSprop(0.1, rho=0.0)
    fitted(model, np.array([[0, 0]]), np.zeros((1, 1)), optimizer=optimizer)
    assert optimizer._velocities[0].numpy().item() == velocity


def test_the_count_of_a_loss_scale_optimizer_is_the_inner_ones() -> None:
    optimizer = optimizers.LossScaleOptimizer(optimizers.SGD(0.1))
    moved(optimizer, 1.0, 1.0)
    assert optimizer._iterations.numpy() == 0
    assert optimizer.inner_optimizer._iterations.numpy() == 2
    assert optimizer.dynamic_scale.dtype == "float32"


def test_an_orthogonal_regularizer_can_not_take_float64() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="float"):
        keras.regularizers.OrthogonalRegularizer()(np.ones((2, 2)))
