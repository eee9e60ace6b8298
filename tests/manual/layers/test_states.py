"""States of recurrent layers: given, returned, carried from batch to batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import GRU, LSTM, RNN, InputLayer
from manual.registry import NoTwin

BATCH, LENGTH, INPUTS, UNITS = 4, 5, 3, 2
X, H = (BATCH, LENGTH, INPUTS), (BATCH, UNITS)
MASK = np.array([[1, 1, 1, 1, 1], [0, 1, 0, 1, 1], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]], bool)

KINDS: dict[str, tuple[Any, int]] = {
    "SimpleRNN": (keras.layers.SimpleRNN, 1),
    "LSTM": (keras.layers.LSTM, 2),
    "GRU": (keras.layers.GRU, 1),
}
OPTIONS: dict[str, tuple[dict[str, Any], bool, bool]] = {
    "given": ({}, True, False),
    "returned": ({"return_state": True}, False, False),
    "both, sequences": ({"return_state": True, "return_sequences": True}, True, False),
    "backwards": ({"return_state": True, "go_backwards": True, "unroll": True}, True, False),
    "returned, masked": ({"return_state": True, "return_sequences": True}, False, True),
    "carried": ({"stateful": True}, False, False),
    "carried, masked": ({"stateful": True, "return_sequences": True}, False, True),
    "carried, zero output": (
        {
            "stateful": True,
            "return_sequences": True,
            "zero_output_for_mask": True,
            "unroll": True,
            "go_backwards": True,
        },
        False,
        True,
    ),
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_equals_keras(kind: str, option: str, layer_equals_keras: Any) -> None:
    layer, states = KINDS[kind]
    options, given, masked = OPTIONS[option]
    shapes = [X, *[H] * states] if given else X
    mask = {"mask": MASK} if masked else {}
    layer_equals_keras(lambda: layer(UNITS, **options), shapes, {"training": True, **mask})


@pytest.mark.parametrize("option", ["both, sequences", "backwards", "carried, zero output"])
@pytest.mark.parametrize("kind", KINDS)
def test_derivative_is_that_of_the_forward_map(
    kind: str, option: str, layer_derivative: Any
) -> None:
    layer, states = KINDS[kind]
    options, given, masked = OPTIONS[option]
    shapes = [(2, 3, INPUTS), *[(2, UNITS)] * (states if given else 0)]
    mask = {"mask": MASK[1:3, :3]} if masked else {}
    layer_derivative(lambda: layer(UNITS, **options), shapes, mask, scale=0.25)


def symbols(*shapes: Sequence[int]) -> list[Any]:
    return [InputLayer(batch_shape=shape).of_size(shape[1:]) for shape in shapes]


def test_beside_a_state_no_step_is_masked_unless_told_so(generator: np.random.Generator) -> None:
    layer = GRU(UNITS)
    layer(*symbols(X, H))
    x, h = generator.normal(size=X), generator.normal(size=H)
    y, _ = layer.forward([x, h])
    unheeded, _ = layer.forward([x, h], mask=[MASK, None])
    np.testing.assert_array_equal(unheeded, y)
    told, _ = layer.forward([x, h], mask=[MASK, None], masked=True)
    np.testing.assert_array_equal(told[3], 0.0)  # no step counts: there is no output
    assert (told[2] != y[2]).all()


def test_an_output_that_nothing_depends_on_gives_no_gradient(
    generator: np.random.Generator,
) -> None:
    cells = [
        {"class_name": f"{kind}Cell", "config": {"name": kind, "units": UNITS}}
        for kind in ("LSTM", "GRU")
    ]
    stack = {"class_name": "StackedRNNCells", "config": {"name": "stack", "cells": cells}}
    layer = RNN(stack, return_state=True, name="both")
    layer(*symbols(X, H, H, H))
    arrays = [generator.normal(size=shape) for shape in (X, H, H, H)]
    outputs, saved = layer.forward(arrays)
    dh = generator.normal(size=H)
    for place in range(4):
        alone = [dh if at == place else None for at in range(4)]
        full = [dh if at == place else np.zeros_like(outputs[at]) for at in range(4)]
        expected = layer.backward(full, saved)
        for found, right in zip(layer.backward(alone, saved), expected, strict=True):
            np.testing.assert_array_equal(found, right)


def test_a_state_to_carry_takes_a_fixed_batch_size() -> None:
    with pytest.raises(NoTwin, match="'memory': stateful=True takes a fixed batch size"):
        LSTM(2, name="memory", stateful=True)(*symbols((None, *X[1:])))


def data(model: Any, samples: int, draw: np.random.Generator) -> tuple[list[Any], list[Any]]:
    inputs, outputs = (
        [draw.normal(size=(samples, *tensor.shape[1:])) for tensor in ends]
        for ends in (model.inputs, model.outputs)
    )
    return inputs, outputs


def encoder_and_decoder() -> Any:
    a, b = keras.Input(X[1:]), keras.Input(X[1:])
    _, *state = keras.layers.LSTM(UNITS, return_state=True, name="encoder")(
        keras.layers.Masking()(a)
    )
    decoder = keras.layers.LSTM(UNITS, return_sequences=True, name="decoder")
    return keras.Model([a, b], decoder(keras.layers.Masking()(b), initial_state=state))


def all_outputs() -> Any:
    x = keras.Input(X[1:])
    layer = keras.layers.LSTM(UNITS, return_sequences=True, return_state=True, name="memory")
    return keras.Model(x, [keras.layers.Dense(1)(one) for one in layer(x)])


def one_tensor_twice() -> Any:
    """Unrolled, Keras's output and its state are one tensor; each has a gradient of its own."""
    x = keras.Input(X[1:])
    y, h = keras.layers.GRU(UNITS, return_state=True, unroll=True, name="memory")(x)
    return keras.Model(x, keras.layers.Add()([y, keras.layers.Dense(UNITS)(h)]))


