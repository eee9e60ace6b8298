"""What a layer's output costs: in the loss, in the gradient at the output, and at every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual import regularizers
from manual.layers import ActivityRegularization, Dense, Input
from manual.network import Network

layers = keras.layers


def plain() -> keras.Model:
    inputs = keras.Input((4,))
    hidden = layers.Dense(5, "tanh", activity_regularizer=keras.regularizers.L1L2(0.01, 0.02))
    return keras.Model(inputs, layers.Dense(3)(hidden(inputs)))


def as_a_layer() -> keras.Model:
    inputs = keras.Input((4,))
    hidden = layers.ActivityRegularization(0.03, 0.01)(layers.Dense(5)(inputs))
    return keras.Model(inputs, layers.Dense(3)(hidden))


def of_the_output() -> keras.Model:
    """The loss reads logits, the penalty what the softmax makes of them."""
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(3, "softmax", activity_regularizer="l2")(inputs))


def of_a_layer_called_twice() -> keras.Model:
    inputs = keras.Input((4,))
    shared = layers.Dense(4, "sigmoid", activity_regularizer="l2", kernel_regularizer="l1")
    return keras.Model(inputs, layers.Dense(3)(shared(shared(inputs))))


def of_many() -> keras.Model:
    inputs = keras.Input((4,))
    images = layers.Reshape((2, 2, 1))(inputs)
    images = layers.Conv2D(2, 2, padding="same", activity_regularizer="l1")(images)
    images = layers.BatchNormalization(activity_regularizer=keras.regularizers.L2(0.1))(images)
    flat = layers.Flatten(activity_regularizer="l2")(images)
    flat = layers.Dropout(0.3, activity_regularizer="l1")(flat)
    return keras.Model(inputs, layers.Dense(3)(layers.ReLU(activity_regularizer="l2")(flat)))


def of_a_model_within() -> keras.Model:
    inputs = keras.Input((4,))
    return keras.Model(inputs, layers.Dense(3)(plain()(inputs)))


def of_steps_under_a_mask() -> keras.Model:
    inputs = keras.Input((4,))
    steps = layers.Masking()(layers.Reshape((2, 2))(inputs))
    steps = layers.LSTM(3, return_sequences=True, activity_regularizer="l2")(steps)
    inner = layers.Dense(3, activity_regularizer="l2")  # which TimeDistributed takes no notice of
    steps = layers.TimeDistributed(inner, activity_regularizer="l1")(steps)
    return keras.Model(inputs, layers.GRU(3)(steps))


def inside_of_layers() -> keras.Model:
    """Of projections, of both directions, of a model at each step, of outputs that nobody uses."""
    inputs = keras.Input((4,))
    steps = layers.Reshape((2, 2))(inputs)
    gated = layers.MultiHeadAttention(1, 2, use_gate=True, activity_regularizer="l2")
    grouped = layers.GroupQueryAttention(2, 2, 1, activity_regularizer="l1")
    steps = grouped(gated(steps, steps), steps)
    memory = layers.GRU(2, return_sequences=True, return_state=True, activity_regularizer="l2")
    steps, *_ = layers.Bidirectional(memory)(steps)
    step = keras.Input((4,))
    dense = layers.Dense(3, "tanh", activity_regularizer="l2")
    steps = layers.TimeDistributed(keras.Model(step, dense(step)))(steps)
    last, _ = layers.SimpleRNN(3, return_state=True, activity_regularizer="l1")(steps)
    return keras.Model(inputs, last)


MODELS = [
    plain,
    as_a_layer,
    of_the_output,
    of_a_layer_called_twice,
    of_many,
    of_a_model_within,
    of_steps_under_a_mask,
    inside_of_layers,
]


def run(model: keras.Model, **options: Any) -> Any:
    draw = np.random.default_rng(8)
    softmax = "softmax" in str(model.get_config())
    loss = "categorical_crossentropy" if softmax else "mse"
    eagerly = options.pop("eagerly", False)
    model.compile(
        options.pop("optimizer", None) or keras.optimizers.SGD(0.05), loss, run_eagerly=eagerly
    )
    x, y = draw.normal(size=(10, 4)), np.eye(3)[draw.integers(0, 3, 10)]
    x[:3, 2:] = 0.0
    return lockstep(model, x, y, batch_size=4, epochs=2, **options)


@pytest.mark.parametrize("model", MODELS)
def test_agrees_with_fit(model: Callable[[], keras.Model], eagerly: bool, precision: str) -> None:
    run(model(), eagerly=eagerly).raise_if_different()


def test_with_a_scaled_loss_and_validation() -> None:
    draw = np.random.default_rng(9)
    x, y = draw.normal(size=(4, 4)), draw.normal(size=(4, 3))
    optimizer = keras.optimizers.Adam(0.01, loss_scale_factor=16.0)
    run(plain(), optimizer=optimizer, validation_data=(x, y)).raise_if_different()


@pytest.mark.parametrize("factor", [4.0, 0.0], ids=["no mean over the batch", "forgotten"])
def test_a_wrong_penalty_shows_in_the_loss(factor: float, monkeypatch: pytest.MonkeyPatch) -> None:
    own = regularizers.L1L2.forward
    monkeypatch.setattr(regularizers.L1L2, "forward", lambda self, w: own(self, w) * factor)
    first = run(plain()).first
    assert (first.phase, first.name) == ("loss", "total")


def test_a_wrong_gradient_shows_at_the_output(monkeypatch: pytest.MonkeyPatch) -> None:
    own = regularizers.L1L2.backward
    monkeypatch.setattr(regularizers.L1L2, "backward", lambda self, w: 2.0 * own(self, w))
    first = run(plain()).first
    assert first.phase == "activation gradient"
    assert first.derivation.formula == regularizers.L1L2.derivation["gradient"]


def test_by_arithmetic() -> None:
    x = Input((1,))
    line = Dense(1, use_bias=False, name="line")
    network = Network(x, ActivityRegularization(l2=0.25)(line(x)), dtype="float64")
    network.compile("mse")
    network.set_weights([np.array([[2.0]])])
    data = np.array([[1.0], [3.0]])
    run = network.forward(data)  # y = 2, 6
    loss, upstream = network.loss(run, data * 2.0)  # no error: what is left is ¼ (4 + 36) / 2
    assert loss == 5.0
    network.clear_gradients()
    network.backward(run, upstream)
    # dy = ½ y / 2 = ½, 1.5; dW = 1 · ½ + 3 · 1.5
    np.testing.assert_array_equal(line.kernel.gradient, [[5.0]])
