"""The lock-step with every kind of data that ``fit`` takes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import pytest
from counting import compared

from compare import lockstep

Model = Callable[..., keras.Model]
Data = Callable[..., tuple[np.ndarray, np.ndarray]]


@pytest.mark.parametrize("how", ["split", "data"])
def test_validation_is_compared(
    how: str, precision: str, classifier: Model, random_classes: Data
) -> None:
    x, y = random_classes(25, 4, 3)
    options: dict[str, Any] = {"validation_split": 0.2}
    if how == "data":
        options = {"validation_data": (x[20:], y[20:])}
        x, y = x[:20], y[:20]
    model = classifier(metrics=["accuracy"])
    report = lockstep(model, x, y, batch_size=8, epochs=2, **options)
    assert report.ok, str(report.first)
    names = {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert compared(report, "metric") == dict.fromkeys(names, 2)
    assert report.steps == 6
    for pair in report.history:
        assert set(pair.keras) == names
        assert set(pair.by_hand) == {"loss", "val_loss", "val_accuracy"}


def test_the_compared_metric_is_what_fit_logs(classifier: Model, random_classes: Data) -> None:
    x, y = random_classes(20, 4, 3)
    model = classifier(metrics=["accuracy"])
    untrained = model.predict(x, verbose=0).argmax(-1) == y.argmax(-1)
    frozen = keras.optimizers.SGD(0.0)
    model.compile(frozen, "categorical_crossentropy", metrics=["accuracy"], run_eagerly=True)
    report = lockstep(model, x, y, batch_size=8)
    assert report.history[0].keras["accuracy"] == np.float32(untrained.mean())


def test_sample_weights(precision: str, classifier: Model, random_classes: Data) -> None:
    x, y = random_classes(12, 4, 3)
    weights = np.random.default_rng(0).exponential(size=12)
    model, unweighted = classifier(), classifier()
    options: dict[str, Any] = {"batch_size": 8, "shuffle": False}
    report = lockstep(model, x, y, sample_weight=weights, **options)
    assert report.ok, str(report.first)
    lockstep(unweighted, x, y, **options)
    assert not np.array_equal(model.get_weights()[0], unweighted.get_weights()[0])


def test_a_batch_whose_weights_are_all_zero(precision: str, model_of: Model) -> None:
    """Keras divides nothing by nothing and says nothing: no loss, no gradient."""
    model = model_of(
        4,
        keras.layers.Dense(2, name="out"),
        loss=keras.losses.MeanSquaredError(reduction="mean_with_sample_weight"),
    )
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(8, 4)), generator.normal(size=(8, 2))
    weights = np.array([0.0] * 4 + [1.0] * 4)
    report = lockstep(model, x, y, sample_weight=weights, batch_size=4, shuffle=False)
    assert report.ok, str(report.first)
    assert report.steps == 2


def test_two_inputs(precision: str) -> None:
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Concatenate(name="join")([left, right])
    model = keras.Model([left, right], keras.layers.Dense(1, "tanh", name="out")(joined))
    model.compile("sgd", "mse", run_eagerly=True)
    generator = np.random.default_rng(0)
    x = [generator.normal(size=(10, 3)), generator.normal(size=(10, 2))]
    report = lockstep(model, x, generator.normal(size=(10, 1)), batch_size=4)
    assert report.ok, str(report.first)
    assert compared(report, "activation") == dict.fromkeys(["join", "out/pre_activation", "out"], 3)


def test_samples_with_a_time_axis(precision: str) -> None:
    """A Dense layer takes all leading axes for samples, and so does the loss."""
    x = keras.Input((3, 4), name="x")
    model = keras.Model(x, keras.layers.Dense(2, "tanh", name="out")(x))
    model.compile("sgd", "mse", run_eagerly=True)
    generator = np.random.default_rng(0)
    data = generator.normal(size=(8, 3, 4)), generator.normal(size=(8, 3, 2))
    report = lockstep(model, *data, batch_size=4)
    assert report.ok, str(report.first)
    assert report.steps == 2


def two_outputs(loss_weights: Any) -> keras.Model:
    x = keras.Input((3,), name="x")
    shared = keras.layers.Dense(4, "tanh", name="shared")(x)
    number = keras.layers.Dense(2, name="number")(shared)
    answer = keras.layers.Dense(1, "sigmoid", name="answer")(shared)
    model = keras.Model(x, [number, answer])
    model.compile(
        "sgd", ["mse", "binary_crossentropy"], loss_weights=loss_weights, run_eagerly=True
    )
    return model


@pytest.mark.parametrize("loss_weights", [None, [0.3, 2.0]])
def test_two_outputs(loss_weights: Any, precision: str) -> None:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(10, 3))
    y = [generator.normal(size=(10, 2)), generator.integers(0, 2, (10, 1))]
    report = lockstep(two_outputs(loss_weights), x, y, batch_size=4)
    assert report.ok, str(report.first)
    assert compared(report, "loss") == {"total": 3}
    assert compared(report, "metric") == {"loss": 1, "number_loss": 1, "answer_loss": 1}


def test_metrics_of_several_outputs_are_noted() -> None:
    """They are passed over, which the reader has to be told."""
    generator = np.random.default_rng(0)
    model = two_outputs(None)
    model.compile(
        "sgd", ["mse", "binary_crossentropy"], metrics=[["mae"], ["accuracy"]], run_eagerly=True
    )
    x = generator.normal(size=(8, 3))
    y = [generator.normal(size=(8, 2)), generator.integers(0, 2, (8, 1))]
    report = lockstep(model, x, y, batch_size=8)
    assert report.ok
    assert set(compared(report, "metric")) >= {"loss"}
    if set(compared(report, "metric")) == {"loss"}:
        assert any("metric" in note for note in report.notes)


@pytest.mark.parametrize("how", ["graph", "xla", "eager"])
def test_samples_of_many_lengths(how: str) -> None:
    """As texts have them that are sorted into batches by length."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((None, 3)),
            keras.layers.SimpleRNN(4, return_sequences=True, name="rnn"),
            keras.layers.Dense(2),
        ]
    )
    model.compile("adam", "mse", jit_compile=how == "xla", run_eagerly=how == "eager")
    lengths = [4, 6, 6, 3, 6, 4, 6, 4, 3, 6]  # often enough for the steps to be recorded

    def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        draw = np.random.default_rng(0)
        for length in lengths:
            x, y = draw.normal(size=(4, length, 3)), draw.normal(size=(4, length, 2))
            yield x.astype(np.float32), y.astype(np.float32)

    report = lockstep(model, batches())
    assert report.ok, str(report.first)
    assert report.steps == len(lengths)
    assert compared(report, "weight gradient")["rnn/recurrent_kernel"] == len(lengths)