def a_mask_beside_a_state() -> Any:
    x, h = keras.Input(X[1:]), keras.Input(H[1:])
    masking = keras.layers.Masking()
    layer = keras.layers.GRU(UNITS, name="memory")
    return keras.Model(
        [x, h], layer(masking(x), initial_state=h, mask=masking.compute_mask(x, None))
    )


def carried_on() -> Any:
    x = keras.Input(batch_shape=X)
    y = keras.layers.LSTM(UNITS, stateful=True, return_sequences=True, name="memory")(
        keras.layers.Masking()(x)
    )
    cells = [keras.layers.GRUCell(UNITS), keras.layers.SimpleRNNCell(UNITS)]
    y = keras.layers.RNN(cells, stateful=True, name="cells")(y)
    return keras.Model(x, keras.layers.Dense(1)(y))


@pytest.mark.parametrize(
    "make", [encoder_and_decoder, all_outputs, one_tensor_twice, a_mask_beside_a_state, carried_on]
)
def test_in_lock_step_through_a_fit(make: Any) -> None:
    keras.utils.set_random_seed(0)
    model = make()
    model.compile("adam", ["mse"] * len(model.outputs))
    xs, ys = data(model, 3 * BATCH, np.random.default_rng(1))
    for x in xs:
        if x.ndim == 3:
            x[1::3, 2:] = 0.0
    report = lockstep(
        model,
        xs if len(xs) > 1 else xs[0],
        ys if len(ys) > 1 else ys[0],
        batch_size=BATCH,
        epochs=2,
    )
    assert report.ok, str(report.first)
    if make is carried_on:
        carried = {name for phase, name, *_ in report.quantities if phase == "state"}
        assert carried >= {
            f"{layer}/rnn_state/{place}" for layer in ("memory", "cells") for place in (0, 1)
        }


def test_a_state_that_is_not_carried_on_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    right = LSTM.update_state

    def forgetful(self: Any, saved: Any) -> None:
        right(self, saved)
        self.remembered[1].value[...] = self.remembered[1].value * 0.0

    monkeypatch.setattr(LSTM, "update_state", forgetful)
    keras.utils.set_random_seed(0)
    model = carried_on()
    model.compile("sgd", "mse")
    xs, ys = data(model, 2 * BATCH, np.random.default_rng(1))
    report = lockstep(model, xs[0], ys[0], batch_size=BATCH)
    assert report.first is not None
    assert (report.first.phase, report.first.name) == ("state", "memory/rnn_state/1")


class Forgets(keras.callbacks.Callback):
    """Has the layers forget at the beginning of the last epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 2:
            for layer in self.model.layers:
                if hasattr(layer, "reset_state"):
                    layer.reset_state()


def test_in_lock_step_through_validations_and_a_reset(generator: np.random.Generator) -> None:
    """What is carried moves in a validation too, and so do the draws of a plain layer."""
    x = keras.Input((2, INPUTS), batch_size=2)
    h = keras.layers.SimpleRNN(2, stateful=True, return_sequences=True, dropout=0.3)(x)
    both = keras.layers.Bidirectional(keras.layers.GRU(1, stateful=True), trainable=False)
    model = keras.Model(x, keras.layers.Dense(1)(both(h)))
    model.compile("sgd", "mse", run_eagerly=True)
    data = generator.normal(size=(4, 2, INPUTS)), generator.normal(size=(4, 1))
    report = lockstep(
        model,
        *data,
        batch_size=2,
        epochs=3,
        shuffle=False,
        validation_data=data,
        callbacks=[Forgets()],
    )
    report.raise_if_different()
    assert report.history[-1].weight_drift < 1e-4
    assert ("metric", "val_loss", "model.fit") in report.quantities
