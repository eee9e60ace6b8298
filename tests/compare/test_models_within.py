"""Models within models, several outputs, weights that are frozen one by one."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import compare
from compare.twins.twin import twin_network

layers = keras.layers


def data(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    return generator.normal(size=shape), generator.normal(size=(shape[0], 1))


def block(inputs: int, name: str) -> keras.Model:
    parts = [
        keras.Input((inputs,)),
        layers.Dense(4, "tanh", name="dense"),
        layers.BatchNormalization(name="norm"),
        layers.Dropout(0.5, name="drop"),
    ]
    return keras.Sequential(parts, name=name)


def two_levels() -> keras.Model:
    """A model within a model, called twice, whose layers have the same names as others."""
    x, z = keras.Input((3,)), keras.Input((4,))
    within = block(3, "within")
    outputs = [layers.Dense(2, name="dense")(z), within(layers.Dense(3, name="narrow")(z))]
    deep = keras.Model(z, outputs, name="deep")
    first, second = deep(block(3, "before")(x))
    again, _ = deep(second)
    joined = layers.Concatenate()([first, second, again])
    return keras.Model(x, layers.Dense(1, name="dense")(joined))


def checked(model: keras.Model, x: np.ndarray, y: np.ndarray, **options: Any) -> compare.Report:
    model.compile("adam", "mse")
    report = compare.lockstep(model, x, y, batch_size=4, **options)
    report.raise_if_different()
    return report


def test_models_within_models() -> None:
    model = two_levels()
    report = checked(model, *data(8, 3))
    names = {name for phase, name, _ in report.quantities if phase == "activation"}
    assert {"before/norm", "deep/within/norm", "deep/within/norm@2", "dense"} <= names
    weights = {name for phase, name, _ in report.quantities if phase == "weight"}
    assert {"before/dense/kernel", "deep/dense/kernel", "deep/within/dense/kernel"} <= weights


def test_what_is_computed_for_nothing_still_moves_averages() -> None:
    """The second output of the second call is not used; its normalization learns from it."""
    network = twin_network(compiled(two_levels()))
    used = {node.name for node in network.nodes}
    assert "deep/within/drop@2" in used


def test_a_slip_within_is_found_there(monkeypatch: pytest.MonkeyPatch) -> None:
    model = two_levels()
    network = twin_network(compiled(model))
    norm = next(one for one in network.layers if one.name == "deep/within/norm")
    monkeypatch.setattr(norm, "epsilon", norm.epsilon * 2)  # type: ignore[attr-defined]
    report = compare.lockstep(model, *data(8, 3), batch_size=4, steps=1, network=network)
    assert report.first is not None
    assert report.first.name == "deep/within/norm"
    assert report.first.phase == "activation"


def test_frozen_weights_of_a_trained_layer() -> None:
    model = two_levels()
    model.get_layer("before").get_layer("dense").kernel.trainable = False
    network = twin_network(compiled(model))
    assert "before/dense/kernel" not in network.slices
    assert "before/dense/bias" in network.slices
    before = model.get_layer("before").get_layer("dense").kernel.numpy()
    checked(model, *data(8, 3))
    np.testing.assert_array_equal(model.get_layer("before").get_layer("dense").kernel, before)


def test_a_frozen_model_within_infers() -> None:
    x = keras.Input((3,))
    base = block(3, "base")
    base.trainable = False
    model = keras.Model(x, layers.Dense(1, name="top")(base(x, training=False)))
    report = checked(model, *data(8, 3))
    gradients = {name for phase, name, _ in report.quantities if phase == "weight gradient"}
    assert gradients == {"top/kernel", "top/bias"}


def test_training_false_in_a_graph_is_overridden_by_fit() -> None:
    """Keras hands ``training=True`` of ``fit`` to every layer, whatever the call had said."""
    x = keras.Input((3,))
    norm = layers.BatchNormalization(name="norm")
    model = keras.Model(x, layers.Dense(1)(norm(x, training=False)))
    checked(model, *data(8, 3))
    assert np.abs(norm.moving_mean.numpy()).max() > 0


def two_around(within: Any) -> keras.Model:
    x, z = keras.Input((3,)), keras.Input((4,))
    other = keras.Model(z, within(layers.Dense(3, name="narrow")(z)), name="other")
    return keras.Model(x, layers.Dense(1, name="out")(other(within(x))))


def test_a_layer_in_two_models() -> None:
    """Its gradients add up, so that what one of them sends back is missed."""
    report = checked(two_around(layers.Dense(4, "tanh", name="within")), *data(8, 3))
    weights = {name for phase, name, _ in report.quantities if phase == "weight gradient"}
    assert "within/kernel" in weights
    assert "other/within/kernel" not in weights


def test_models_with_layers_of_one_name_that_share_another_are_refused() -> None:
    x, z = keras.Input((3,)), keras.Input((4,))
    within = block(3, "within")
    dense = layers.Dense(3, name="dense")
    other = keras.Model(z, within(dense(z)), name="other")
    model = compiled(keras.Model(x, layers.Dense(1)(other(within(x)))))
    with pytest.raises(compare.BadInput, match="lies in several of the models"):
        compare.lockstep(model, *data(8, 3))


def test_calls_that_a_copy_counts_otherwise() -> None:
    """Two calls on one input: which of them the maximum takes must not be mixed up."""
    x = keras.Input((5,), dtype="int32")
    table = layers.Embedding(9, 4, name="table")
    mean, largest = layers.GlobalAveragePooling1D(), layers.GlobalMaxPooling1D()
    product = layers.Dot(axes=-1)([mean(table(x)), largest(table(x))])
    model = keras.Model(x, layers.Dense(1)(product))
    model.compile("sgd", "mse")
    y = data(8, 1)[1]
    compare.lockstep(model, np.arange(40).reshape(8, 5) % 9, y, batch_size=4).raise_if_different()


def compiled(model: keras.Model) -> keras.Model:
    model.compile("adam", "mse")
    return model
