"""`compare.Lockstep` in somebody's own ``fit``: it sees everything and changes nothing."""

from __future__ import annotations

import io
from typing import Any

import keras
import numpy as np
import pytest

import compare
from compare.steps.checks import StepCheck

MODES = {
    "graph": {"jit_compile": False},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "three at a time": {"steps_per_execution": 3},
}
SAMPLES, BATCH = 20, 6  # the last of the four batches has two samples


def model(**options: Any) -> keras.Model:
    keras.utils.set_random_seed(2)
    network = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh", name="hidden"),
            keras.layers.BatchNormalization(name="normal"),
            keras.layers.Dropout(0.3, name="drop"),
            keras.layers.Dense(3, "softmax", name="out"),
        ]
    )
    network.compile(
        keras.optimizers.Adam(0.01),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        **options,
    )
    return network


def fit(network: keras.Model, *callbacks: keras.callbacks.Callback, **options: Any) -> Any:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(SAMPLES, 4)), generator.integers(0, 3, SAMPLES)
    given = {"batch_size": BATCH, "epochs": 2, "verbose": 0, "validation_data": (x, y), **options}
    history = network.fit(x, y, callbacks=list(callbacks), **given)
    return [variable.numpy() for variable in network.variables], history.history


@pytest.fixture
def wrong_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Keras move its weights a tenth too far, in every step."""
    right = keras.optimizers.Adam.update_step

    def update_step(self: Any, gradient: Any, variable: Any, learning_rate: Any) -> Any:
        return right(self, gradient, variable, learning_rate * 1.1)

    monkeypatch.setattr(keras.optimizers.Adam, "update_step", update_step)


@pytest.mark.parametrize(
    ("mode", "every"), [("graph", 1), ("xla", 1), ("eager", 3), ("three at a time", 3)]
)
def test_the_training_is_the_same_to_the_last_bit(mode: str, every: int) -> None:
    alone, history = fit(model(**MODES[mode]))
    callback = compare.Lockstep(every=every, on_difference="raise", file=io.StringIO())
    followed, its_history = fit(model(**MODES[mode]), callback)
    for one, other in zip(alone, followed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert its_history == history
    assert callback.report.ok
    assert callback.report.steps == (8 if every == 1 else 3)


def test_every_step_is_all_that_lockstep_compares() -> None:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(SAMPLES, 4)), generator.integers(0, 3, SAMPLES)
    report = compare.lockstep(
        model(), x, y, batch_size=BATCH, epochs=2, validation_data=(x, y), shuffle=False
    )
    callback = compare.Lockstep(file=io.StringIO())
    fit(model(), callback, shuffle=False)
    assert callback.report.quantities == report.quantities
    assert callback.report.history == report.history


def test_chosen_steps_alone_are_compared() -> None:
    callback = compare.Lockstep(steps=[2, 7], file=io.StringIO())
    fit(model(), callback)
    kernels = [
        one
        for (phase, name, _), one in callback.report.quantities.items()
        if (phase, name) == ("weight", "hidden/kernel")
    ]
    assert [one.compared for one in kernels] == [2, 2, 2]  # by the tape, by fit, by hand alone
    assert callback.report.drift is None
    assert not callback.report.history


def test_of_chosen_steps_what_fit_and_tape_share_is_derived_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where both computed the same to the last bit; else the step is derived as always."""
    derived: list[int] = []
    whole_step = StepCheck.whole_step

    def counted(self: StepCheck) -> Any:
        derived.append(self.record.step)
        return whole_step(self)

    monkeypatch.setattr(StepCheck, "whole_step", counted)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax", name="out")])
    network.compile("adam", "sparse_categorical_crossentropy")
    callback = compare.Lockstep(every=3, on_difference="raise", file=io.StringIO())
    fit(network, callback, batch_size=5, epochs=3)
    assert derived == []
    distances = {key: one.distance for key, one in callback.report.quantities.items()}
    of_fit = {key for key in distances if key[2] == "model.fit" and key[0] != "input"}
    assert {phase for phase, _, _ in of_fit} == {
        *("loss", "weight gradient", "optimizer slot", "weight"),
    }
    for phase, name, _ in of_fit:
        if name != "learning_rate":
            assert distances[phase, name, "model.fit"] == distances[phase, name, "GradientTape"]
            assert callback.report.quantities[phase, name, "model.fit"].compared >= 4

    right = network.optimizer.update_step

    def update_step(gradient: Any, variable: Any, learning_rate: Any) -> None:
        right(gradient, variable, learning_rate * 1.1)

    monkeypatch.setattr(network.optimizer, "update_step", update_step)
    network.make_train_function(force=True)
    callback = compare.Lockstep(every=3, on_difference="record", file=io.StringIO())
    fit(network, callback, batch_size=5, epochs=1)
    assert derived
    assert {(one.phase, one.source) for one in callback.report.findings} == {
        ("weight", "model.fit")
    }


