"""States of recurrent layers: given, returned, carried from batch to batch."""

from typing import Any

from sweep.tables import Table

X, H = (2, 3, 2), (2, 2)
FLAGS: dict[str, Any] = {
    "return_state": [False, True],
    "return_sequences": [False, True],
    "go_backwards": [False, True],
    "unroll": [False, True],
    "zero_output_for_mask": [False, True],
}
KEPT: dict[str, Any] = {**FLAGS, "stateful": [False, True]}
GIVEN: dict[str, Any] = {"training": [True], "mask": [None, [True, False]]}
GIVEN_TWO: dict[str, Any] = {"training": [True], "mask": [None, [True, False, False]]}
TRAINING: dict[str, Any] = {"training": [True], "mask": [None, True]}

LINE, IMAGE, VOLUME = (2, 3, 5, 2), (2, 3, 4, 3, 2), (2, 2, 3, 2, 3, 1)
CONVOLVED: dict[str, Any] = {
    "filters": [2, 1],
    "padding": ["valid", "same"],
    "activation": ["tanh", "relu"],
    "recurrent_activation": ["sigmoid", "hard_sigmoid"],
    "use_bias": [True, False],
    "unit_forget_bias": [True, False],
    "return_sequences": [False, True],
    "return_state": [False, True],
    "go_backwards": [False, True],
    "stateful": [False, True],
    "unroll": [False, True],
    "zero_output_for_mask": [False, True],
    "data_format": ["channels_last"],
}
APART: list[dict[str, Any]] = [{"strides": 2, "dilation_rate": 2}]


def convolved(name: str, shapes: list[Any], kernels: list[Any]) -> Table:
    options = {**CONVOLVED, "kernel_size": kernels, "strides": [1, 2], "dilation_rate": [1, 2]}
    return Table(name, shapes, options, TRAINING, never=APART, steps=True)


def channels_first(name: str, shape: Any, kernel: Any) -> Table:
    """XLA runs these, which takes its time; a loop that it runs has no gradient outside it."""
    options = {
        "filters": [2],
        "kernel_size": [kernel],
        "data_format": ["channels_first"],
        "padding": ["valid", "same"],
        "return_sequences": [False, True],
        "unroll": [True],
    }
    return Table(name, [shape], options, {"training": [True]}, steps=True)


TABLES = [
    Table("SimpleRNN", [[X, H]], {"units": [2], **FLAGS}, GIVEN),
    Table("GRU", [[X, H]], {"units": [2], **FLAGS}, GIVEN),
    Table("LSTM", [[X, H, H]], {"units": [2], **FLAGS}, GIVEN_TWO),
    Table("SimpleRNN", [X], {"units": [2], **KEPT}, TRAINING),
    Table("GRU", [X], {"units": [2], "reset_after": [True, False], **KEPT}, TRAINING),
    Table("LSTM", [X], {"units": [2], **KEPT}, TRAINING),
    convolved("ConvLSTM1D", [LINE], [2, 3]),
    convolved("ConvLSTM2D", [IMAGE], [2, (1, 2)]),
    convolved("ConvLSTM3D", [VOLUME], [(2, 1, 2), 1]),
    channels_first("ConvLSTM1D", LINE, 2),
    channels_first("ConvLSTM2D", IMAGE, 2),
    channels_first("ConvLSTM3D", VOLUME, (1, 2, 1)),
    Table(
        "ConvLSTM1D",
        [[LINE, (2, 5, 2), (2, 5, 2)]],
        {"filters": [2], "kernel_size": [2], "padding": ["same"], "return_state": [False, True],
         "return_sequences": [False, True]},
        GIVEN_TWO,
        steps=True,
    ),
    *(
        Table(
            name,
            [shape],
            {"filters": [2], "kernel_size": [kernel], "dropout": [0.0, 0.4],
             "recurrent_dropout": [0.0, 0.3], "seed": [7]},
            {"training": [True, False]},
            steps=True,
        )
        for name, shape, kernel in (
            ("ConvLSTM1D", LINE, 2), ("ConvLSTM2D", IMAGE, (1, 2)), ("ConvLSTM3D", VOLUME, 1)
        )
    ),
]  # fmt: skip
