"""A step under GradientTape, on a copy: everything it computed, by name."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare.rounding.judge import judge
from compare.rounding.reference import Reference
from compare.twins.twin import twin_network
from keras_models import Recorder, Stepper, StepRecord, naming

NODES = ["hidden/pre_activation", "hidden", "class/pre_activation", "class"]
WEIGHTS = ["hidden/kernel", "hidden/bias", "class/kernel", "class/bias"]


def compiled(optimizer: Any = "adam", loss: str = "mse", **options: Any) -> keras.Model:
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(5, "tanh", name="hidden"),
            keras.layers.Dense(3, "sigmoid", name="class"),
        ]
    )
    model.compile(optimizer, loss, **{"run_eagerly": False, "jit_compile": False, **options})
    return model


def data(samples: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(samples, 4)), generator.random((samples, 3))
    return x.astype(keras.config.floatx()), y.astype(keras.config.floatx())


def first_record(model: keras.Model, x: np.ndarray, y: np.ndarray) -> StepRecord:
    records: list[StepRecord] = []
    model.fit(x, y, batch_size=len(x), verbose=0, callbacks=[Recorder(records.append)])
    return records[0]


def step(
    stepper: Stepper, record: StepRecord, *, beside: Any = None
) -> dict[str, dict[str, np.ndarray]]:
    return stepper.step(
        record.before,
        record.slots_before,
        record.iterations,
        record.learning_rate,
        record.x,
        record.y,
        beside=beside,
    )


def test_the_trace_has_every_phase_and_name() -> None:
    x, y = data(6)
    model = compiled()
    stepper = Stepper(model)
    trace = step(stepper, first_record(model, x, y))
    assert {phase: list(named) for phase, named in trace.items()} == {
        "activation": NODES,
        "loss": ["total"],
        "activation gradient": NODES,
        "weight gradient": WEIGHTS,
        "optimizer slot": [
            f"{name}/{slot}" for slot in ("momentum", "velocity") for name in WEIGHTS
        ],
        "weight": WEIGHTS,
    }
    widths = {"hidden/pre_activation": 5, "hidden": 5, "class/pre_activation": 3, "class": 3}
    for name, width in widths.items():
        assert trace["activation"][name].shape == (6, width)
        assert trace["activation gradient"][name].shape == (6, width)
    for name, weight in zip(WEIGHTS, model.get_weights(), strict=True):
        assert trace["weight gradient"][name].shape == weight.shape
        assert trace["weight"][name].shape == weight.shape


def test_calls_of_a_shared_layer_are_numbered() -> None:
    x = keras.Input((3,), name="x")
    shared = keras.layers.Dense(3, "tanh", name="shared")
    added = keras.layers.Add(name="sum")([shared(x), shared(shared(x))])
    model = keras.Model(x, added)
    model.compile("sgd", "mse", run_eagerly=True)
    stepper = Stepper(model)
    trace = step(stepper, first_record(model, *(np.ones((2, 3), "float32"),) * 2))
    calls = ["shared", "shared@2", "shared@3"]
    names = {name for call in calls for name in (call, f"{call}/pre_activation")}
    assert set(trace["activation"]) == {*names, "sum"}
    first, second, third = (trace["activation"][call] for call in calls)
    np.testing.assert_array_equal(first, second)  # both calls are made on x
    np.testing.assert_array_equal(trace["activation"]["sum"], first + third)


def test_the_step_is_the_one_that_fit_takes(precision: str) -> None:
    """From the same state and batch, operation by operation, every bit is the same."""
    x, y = data(6)
    model = compiled(run_eagerly=True)
    stepper = Stepper(model)
    record = first_record(model, x, y)
    trace = step(stepper, record)
    np.testing.assert_array_equal(trace["loss"]["total"], record.loss)
    for name in WEIGHTS:
        np.testing.assert_array_equal(trace["weight gradient"][name], record.gradients[name])
        np.testing.assert_array_equal(trace["weight"][name], record.after[name])
        for slot, named in record.slots_after.items():
            np.testing.assert_array_equal(trace["optimizer slot"][f"{name}/{slot}"], named[name])


def test_in_a_graph_the_step_differs_by_rounding_only(precision: str) -> None:
    """There the order of operations is TensorFlow's choice; both have to be right."""
    x, y = data(6)
    model = compiled()
    stepper, reference = Stepper(model), Reference(twin_network(model))
    record = first_record(model, x, y)
    trace = step(stepper, record)
    reference.load(record.before)
    _, loss = reference.whole(record.x, record.y, None)
    for found in (trace["loss"]["total"], record.loss):
        assert judge(found, loss).agrees
    for name, gradient in reference.gradients().items():
        for found in (trace["weight gradient"][name], record.gradients[name]):
            assert judge(found, gradient).agrees


