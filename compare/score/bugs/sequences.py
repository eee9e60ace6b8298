"""The networks in which bugs with sequences are planted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from compare.score.networks import SAMPLES, Choice, Planted, generator, spread

LENGTH, WIDTH = 5, 4
"""Steps; and one width for all layers, so that every matrix may be transposed unnoticed."""

Network = Callable[[Choice], Planted]


def _between(name: str, make: Callable[[], Any], *, masked: bool = False) -> Network:
    """Return a builder of a recurrent layer between two Dense ones, on sequences."""

    def network(bug: Choice) -> Planted:
        layers = [
            keras.Input((LENGTH, WIDTH)),
            *([keras.layers.Masking(name="masking")] if masked else []),
            keras.layers.Dense(WIDTH, "tanh", name="below", **spread()),
            make(),
            keras.layers.Dense(WIDTH, name="last", **spread()),
        ]
        model, draw = keras.Sequential(layers), generator()
        x = draw.normal(size=(SAMPLES, LENGTH, WIDTH))
        if masked:  # a gap in some, a late end in others; the first step of one is missing
            x[::2, 3:] = 0.0
            x[1::3, 2] = 0.0
            x[4, 0] = 0.0
        return model, x, draw.normal(size=(SAMPLES, *model.output_shape[1:]))

    network.__name__ = name
    return network


def _layer(kind: Any, **options: Any) -> Callable[[], Any]:
    return lambda: kind(WIDTH, name="memory", **spread(), **options)


SIMPLE = _between("simple", _layer(keras.layers.SimpleRNN))
LSTMS = _between("lstm", _layer(keras.layers.LSTM))
GRUS = _between("gru", _layer(keras.layers.GRU, return_sequences=True))
GRU_BEFORE = _between("gru_before", _layer(keras.layers.GRU, reset_after=False))
MASKED = _between("masked", _layer(keras.layers.LSTM, return_sequences=True), masked=True)
BACKWARDS = _between(
    "backwards", _layer(keras.layers.SimpleRNN, return_sequences=True, go_backwards=True)
)
DROPPED = {"dropout": 0.3, "recurrent_dropout": 0.25}
SIMPLE_DROPPED = _between("simple_dropped", _layer(keras.layers.SimpleRNN, **DROPPED))
LSTM_DROPPED = _between("lstm_dropped", _layer(keras.layers.LSTM, **DROPPED))
GRU_DROPPED = _between("gru_dropped", _layer(keras.layers.GRU, return_sequences=True, **DROPPED))
ELU = _between("elu", _layer(keras.layers.SimpleRNN, activation="elu"))
SOFTMAX = _between("softmax", _layer(keras.layers.SimpleRNN, activation="softmax"))
SOFTSIGN = _between(
    "softsign",
    _layer(keras.layers.LSTM, activation="softsign", recurrent_activation="hard_sigmoid"),
)
GELU = _between("gelu", _layer(keras.layers.GRU, activation="gelu", reset_after=False))


def words(bug: Choice) -> Planted:
    """Return sentences of numbers, with padding, in which some words come twice."""
    model = keras.Sequential(
        [
            keras.Input((LENGTH,)),
            keras.layers.Embedding(7, WIDTH, mask_zero=True, name="words"),
            keras.layers.Dense(WIDTH, "tanh", name="below", **spread()),
            keras.layers.GRU(3, name="memory"),
            keras.layers.Dense(2, name="last"),
        ]
    )
    draw = generator()
    x = draw.integers(1, 7, size=(SAMPLES, LENGTH))
    x[::2, 3:] = 0
    return model, x, draw.normal(size=(SAMPLES, 2))


def table(bug: Choice) -> Planted:
    """Return a table without a mask, whose first row is trained."""
    embedding = keras.layers.Embedding(7, WIDTH, name="words")
    model = keras.Sequential([keras.Input((LENGTH,)), embedding, keras.layers.Dense(2)])
    draw = generator()
    x = draw.integers(0, 7, size=(SAMPLES, LENGTH))
    return model, x, draw.normal(size=(SAMPLES, LENGTH, 2))
