"""Somebody's own backward pass: right ones pass, each slip is found and explained."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import BadInput, Report, check_gradients, check_step

rng = np.random.default_rng(11)
X, Y = rng.normal(size=(16, 4)), rng.normal(size=(16, 3))
NAMES = ["a/kernel", "a/bias", "b/kernel", "b/bias", "c/kernel", "c/bias"]


@pytest.fixture
def model(precision: str) -> keras.Model:
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh", name="a", bias_initializer="random_normal"),
            keras.layers.Dense(5, "sigmoid", name="b", bias_initializer="random_normal"),
            keras.layers.Dense(3, name="c", bias_initializer="random_normal"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    return model


def by_hand(slip: str = "") -> Callable[..., list[Any]]:
    """Return a student's backward pass with one slip or two."""

    def gradients(weights: list[np.ndarray], x: Any, y: Any) -> list[Any]:
        W, b, V, c, U, d = weights
        h = np.tanh(x @ W + b)
        k = 1.0 / (1.0 + np.exp(-(h @ V + c)))
        dp = 2.0 * (k @ U + d - y) / y.size
        if "no mean" in slip:
            dp = dp * len(x)
        if "absolute" in slip:
            dp = np.sign(k @ U + d - y) / y.size
        dk = dp @ (U - 0.1 * k.T @ dp if "updated first" in slip else U).T
        dzk = dk if "no derivatives" in slip else dk * k * (1.0 - k)
        if "updated first" in slip:
            V = V - 0.1 * h.T @ dzk
        dh = dk if "skipped" in slip else dzk @ (V if "not transposed" in slip else V.T)
        dzh = dh * (1.0 - h if "no square" in slip else 1.0 - h * h)
        if "no derivative" in slip:
            dzh = dh
        if "of another" in slip:
            dzh = dh * k * (1.0 - k)
        dW, dV = x.T @ dzh, h.T @ dzk
        if "transposed kernel" in slip:
            dV = dV.T
        if "uneven" in slip:
            dV = dV * (1.0 + 0.01 * np.arange(5.0))
        db, dc, dd = (one.sum(axis=0) for one in (dzh, dzk, dp))
        if "bias means" in slip:
            db, dc, dd = (one.mean(axis=0) for one in (dzh, dzk, dp))
        if "exchanged" in slip:
            db, dc = dc, db
        return [dW, db, dV, dc, k.T @ dp, dd]

    return gradients


def explained(report: Report) -> str:
    assert report.first is not None and report.first.diagnosis is not None
    causes = report.first.diagnosis.causes
    return str(causes[0]) if causes else ""


def test_a_right_backward_pass_passes(model: keras.Model) -> None:
    report = check_step(model, X, Y, by_hand())
    assert report.ok, str(report.first)
    assert report.compared == 6


@pytest.mark.parametrize(
    ("slip", "wrong", "cause"),
    [
        ("no mean", NAMES, "the batch mean is missing (factor batch size 16)"),
        ("absolute", NAMES, "this is the derivative of |p − y|"),
        ("no derivatives", NAMES[:4], "the derivative of the activation is missing (in every"),
        ("no derivative", NAMES[:2], "the derivative of the activation is missing (at a)"),
        ("no square", NAMES[:2], "1 − a stands for the derivative (at a)"),
        ("not transposed", NAMES[:2], "the kernel is not transposed (at b)"),
        ("transposed kernel", ["b/kernel"], "the matrix is transposed (at b/kernel)"),
        ("bias means", NAMES[1::2], "the batch mean is taken twice (factor 1 / batch size 16) (at"),
        (
            "skipped",
            NAMES[:2],
            "the whole layer is skipped on the way back",
        ),
        ("of another", NAMES[:2], "the derivative is that of b, another layer (at a)"),
        ("updated first", NAMES[:4], "each layer is updated before the gradient"),
        ("exchanged", NAMES[1:4:2], "the gradients of a/bias and b/bias are exchanged"),
        ("no square, no mean", NAMES, "1 − a stands for the derivative (at a), and the batch mean"),
    ],
)
def test_the_slip_is_named(model: keras.Model, slip: str, wrong: list[str], cause: str) -> None:
    report = check_step(model, X, Y, by_hand(slip))
    assert [finding.name for finding in report.findings] == wrong[::-1]
    assert explained(report).startswith(cause), str(report.first)
    assert report.first is not None and report.first.diagnosis is not None
    ruling = report.first.diagnosis.ruling
    assert ruling is not None and ruling.supports == "Keras"


