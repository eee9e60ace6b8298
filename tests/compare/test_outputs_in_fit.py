"""Losses, weights and metrics of several outputs in a running fit, in every form Keras takes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from counting import compared as counted

from compare import lockstep
from compare.errors import BadInput
from compare.findings.report import Report
from manual import losses, metrics

GENERATOR = np.random.default_rng(3)
X = GENERATOR.normal(size=(10, 3))
NUMBERS, CLASSES = GENERATOR.normal(size=(10, 2)), GENERATOR.integers(0, 3, 10)
HOT = np.eye(3)[CLASSES]
WEIGHTS = [GENERATOR.exponential(size=10), GENERATOR.exponential(size=10)]
LOSSES: dict[str, tuple[dict[str, Any], list[np.ndarray]]] = {
    "by name": (
        {
            "loss": {"class": "categorical_crossentropy", "number": "mse"},
            "loss_weights": {"number": 0.3, "class": 2.0},
        },
        [NUMBERS, HOT],
    ),
    "one for both": ({"loss": keras.losses.Huber(0.5)}, [NUMBERS, HOT]),
    "none for one": ({"loss": ["mse", None], "metrics": [["mae"], ["accuracy"]]}, [NUMBERS, HOT]),
    "none, and no targets": ({"loss": [None, "categorical_crossentropy"]}, [HOT]),
    "by shape": ({"loss": [keras.losses.mean_absolute_error, "ce"]}, [NUMBERS, CLASSES]),
}


def model_of(eager: bool = True, **compiled: Any) -> keras.Model:
    layers = keras.layers
    inputs = keras.Input((3,))
    hidden = layers.Dense(5, "tanh", name="hidden")(inputs)
    outputs = [
        layers.Dense(2, name="number")(hidden),
        layers.Dense(3, "softmax", name="class")(hidden),
    ]
    model = keras.Model(inputs, outputs)
    model.compile("sgd", run_eagerly=eager, **compiled)
    return model


def compared(report: Report) -> set[str]:
    return set(counted(report, "metric"))


@pytest.mark.parametrize("eager", [True, False])
@pytest.mark.parametrize("way", LOSSES)
def test_forms_of_losses(way: str, eager: bool) -> None:
    compiled, y = LOSSES[way]
    lockstep(model_of(eager, **compiled), X, y, batch_size=4).raise_if_different()


def test_an_output_that_is_none_of_the_models() -> None:
    with pytest.raises(BadInput, match="names the outputs 'numbers'"):
        lockstep(model_of(loss={"numbers": "mse"}), X, [NUMBERS, HOT], batch_size=4)
    with pytest.raises(BadInput, match="one entry for each of the 2 outputs"):
        lockstep(model_of(loss=["mse"]), X, [NUMBERS, HOT], batch_size=4)


@pytest.mark.parametrize("eager", [True, False])
def test_weights_and_metrics_of_each_output(eager: bool, precision: str) -> None:
    model = model_of(
        eager,
        loss=["mse", "categorical_crossentropy"],
        metrics=[["mae"], [keras.metrics.AUC(name="area"), "categorical_crossentropy"]],
        weighted_metrics={"class": ["accuracy", keras.metrics.Recall(class_id=1, name="recall")]},
    )
    report = lockstep(
        model, X, [NUMBERS, HOT], batch_size=4, sample_weight=WEIGHTS, validation_split=0.3
    )
    report.raise_if_different()
    assert compared(report) == {
        f"{when}{name}"
        for when in ("", "val_")
        for name in (
            "loss",
            "number_loss",
            "class_loss",
            "number_mae",
            "class_area",
            "class_categorical_crossentropy",
            "class_accuracy",
            "class_recall",
        )
    }


def test_metrics_without_a_twin_are_told() -> None:
    model = model_of(loss="mse", metrics=[[keras.metrics.R2Score()], ["mae"]])
    report = lockstep(model, X, [NUMBERS, HOT], batch_size=4)
    report.raise_if_different()
    assert "metrics without a twin, passed over: number_r2_score" in report.notes


def test_weights_of_a_validation_count(monkeypatch: pytest.MonkeyPatch) -> None:
    held_out = X[:4], [NUMBERS[:4], HOT[:4]], [one[:4] for one in WEIGHTS]
    model = model_of(loss="mse")
    lockstep(model, X, [NUMBERS, HOT], validation_data=held_out, batch_size=5).raise_if_different()
    right = losses.Loss.forward

    def unweighted(self: Any, y: Any, p: Any, **options: Any) -> Any:
        return right(self, y, p, **{**options, "sample_weight": None})

    monkeypatch.setattr(losses.Loss, "forward", unweighted)
    found = lockstep(model, X, [NUMBERS, HOT], validation_data=held_out, batch_size=5)
    assert {one.name for one in found.findings} >= {"val_loss", "val_number_loss"}


def test_a_slip_in_a_metric_of_one_output_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics.Precision, "result", lambda self, tp, fp: tp[0] / (tp + 2 * fp)[0])
    model = model_of(loss="mse", metrics=[["mae"], [keras.metrics.Precision(0.2, name="right")]])
    report = lockstep(model, X, [NUMBERS, HOT], batch_size=4)
    assert report.first is not None
    assert (report.first.phase, report.first.name) == ("metric", "class_right")


def test_a_loss_that_is_not_reduced_is_compared_value_by_value(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs = keras.Input((4, 3))
    model = keras.Sequential([inputs, keras.layers.Dense(2)])
    x, y = GENERATOR.normal(size=(6, 4, 3)), GENERATOR.normal(size=(6, 4, 2))
    for eager in (True, False):
        model.compile("sgd", keras.losses.MeanSquaredError(reduction="none"), run_eagerly=eager)
        lockstep(model, x, y, batch_size=4).raise_if_different()
    right = losses.MeanSquaredError.values

    def last_one_wrong(self: Any, y: Any, p: Any, logits: bool) -> Any:
        values, saved = right(self, y, p, logits)
        return values * np.where(np.arange(values.size).reshape(values.shape) == 1, 2.0, 1.0), saved

    monkeypatch.setattr(losses.MeanSquaredError, "values", last_one_wrong)
    first = lockstep(model, x, y, batch_size=4).first
    assert first is not None and first.phase == "loss"
    assert first.verdict.index == (0, 1)
