"""What Keras does that a textbook wouldn't: each fact of docs/keras_facts.md has its test here.

Keras alone is asked, in float64 unless said otherwise. A test that fails after an upgrade says
that Keras has changed, and which twin has to follow.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare.judge import BOUND

layers, optimizers, ops = keras.layers, keras.optimizers, keras.ops
EPS = 2.0**-53
EXACT = BOUND * EPS


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


def rounded(number: float) -> float:
    return float(np.float32(number))


def moved(optimizer: Any, *gradients: float, start: float = 1.0) -> float:
    """Return a weight after some updates."""
    weight = keras.Variable([start], dtype="float64")
    optimizer.build([weight])
    for gradient in gradients:
        optimizer.apply([tf.constant([gradient], tf.float64)], [weight])
    return float(np.asarray(weight)[0])


def fitted(model: Any, x: Any, y: Any, loss: Any = "mse", **options: Any) -> Any:
    model.compile(options.pop("optimizer", optimizers.SGD(1.0)), loss, run_eagerly=True)
    model.fit(x, y, batch_size=len(x), shuffle=False, verbose=0, **options)
    return model


# ---------------------------------------------------------------------- training


def test_fit_overrides_training_false() -> None:
    x = keras.Input((1,))
    norm = layers.BatchNormalization(momentum=0.5)
    model = keras.Model(x, layers.Dense(1)(norm(x, training=False)))
    fitted(model, np.array([[1.0], [3.0]]), np.zeros((2, 1)))
    assert norm.moving_mean.numpy() == 1.0


def test_what_a_model_within_computes_for_nothing_is_run() -> None:
    x, z = keras.Input((1,)), keras.Input((1,))
    norm = layers.BatchNormalization(momentum=0.5)
    within = keras.Model(z, [layers.Dense(1)(z), norm(z)])
    fitted(keras.Model(x, within(x)[0]), np.array([[1.0], [3.0]]), np.zeros((2, 1)))
    assert norm.moving_mean.numpy() == 1.0


def test_the_copies_that_clone_model_makes_count_calls_as_they_are_run() -> None:
    x = keras.Input((5,), dtype="int32")
    table = layers.Embedding(9, 4)
    first, second = table(x), table(x)
    product = layers.Dot(-1)(
        [layers.GlobalAveragePooling1D()(first), layers.GlobalMaxPooling1D()(second)]
    )
    model = keras.Model(x, product)

    def order(of: Any) -> list[int]:
        by_depth = of._nodes_by_depth
        nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
        (shared,) = [one for one in of.layers if isinstance(one, layers.Embedding)]
        return [shared._inbound_nodes.index(n) for n in nodes if n.operation is shared]

    assert sorted(order(model)) == [0, 1]
    assert order(model) != [0, 1] or order(keras.models.clone_model(model)) == [0, 1]


# ---------------------------------------------------------------------- losses


def test_the_mean_of_a_loss_is_over_values_whatever_their_weights() -> None:
    loss = keras.losses.MeanSquaredError()
    y, p, weight = np.zeros((2, 1)), np.array([[1.0], [2.0]]), np.array([1.0, 3.0])
    assert float(loss(y, p, sample_weight=weight)) == (1.0 + 3.0 * 4.0) / 2.0


def test_a_masked_loss_counts_its_steps_and_not_their_weights() -> None:
    p = tf.constant([[[1.0], [2.0], [3.0]]], tf.float64)
    p._keras_mask = tf.constant([[True, True, False]])
    found = keras.losses.MeanSquaredError()(np.zeros((1, 3, 1)), p, np.array([[1.0, 5.0, 7.0]]))
    assert float(found) == pytest.approx((1.0 + 5.0 * 4.0) / 2.0, rel=EXACT)


def test_a_loss_without_reduction_is_trained_on_its_sum() -> None:
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[0.0]])])
    x, y = np.array([[1.0], [1.0]]), np.array([[1.0], [1.0]])
    fitted(
        model, x, y, keras.losses.MeanSquaredError(reduction=None), optimizer=optimizers.SGD(0.25)
    )
    assert model.get_weights()[0].item() == 1.0  # 0.25 · (2 + 2), and 0.5 of a mean


def test_a_cross_entropy_reads_the_logits_behind_a_softmax() -> None:
    z, y = np.array([[800.0, 0.0]]), np.array([[0.0, 1.0]])
    loss = keras.losses.CategoricalCrossentropy()  # from_logits=False
    assert float(loss(y, keras.activations.softmax(tf.constant(z)))) == 800.0
    probabilities = tf.constant([[1.0, 0.0]], tf.float64)
    assert float(loss(y, probabilities)) == pytest.approx(-np.log(1e-7), rel=EXACT)


def test_mixed_precision_loses_the_logits() -> None:
    z = tf.constant([[800.0, 0.0]], tf.bfloat16)
    loss = keras.losses.CategoricalCrossentropy(dtype="float32")
    assert float(loss(np.array([[0.0, 1.0]]), keras.activations.softmax(z))) < 17.0


def test_a_penalty_on_activity_is_divided_by_the_batch_and_one_on_weights_is_not() -> None:
    layer = layers.Dense(
        1,
        use_bias=False,
        kernel_initializer="ones",
        kernel_regularizer="l1",
        activity_regularizer="l1",
    )
    layer(np.ones((4, 1)))
    activity, weight = (float(loss) for loss in layer.losses)
    assert activity == pytest.approx(rounded(0.01) * 4.0 / 4.0, rel=EXACT)
    assert weight == pytest.approx(rounded(0.01), rel=EXACT)


# ---------------------------------------------------------------------- optimizers


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


# ---------------------------------------------------------------------- layers


def test_batch_normalization_keeps_the_biased_variance() -> None:
    norm = layers.BatchNormalization(momentum=0.0)
    norm(np.array([[1.0], [3.0]]), training=True)
    assert norm.moving_variance.numpy() == pytest.approx(1.0, rel=EXACT)  # n − 1 would give 2


def test_a_masked_batch_normalization_counts_with_epsilon_and_normalizes_what_is_masked() -> None:
    x = tf.constant([[[1.0], [3.0], [9.0]]], tf.float64)
    norm = layers.BatchNormalization(epsilon=1e-3)
    y = np.asarray(norm(x, training=True, mask=tf.constant([[True, True, False]])))
    count = 2.0 + 1e-7
    mean = 4.0 / count
    variance = ((1.0 - mean) ** 2 + (3.0 - mean) ** 2) / count
    expected = (np.asarray(x) - mean) / np.sqrt(variance + 1e-3)
    np.testing.assert_allclose(y, expected, rtol=EXACT)
    assert y[0, 2, 0] > 6.0


def test_channels_first_adds_a_bias_along_space_where_the_sizes_allow_it() -> None:
    layer = layers.Conv1D(2, 1, data_format="channels_first", bias_initializer="ones")
    layer.build((1, 1, 2))
    layer.bias.assign([0.0, 1.0])
    y = np.asarray(tf.function(layer, jit_compile=True)(tf.zeros((1, 1, 2), tf.float64)))
    by_channel = np.array([[[0.0, 0.0], [1.0, 1.0]]])
    by_space = np.array([[[0.0, 1.0], [0.0, 1.0]]])
    assert np.array_equal(y, by_space) and not np.array_equal(y, by_channel)


def test_a_dropout_keeps_what_is_not_less_than_its_rate() -> None:
    state = keras.random.SeedGenerator(3)
    layer = layers.Dropout(0.5)
    layer.seed_generator.state.assign(state.state)
    y = np.asarray(layer(np.ones((4, 5)), training=True))
    u = np.asarray(keras.random.uniform((4, 5), dtype="float64", seed=state))
    np.testing.assert_array_equal(y, np.where(u >= 0.5, 2.0, 0.0))


def test_xla_draws_other_numbers() -> None:
    def drawn(jit_compile: bool) -> np.ndarray:
        @tf.function(jit_compile=jit_compile)
        def draw() -> Any:
            return tf.random.stateless_uniform((4,), (1, 2), dtype=tf.float64)

        return np.asarray(draw())

    assert not np.array_equal(drawn(False), drawn(True))


def test_the_slope_of_relu_and_of_the_absolute_value_at_0_is_0() -> None:
    x = tf.Variable([0.0], dtype=tf.float64)
    for function in (keras.activations.relu, ops.abs):
        with tf.GradientTape() as tape:
            y = function(x)
        assert float(tape.gradient(y, x)[0]) == 0.0


def test_the_largest_of_a_window_takes_all_of_the_gradient_if_it_comes_first() -> None:
    x = tf.Variable([[[1.0], [1.0]]], dtype=tf.float64)
    with tf.GradientTape() as tape:
        y = layers.MaxPooling1D(2)(x)
    np.testing.assert_array_equal(np.asarray(tape.gradient(y, x)), [[[1.0], [0.0]]])


def test_a_global_maximum_shares_its_gradient() -> None:
    x = tf.Variable([[[1.0], [1.0]]], dtype=tf.float64)
    with tf.GradientTape() as tape:
        y = layers.GlobalMaxPooling1D()(x)
    np.testing.assert_array_equal(np.asarray(tape.gradient(y, x)), [[[0.5], [0.5]]])


# ---------------------------------------------------------------------- the page


def test_the_page_has_every_fact_and_no_other() -> None:
    page = Path(__file__).parents[2] / "docs" / "keras_facts.md"
    told = re.findall(r"`(test_\w+)`", page.read_text(encoding="utf-8"))
    tests = re.findall(r"^def (test_\w+)", Path(__file__).read_text(encoding="utf-8"), re.MULTILINE)
    assert set(told) == (set(tests) - {"test_the_page_has_every_fact_and_no_other"})
