"""What Keras does that a textbook wouldn't: of layers.

Each fact is told in docs/keras_facts.md.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from asking import EXACT, rounded

from compare.rounding.judge import BOUND

layers, optimizers, ops = keras.layers, keras.optimizers, keras.ops
pytestmark = pytest.mark.usefixtures("float64")


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


def test_a_synchronized_batch_normalization_takes_the_mean_of_squares() -> None:
    x = np.array([[1e4], [1e4 + 1.0], [1e4 + 3.0]])
    norm = layers.BatchNormalization(momentum=0.0, synchronized=True)
    norm(x, training=True)
    two_passes = layers.BatchNormalization(momentum=0.0)
    two_passes(x, training=True)
    found = norm.moving_variance.numpy().item()
    assert 0.0 < abs(found / x.var() - 1.0) < BOUND * 2.0**-53 * (x**2).mean() / x.var()
    assert two_passes.moving_variance.numpy().item() == pytest.approx(x.var(), rel=EXACT)


@pytest.mark.filterwarnings("ignore:You passed `rms_scaling")
def test_the_rms_scaling_of_a_layer_normalization_divides_by_the_deviation() -> None:
    x = np.array([[1.0, 3.0]])
    found = np.asarray(layers.LayerNormalization(rms_scaling=True, epsilon=0.0)(x))
    np.testing.assert_allclose(found, x / x.std(), rtol=EXACT)
    root = np.sqrt((x * x).mean())
    found = np.asarray(layers.RMSNormalization(epsilon=0.0)(x))
    np.testing.assert_allclose(found, x / root, rtol=EXACT)


def test_the_scale_of_an_rms_normalization_meets_the_last_axes() -> None:
    norm = layers.RMSNormalization(axis=1, epsilon=0.0)
    norm.build((1, 2, 2))
    norm.scale.assign([1.0, 10.0])
    x = np.array([[[1.0, 2.0], [3.0, 4.0]]])
    root = np.sqrt((x * x).mean(axis=1, keepdims=True))
    np.testing.assert_allclose(np.asarray(norm(x)), x / root * [1.0, 10.0], rtol=EXACT)


def test_a_spectral_normalization_replaces_its_kernel_and_holds_its_length_fast() -> None:
    """No gradient goes through σ, and a step starts at the kernel that was divided by it."""
    within = layers.Dense(2, use_bias=False)
    norm = layers.SpectralNormalization(within)
    x = tf.constant([[1.0, 2.0], [3.0, -1.0]], tf.float64)
    norm.build((2, 2))
    W = np.array([[1.0, 2.0], [0.5, -3.0]])
    within.kernel.assign(W)
    with tf.GradientTape() as tape:
        y = norm(x, training=True)
        loss = tf.reduce_sum(y * y)
    found = np.asarray(tape.gradient(loss, within.kernel.value))
    normalized = within.kernel.numpy()
    ratio = W / normalized
    np.testing.assert_allclose(ratio, ratio[0, 0], rtol=EXACT)
    assert abs(ratio[0, 0] - 1.0) > 0.1
    x = np.asarray(x)
    plain, terms = 2.0 * x.T @ (x @ normalized), 2.0 * abs(x).T @ (abs(x) @ abs(normalized))
    assert (abs(found - plain) <= EXACT * terms).all()


def test_a_spectral_normalization_that_is_frozen_alone_trains_on() -> None:
    layer = layers.SpectralNormalization(layers.Dense(2), trainable=False)
    model = keras.Sequential([keras.Input((3,)), layer])
    assert [one.name for one in model.trainable_variables] == ["kernel", "bias"]


@pytest.mark.parametrize("kind", ["Batch", "Layer", "Group", "RMS"])
def test_normalizations_are_computed_in_float32_in_narrower_precisions(kind: str) -> None:
    make = getattr(layers, f"{kind}Normalization")
    layer = make(*([1] if kind == "Group" else []), dtype="mixed_float16")
    x = np.array([[-300.0, -300.0], [300.0, 300.0]]) if kind == "Batch" else [[-300.0, 300.0]] * 2
    y = np.ravel(layer(np.asarray(x), training=True))
    np.testing.assert_array_equal(np.abs(y), 1.0)  # though 300² is no float16
    sizes = [70000.0, 70000.0]  # nor is that
    if kind == "RMS":
        layer.set_weights([np.array(sizes)])
        assert np.isinf(layer(np.asarray(x))).all()
    else:
        layer.gamma.assign(sizes)
        layer.beta.assign(sizes)
        y = np.ravel(layer(np.asarray(x), training=True))
        assert y.min() < 1.0 and np.isinf(y.max())  # γ (−1) + β, and γ + β


def test_images_are_resized_in_float32_whatever_the_policy() -> None:
    x = np.array([[[[1.0 / 3.0], [1.0]]]])
    between = [1.0 / 3.0, 0.5, 5.0 / 6.0, 1.0]
    for layer in (
        layers.UpSampling2D((1, 2), interpolation="bilinear"),
        layers.Resizing(1, 4, interpolation="bilinear"),
    ):
        y = np.asarray(layer(x))
        assert y.dtype == "float64" and np.array_equal(y, y.astype("float32"))
        error = np.abs(y.ravel() - between).max()
        assert EXACT < error < 2.0**-23


def test_the_cubic_kernel_comes_from_a_table_with_steps_of_1_1024() -> None:
    x = np.zeros((1, 1, 8, 1))
    x[0, 0, 3] = 1.0
    found = np.asarray(layers.Resizing(1, 11, interpolation="bicubic")(x))[0, 0, :, 0]

    def weight(at: float, steps: int | None) -> float:
        whole = np.floor(at)
        part = at - whole if steps is None else np.rint((at - whole) * steps) / steps
        t = abs(3.0 - whole - part)
        if t >= 2.0:
            return 0.0
        return ((1.5 * t - 2.5) * t * t + 1) if t < 1 else (((-0.5 * t + 2.5) * t - 4) * t + 2)

    middles = (np.arange(11) + 0.5) * 8 / 11 - 0.5
    inside = slice(2, 8)  # further out, what lies beyond the edge is left out
    by_table = np.array([weight(at, 1024) for at in middles])[inside]
    exact = np.array([weight(at, None) for at in middles])[inside]
    np.testing.assert_allclose(found[inside], by_table, rtol=0, atol=2.0**-24)  # a rounding of 1
    assert np.abs(found[inside] - exact).max() > 2.0**-13


@pytest.mark.slow
def test_an_adaptive_max_pooling_to_one_number_ends_the_process() -> None:
    """By a division by zero within TensorFlow: there is nothing to compare with."""
    code = "import keras; keras.layers.AdaptiveMaxPooling1D({})(keras.ops.ones((1, 4, 2)))"
    ended = [
        subprocess.run([sys.executable, "-c", code.format(size)], capture_output=True).returncode
        for size in (1, 2)
    ]
    assert ended == [-signal.SIGFPE, 0]


def test_with_output_padding_same_is_another_size() -> None:
    x = np.ones((1, 4, 1))
    for given, size in ((None, 4 * 2), (0, 3 * 2 + 1), (1, 3 * 2 + 2)):
        options = {"strides": 2, "padding": "same", "output_padding": given}
        assert layers.Conv1DTranspose(1, 3, **options)(x).shape == (1, size, 1)


def test_padding_to_the_same_size_puts_more_at_the_end() -> None:
    x = np.array([[[1.0], [2.0], [3.0]]])
    sums = layers.Conv1D(1, 2, padding="same", kernel_initializer="ones")(x)
    np.testing.assert_array_equal(np.asarray(sums).ravel(), [3.0, 5.0, 3.0])
    means = layers.AveragePooling1D(2, padding="same")(x)  # what is put on doesn't count
    np.testing.assert_array_equal(np.asarray(means).ravel(), [1.5, 3.0])


def test_activation_glu_reports_the_shape_of_what_it_takes() -> None:
    layer = layers.Activation("glu")
    assert layer(keras.Input((4,))).shape == (None, 4)
    assert layer(np.ones((1, 4))).shape == (1, 2)


def test_a_time_distributed_layer_loses_its_penalty_on_activity() -> None:
    within = layers.TimeDistributed(layers.Dense(1, activity_regularizer="l1"))
    around = layers.TimeDistributed(layers.Dense(1), activity_regularizer="l1")
    for layer in (within, around):
        layer(np.ones((2, 3, 2)))
    assert within.losses == [] and len(around.losses) == 1


def test_a_time_distributed_layer_draws_and_averages_step_by_step() -> None:
    x = np.arange(6.0).reshape(2, 3, 1)
    norm = layers.BatchNormalization(momentum=0.5)
    layers.TimeDistributed(norm)(x, training=True)
    average = 0.0
    for mean in x.mean(axis=0).ravel():
        average = 0.5 * average + 0.5 * mean
    assert norm.moving_mean.numpy().item() == average
    drop = layers.Dropout(0.5)
    layers.TimeDistributed(drop)(x, training=True)
    assert drop.seed_generator.state.numpy()[1] == 3


def test_numbers_that_layers_hold_are_rounded() -> None:
    x = np.array([[[0.1]]])
    assert np.asarray(layers.Rescaling(0.1)(np.ones(1))) == rounded(0.1)
    assert np.asarray(layers.LeakyReLU(0.3)(-np.ones(1))) == -rounded(0.3)
    found = np.asarray(layers.Normalization(mean=0.1, variance=0.3)(np.ones((1, 1))))
    by_hand = (1.0 - rounded(0.1)) / np.sqrt(rounded(0.3))
    assert found.item() == pytest.approx(by_hand, rel=EXACT)
    assert found.item() != pytest.approx((1.0 - 0.1) / np.sqrt(0.3), rel=EXACT)
    assert np.asarray(layers.Discretization([0.1])(x)) == 0  # 0.1 is less than its float32
    assert np.asarray(layers.Masking(0.1).compute_mask(tf.constant(x)))  # and no other number


def test_an_einsum_dense_takes_sizes_from_the_input_where_they_say_otherwise() -> None:
    layer = layers.EinsumDense("ab,bc->ac", (2, 7))
    assert layer(np.ones((1, 3))).shape == (1, 2)
    assert layer.kernel.shape == (3, 2)
