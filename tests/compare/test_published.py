"""What is wrong in print really comes about as the cases say: plain loops, no layer involved."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from compare.cases import load
from compare.cases.base import HALF_SQUARED_SUM, reproduces
from compare.cases.halves import built
from keras_models.precision import precision


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def mazur(updates: int, hidden_deltas_from_updated_weights: bool) -> tuple[float, np.ndarray]:
    """Return E and the outputs after some updates of the 2-2-2 network with frozen biases."""
    x, t = np.array([0.05, 0.10]), np.array([0.01, 0.99])
    W1, W2 = np.array([[0.15, 0.25], [0.20, 0.30]]), np.array([[0.40, 0.50], [0.45, 0.55]])
    for _ in range(updates):
        h = sigmoid(x @ W1 + 0.35)
        o = sigmoid(h @ W2 + 0.60)
        delta_o = (o - t) * o * (1 - o)
        old = W2
        W2 = W2 - 0.5 * np.outer(h, delta_o)
        used = W2 if hidden_deltas_from_updated_weights else old
        W1 = W1 - 0.5 * np.outer(x, (used @ delta_o) * h * (1 - h))
    o = sigmoid(sigmoid(x @ W1 + 0.35) @ W2 + 0.60)
    return float((0.5 * (t - o) ** 2).sum()), o


def test_the_most_copied_wrong_error_uses_updated_weights() -> None:
    assert reproduces("0.291027924", mazur(1, True)[0]) == "rounded"
    assert reproduces("0.291027924", mazur(1, False)[0]) == "no"
    assert reproduces("0.291027774", mazur(1, False)[0]) == "rounded"


def test_the_error_after_10_000_updates_is_the_one_after_9_999() -> None:
    assert reproduces("0.0000351085", mazur(9_999, False)[0]) == "rounded"
    assert reproduces("0.0000351085", mazur(10_000, False)[0]) == "no"
    assert reproduces("0.0000351085", mazur(10_000, True)[0]) == "no"


def test_the_outputs_after_10_000_updates_are_of_the_other_run() -> None:
    _, outputs = mazur(10_000, True)
    assert reproduces("0.015912196", outputs[0]) == "rounded"
    assert reproduces("0.984065734", outputs[1]) == "rounded"


def test_a_slip_in_a_sum_makes_a_sigmoid_exceed_one() -> None:
    assert f"{2 * 0.6 + 9 * 0.3:.12f}" == "3.900000000000"
    assert reproduces("1.000553084", 1 / sigmoid(np.float64(7.5))) == "rounded"
    assert reproduces("0.8579443067", sigmoid(np.float64(1.79832))) == "rounded"


def test_the_hand_calculation_differentiates_the_half_square() -> None:
    h = sigmoid(np.zeros(5))
    o = sigmoid(h @ np.full(5, 0.2))
    right, by_hand = (0.2 - 0.01 * d * o * (1 - o) * h[0] for d in (1.0, o))
    assert reproduces("0.198824981", right) == "rounded"
    assert reproduces("0.199268599", by_hand) == "rounded"


@pytest.mark.parametrize(
    ("name", "rate"), [("mazur", 0.5), ("study_hours", 1.5), ("xor_bias_trick", 0.25)]
)
def test_keras_own_mse_takes_the_same_step_at_another_rate(name: str, rate: float) -> None:
    """E = ½ Σ at rate η is the mean at η · batch · outputs / 2."""
    run = load(name).runs[0]
    half = run.batch_size * run.y.shape[1] / 2
    assert rate == run.learning_rate * half
    weights = []
    for loss, learning_rate in ((HALF_SQUARED_SUM, run.learning_rate), ("mse", rate)):
        with precision("float64"):
            model, _ = built(run.changed(loss=loss, learning_rate=learning_rate))
            model.fit(run.x, run.y, batch_size=run.batch_size, shuffle=False, verbose=0)
        weights.append(model.get_weights())
    steps = -(-len(run.x) // run.batch_size)
    for one, other in zip(*weights, strict=True):
        largest = 1.0 + np.abs(one)
        assert np.all(np.abs(one - other) <= 32 * steps * 2.0**-53 * largest)


def test_a_constant_bias_constraint_freezes_and_leaves_the_rest_alone() -> None:
    run = load("mazur").runs[0]
    with precision("float64"):
        model, _ = built(run)
        model.fit(run.x, run.y, epochs=3, verbose=0)
    assert isinstance(model, keras.Model)
    np.testing.assert_array_equal(model.get_weights()[1], [0.35, 0.35])
    np.testing.assert_array_equal(model.get_weights()[3], [0.60, 0.60])
    loss, _ = mazur(3, False)
    h = sigmoid(run.x @ model.get_weights()[0] + 0.35)
    o = sigmoid(h @ model.get_weights()[2] + 0.60)
    assert f"{float((0.5 * (run.y - o) ** 2).sum()):.14f}" == f"{loss:.14f}"