def test_looking_does_not_touch_the_model(precision: str) -> None:
    x, y = data(6)
    model = compiled()
    record = first_record(model, x, y)
    stepper = Stepper(model)
    before = [variable.numpy() for variable in model.variables]
    train_function = model.train_function
    step(stepper, record)
    stepper.activations(x)
    stepper.train(x, y, batch_size=2, steps=4)
    for variable, value in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert model.train_function is train_function
    assert model.layers[0].activation is keras.activations.tanh
    assert all("call" not in layer.__dict__ for layer in model.layers)
    assert all("call" not in layer.__dict__ for layer in stepper.model.layers)


def test_a_step_depends_on_nothing_but_its_arguments() -> None:
    x, y = data(6)
    model = compiled()
    stepper = Stepper(model)
    record = first_record(model, x, y)
    one, other = step(stepper, record), None
    stepper.train(x, y, batch_size=2, steps=3)
    other = step(stepper, record)
    for phase, named in one.items():
        for name, array in named.items():
            np.testing.assert_array_equal(array, other[phase][name])


def test_batches_of_any_size() -> None:
    x, y = data(6)
    model = compiled()
    stepper = Stepper(model)
    record = first_record(model, x, y)
    for rows in (6, 1, 4):
        trace = stepper.step(
            record.before, record.slots_before, 0, record.learning_rate, x[:rows], y[:rows]
        )
        assert trace["activation"]["class"].shape == (rows, 3)


def test_samples_of_any_length() -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((None, 3)), keras.layers.SimpleRNN(2, name="rnn")])
    model.compile("sgd", "mse", jit_compile=False)
    stepper = Stepper(model)
    weights = {name: variable.numpy() for name, variable in naming.weights(model).items()}
    seeds = [variable.numpy() for variable in naming.seeds(model)]
    draw = np.random.default_rng(0)
    for length in (5, 5, 2, 7):
        x, y = draw.normal(size=(4, length, 3)), draw.normal(size=(4, 2))
        x, y = x.astype(np.float32), y.astype(np.float32)
        trace = stepper.step(weights, {}, 0, 0.1, x, y, seeds=seeds)
        np.testing.assert_array_equal(trace["activation"]["rnn"], model(x))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_step_beside_that_of_fit_is_the_same(jit_compile: bool, precision: str) -> None:
    """It begins with what ``fit`` begins with, not with what its step leaves."""
    x, y = data(14)
    model = compiled(jit_compile=jit_compile)
    stepper, records = Stepper(model), []
    recorder = Recorder(records.append, beside=stepper)
    model.fit(x, y, batch_size=4, epochs=2, verbose=0, callbacks=[recorder])
    assert len(records) == 8
    for record in records:
        beside = step(stepper, record, beside=record.beside)
        alone = step(stepper, record)
        assert beside.keys() == alone.keys()
        for phase, named in alone.items():
            assert beside[phase].keys() == named.keys()
            for name, array in named.items():
                np.testing.assert_array_equal(beside[phase][name], array)


