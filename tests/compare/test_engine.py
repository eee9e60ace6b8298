"""The lock-step follows a training in every way in which ``fit`` can be asked for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from counting import compared

from compare import Report, lockstep
from compare.trace import PHASES
from compare.twins.twin import twin_network
from keras_models import Stepper

Model = Callable[..., keras.Model]
Data = Callable[..., tuple[np.ndarray, np.ndarray]]


# ---------------------------------------------------------------------- how long


def test_every_quantity_of_every_step_is_counted(
    precision: str, classifier: Model, random_classes: Data
) -> None:
    x, y = random_classes(20, 4, 3)
    report = lockstep(classifier(optimizer="adam"), x, y, batch_size=8, epochs=2)
    assert report.ok, str(report.first)
    assert (report.steps, report.epochs, report.dtype) == (6, 2, precision)
    weights = ["hidden/kernel", "hidden/bias", "class/kernel", "class/bias"]
    slots = [f"{name}/{slot}" for name in weights for slot in ("momentum", "velocity")]
    nodes = ["hidden/pre_activation", "hidden", "class/pre_activation", "class"]
    tape, fit, own = "GradientTape", "model.fit", "manual.Network"
    expected = {
        ("input", fit): dict.fromkeys(weights, 1),
        ("activation", tape): dict.fromkeys(nodes, 6),
        ("loss", tape): {"total": 6},
        ("loss", fit): {"total": 6},
        ("loss", own): {"total": 6},
        # The loss is differentiated from the logits, so the softmax itself has no gradient.
        ("activation gradient", tape): dict.fromkeys(nodes[:3], 6),
        ("weight gradient", tape): dict.fromkeys(weights, 6),
        ("weight gradient", fit): dict.fromkeys(weights, 6),
        ("optimizer slot", tape): dict.fromkeys(slots, 6),
        ("optimizer slot", fit): dict.fromkeys(slots, 7),  # and before the first step
        ("optimizer slot", own): dict.fromkeys(slots, 6),
        ("weight", tape): dict.fromkeys(weights, 6),
        ("weight", fit): dict.fromkeys(weights, 6),
        ("weight", own): dict.fromkeys(weights, 6),
        ("state", own): {"iterations": 6},
        ("metric", fit): {"loss": 2},
    }
    found = {
        (phase, source): compared(report, phase, source)
        for phase in PHASES
        for source in (tape, fit, own)
        if compared(report, phase, source)
    }
    assert found == expected
    assert report.compared == sum(sum(counts.values()) for counts in expected.values())


def test_steps_ends_the_training_in_the_middle_of_an_epoch(
    classifier: Model, random_classes: Data
) -> None:
    x, y = random_classes(20, 4, 3)
    report = lockstep(classifier(), x, y, batch_size=4, epochs=3, steps=7)
    assert report.ok
    assert (report.steps, report.epochs) == (7, 2)
    assert compared(report, "loss", "model.fit") == {"total": 7}


def test_on_step_sees_the_report_grow(classifier: Model, random_classes: Data) -> None:
    x, y = random_classes(12, 4, 3)
    seen: list[tuple[int, int]] = []
    given = Report("", "")
    report = lockstep(
        classifier(),
        x,
        y,
        batch_size=4,
        label="three steps",
        report=given,
        on_step=lambda growing: seen.append((growing.steps, growing.compared)),
    )
    assert report is given
    assert report.label == "three steps"
    assert [steps for steps, _ in seen] == [1, 2, 3]
    per_step = seen[1][1] - seen[0][1]
    initial_weights = 4
    assert [count for _, count in seen] == [n * per_step + initial_weights for n in (1, 2, 3)]
    assert report.compared == seen[-1][1] + 1  # and the epoch's loss


def test_callbacks_of_the_caller_come_last(classifier: Model, random_classes: Data) -> None:
    x, y = random_classes(8, 4, 3)
    seen = []

    class Reader(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append((epoch, len(report.history), logs["loss"]))

    report = Report("", "")
    lockstep(classifier(), x, y, batch_size=4, epochs=2, report=report, callbacks=[Reader()])
    assert [(epoch, pairs) for epoch, pairs, _ in seen] == [(0, 1), (1, 2)]
    assert [loss for *_, loss in seen] == [pair.keras["loss"] for pair in report.history]


# ---------------------------------------------------------------------- fit is left alone


@pytest.mark.parametrize(
    ("dtype", "mode", "samples"),
    [
        ("float32", {"run_eagerly": True}, 22),
        ("float64", {"run_eagerly": True}, 22),
        ("float32", {"run_eagerly": False}, 22),
        ("float64", {"run_eagerly": False}, 22),
        ("float32", {"run_eagerly": False, "jit_compile": True}, 16),
    ],
)
def test_training_is_bit_for_bit_that_of_fit_alone(
    dtype: str,
    mode: dict[str, bool],
    samples: int,
    use_precision: Callable[[str], None],
    classifier: Model,
    random_classes: Data,
) -> None:
    use_precision(dtype)
    x, y = random_classes(samples, 4, 3)
    trained = []
    for train in (
        lambda model: model.fit(x, y, batch_size=8, epochs=2, verbose=0),
        lambda model: lockstep(model, x, y, batch_size=8, epochs=2),
    ):
        keras.utils.set_random_seed(7)  # the order in which fit shuffles
        model = classifier(optimizer="adam", **mode)
        result = train(model)
        trained.append([variable.numpy() for variable in model.variables])
    assert result.ok, str(result.first)
    for alone, followed in zip(*trained, strict=True):
        np.testing.assert_array_equal(alone, followed)


def test_shuffling_is_fits_own(classifier: Model, random_classes: Data) -> None:
    """Without shuffling the first weights after a step are those of the first rows."""
    x, y = random_classes(16, 4, 3)
    model, same = classifier(), classifier()
    report = lockstep(model, x, y, batch_size=8, shuffle=False, steps=1)
    assert report.ok
    same.train_on_batch(x[:8], y[:8])
    for one, other in zip(model.get_weights(), same.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------------- other ways to begin


def test_a_stepper_that_is_there_is_used(classifier: Model, random_classes: Data) -> None:
    x, y = random_classes(12, 4, 3)
    model = classifier()
    stepper = Stepper(model)
    steps = []
    own_step = stepper.step
    stepper.step = lambda *args, **seeds: (  # type: ignore
        steps.append(args[2]) or own_step(*args, **seeds)
    )
    assert lockstep(model, x, y, batch_size=4, stepper=stepper).ok
    assert steps == [0, 1, 2]


def test_a_layer_that_is_not_trained(
    precision: str, classifier: Model, random_classes: Data
) -> None:
    x, y = random_classes(12, 4, 3)
    model = classifier()
    model.get_layer("hidden").trainable = False
    model.compile("adam", "categorical_crossentropy", run_eagerly=True)
    before = model.get_layer("hidden").get_weights()
    report = lockstep(model, x, y, batch_size=8)
    assert report.ok, str(report.first)
    assert set(compared(report, "weight gradient")) == {"class/kernel", "class/bias"}
    assert set(compared(report, "weight")) == {
        "hidden/kernel",
        "hidden/bias",
        "class/kernel",
        "class/bias",
    }
    for one, other in zip(before, model.get_layer("hidden").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# ---------------------------------------------------------------------- what is noted


def test_history_tells_what_both_halves_say(
    precision: str, classifier: Model, random_classes: Data
) -> None:
    """What stands there is Keras's log, and what the twin says when it is trained alone."""
    x, y = random_classes(12, 4, 3)
    model = classifier(optimizer="adam")
    twin = twin_network(model)
    logs: list[dict[str, float]] = []
    report = lockstep(
        model,
        x,
        y,
        batch_size=12,
        epochs=3,
        shuffle=False,
        callbacks=[keras.callbacks.LambdaCallback(on_epoch_end=lambda _, log: logs.append(log))],
    )
    assert [pair.epoch for pair in report.history] == [1, 2, 3]
    assert [pair.keras["loss"] for pair in report.history] == [log["loss"] for log in logs]
    x, y = x.astype(precision), y.astype(precision)
    assert [pair.by_hand["loss"] for pair in report.history] == [
        twin.train_step(x, y) for _ in range(3)
    ]
    pairs = list(zip(model.get_weights(), twin.get_weights(), strict=True))
    difference = max(np.abs(theirs - ours).max() for theirs, ours in pairs)
    drift = float(difference) / float(max(np.abs(theirs).max() for theirs, _ in pairs))
    assert report.history[-1].weight_drift == drift


