"""What Keras does that a textbook wouldn't: of losses.

Each fact is told in docs/keras_facts.md.
"""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from asking import EXACT, fitted, rounded, slope

from compare.rounding.judge import BOUND

layers, optimizers, ops = keras.layers, keras.optimizers, keras.ops
pytestmark = pytest.mark.usefixtures("float64")


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


def test_the_gradient_of_a_softmax_cross_entropy_takes_targets_to_add_up_to_one() -> None:
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    found = slope(lambda z: loss(np.array([[2.0, 0.0]]), z), [[0.0, 0.0]])
    np.testing.assert_array_equal(found, [[0.5 - 2.0, 0.5]])  # and not 2 · ½ − 2, 2 · ½


def test_with_ignore_class_the_logits_are_not_looked_for() -> None:
    p = keras.activations.softmax(tf.constant([[800.0, 0.0]], tf.float64))
    y, sparse = np.array([1]), keras.losses.SparseCategoricalCrossentropy
    assert float(sparse()(y, p)) == 800.0
    assert float(sparse(ignore_class=5)(y, p)) == pytest.approx(-np.log(1e-7), rel=EXACT)


def test_the_focal_losses_treat_what_is_behind_a_softmax_each_in_its_way() -> None:
    z, y = np.array([[2.0, 0.0]]), np.array([[1.0, 0.0]])
    output = keras.activations.softmax(tf.constant(z))
    p = np.asarray(output)
    of_sigmoid = np.logaddexp(0.0, z) - y * z
    missing = 1.0 - (y * p + (1.0 - y) * (1.0 - p))
    found = float(keras.losses.BinaryFocalCrossentropy()(y, output))
    assert found == pytest.approx((missing**2 * of_sigmoid).mean(), rel=EXACT)
    far = keras.activations.softmax(tf.constant([[0.0, 800.0]], tf.float64))
    found = float(keras.losses.CategoricalFocalCrossentropy()(y, far))
    assert found == pytest.approx(-0.25 * (1 - 1e-7) ** 2 * np.log(1e-7), rel=EXACT)


def test_labels_are_smoothed_by_the_length_of_the_last_axis() -> None:
    y = np.array([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])  # three classes, along axis 1
    p = np.array([[[0.5, 0.2], [0.25, 0.2], [0.25, 0.6]]])
    loss = keras.losses.CategoricalCrossentropy(axis=1, label_smoothing=0.3)
    smooth = y * 0.7 + 0.3 / 2
    assert float(loss(y, p)) == pytest.approx(-(smooth * np.log(p)).sum(1).mean(), rel=EXACT)


def test_the_generalized_cross_entropy_lets_targets_in_a_column_meet_all_predictions() -> None:
    loss = keras.losses.CategoricalGeneralizedCrossEntropy(q=0.5)
    p = np.array([[0.25, 0.75], [0.51, 0.49]])
    own, met = np.diag(p), p  # of the classes 0 and 1
    of_rows, of_column = ((1.0 - one**0.5).mean() / 0.5 for one in (own, met))
    assert float(loss(np.array([0, 1]), p)) == pytest.approx(of_rows, rel=EXACT)
    assert float(loss(np.array([[0], [1]]), p)) == pytest.approx(of_column, rel=EXACT)
    assert abs(of_rows - of_column) > 0.01


def test_tverskys_alpha_is_the_price_of_what_is_missed() -> None:
    loss = keras.losses.Tversky(alpha=1.0, beta=0.0)
    missed, too_much = np.array([[1.0, 0.0]]), np.array([[1.0, 1.0]])
    at_cost, free = 1.0 - 1.0 / (2.0 + 1e-7), 1.0 - 1.0 / (1.0 + 1e-7)
    assert float(loss(too_much, missed)) == pytest.approx(at_cost, rel=0, abs=EXACT)
    assert float(loss(missed, too_much)) == pytest.approx(free, rel=0, abs=EXACT)


def test_the_small_constants_of_losses_are_those_of_float32() -> None:
    below, wanted = np.array([[-5.0]]), np.array([[1.0]])
    found = float(keras.losses.MeanSquaredLogarithmicError()(wanted, below))
    assert found == pytest.approx((np.log(2.0) - np.log(1.0 + rounded(1e-7))) ** 2, rel=EXACT)
    nothing = np.zeros((1, 1))
    left = float(keras.losses.LogCosh()(nothing, nothing))
    assert left == pytest.approx(np.log(2.0) - np.log(np.float32(2.0)).astype(float), abs=EXACT)
    assert left != 0.0