def test_a_fault_is_found_in_the_first_step_that_is_looked_at(wrong_update: None) -> None:
    callback = compare.Lockstep(steps=[5], on_difference="record")
    fit(model(), callback)
    first = callback.report.first
    assert first is not None
    assert (first.step, first.phase, first.name) == (5, "weight", "hidden/kernel")


def test_raising_stops_the_training_and_leaves_the_model_whole(wrong_update: None) -> None:
    network = model()
    with pytest.raises(compare.Disagreement, match="step 1 · weight · hidden/kernel"):
        fit(network, compare.Lockstep(on_difference="raise"))
    assert "train_step" not in vars(network)
    assert network.optimizer.iterations == 1
    fit(network)
    assert network.optimizer.iterations == 9


def test_warning_tells_each_step_and_lets_it_go_on(wrong_update: None) -> None:
    told = io.StringIO()
    alone, _ = fit(model())
    followed, _ = fit(model(), compare.Lockstep(file=told))
    for one, other in zip(alone, followed, strict=True):
        np.testing.assert_array_equal(one, other)
    assert told.getvalue().startswith("step 1 · weight · hidden/kernel")
    assert "so the fault is in 'Adam'" in told.getvalue()
    silent = io.StringIO()
    fit(model(), compare.Lockstep(on_difference="record", file=silent))
    assert silent.getvalue() == ""


def test_a_line_for_every_epoch() -> None:
    told = io.StringIO()
    callback = compare.Lockstep(every=4, phases=["loss"], file=told)
    fit(model(), callback)
    largest = max(one.distance for one in callback.report.quantities.values())
    assert told.getvalue().splitlines()[-1] == (
        f"lockstep 2/2  6 quantities compared, all agree (largest {largest:.2g} × noise)"
    )
    assert {phase for phase, _, _ in callback.report.quantities} == {"loss"}


def test_one_callback_for_two_trainings() -> None:
    callback = compare.Lockstep(steps=[1], file=io.StringIO())
    network = model()
    fit(network, callback)
    first = callback.report
    fit(network, callback)
    assert callback.report is not first
    assert callback.report.ok
    assert callback.report.compared < first.compared  # weights and slots at the start, once


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"every": 0}, "every must be a whole number from 1. Received: 0."),
        ({"steps": [0]}, "steps are numbers from 1 on"),
        ({"steps": [2], "every": 3}, "given instead of every"),
        ({"steps": 3}, "steps must be a list. Received: 3."),
        ({"on_difference": "stop"}, "on_difference is 'raise', 'warn' or 'record'"),
        ({"phases": ["gradients"]}, "Received: 'gradients'."),
        ({"phases": "loss"}, "phases must be a list"),
    ],
)
def test_options_that_mean_nothing(options: dict[str, Any], told: str) -> None:
    with pytest.raises(compare.BadInput, match=told):
        compare.Lockstep(**options)


def test_what_has_no_twin_is_refused_before_the_first_step() -> None:
    class Odd(keras.losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return keras.ops.mean(y_pred, axis=-1)

    network = model()
    network.compile("sgd", Odd())
    before = network.get_weights()
    with pytest.raises(compare.BadInput, match="Odd"):
        fit(network, compare.Lockstep())
    for one, other in zip(before, network.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_page_of_it() -> None:
    films = [compare.Film(), compare.Film()]
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(SAMPLES, 4)), generator.integers(0, 3, SAMPLES)
    options = {"batch_size": BATCH, "epochs": 2, "validation_data": (x, y), "shuffle": False}
    compare.lockstep(model(), x, y, **options, witness=films[0])
    fit(model(), compare.Lockstep(file=io.StringIO(), witness=films[1]), shuffle=False)
    assert films[1].points == films[0].points
    assert films[1].columns == films[0].columns
    assert [frame.step for frame in films[1].frames] == list(range(1, 9))


def test_a_page_of_chosen_steps_has_no_curves_of_all() -> None:
    """Nobody trains by hand between them: there is no drift, and no second loss."""
    film = compare.Film()
    fit(model(), compare.Lockstep(every=3, file=io.StringIO(), witness=film))
    assert [frame.step for frame in film.frames] == [1, 4, 7]
    assert [column.first for column in film.columns] == [1, 4, 7]
    assert film.points == []
    page = film.to_html()
    assert "Every layer, every step" in page
    assert "drift apart</h3>" not in page
    assert "The band shows how far" not in page


def test_a_page_of_chosen_steps_in_which_fit_and_tape_are_alike() -> None:
    """Then the hand-written half takes no step by itself at all."""
    keras.utils.set_random_seed(0)
    network = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, "softmax")])
    network.compile("adam", "sparse_categorical_crossentropy")
    film = compare.Film()
    fit(network, compare.Lockstep(every=3, file=io.StringIO(), witness=film))
    assert [frame.step for frame in film.frames] == [1, 4, 7]
    assert film.points == []
