"""Layers without a twin: Keras carries them, and everything around them is verified."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import compare
import manual
from compare.twins.carried import carried_by_keras
from compare.twins.twin import twin_network
from manual.layers import Layer

layers = keras.layers


@keras.saving.register_keras_serializable("Tests")
class Gate(layers.Layer):
    """A gate with a weight, a penalty, a counter, and dropout within."""

    def build(self, input_shape: Any) -> None:
        width = input_shape[-1]
        self.beta = self.add_weight(shape=(width,), name="beta", regularizer="l2")
        self.calls = self.add_weight(shape=(), name="calls", initializer="zeros", trainable=False)
        self.drop = layers.Dropout(0.3)

    def call(self, x: Any, training: bool = False) -> Any:
        self.calls.assign_add(1.0)
        return self.drop(x * tf.sigmoid(self.beta * x), training=training)


class Both(layers.Layer):
    """Two inputs as two arguments, and two outputs."""

    def call(self, a: Any, b: Any) -> Any:
        return a * b, tf.sin(a + b)


def around(custom: Any) -> keras.Model:
    x = keras.Input((3,))
    h = custom(layers.Dense(4, name="before")(x))
    model = keras.Model(x, layers.Dense(1, name="after")(layers.BatchNormalization()(h)))
    model.compile("adam", "mse")
    return model


def data() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=(8, 3)), generator.normal(size=(8, 1))


@pytest.mark.parametrize("jit_compile", [False, True])
def test_everything_around_is_verified(precision: str, jit_compile: bool) -> None:
    model = around(Gate(name="gate"))
    model.compile("adam", "mse", jit_compile=jit_compile)
    report = compare.lockstep(model, *data(), batch_size=4, epochs=2)
    report.raise_if_different()
    assert report.unverified == ["gate"]
    (note,) = report.notes
    assert note == (
        "not independently verified: the layer 'gate' (Tests>Gate), which has no twin, "
        "carried by Keras itself"
    )
    names = {(phase, name) for phase, name, _ in report.quantities}
    assert ("activation gradient", "before") in names
    assert ("weight gradient", "before/kernel") in names
    assert ("weight", "gate/beta") in names  # its update is the optimizer's, and has a twin
    assert not {("activation", "gate"), ("weight gradient", "gate/beta")} & names


def test_several_inputs_and_outputs(precision: str) -> None:
    a, b = keras.Input((3,)), keras.Input((3,))
    product, wave = Both(name="both")(layers.Dense(3)(a), layers.Dense(3)(b))
    model = keras.Model([a, b], layers.Dense(1)(layers.Add()([product, wave])))
    model.compile("sgd", "mse")
    x, y = data()
    report = compare.lockstep(model, [x, x[::-1].copy()], y, batch_size=4)
    report.raise_if_different()
    assert report.unverified == ["both"]


@pytest.mark.parametrize("name", ["before", "after"])
def test_a_slip_beside_it_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model = around(layers.Lambda(lambda x: tf.concat([x, x * x], -1), name="odd"))
    network = twin_network(model, carried_by_keras(model))
    layer = next(one for one in network.layers if one.name == name)
    own = type(layer).backward

    def without_bias(self: Any, dz: Any, saved: Any) -> Any:
        dx = own(self, dz, saved)
        if self.name == name:
            self.bias.gradient *= 0.0
        return dx

    monkeypatch.setattr(type(layer), "backward", without_bias)
    report = compare.lockstep(model, *data(), batch_size=4, network=network)
    assert report.first is not None
    assert (report.first.phase, report.first.name) == ("weight gradient", f"{name}/bias")


class Around(layers.Layer):
    """Dropout within, which is told by nobody but the context whether it is in training."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.drop = layers.Dropout(0.5)

    def call(self, x: Any) -> Any:
        return tf.sin(self.drop(x))


def test_parts_that_are_not_told_are_in_training() -> None:
    report = compare.lockstep(around(Around(name="around")), *data(), batch_size=4, epochs=1)
    report.raise_if_different()
    assert report.unverified == ["around"]


def test_an_operation_without_a_twin() -> None:
    x = keras.Input((4,))
    real, imaginary = keras.ops.rfft(layers.Dense(4, name="before")(x))
    model = keras.Model(x, layers.Dense(1, name="after")(real * imaginary))
    model.compile("sgd", "mse")
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(8, 4)), generator.normal(size=(8, 1))
    report = compare.lockstep(model, x, y, batch_size=4)
    report.raise_if_different()
    (note,) = report.notes
    assert note.startswith("not independently verified: the operation 'rfft")
    with pytest.raises(compare.BadInput, match="has no hand-derived twin"):
        compare.lockstep(model, x, y, batch_size=4, strict=True)


def test_strict_refuses() -> None:
    with pytest.raises(compare.BadInput, match=r"Register yours with @manual.twin_of\("):
        compare.lockstep(around(Gate(name="gate")), *data(), batch_size=4, strict=True)


@keras.saving.register_keras_serializable("Tests")
class Scale(layers.Layer):
    """y = s x, with one s for all."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight(shape=(), name="factor", initializer="ones")

    def call(self, x: Any) -> Any:
        return self.factor * x


def test_a_registered_twin_is_verified(monkeypatch: pytest.MonkeyPatch) -> None:
    @manual.twin_of("Tests>Scale")
    class ScaleByHand(Layer):
        derivation = {
            "forward": "y = s x",
            "input gradient": "dx = s dy",
            "factor gradient": "ds = Σ x dy",
        }

        def build(self, input_shape: Any, generator: np.random.Generator) -> None:
            self.factor = self.add_weight("factor", np.ones(()))

        def forward(self, x: Any, *, training: bool = False) -> tuple[Any, Any]:
            return x * self.factor.value, x

        def backward(self, dy: Any, x: Any) -> Any:
            self.factor.gradient += (x * dy).sum()
            return dy * self.factor.value

    model = around(Scale(name="scale"))
    report = compare.lockstep(model, *data(), batch_size=4, strict=True)
    report.raise_if_different()
    assert report.unverified == []
    monkeypatch.setattr(ScaleByHand, "backward", lambda self, dy, x: dy)
    first = compare.lockstep(model, *data(), batch_size=4, steps=1).first
    assert first is not None
    assert (first.phase, first.name) == ("activation gradient", "before")
