"""Dropout and its relatives, against Keras on the numbers that Keras drew, and on its own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import (
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout2D,
)
from manual.registry import twin


@pytest.mark.parametrize(
    ("way", "noise_shape", "precision"),
    [
        ({}, None, "float32"),
        ({"run_eagerly": True}, (None, 1, 5), "float32"),
        ({"run_eagerly": True}, None, "float64"),
        ({"jit_compile": True}, (None, 1, 5), "float64"),
    ],
    indirect=["precision"],
)
def test_a_step_is_replayed_exactly(way: dict[str, bool], noise_shape: Any, precision: str) -> None:
    inputs = keras.Input((3, 4))
    dropped = keras.layers.Dropout(0.3, noise_shape=noise_shape)
    x = dropped(keras.layers.Dense(5, "tanh")(inputs))
    x = dropped(keras.layers.Dense(5, "relu")(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    model.compile("adam", "mse", **way)
    generator = np.random.default_rng(0)
    samples = 16 if way.get("jit_compile") else 20  # XLA compiles every size of a batch anew
    data, targets = generator.normal(size=(samples, 3, 4)), generator.normal(size=(samples, 3, 2))
    report = lockstep(model, data, targets, batch_size=8)
    report.raise_if_different()
    # The half that trains alone draws nothing of its own either: its weights stay Keras's.
    assert report.history[-1].weight_drift < (1e-5 if precision == "float32" else 1e-13)


def test_another_draw_of_the_mask_is_a_disagreement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manual.randomness.Draws.replay", lambda self, arrays: None)
    layer = keras.layers.Dropout(0.5, name="drop")
    model = keras.Sequential([keras.Input((4,)), layer, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    first = lockstep(model, np.ones((8, 4)), np.ones((8, 1)), batch_size=8).first
    assert first is not None
    assert (first.phase, first.name) == ("activation", "drop")


def test_on_its_own_it_draws_and_keeps_the_mean() -> None:
    x = np.ones((200, 500))
    layer = Dropout(0.25)
    y, saved = layer.forward(x, training=True)
    assert set(np.unique(y)) == {0.0, 1.0 / 0.75}
    assert abs(y.mean() - 1.0) < 6 * np.sqrt(0.25 / 0.75 / x.size)  # six standard deviations
    np.testing.assert_array_equal(layer.backward(x, saved), y)
    assert layer.forward(x)[0] is x
    assert not layer.forward(x[:1], training=True)[0].all()


STOCHASTIC: dict[str, tuple[Any, tuple[int, ...]]] = {
    "spatial dropout, 1D": (lambda: keras.layers.SpatialDropout1D(0.4), (3, 4)),
    "spatial dropout, 2D": (lambda: keras.layers.SpatialDropout2D(0.4), (2, 3, 4)),
    "spatial dropout, 2D, channels first": (
        lambda: keras.layers.SpatialDropout2D(0.4, data_format="channels_first"),
        (4, 2, 3),
    ),
    "spatial dropout, 3D": (lambda: keras.layers.SpatialDropout3D(0.4), (2, 2, 2, 4)),
    "spatial dropout, 3D, channels first": (
        lambda: keras.layers.SpatialDropout3D(0.4, data_format="channels_first"),
        (4, 2, 2, 2),
    ),
    "noise": (lambda: keras.layers.GaussianNoise(0.3), (3, 4)),
    "gaussian dropout": (lambda: keras.layers.GaussianDropout(0.3), (3, 4)),
    "alpha dropout": (lambda: keras.layers.AlphaDropout(0.3), (3, 4)),
    "alpha dropout, noise shape": (
        lambda: keras.layers.AlphaDropout(0.3, noise_shape=(None, 1, 4)),
        (3, 4),
    ),
    "dropout of everything": (lambda: keras.layers.Dropout(1.0), (3, 4)),
    "no noise": (lambda: keras.layers.GaussianNoise(0.0), (3, 4)),
    "gaussian dropout of nothing": (lambda: keras.layers.GaussianDropout(0.0), (3, 4)),
    "alpha dropout of nothing": (lambda: keras.layers.AlphaDropout(0.0), (3, 4)),
}


def test_every_stochastic_layer_is_replayed_through_fit(precision: str) -> None:
    """All in one model, so that each has to get its own draws; inference in the validation."""
    generator = np.random.default_rng(0)
    inputs, outputs = [], []
    for make, shape in STOCHASTIC.values():
        inputs.append(keras.Input(shape))
        flat = keras.layers.Flatten()(make()(inputs[-1]))
        outputs.append(keras.layers.Dense(2)(flat))
    model = keras.Model(inputs, keras.layers.Add()(outputs))
    model.compile("sgd", "mse", run_eagerly=precision == "float64")  # a graph is slow to build
    x = [generator.normal(size=(12, *shape)) for _, shape in STOCHASTIC.values()]
    y = generator.normal(size=(12, 2))
    report = lockstep(model, x, y, batch_size=5, validation_data=(x, y))
    report.raise_if_different()
    assert ("metric", "val_loss", "model.fit") in report.quantities


@pytest.mark.parametrize("name", STOCHASTIC)
def test_derivative_is_that_of_the_forward_map(
    name: str, differences: Any, smooth_points: Any, generator: np.random.Generator
) -> None:
    make, shape = STOCHASTIC[name]
    keras_layer = make()
    layer = twin("layer", type(keras_layer).__name__).from_config(keras_layer.get_config())
    x, dy = smooth_points(2, *shape), smooth_points(2, *shape)
    drawn = generator.uniform(size=(2, *shape))
    exact = differences.exact

    def forward(point: Any) -> Any:
        layer.draws.replay([exact(drawn)])
        return layer.forward(point, training=True)

    dx = layer.backward(exact(dy), forward(exact(x))[1])
    differences.agree(lambda points: (forward(points[0])[0] * dy).sum(), [x], [dx])


@pytest.mark.parametrize("name", STOCHASTIC)
def test_at_inference_nothing_happens(name: str) -> None:
    make, shape = STOCHASTIC[name]
    keras_layer = make()
    layer = twin("layer", type(keras_layer).__name__).from_config(keras_layer.get_config())
    x = np.ones((2, *shape))
    y, saved = layer.forward(x)
    assert y is x
    assert layer.backward(x, saved) is x


def test_on_their_own_noise_has_its_mean_and_variance() -> None:
    """Within six standard deviations of what a mean and a mean square of so many may be."""
    x = np.ones((400, 500))
    for layer in (GaussianNoise(0.5), GaussianDropout(0.2)):  # 0.5² = 0.2 / 0.8
        y, _ = layer.forward(x, training=True)
        assert abs(y.mean() - 1.0) < 6 * np.sqrt(0.25 / x.size)
        assert abs(y.var() - 0.25) < 6 * 0.25 * np.sqrt(2 / x.size)


def test_alpha_dropout_keeps_mean_and_variance() -> None:
    x = np.random.default_rng(1).normal(size=(400, 500))
    y, _ = AlphaDropout(0.3).forward(x, training=True)
    assert abs(y.mean()) < 6 / np.sqrt(x.size)
    assert abs(y.var() - 1.0) < 6 * np.sqrt(((y**4).mean() - 1.0) / x.size)
    assert len(np.unique(y)) < 0.75 * x.size  # what is dropped is all the same


def test_spatial_dropout_drops_whole_channels() -> None:
    y, _ = SpatialDropout2D(0.5).forward(np.ones((20, 3, 4, 30)), training=True)
    assert set(np.unique(y)) == {0.0, 2.0}
    np.testing.assert_array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))


def test_the_precision_stays(precision: str) -> None:
    for make, shape in STOCHASTIC.values():
        keras_layer = make()
        layer = twin("layer", type(keras_layer).__name__).from_config(keras_layer.get_config())
        x = np.ones((2, *shape), precision)
        y, saved = layer.forward(x, training=True)
        assert y.dtype == layer.backward(x, saved).dtype == precision, layer
