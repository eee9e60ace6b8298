"""Bidirectional alone: equal to Keras in every option, and right derivatives."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import LSTM, Bidirectional
from manual.registry import NoTwin

BATCH, LENGTH, INPUTS, UNITS = 3, 4, 3, 2
MASK = np.array([[1, 1, 1, 1], [0, 1, 0, 1], [1, 1, 0, 0]], bool)


def both_ways(kind: str, merge: str | None = "concat", **options: Any) -> Any:
    return keras.layers.Bidirectional(
        getattr(keras.layers, kind)(UNITS, **options), merge_mode=merge
    )


def cells() -> Any:
    return [keras.layers.LSTMCell(3), keras.layers.GRUCell(UNITS)]


def unlike() -> Any:
    """Two layers of different kinds, sizes the same."""
    there = keras.layers.LSTM(UNITS, return_sequences=True, activation="relu")
    back = keras.layers.GRU(UNITS, return_sequences=True, go_backwards=True)
    return keras.layers.Bidirectional(there, backward_layer=back)


LAYERS: dict[str, tuple[Any, bool]] = {
    "LSTM": (lambda: both_ways("LSTM"), False),
    "GRU, sequences": (lambda: both_ways("GRU", return_sequences=True), False),
    "SimpleRNN, sum": (lambda: both_ways("SimpleRNN", "sum", return_sequences=True), False),
    "LSTM, mean": (lambda: both_ways("LSTM", "ave"), False),
    "GRU, product": (lambda: both_ways("GRU", "mul", return_sequences=True), False),
    "unlike": (unlike, False),
    "both apart": (lambda: both_ways("LSTM", None, return_sequences=True), False),
    "states": (lambda: both_ways("GRU", return_state=True), False),
    "states apart, masked": (
        lambda: both_ways("LSTM", None, return_sequences=True, return_state=True),
        True,
    ),
    "cells": (lambda: keras.layers.Bidirectional(keras.layers.RNN(cells()), "mul"), True),
    "carried": (lambda: both_ways("LSTM", stateful=True, return_sequences=True), False),
    "masked": (lambda: both_ways("LSTM"), True),
    "masked sequences": (lambda: both_ways("GRU", "sum", return_sequences=True), True),
}


@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    made, masked = LAYERS[name]
    mask = {"mask": MASK} if masked else {}
    layer_equals_keras(made, (BATCH, LENGTH, INPUTS), {"training": True, **mask})


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
def test_initial_states_are_halved(kind: str, layer_equals_keras: Any) -> None:
    states = [(BATCH, UNITS)] * (4 if kind == "LSTM" else 2)
    layer_equals_keras(lambda: both_ways(kind, "ave"), [(BATCH, LENGTH, INPUTS), *states])


def test_convolutional_layers_in_both_directions(layer_equals_keras: Any) -> None:
    layer_equals_keras(
        lambda: keras.layers.Bidirectional(
            keras.layers.ConvLSTM1D(2, 2, padding="same", return_sequences=True)
        ),
        (BATCH, LENGTH, 3, 2),
        {"mask": MASK},
    )


@pytest.mark.parametrize("name", LAYERS)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    made, masked = LAYERS[name]
    mask = {"mask": MASK[1:, :3]} if masked else {}
    layer_derivative(made, (2, 3, INPUTS), mask, scale=0.25)


def test_in_lock_step_through_a_fit_with_what_was_dropped(eagerly: bool) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((5, 3)),
            keras.layers.Masking(),
            both_ways("GRU", return_sequences=True, dropout=0.3, recurrent_dropout=0.2),
            both_ways("LSTM", "ave", kernel_regularizer="l2"),
            keras.layers.Dense(2),
        ]
    )
    model.compile("adam", "mse", run_eagerly=eagerly)
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(20, 5, 3)), draw.normal(size=(20, 2))
    x[draw.random((20, 5)) < 0.3] = 0.0
    report = lockstep(model, x, y, batch_size=8)
    assert report.ok, str(report.first)
    drawn = [key for key in report.quantities if "backward_gru" in key[1]]
    assert {phase for phase, *_ in drawn} >= {"weight gradient", "optimizer slot", "weight"}


def test_each_weight_has_the_formula_of_its_layer() -> None:
    lstm = {"class_name": "LSTM", "config": keras.layers.LSTM(2, name="memory").get_config()}
    layer = Bidirectional(lstm, name="both")
    layer.build((3, 2), np.random.default_rng(0))
    for parameter in layer.parameters:
        kind = parameter.name.split("/")[-1]
        formula = layer.derivation[f"{parameter.name} gradient"]
        assert formula == LSTM.derivation[f"{kind} gradient"]
    assert layer.parameters[3].name == "backward_memory/lstm_cell/kernel"
    assert not any("memory" in quantity for quantity in Bidirectional.derivation)


def test_what_has_no_twin_is_refused() -> None:
    dense = {"class_name": "Dense", "config": keras.layers.Dense(2).get_config()}
    with pytest.raises(NoTwin, match="layer 'both': within Bidirectional only recurrent"):
        Bidirectional(dense, name="both")
