"""Subclassed models: ``call`` is followed with symbols, and the model trains by its own ``fit``."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from counting import compared
from fits import alike

from compare import BadInput, Report, lockstep
from keras_models.graphs import graph_of
from manual.layers import AddedLoss, Dense

numbers = np.random.default_rng(0)
X, Y = numbers.normal(size=(13, 3)), numbers.normal(size=(13, 2))
WORDS, CLASS = numbers.integers(0, 5, (13, 2)), numbers.integers(0, 3, 13)


class Net(keras.Model):
    """Layers in another order than they are called in, one of them twice, and dropout."""

    def __init__(self) -> None:
        super().__init__(name="net")
        self.out = keras.layers.Dense(2, name="out")
        self.twice = keras.layers.Dense(3, "tanh", name="twice")
        self.late = keras.layers.Dropout(0.25, name="late")
        self.norm = keras.layers.BatchNormalization(name="norm")
        self.early = keras.layers.Dropout(0.5, name="early")

    def call(self, x: Any, training: Any = None) -> Any:
        hidden = self.twice(self.early(self.norm(x, training=training)))
        return self.out(self.late(self.twice(hidden)))


class InParts(keras.Model):
    """Layers in lists, and a model within."""

    def __init__(self) -> None:
        super().__init__(name="in_parts")
        self.body = keras.Sequential([keras.layers.Dense(4, "gelu"), keras.layers.Dropout(0.25)])
        self.blocks = [keras.layers.Dense(4, "tanh", name=f"block_{n}") for n in range(2)]
        self.add = keras.layers.Add(name="add")
        self.out = keras.layers.Dense(2, name="out")

    def call(self, x: Any, training: Any = None) -> Any:
        hidden = self.body(x, training=training)
        for block in self.blocks:
            hidden = self.add([hidden, block(hidden)])
        return self.out(hidden)


class OfDicts(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="of_dicts")
        self.table = keras.layers.Embedding(5, 2, name="table")
        self.flat = keras.layers.Flatten(name="flat")
        self.join = keras.layers.Concatenate(name="join")
        self.number = keras.layers.Dense(2, name="number")
        self.kinds = keras.layers.Dense(3, "softmax", name="kinds")

    def call(self, x: Any) -> Any:
        hidden = self.join([x["given"], self.flat(self.table(x["words"]))])
        return {"size": self.number(hidden), "class": self.kinds(hidden)}


def built(kind: type[keras.Model], x: Any = None, loss: Any = "mse", **options: Any) -> Any:
    model = kind()
    if x is not None:
        model(x)
    model.compile(keras.optimizers.Adam(0.01), loss, **options)
    return model


@pytest.mark.parametrize("kind", [Net, InParts])
@pytest.mark.parametrize("x", [None, X])
def test_it_trains_as_by_itself(kind: type[keras.Model], x: Any, precision: str) -> None:
    build = partial(built, kind, x, metrics=["mae"])
    report = alike(build, lambda: (X, Y), batch_size=5, epochs=2, validation_split=0.3)
    assert compared(report, "metric") == dict.fromkeys(["loss", "mae", "val_loss", "val_mae"], 2)


@pytest.mark.parametrize("how", [{"jit_compile": True}, {"run_eagerly": True}])
def test_it_trains_as_by_itself_however_it_is_compiled(how: dict[str, Any]) -> None:
    report = alike(partial(built, Net, **how), lambda: (X, Y), batch_size=5)
    names = {"norm", "early", "twice/pre_activation", "twice", "twice@2", "late", "out"}
    assert names <= set(compared(report, "activation"))
    assert set(compared(report, "weight gradient", "model.fit")) == {
        "out/kernel",
        "out/bias",
        "twice/kernel",
        "twice/bias",
        "norm/gamma",
        "norm/beta",
    }


@pytest.mark.parametrize("data_set", [False, True])
def test_one_of_dicts(data_set: bool) -> None:
    def data() -> Any:
        x, y = {"given": X, "words": WORDS}, {"size": Y, "class": CLASS}
        return (tf.data.Dataset.from_tensor_slices((x, y)).batch(5),) if data_set else (x, y)

    losses = {"size": "mse", "class": "sparse_categorical_crossentropy"}
    report = alike(partial(built, OfDicts, loss=losses), data, epochs=2)
    assert set(compared(report, "metric")) == {"loss", "size_loss", "class_loss"}


def test_a_model_of_a_class_of_its_own_with_a_graph() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            x = keras.Input((3,), name="given")
            super().__init__(x, keras.layers.Dense(2, name="out")(x), name="own")

    alike(partial(built, Own), lambda: (X, Y), batch_size=5)


def test_a_sequential_model_that_learns_its_shapes_from_the_data() -> None:
    def build() -> keras.Model:
        layers = keras.layers
        model = keras.Sequential([layers.Dense(4, "relu"), layers.Dropout(0.2), layers.Dense(2)])
        model.compile("adam", "mse")
        return model

    alike(build, lambda: (X, Y), batch_size=5)


def test_its_graph_has_the_same_layers_and_weights() -> None:
    model = built(Net, X)
    graph = graph_of(model, X)
    assert {id(one) for one in graph.weights} == {id(one) for one in model.weights}
    assert graph.optimizer is model.optimizer
    given = np.asarray(X, np.float32)
    np.testing.assert_array_equal(graph(given), model(given))


def test_a_planted_bug_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Dense.backward

    def backward(self: Dense, dy: Any, saved: Any) -> Any:
        dx = own(self, dy, saved)
        return dx * 2.0 if self.name == "out" else dx

    monkeypatch.setattr(Dense, "backward", backward)
    report: Report = lockstep(built(Net, X), X, Y, batch_size=5)
    assert not report.ok
    assert report.first is not None
    assert (report.first.phase, report.first.name) == ("activation gradient", "late")
    assert report.first.derivation.layer == "out"


# ---------------------------------------------------------------------- more than layers


class OwnWeight(Net):
    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(3,), name="scale")

    def call(self, x: Any, training: Any = None) -> Any:
        return self.out(self.twice(x) * self.scale)


class NeverTraining(Net):
    def call(self, x: Any) -> Any:
        return self.out(self.early(self.twice(x)))


class Frozen(Net):
    def call(self, x: Any, training: Any = None) -> Any:
        return self.out(self.twice(self.norm(x, training=False)))


class Outer(keras.Model):
    def __init__(self) -> None:
        super().__init__(name="net")
        self.inner = Net()

    def call(self, x: Any, training: Any = None) -> Any:
        return self.inner(x, training=training)


class Costly(Net):
    def call(self, x: Any, training: Any = None) -> Any:
        hidden = self.twice(x)
        self.add_loss(0.1 * keras.ops.mean(keras.ops.square(hidden)))
        return self.out(self.early(hidden))


@pytest.mark.parametrize("kind", [OwnWeight, NeverTraining, Frozen, Outer, Costly])
def test_what_is_more_than_layers_is_followed(kind: type[keras.Model]) -> None:
    report = alike(partial(built, kind), lambda: (X, Y), batch_size=5, validation_split=0.3)
    assert report.unverified == []


def test_a_loss_that_is_added_otherwise_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AddedLoss, "backward", lambda self, dy, saved: [dy[0], dy[1] * 0.5])
    report = lockstep(built(Costly), X, Y, batch_size=5, steps=1)
    assert report.first is not None
    assert report.first.phase == "activation gradient"
    assert report.first.name.startswith("multiply")


# ---------------------------------------------------------------------- what can't be followed


class RawOperation(Net):
    def call(self, x: Any, training: Any = None) -> Any:
        return self.out(tf.nn.relu(self.twice(x)))


class OtherInTraining(Net):
    def call(self, x: Any, training: Any = None) -> Any:
        return self.out(self.twice(self.early(x) if training else x))


class Always(Net):
    def call(self, x: Any, training: Any = None) -> Any:
        return self.out(self.early(self.twice(x), training=True))


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        (
            RawOperation,
            "can't be followed with symbols in place of numbers: A KerasTensor cannot be used as "
            "input to a TensorFlow function",
        ),
        (OtherInTraining, "does something else in training than in inference, outside its layers"),
        (Always, "calls the layer 'early' with training=… of its own"),
    ],
)
def test_what_can_not_be_followed(kind: type[keras.Model], told: str) -> None:
    model = built(kind)
    with pytest.raises(BadInput) as caught:
        lockstep(model, X, Y)
    assert str(caught.value) == (
        f"The subclassed model 'net' ({kind.__name__}) {told}. Write it as a Sequential or "
        "Functional model, or let its call only call layers."
    )
    assert "train_step" not in vars(model)