def test_what_nothing_explains_has_no_cause(model: keras.Model) -> None:
    report = check_step(model, X, Y, by_hand("uneven"))
    assert [finding.name for finding in report.findings] == ["b/kernel"]
    assert explained(report) == ""
    assert "nothing that was tried explains it" in str(report.first)


def test_gradients_by_name(model: keras.Model) -> None:
    weights = [variable.numpy().astype(np.float64) for variable in model.weights]
    listed = by_hand("bias means")(weights, X, Y)
    report = check_gradients(model, X, Y, dict(zip(NAMES, listed, strict=True)))
    assert {finding.name for finding in report.findings} == set(NAMES[1::2])


def test_new_weights_are_judged_as_well(model: keras.Model) -> None:
    def moved(weights: list[np.ndarray], x: Any, y: Any) -> list[Any]:
        gradients = by_hand("no square")(weights, x, y)
        return [w - np.float64(0.1) * g for w, g in zip(weights, gradients, strict=True)]

    report = check_step(model, X, Y, moved, returns="weights")
    assert [finding.name for finding in report.findings] == ["a/bias", "a/kernel"]
    assert explained(report).startswith("1 − a stands for the derivative (at a)")


def classifier(optimizer: Any, steps: int = 2, **options: Any) -> keras.Model:
    """Return a 4-1 network behind a sigmoid that has been trained for some steps."""
    keras.utils.set_random_seed(4)
    out = keras.layers.Dense(1, "sigmoid", name="p", bias_initializer="random_normal", **options)
    model = keras.Sequential([keras.Input((4,)), out])
    model.compile(optimizer, "binary_crossentropy", run_eagerly=True)
    for _ in range(steps):
        model.train_on_batch(X.astype(keras.config.floatx()), LABELS)
    return model


LABELS = (Y[:, :1] > 0.0) * 1.0


def at_the_probabilities(weights: list[np.ndarray], x: Any, y: Any, slip: str = "") -> list[Any]:
    """Return the gradients, by way of the probabilities."""
    p = 1.0 / (1.0 + np.exp(-(x @ weights[0] + weights[1])))
    dp = (1.0 - y) / (1.0 - p) - y / p
    dp = {"half": -y / p, "squared": 2.0 * (p - y)}.get(slip, dp) / len(x)
    dz = dp if slip == "bare" else dp * p * (1.0 - p)
    return [x.T @ dz, dz.sum(axis=0)]


@pytest.mark.parametrize(
    ("slip", "cause"),
    [
        ("bare", "the derivative of the sigmoid is missing"),
        ("half", "the term of 1 − y is missing"),
        ("squared", "this is the derivative of (p − y)² at the probabilities"),
    ],
)
def test_a_loss_taken_through_its_activation(precision: str, slip: str, cause: str) -> None:
    model = classifier(keras.optimizers.SGD(0.1), steps=0)
    assert check_step(model, X, LABELS, at_the_probabilities).ok
    report = check_step(model, X, LABELS, lambda *given: at_the_probabilities(*given, slip))
    assert explained(report).startswith(cause)


@pytest.mark.parametrize(
    ("slip", "cause"),
    [
        ("", ""),
        ("dampened", "the gradient in the velocity is damped by 1 − μ (at every weight)"),
        ("outside", "the learning rate is applied outside the velocity (at every weight)"),
        ("forgotten", "the momentum is forgotten (at every weight)"),
        ("gradients", "this is the gradient, not the weight after the update (at every weight)"),
        ("bare", "the derivative of the sigmoid is missing"),
    ],
)
def test_slips_in_the_update(precision: str, slip: str, cause: str) -> None:
    """The exact 0.9 is right, and in float64 no slip is hidden behind Keras's rounded one."""
    model = classifier(keras.optimizers.SGD(0.1, momentum=0.9))
    memory = [one.numpy() for one in model.optimizer.variables if "momentum" in one.path]

    def moved(weights: list[np.ndarray], x: Any, y: Any) -> list[Any]:
        gradients = at_the_probabilities(weights, x, y, slip)
        if slip == "gradients":
            return gradients
        rate, keep = (0.1 if slip != "dampened" else 0.01), (0.0 if slip == "forgotten" else 0.9)
        pairs = list(zip(memory, gradients, strict=True))
        if slip == "outside":
            steps = [-0.1 * (keep * m + g) for m, g in pairs]
        else:
            steps = [keep * m - rate * g for m, g in pairs]
        return [w + step for w, step in zip(weights, steps, strict=True)]

    report = check_step(model, X, LABELS, moved, returns="weights")
    assert report.ok == (slip == ""), str(report.first)
    assert slip == "" or explained(report).startswith(cause), str(report.first)
    assert any("that is right too" in note for note in report.notes) == (
        slip == "" and precision == "float64"
    )