def test_without_metrics_there_are_no_notes(classifier: Model, random_classes: Data) -> None:
    x, y = random_classes(8, 4, 3)
    report = lockstep(classifier(), x, y, batch_size=8)
    assert report.notes == []
    assert compared(report, "metric") == {"loss": 1}


def test_a_metric_without_a_twin_is_noted(classifier: Model, random_classes: Data) -> None:
    x, y = random_classes(8, 4, 3)
    model = classifier(metrics=["accuracy", keras.metrics.F1Score(name="area")])
    report = lockstep(model, x, y, batch_size=8)
    assert report.ok
    assert report.notes == ["metrics without a twin, passed over: area"]
    assert compared(report, "metric") == {"loss": 1, "accuracy": 1}


def test_training_that_bursts_ends_with_a_note(precision: str, model_of: Model) -> None:
    model = model_of(1, keras.layers.Dense(1, name="line"), optimizer=keras.optimizers.SGD(1e30))
    x = np.ones((4, 1))
    report = lockstep(model, x, x, batch_size=4, epochs=100)
    assert report.ok, str(report.first)
    assert report.steps < 20
    burst = f"both halves became non-finite at step {report.steps}, first "
    (note,) = report.notes
    assert note.startswith(f"{burst}inf at loss · total")


def test_a_second_lockstep_goes_on_where_the_first_ended(
    use_precision: Callable[[str], None], classifier: Model, random_classes: Data
) -> None:
    """The optimizer's memory and its step count go over to the half that trains on its own.

    In float64 the two can only drift apart by rounding; even magnified 10⁸ times it stays below
    what float32 can tell. A step of Adam with an empty memory is off by a few per cent.
    """
    use_precision("float64")
    x, y = random_classes(8, 4, 3)
    model = classifier(optimizer=keras.optimizers.Adam(0.01))
    for _ in range(2):
        report = lockstep(model, x, y, batch_size=4)
        assert report.ok, str(report.first)
        assert report.history[0].weight_drift < 2.0**-24
    assert int(model.optimizer.iterations) == 4
