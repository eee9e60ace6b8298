"""Cells on their own, in RNN, and upon each other: equal to Keras, and right derivatives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import RNN, LSTMCell, StackedRNNCells
from manual.registry import NoTwin

BATCH, LENGTH, INPUTS, UNITS = 3, 4, 3, 2
X, STEP, H = (BATCH, LENGTH, INPUTS), (BATCH, INPUTS), (BATCH, UNITS)
MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0]], bool)


def simple(**options: Any) -> Any:
    return keras.layers.SimpleRNNCell(UNITS, **options)


def lstm(**options: Any) -> Any:
    return keras.layers.LSTMCell(UNITS, **options)


def gru(**options: Any) -> Any:
    return keras.layers.GRUCell(UNITS, **options)


ALONE: dict[str, tuple[Any, int]] = {
    "SimpleRNNCell": (simple, 1),
    "SimpleRNNCell, no bias": (lambda: simple(use_bias=False, activation="relu"), 1),
    "LSTMCell": (lstm, 2),
    "LSTMCell, linear gates": (lambda: lstm(recurrent_activation=None, unit_forget_bias=False), 2),
    "GRUCell": (gru, 1),
    "GRUCell, reset before": (lambda: gru(reset_after=False), 1),
    "StackedRNNCells": (lambda: keras.layers.StackedRNNCells([lstm(), gru(), simple()]), 4),
}


@pytest.mark.parametrize("name", ALONE)
def test_a_cell_alone_equals_keras(name: str, layer_equals_keras: Any) -> None:
    make, states = ALONE[name]
    layer_equals_keras(make, [STEP, *[H] * states])


@pytest.mark.parametrize("name", ALONE)
def test_the_derivative_of_a_cell_alone(name: str, layer_derivative: Any) -> None:
    make, states = ALONE[name]
    layer_derivative(make, [(2, INPUTS), *[(2, UNITS)] * states], scale=0.25)


IN_TIME: dict[str, tuple[Any, bool]] = {
    "SimpleRNNCell": (lambda: keras.layers.RNN(simple()), False),
    "LSTMCell, states": (lambda: keras.layers.RNN(lstm(), return_state=True), True),
    "GRUCell, backwards": (
        lambda: keras.layers.RNN(gru(), go_backwards=True, return_sequences=True, stateful=True),
        True,
    ),
    "several": (
        lambda: keras.layers.RNN(
            [gru(), lstm(), simple()], return_sequences=True, return_state=True
        ),
        True,
    ),
    "several, backwards": (
        lambda: keras.layers.RNN(
            [lstm(), keras.layers.GRUCell(3, use_bias=False)],
            return_sequences=True,
            go_backwards=True,
            unroll=True,
            zero_output_for_mask=True,
        ),
        True,
    ),
}


@pytest.mark.parametrize("name", IN_TIME)
def test_cells_in_time_equal_keras(name: str, layer_equals_keras: Any) -> None:
    make, masked = IN_TIME[name]
    layer_equals_keras(make, X, {"training": True, **({"mask": MASK} if masked else {})})


@pytest.mark.parametrize("name", IN_TIME)
def test_the_derivative_of_cells_in_time(name: str, layer_derivative: Any) -> None:
    make, masked = IN_TIME[name]
    layer_derivative(make, (2, 3, INPUTS), {"mask": MASK[1:, :3]} if masked else {}, scale=0.25)


def test_the_states_of_several_cells_are_given_one_after_the_other(
    layer_equals_keras: Any,
) -> None:
    layer_equals_keras(lambda: keras.layers.RNN([lstm(), gru()], return_state=True), [X, H, H, H])


def test_what_each_cell_drops_is_replayed() -> None:
    keras.utils.set_random_seed(0)
    cells = [
        lstm(dropout=0.3, recurrent_dropout=0.2, kernel_regularizer="l2"),
        gru(dropout=0.4),
        simple(recurrent_dropout=0.5),
    ]
    model = keras.Sequential(
        [
            keras.Input(X[1:]),
            keras.layers.Masking(),
            keras.layers.RNN(cells, return_sequences=True, name="cells"),
            keras.layers.RNN(gru(recurrent_dropout=0.3), name="cell"),
            keras.layers.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(8, *X[1:])), draw.normal(size=(8, 1))
    x[::2, 2:] = 0.0
    report = lockstep(model, x, y, batch_size=3)
    assert report.ok, str(report.first)
    names = {name for phase, name, *_ in report.quantities if phase == "weight gradient"}
    assert sum(name.startswith("cells/stacked_rnn_cells") for name in names) == 9
    assert "cell/kernel" in names


def test_cells_in_a_graph_are_compared_in_lock_step() -> None:
    keras.utils.set_random_seed(0)
    x, h = keras.Input(STEP[1:]), keras.Input(H[1:])
    cell = gru(name="cell")
    y, after = cell(x, h)
    y, _ = cell(keras.layers.Dense(INPUTS)(y), after)
    above, _ = keras.layers.StackedRNNCells([simple(), lstm()], name="above")(x, [y, [h, y]])
    model = keras.Model([x, h], keras.layers.Dense(1)(above))
    model.compile("sgd", "mse")
    draw = np.random.default_rng(1)
    arrays = [draw.normal(size=(8, *shape)) for shape in (STEP[1:], H[1:], (1,))]
    report = lockstep(model, arrays[:2], arrays[2], batch_size=4)
    assert report.ok, str(report.first)


def test_each_weight_has_the_formula_of_its_cell() -> None:
    cells = [
        {"class_name": "LSTMCell", "config": {"name": name, "units": 2}} for name in ("a", "b")
    ]
    layer = StackedRNNCells(cells, name="stack")
    layer.build([(3,)], np.random.default_rng(0))
    assert [one.name for one in layer.parameters[:2]] == ["a/kernel", "a/recurrent_kernel"]
    for parameter in layer.parameters:
        kind = parameter.name.split("/")[-1]
        assert (
            layer.derivation[f"{parameter.name} gradient"]
            == LSTMCell.derivation[f"{kind} gradient"]
        )


def test_what_is_no_cell_is_refused() -> None:
    dense = {"class_name": "Dense", "config": {"name": "dense", "units": 2}}
    with pytest.raises(NoTwin, match="layer 'memory': Dense has no twin as a cell"):
        RNN(dense, name="memory")


def test_a_cell_keeps_what_it_has_drawn(generator: np.random.Generator) -> None:
    """For its second call, and for the steps after, as Keras runs them eagerly."""
    x, h = keras.Input((3,)), keras.Input((2,))
    cell = keras.layers.GRUCell(2, dropout=0.5, recurrent_dropout=0.5)
    _, state = cell(x, [h])
    y, _ = cell(x, state)
    model = keras.Model([x, h], y)
    model.compile("sgd", "mse", run_eagerly=True)
    data = [generator.normal(size=(4, 3)), generator.normal(size=(4, 2))]
    lockstep(model, data, generator.normal(size=(4, 2)), batch_size=2).raise_if_different()


def test_a_cell_that_charges_for_what_it_gives_is_refused() -> None:
    cell = keras.layers.GRUCell(2, activity_regularizer="l2")
    config = {"class_name": "GRUCell", "config": cell.get_config()}
    with pytest.raises(NoTwin, match=r"layer 'memory': Keras charges .* to the layer around it\.$"):
        RNN(config, name="memory")