def test_an_exact_penalty_is_right_and_half_of_it_is_not(precision: str) -> None:
    model = classifier(keras.optimizers.SGD(0.1), 0, kernel_regularizer=keras.regularizers.L2(0.03))

    def penalized(factor: float) -> Any:
        def step(weights: list[np.ndarray], x: Any, y: Any) -> list[Any]:
            dW, db = at_the_probabilities(weights, x, y)
            return [dW + factor * 0.03 * weights[0], db]

        return step

    assert check_step(model, X, LABELS, penalized(2.0)).ok
    report = check_step(model, X, LABELS, penalized(1.0))
    assert explained(report).startswith("the 2 of 2 λ w is missing, as with ½ λ w²")


def test_one_number_does_not_tell_two_slips(precision: str) -> None:
    """x³ for x²: the last sample's share alone, not averaged, gives that number as well."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([np.array([[3.0]])])
    model.compile(keras.optimizers.SGD(0.1), "mse", run_eagerly=True)
    x = np.array([[0.0], [1.0], [2.0], [3.0]])
    report = check_gradients(model, x, 2.0 * x, [np.array([[2.0 * (x**3).sum() / 4.0]])])
    assert not report.ok
    assert explained(report) == ""


def raises(weights: Any, x: Any, y: Any) -> Any:
    return weights[0] @ weights[0]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda w, x, y: w[:3], "6 gradients are expected, in this order: a/kernel (4, 5)"),
        (lambda w, x, y: [one.T for one in w], "has the shape (5, 4); it should have (4, 5). It l"),
        (lambda w, x, y: [one * np.inf for one in w], "not finite"),
        (lambda w, x, y: ["a"] * 6, "must be an array of real numbers. Received: str"),
        (lambda w, x, y: [one > 0.0 for one in w], "numbers. Received: an array of bool"),
        (lambda w, x, y: [one * 1j for one in w], "Received: an array of complex"),
        (lambda w, x, y: [one.astype("f2") for one in w], "is float16, too coarse to be judged"),
        (lambda w, x, y: iter(w), "Received: list_iterator"),
        (lambda w, x: w, "can't be called as step(weights, x, y): TypeError"),
        (lambda w, x, y: sys.exit(0), "raised SystemExit: 0 (test_submission.py, line"),
        (lambda w, x, y: [[[1], [1, 2]]] * 6, "rows of different lengths"),
        (lambda w, x, y: None, "Received: NoneType"),
        (lambda w, x, y: {"a/kernel": w[0]}, "needs 'a/bias' too"),
        (lambda w, x, y: {"d/kernel": w[0]}, "has no 'd/kernel'"),
        (raises, "(test_submission.py, line"),
        (raises, "return weights[0] @ weights[0]"),
    ],
)
def test_bad_submissions(model: keras.Model, step: Any, message: str) -> None:
    with pytest.raises(BadInput) as caught:
        check_step(model, X, Y, step)
    assert message in str(caught.value)


def test_the_model_and_its_weights_stay_as_they_are(model: keras.Model) -> None:
    before = [variable.numpy() for variable in model.weights]

    def vandal(weights: list[np.ndarray], x: Any, y: Any) -> Any:
        gradients = by_hand()(weights, x, y)
        for array in [*weights, x, y]:
            array[...] = 0.0
        return gradients

    assert check_step(model, X, Y, vandal).ok
    for variable, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)
