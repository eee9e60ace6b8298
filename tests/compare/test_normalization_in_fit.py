"""Normalization through ``model.fit``: what is remembered, what is zero, and the validation."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare.findings.referee import gradient_ruling
from compare.rounding.noise import Noisy
from compare.twins.twin import twin_network
from manual.layers import BatchNormalization, Dropout
from manual.layers.batch_normalization import BatchRenormalization
from manual.metrics import MeanSquaredError

L = keras.layers


def drawn(*shapes: tuple[int, ...], scale: float = 1.0) -> list[np.ndarray]:
    generator = np.random.default_rng(0)
    return [scale * generator.normal(size=shape) for shape in shapes]


def test_every_kind_of_normalization_in_one_model(precision: str, lockstep: Any) -> None:
    """Moving averages are compared at every step, from the tape and from fit itself; the
    validation runs by them."""
    model = keras.Sequential(
        [
            keras.Input((4, 6)),
            L.Dense(6),
            L.BatchNormalization(momentum=0.8, name="batch"),
            L.Activation("tanh"),
            L.LayerNormalization(gamma_regularizer="l2"),
            L.Dense(6),
            L.GroupNormalization(3),
            L.BatchNormalization(axis=1, center=False, name="of_time"),
            L.RMSNormalization(),
            L.Dense(4),
            L.UnitNormalization(),
            L.BatchNormalization(trainable=False, name="frozen"),
            L.Flatten(),
            L.Dense(2),
        ]
    )
    model.compile("adam", "mse", metrics=["mse"])
    x, y = drawn((20, 4, 6), (20, 2))
    report = lockstep(model, x, y, batch_size=8, epochs=2, validation_data=(x, y)).check()
    states = {key: one.compared for key, one in report.quantities.items() if key[0] == "state"}
    names = [
        f"{layer}/moving_{what}" for layer in ("batch", "of_time") for what in ("mean", "variance")
    ]
    ways = ("GradientTape", "model.fit", "manual.Network")
    assert states.pop(("state", "iterations", "manual.Network")) == 6
    assert states == {("state", name, way): 6 for name in names for way in ways}
    assert report.quantities["metric", "val_loss", "model.fit"].compared == 2


def renormalized() -> keras.Model:
    layers = [
        L.Dense(5),
        L.BatchNormalization(renorm=True, momentum=0.7, renorm_momentum=0.5, name="again"),
        L.BatchNormalization(synchronized=True),
        L.Dense(1),
    ]
    model = keras.Sequential([keras.Input((3,)), *layers])
    model.compile("sgd", "mse")
    return model


def test_statistics_of_what_a_computed_mask_lets_through(precision: str, lockstep: Any) -> None:
    parts = [L.Dense(4, "relu"), L.Masking(), L.BatchNormalization(), L.GlobalAveragePooling1D()]
    model = keras.Sequential([keras.Input((5, 6)), *parts, L.Dense(2)])
    model.compile("sgd", "mse")
    x, y = drawn((8, 5, 6), (8, 2))
    x[:, 2] = 0.0
    lockstep(model, x, y, batch_size=4).check()


def test_renormalization_and_synchronized_statistics(precision: str, lockstep: Any) -> None:
    x, y = drawn((20, 3), (20, 1))
    report = lockstep(renormalized(), x, y, batch_size=8, epochs=3).check()
    assert report.quantities["state", "again/renorm_stddev", "model.fit"].compared == 9


def test_wrong_corrections_are_seen(monkeypatch: pytest.MonkeyPatch, lockstep: Any) -> None:
    own = BatchRenormalization.corrections
    monkeypatch.setattr(
        BatchRenormalization, "corrections", lambda self, of: [one * 1.01 for one in own(self, of)]
    )
    x, y = drawn((20, 3), (20, 1))
    first = lockstep(renormalized(), x, y, batch_size=8).report.first
    assert first is not None
    assert (first.phase, first.name) == ("activation", "again")


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_a_bias_before_batch_normalization_has_a_gradient_of_nothing_but_rounding(
    scale: float, precision: str, lockstep: Any
) -> None:
    """What the batch's mean takes away has no gradient. It is judged by the terms that cancel,
    and Adam, which makes steps of ±η out of such noise, by what it makes of Keras's own."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            L.Dense(4, name="before", bias_initializer="ones"),
            L.BatchNormalization(),
            L.Dense(1),
        ]
    )
    model.compile("adam", "mse")
    x, y = drawn((300, 3), (300, 1), scale=scale)
    report = lockstep(model, x, y, batch_size=128, epochs=2).check()
    assert report.quantities["weight gradient", "before/bias", "model.fit"].compared == 6
    assert report.quantities["weight", "before/bias", "model.fit"].compared == 6


