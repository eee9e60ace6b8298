"""Somebody's own backward pass: right ones pass, each slip is found and explained."""

from __future__ import annotations

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
        dk = dp @ U.T
        dzk = dk if "no derivatives" in slip else dk * k * (1.0 - k)
        dh = dzk @ (V if "not transposed" in slip else V.T)
        dzh = dh * (1.0 - h if "no square" in slip else 1.0 - h * h)
        if "no derivative" in slip:
            dzh = dh
        dW, dV = x.T @ dzh, h.T @ dzk
        if "transposed kernel" in slip:
            dV = dV.T
        if "uneven" in slip:
            dV = dV * (1.0 + 0.01 * np.arange(5.0))
        db, dc, dd = (one.sum(axis=0) for one in (dzh, dzk, dp))
        if "bias means" in slip:
            db, dc, dd = (one.mean(axis=0) for one in (dzh, dzk, dp))
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


def raises(weights: Any, x: Any, y: Any) -> Any:
    return weights[0] @ weights[0]


@pytest.mark.parametrize(
    ("step", "message"),
    [
        (lambda w, x, y: w[:3], "6 gradients are expected, in this order: a/kernel (4, 5)"),
        (lambda w, x, y: [one.T for one in w], "has the shape (5, 4); the weight has (4, 5). It l"),
        (lambda w, x, y: [one * np.inf for one in w], "not finite"),
        (lambda w, x, y: ["a"] * 6, "must be an array of real numbers. Received: str"),
        (lambda w, x, y: [[[1], [1, 2]]] * 6, "rows of different lengths"),
        (lambda w, x, y: None, "Received: NoneType"),
        (lambda w, x, y: {"a/kernel": w[0]}, "needs 'a/bias' too"),
        (lambda w, x, y: {"d/kernel": w[0]}, "has no weight 'd/kernel'"),
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
        for weight in weights:
            weight[...] = 0.0
        return gradients

    assert check_step(model, X, Y, vandal).ok
    for variable, array in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), array)