def test_ctc_is_computed_in_float32_and_never_infinite() -> None:
    loss = keras.losses.CTC()
    found = float(loss(np.array([[1]]), np.zeros((1, 2, 2))))
    assert found == pytest.approx(np.log(4.0 / 3.0), rel=BOUND * 2.0**-24)
    assert found == rounded(found) != np.log(4.0 / 3.0)
    assert 700.0 < float(loss(np.array([[1, 2, 1, 2, 1]]), np.zeros((1, 2, 3)))) < 800.0


def test_on_the_edge_of_a_hinge_the_gradient_passes_and_ties_share_it() -> None:
    hinge, classes = keras.losses.Hinge(), keras.losses.CategoricalHinge()
    assert slope(lambda p: hinge(np.array([[1.0]]), p), [[1.0]]) == -1.0
    found = slope(lambda p: classes(np.array([[0.0, 0.0, 1.0]]), p), [[1.0, 1.0, 0.0]])
    np.testing.assert_array_equal(found, [[0.5, 0.5, -1.0]])
    absolute = keras.losses.MeanAbsoluteError()
    assert slope(lambda p: absolute(np.array([[1.0]]), p), [[1.0]]) == 0.0


def test_the_weights_of_the_circle_loss_are_differentiated() -> None:
    """The paper holds a = γ (1 + m − d)₊ fast; here it moves with d, as the forward map says."""
    y, m, gamma = np.array([0, 0, 1]), 0.4, 2.0
    p = np.array([[1.0, 0.0], [0.8, 0.6], [0.6, -0.8]])

    def by_hand(p: np.ndarray) -> float:
        d = np.maximum(1.0 - p @ p.T, 0.0)
        pull, push = -(m + d) * (m - d), np.maximum(1 + m - d, 0.0) * (1 - m - d)
        same, other = ((0, 1), (1, 0)), ((0, 2), (1, 2))
        rows = [
            np.log1p(np.exp(gamma * (pull[one] + push[two])))
            for one, two in zip(same, other, strict=True)
        ]
        return float(np.mean(rows))

    loss = keras.losses.Circle(gamma=gamma, margin=m)
    assert float(loss(y, p)) == pytest.approx(by_hand(p), rel=EXACT)
    h, one = 1e-6, np.array([[0.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    wide, narrow = (
        (by_hand(p + step * one) - by_hand(p - step * one)) / (2 * step) for step in (2 * h, h)
    )
    off = abs(wide - narrow) + EXACT * by_hand(p) / h  # three times what is cut off, and roundings
    assert slope(lambda p: loss(y, p), p)[0, 1] == pytest.approx(narrow, rel=0, abs=off)


# ---------------------------------------------------------------------- metrics


def test_a_root_mean_squared_error_takes_no_notice_of_masks() -> None:
    x = keras.Input((3, 1))
    model = keras.Model(x, layers.Masking()(x))
    metrics = ["mse", keras.metrics.RootMeanSquaredError(name="root")]
    model.compile("sgd", "mse", metrics=metrics)
    data = np.array([[[1.0], [0.0], [2.0]]])
    wanted = data + np.array([[[1.0], [5.0], [1.0]]])
    found = model.evaluate(data, wanted, verbose=0, return_dict=True)
    assert found["mse"] == 1.0 and found["root"] == 3.0


def test_counts_at_several_thresholds_are_read_after_the_validation() -> None:
    """Keras hands out the variable itself, which the validation goes on to fill anew."""
    model = keras.Sequential([keras.Input((1,)), layers.Dense(1, kernel_initializer="zeros")])
    model.layers[0].bias.assign([0.5])
    several = keras.metrics.TruePositives(name="several", thresholds=[0.1, 0.2])
    one = keras.metrics.TruePositives(name="one", thresholds=0.1)
    model.compile(optimizers.SGD(0.0), "mse", metrics=[several, one])
    of = (np.ones((2, 1)),) * 2
    history = model.fit(np.ones((3, 1)), np.ones((3, 1)), validation_data=of, verbose=0).history
    assert history["one"] == [3.0] and history["val_one"] == [2.0]
    assert np.array_equal(history["several"][0], [2.0, 2.0])


def test_the_area_under_a_curve_is_that_of_200_thresholds() -> None:
    metric = keras.metrics.AUC()
    metric.update_state(np.array([0.0, 1.0]), np.array([0.5001, 0.5002]))
    assert float(metric.result()) == 0.5  # of these two alone it would be 1