def test_a_real_gradient_of_that_bias_is_an_alarm(
    monkeypatch: pytest.MonkeyPatch, lockstep: Any
) -> None:
    """The ruler isn't blunt there: a gradient through statistics taken as constants is seen."""
    monkeypatch.setattr(BatchNormalization, "backward", lambda self, dy, saved: dy * saved[2])
    model = keras.Sequential([keras.Input((3,)), L.Dense(4), L.BatchNormalization(), L.Dense(1)])
    model.compile("sgd", "mse")
    x, y = drawn((16, 3), (16, 1))
    first = lockstep(model, x, y, batch_size=16).report.first
    assert first is not None and first.diagnosis is not None
    assert first.phase == "activation gradient"
    assert first.diagnosis.causes[0].sentence.startswith("mean and variance are taken as const")


def test_a_shared_layer_is_updated_at_every_call(precision: str, lockstep: Any) -> None:
    inputs = keras.Input((3,))
    shared = L.BatchNormalization(momentum=0.5, name="shared")
    y = shared(L.Dense(3)(shared(inputs)))
    model = keras.Model(inputs, L.Dense(1)(y))
    model.compile("sgd", "mse")
    x, y = drawn((12, 3), (12, 1))
    lockstep(model, x, y, batch_size=6).check()


def test_a_slip_in_the_average_is_explained_at_later_steps_too(
    monkeypatch: pytest.MonkeyPatch, lockstep: Any
) -> None:
    """Fit's steps have a step before them, which has no gradient of a moving average."""
    right = BatchNormalization.update_state
    steps = iter(range(100))

    def from_the_second_step_on(self: Any, saved: Any) -> None:
        if isinstance(self.moving_mean.value, Noisy) and next(steps) >= 3:  # three ways a step
            return
        right(self, saved)

    monkeypatch.setattr(BatchNormalization, "update_state", from_the_second_step_on)
    model = keras.Sequential([keras.Input((3,)), L.BatchNormalization(), L.Dense(1)])
    model.compile("sgd", "mse")
    x, y = drawn((12, 3), (12, 1))
    first = lockstep(model, x, y, batch_size=6).report.first
    assert first is not None and first.diagnosis is not None
    assert (first.step, first.phase) == (2, "state")
    assert first.diagnosis.causes[0].sentence == "the moving average is never updated"


def test_the_referee_asks_one_and_the_same_function() -> None:
    """With dropout, a loss that were drawn anew at every look would support nobody."""
    model = keras.Sequential(
        [keras.Input((3,)), L.Dense(6), L.Dropout(0.5, name="drop"), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    network = twin_network(model).copy("float64")
    x, y = drawn((8, 3), (8, 1))
    u = np.random.default_rng(1).uniform(size=(8, 6))
    drop = next(layer for layer in network.layers if isinstance(layer, Dropout))
    drop.draws.replay([u])
    run = network.forward(x, training=True)
    network.clear_gradients()
    network.backward(run, network.loss(run, y)[1])
    name = next(iter(network.parameters))
    gradient = network.parameters[name].gradient.copy()
    wrong = gradient.T.reshape(gradient.shape) if gradient.ndim == 2 else 2.0 * gradient
    ruling = gradient_ruling(network, x, y, None, name, gradient, wrong, drawn={"drop/0": u})
    assert ruling.supports == "Keras"


@pytest.fixture
def undecided() -> keras.Model:
    """Return a model whose layers would be other maps in training, were they not switched off."""
    layers = [
        L.BatchNormalization(trainable=False, name="frozen"),
        L.Dropout(0.0),
        L.GaussianNoise(0.0),
        L.Dense(1),
    ]
    return keras.Sequential([keras.Input((3,)), *layers])


def test_a_wrong_metric_is_not_blamed_on_layers_that_do_not_change(
    undecided: keras.Model, monkeypatch: pytest.MonkeyPatch, lockstep: Any
) -> None:
    right = MeanSquaredError.values
    monkeypatch.setattr(MeanSquaredError, "values", lambda self, y, p: right(self, y, p) * 1.25)
    undecided.compile("sgd", "mse", metrics=["mse"])
    x, y = drawn((12, 3), (12, 1))
    report = lockstep(undecided, x, y, batch_size=6, validation_data=(x, y)).report
    (finding,) = [one for one in report.findings if one.name == "val_mse"]
    assert finding.diagnosis is not None
    assert finding.diagnosis.causes == ()


@pytest.mark.parametrize("owner", [Dropout, BatchNormalization])
def test_what_goes_on_at_inference_is_named(
    owner: Any, monkeypatch: pytest.MonkeyPatch, lockstep: Any
) -> None:
    right = owner.forward
    monkeypatch.setattr(
        owner, "forward", lambda self, x, *, training=False: right(self, x, training=True)
    )
    model = keras.Sequential(
        [keras.Input((3,)), L.Dropout(0.4), L.Dense(4), L.BatchNormalization(), L.Dense(1)]
    )
    model.compile("sgd", "mse")
    x, y = drawn((12, 3), (12, 1))
    first = lockstep(model, x, y, batch_size=6, validation_data=(x, y)).report.first
    assert first is not None and first.diagnosis is not None
    assert (first.phase, first.name) == ("metric", "val_loss")
    said = {
        Dropout: "dropout or noise is applied at inference",
        BatchNormalization: "the batch's own statistics are used at inference",
    }
    assert first.diagnosis.causes[0].sentence == said[owner]