@pytest.mark.parametrize("most", ["MANY_WEIGHTS", "LARGE"])
def test_no_large_step_is_taken_beside_another(most: str, monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = data(6)
    model = compiled()
    for allowed in (43, 42) if most == "MANY_WEIGHTS" else (1000, 10):
        monkeypatch.setattr(f"keras_models.stepper.{most}", allowed)
        records: list[StepRecord] = []
        recorder = Recorder(records.append, beside=Stepper(model))
        model.fit(x, y, verbose=0, callbacks=[recorder])
        assert (records[0].beside is None) == (allowed in (42, 10))


def test_activations_are_those_of_predict(precision: str) -> None:
    x, _ = data(6)
    model = compiled()
    stepper, reference = Stepper(model), Reference(twin_network(model))
    weights = dict(zip(WEIGHTS, model.get_weights(), strict=True))
    stepper.reset(weights, 0.001)
    reference.load(weights)
    activations = stepper.activations(x)
    assert list(activations) == NODES
    run = reference.network.forward([reference.exact(x)])
    for node, value in zip(reference.network.nodes, run.values, strict=True):
        assert node.is_input or judge(activations[node.name], value).agrees
    assert judge(model.predict(x, verbose=0), run.values[-1]).agrees


@pytest.mark.parametrize("rows", [8, 7])
def test_train_is_fit_without_shuffling(rows: int, precision: str) -> None:
    """Both train in graphs of their own; both end within rounding of where they should.

    The noise is that of the whole training: every step hands its own on to the next.
    """
    x, y = data(rows)
    model = compiled(keras.optimizers.SGD(0.125, momentum=0.5))
    weights = dict(zip(WEIGHTS, model.get_weights(), strict=True))
    stepper, reference = Stepper(model), Reference(twin_network(model))
    stepper.reset(weights, 0.125)
    steps = 3 * -(-rows // 2)
    model.fit(x, y, batch_size=2, epochs=3, shuffle=False, verbose=0)
    stepper.train(x, y, batch_size=2, steps=steps)

    network = reference.network
    reference.load(weights)
    memory = {
        name: {"momentum": reference.exact(np.zeros(weight.shape))}
        for name, weight in weights.items()
    }
    for start in list(range(0, rows, 2)) * 3:
        reference.whole(x[start : start + 2], y[start : start + 2], None)
        for name, gradient in reference.gradients().items():
            value = network.parameters[name].value
            network.optimizer.update(value, gradient, memory[name], 1, 0.125)
    for name, trained in zip(WEIGHTS, model.get_weights(), strict=True):
        expected = network.parameters[name].value
        assert judge(trained, expected).agrees
        assert judge(stepper.weights()[name], expected).agrees
        assert not judge(weights[name], expected).agrees
    assert int(stepper.model.optimizer.iterations) == int(model.optimizer.iterations) == steps


def test_train_goes_on_where_it_stopped() -> None:
    x, y = data(7)
    model = compiled("sgd")
    weights = dict(zip(WEIGHTS, model.get_weights(), strict=True))
    at_once, in_parts = Stepper(model), Stepper(model)
    for stepper in (at_once, in_parts):
        stepper.reset(weights, 0.01)
    at_once.train(x, y, batch_size=3, steps=8)
    in_parts.train(x, y, batch_size=3, steps=5)
    in_parts.train(x, y, batch_size=3, steps=3, start=5)
    for name in WEIGHTS:
        np.testing.assert_array_equal(at_once.weights()[name], in_parts.weights()[name])


def test_reset_puts_everything_back() -> None:
    x, y = data(6)
    model = compiled("adam")
    stepper = Stepper(model)
    weights = dict(zip(WEIGHTS, model.get_weights(), strict=True))
    ends = []
    for _ in range(2):
        stepper.reset(weights, 0.001)
        for name, weight in weights.items():
            np.testing.assert_array_equal(stepper.weights()[name], weight)
        stepper.train(x, y, batch_size=2, steps=3)
        ends.append(stepper.weights())
    for name in WEIGHTS:
        np.testing.assert_array_equal(ends[0][name], ends[1][name])
        assert not np.array_equal(ends[0][name], weights[name])
