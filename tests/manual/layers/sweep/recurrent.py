"""Recurrent layers, and what is wrapped around layers."""

from typing import Any

import keras

from sweep.tables import SHAPES, Table

STEPS = [(2, 3, 2), (1, 1, 3), (3, 4, 1)]
RECURRENT: dict[str, Any] = {
    "units": [2, 1],
    "activation": ["tanh", "relu", "linear"],
    "use_bias": [True, False],
    "return_sequences": [False, True],
    "go_backwards": [False, True],
    "unroll": [False, True],
    "zero_output_for_mask": [False, True],
}
GATED = {**RECURRENT, "recurrent_activation": ["sigmoid", "hard_sigmoid", "tanh"]}
MASK: dict[str, Any] = {"mask": [None, True]}
DROPPED: dict[str, Any] = {
    "units": [2],
    "dropout": [0.0, 0.4],
    "recurrent_dropout": [0.0, 0.3],
    "seed": [7],
}
TRAINING: dict[str, Any] = {"training": [True, False], "mask": [None, True]}
SHORT = [{"unroll": True, SHAPES: (1, 1, 3)}]
"""Keras unrolls two steps or more."""

WRAPPED: dict[str, Any] = {
    "Dense": lambda: keras.layers.Dense(2, "tanh"),
    "Conv1D": lambda: keras.layers.Conv1D(2, 2),
    "Flatten": lambda: keras.layers.Flatten(),
    "LayerNormalization": lambda: keras.layers.LayerNormalization(),
    "MaxPooling1D": lambda: keras.layers.MaxPooling1D(2),
    "LSTM": lambda: keras.layers.LSTM(2),
    "BatchNormalization": lambda: keras.layers.BatchNormalization(),
    "Dropout": lambda: keras.layers.Dropout(0.4, seed=3),
}


def time_distributed(layer: str) -> Any:
    return keras.layers.TimeDistributed(WRAPPED[layer]())


def bidirectional(
    layer: str, merge_mode: str | None, backward_layer: str = "same", **options: Any
) -> Any:
    there = getattr(keras.layers, layer)(2, **options)
    other: dict[str, Any] = {
        "same": None,
        "GRU": lambda: keras.layers.GRU(2, go_backwards=True, **options),
        "SimpleRNN": lambda: keras.layers.SimpleRNN(2, go_backwards=True, **options),
    }
    made = other[backward_layer]
    return keras.layers.Bidirectional(there, merge_mode=merge_mode, backward_layer=made and made())


MERGED = ["concat", "sum", "ave", "mul", None]

TABLES = [
    Table("SimpleRNN", STEPS, RECURRENT, MASK, never=SHORT),
    Table("LSTM", STEPS, {**GATED, "unit_forget_bias": [True, False]}, MASK, never=SHORT),
    Table("GRU", STEPS, {**GATED, "reset_after": [True, False]}, MASK, never=SHORT),
    Table("SimpleRNN", [(3, 3, 2)], DROPPED, TRAINING),
    Table("LSTM", [(3, 3, 2)], DROPPED, TRAINING),
    Table("GRU", [(3, 3, 2)], {**DROPPED, "reset_after": [True, False]}, TRAINING),
    Table(
        "Bidirectional",
        [(2, 3, 2), (1, 2, 1)],
        {
            "layer": ["LSTM", "GRU", "SimpleRNN"],
            "merge_mode": ["concat", "sum", "ave", "mul", None],
            "return_sequences": [False, True],
            "backward_layer": ["same", "GRU", "SimpleRNN"],
        },
        MASK,
        make=bidirectional,
    ),
    Table(
        "Bidirectional",
        [(2, 3, 2)],
        {
            "layer": ["LSTM", "GRU"],
            "merge_mode": MERGED,
            "return_sequences": [False, True],
            "return_state": [False, True],
            "stateful": [False, True],
        },
        {"training": [True], "mask": [None, True]},
        never=[{"return_state": True, "stateful": True}],  # Keras fails at their masks
        make=bidirectional,
    ),
    Table(
        "Bidirectional",
        [[(2, 3, 2), (2, 2), (2, 2)]],
        {
            "layer": ["GRU", "SimpleRNN"],
            "merge_mode": MERGED,
            "return_sequences": [False, True],
            "return_state": [False, True],
        },
        {"mask": [None, [True, False, False]]},
        make=bidirectional,
    ),
    Table(
        "Bidirectional",
        [(3, 3, 2)],
        {
            "layer": ["LSTM", "GRU"],
            "merge_mode": ["concat", "mul"],
            "dropout": [0.0, 0.4],
            "recurrent_dropout": [0.0, 0.3],
        },
        TRAINING,
        make=bidirectional,
    ),
    Table("TimeDistributed", [(2, 3, 4), (1, 1, 2)],
          {"layer": ["Dense", "LayerNormalization", "Flatten", "BatchNormalization"]},
          MASK, make=time_distributed),
    Table("TimeDistributed", [(2, 3, 4)], {"layer": ["Dropout", "BatchNormalization"]},
          TRAINING, make=time_distributed),
    Table("TimeDistributed", [(2, 2, 3, 2), (1, 1, 4, 1)],
          {"layer": ["Dense", "Conv1D", "MaxPooling1D", "Flatten", "LSTM"]},
          make=time_distributed),
]  # fmt: skip
