"""Cells by themselves, upon each other, and in the layer that runs them through time."""

from typing import Any

import keras

from sweep.tables import Table

X, STEP, H = (2, 3, 3), (2, 3), (2, 2)
CELL: dict[str, Any] = {
    "units": [2],
    "activation": ["tanh", "relu", "linear"],
    "use_bias": [True, False],
}
GATED: dict[str, Any] = {**CELL, "recurrent_activation": ["sigmoid", "hard_sigmoid", "tanh"]}
DROPPED: dict[str, Any] = {
    "units": [2],
    "dropout": [0.0, 0.4],
    "recurrent_dropout": [0.0, 0.3],
    "seed": [7],
}
TRAINING: dict[str, Any] = {"training": [True, False]}
MASKED: dict[str, Any] = {"training": [True], "mask": [None, True]}

SEVERAL = ["LSTM", "GRU", "SimpleRNN", "LSTM GRU", "SimpleRNN LSTM", "GRU GRU SimpleRNN"]
ONE_STATE = ["GRU", "SimpleRNN"]
TWO_STATES = ["LSTM", "GRU SimpleRNN"]


def cells_of(names: str, **options: Any) -> list[Any]:
    return [getattr(keras.layers, f"{name}Cell")(2, **options) for name in names.split()]


def stacked(cells: str, **options: Any) -> Any:
    return keras.layers.StackedRNNCells(cells_of(cells, **options))


def through_time(
    cell: str, dropout: float = 0.0, recurrent_dropout: float = 0.0, **options: Any
) -> Any:
    dropped = {"dropout": dropout, "recurrent_dropout": recurrent_dropout, "seed": 7}
    cells = cells_of(cell, **dropped)
    return keras.layers.RNN(cells if len(cells) > 1 else cells[0], **options)


FLAGS: dict[str, Any] = {
    "return_state": [False, True],
    "return_sequences": [False, True],
    "go_backwards": [False, True],
    "unroll": [False, True],
    "zero_output_for_mask": [False, True],
}
KEPT: dict[str, Any] = {**FLAGS, "stateful": [False, True]}

TABLES = [
    Table("SimpleRNNCell", [[STEP, H]], CELL),
    Table("LSTMCell", [[STEP, H, H]], {**GATED, "unit_forget_bias": [True, False]}),
    Table("GRUCell", [[STEP, H]], {**GATED, "reset_after": [True, False]}),
    Table("SimpleRNNCell", [[STEP, H]], DROPPED, TRAINING),
    Table("LSTMCell", [[STEP, H, H]], DROPPED, TRAINING),
    Table("GRUCell", [[STEP, H]], {**DROPPED, "reset_after": [True, False]}, TRAINING),
    *(
        Table(name, [[STEP, *[(2, 1)] * states]], {"units": [1]})
        for name, states in (("SimpleRNNCell", 1), ("LSTMCell", 2), ("GRUCell", 1))
    ),
    Table("StackedRNNCells", [[STEP, H, H]],
          {"cells": ["LSTM", "GRU SimpleRNN", "SimpleRNN GRU"], "use_bias": [True, False]},
          make=stacked),
    Table("StackedRNNCells", [[STEP, H, H, H, H]],
          {"cells": ["LSTM LSTM", "GRU LSTM SimpleRNN"], "dropout": [0.0, 0.4], "seed": [7]},
          TRAINING, make=stacked),
    Table("RNN", [X, (1, 2, 1)], {"cell": SEVERAL, **KEPT}, MASKED, make=through_time),
    Table("RNN", [X], {"cell": ["LSTM", "GRU SimpleRNN"], "dropout": [0.0, 0.4],
                       "recurrent_dropout": [0.0, 0.3]}, TRAINING, make=through_time),
    Table("RNN", [[X, H]], {"cell": ONE_STATE, **FLAGS}, {"mask": [None, [True, False]]},
          make=through_time),
    Table("RNN", [[X, H, H]], {"cell": TWO_STATES, **FLAGS},
          {"mask": [None, [True, False, False]]}, make=through_time),
]  # fmt: skip
