"""Attention, joined branches and moved numbers in a running fit: both halves agree throughout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import check_gradients

DRIFT = {"float32": 1e-3, "float64": 1e-12}


def dense(x: Any, units: int, name: str, **options: Any) -> Any:
    return keras.layers.Dense(units, name=name, bias_initializer="random_normal", **options)(x)


def attention(x: Any) -> Any:
    """Build a block with a causal self-attention and one that looks at something else."""
    layers = keras.layers
    embedded, told = dense(x, 6, "embed", activation="tanh"), dense(x, 4, "told")
    attend = layers.MultiHeadAttention(2, 3, dropout=0.2, name="self")
    x = layers.Add(name="skip")([embedded, attend(embedded, embedded, use_causal_mask=True)])
    cross = layers.MultiHeadAttention(2, 2, value_dim=3, use_bias=False, name="cross")
    x = layers.Add(name="skip2")([x, cross(query=x, key=told, value=told)])
    x = layers.GroupQueryAttention(3, 4, 2, sliding_window=2, name="grouped")(x, x)
    return layers.Flatten()(x)


def without_projections(x: Any) -> Any:
    layers = keras.layers
    asked, told = dense(x, 4, "asked"), dense(x, 4, "told")
    one = layers.Attention(use_scale=True, dropout=0.2, name="dot")(
        [asked, told], use_causal_mask=True
    )
    two = layers.AdditiveAttention(name="add")([asked, told, one])
    three = layers.Attention(score_mode="concat", name="concat")([two, told])
    return layers.Flatten()(layers.Concatenate()([one, two, three]))


def merging(x: Any) -> Any:
    layers = keras.layers
    one, two = dense(x, 4, "one", activation="relu"), dense(x, 4, "two", activation="relu")
    mean = layers.Average()([one, two])
    x = layers.Multiply()([one, dense(layers.Flatten()(x), 4, "gate", activation="sigmoid")])
    x = layers.Subtract()([layers.Maximum()([x, two, one]), layers.Minimum()([mean, two])])
    similar = layers.Dot(axes=2, normalize=True)([x, mean])
    return layers.Flatten()(layers.Concatenate(axis=2)([x, similar, layers.Dot((2, 1))([x, x])]))


def reshaping(x: Any) -> Any:
    layers = keras.layers
    x = layers.Permute((2, 1))(layers.Rescaling(0.3, 0.1)(dense(x, 4, "first")))
    x = layers.UpSampling1D(2)(layers.ZeroPadding1D((1, 2))(layers.Cropping1D((1, 0))(x)))
    x = layers.Reshape((3, 4, -1))(x)
    x = layers.ZeroPadding2D(1)(layers.UpSampling2D((1, 2))(layers.Identity()(x)))
    x = layers.EinsumDense("abcd,de->aebc", (3, 5, 10), bias_axes="e", name="einsum")(x)
    x = layers.Cropping2D(((0, 1), (1, 0)))(x)
    return layers.RepeatVector(2)(layers.Flatten()(x))


def model_of(build: Callable[[Any], Any], **options: Any) -> Any:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((4, 4))
    x = build(inputs)
    model = keras.Model(inputs, dense(x, 2, "last"))
    model.compile("adam", "mse", **options)
    generator = np.random.default_rng(1)
    return model, generator.normal(size=(20, 4, 4)), generator.normal(size=(20, *x.shape[1:-1], 2))


@pytest.mark.parametrize(
    ("build", "dtype", "eagerly"),
    [
        (attention, "float32", True),
        (attention, "float64", False),  # a graph is slow to build
        (without_projections, "float64", True),
        (merging, "float32", False),
        (reshaping, "float64", True),
    ],
)
def test_every_step_of_a_fit_agrees(
    build: Callable[[Any], Any],
    dtype: str,
    eagerly: bool,
    use_precision: Callable[[str], None],
    lockstep: Any,
) -> None:
    use_precision(dtype)
    model, x, y = model_of(build, run_eagerly=eagerly)
    report = lockstep(model, x, y, batch_size=8).check()
    assert report.history[-1].weight_drift < DRIFT[dtype]
    compared = {name.split("/")[0] for _, name, _ in report.quantities}
    assert {layer.name for layer in model.layers if layer.weights} <= compared


# ---------------------------------------------------------------------- somebody's backward pass


def by_hand(slip: str) -> Callable[..., list[Any]]:
    """Return a backward pass of a linear layer, a skip connection around tanh, and a last one."""

    def gradients(weights: list[np.ndarray], x: Any, y: Any) -> list[Any]:
        W, b, V, c, U, d = weights
        h = x @ W + b
        a = np.tanh(h @ V + c)
        dp = 2.0 * ((h + a) @ U + d - y) / y.size
        ds = dp @ U.T
        dz = ds * (1.0 - a * a)
        dh = dz @ (V if slip == "turned" else V.T) + ds
        if slip == "forgotten":
            dh = dz @ V.T
        if slip == "twice":
            dh = dh + ds
        return [x.T @ dh, dh.sum(axis=0), h.T @ dz, dz.sum(axis=0), (h + a).T @ dp, dp.sum(axis=0)]

    return gradients


@pytest.mark.parametrize(
    ("slip", "cause", "precision"),
    [
        ("", "", "float32"),
        ("", "", "float64"),
        ("forgotten", "the gradient that comes back through skip is forgotten", "float32"),
        ("twice", "the gradient that comes back through skip is counted twice", "float64"),
        ("turned", "the kernel is not transposed, in what comes back through block", "float32"),
    ],
    indirect=["precision"],
)
def test_a_submission_with_a_skip_connection(slip: str, cause: str, precision: str) -> None:
    keras.utils.set_random_seed(5)
    inputs = keras.Input((4,))
    x = dense(inputs, 4, "embed")
    x = keras.layers.Add(name="skip")([x, dense(x, 4, "block", activation="tanh")])
    model = keras.Model(inputs, dense(x, 2, "last"))
    model.compile("sgd", "mse")
    generator = np.random.default_rng(1)
    data, targets = generator.normal(size=(8, 4)), generator.normal(size=(8, 2))
    report = check_gradients(
        model,
        data,
        targets,
        by_hand(slip)(model.get_weights(), data.astype(precision), targets.astype(precision)),
    )
    if not slip:
        assert report.ok, str(report.first)
        return
    assert report.first is not None and report.first.diagnosis is not None
    assert report.first.diagnosis.causes[0].sentence.startswith(cause), str(report.first)


def test_frozen_in_the_constructor_the_layers_within_go_on_training(lockstep: Any) -> None:
    """Keras hands ``trainable`` down only when it is set afterwards."""
    layers = keras.layers
    inputs = keras.Input((4, 3))
    x = layers.TimeDistributed(layers.BatchNormalization(name="n"), trainable=False, name="each")(
        inputs
    )
    x = layers.Bidirectional(layers.SimpleRNN(2), trainable=False, name="both")(x)
    frozen = layers.SpectralNormalization(layers.Dense(2, name="d"), trainable=False, name="short")
    model = keras.Model(inputs, dense(frozen(x), 1, "last"))
    model.compile("sgd", "mse")
    generator = np.random.default_rng(1)
    data = generator.normal(size=(6, 4, 3)), generator.normal(size=(6, 1))
    report = lockstep(model, *data, batch_size=3).report
    assert report.ok, str(report.first)
    compared = {(phase, name) for phase, name, _ in report.quantities}
    trained = {"each/gamma", "both/forward_simple_rnn/simple_rnn_cell/kernel", "short/kernel"}
    assert {("weight gradient", name) for name in trained} <= compared
    assert {("state", "each/moving_mean"), ("state", "short/vector_u")} <= compared
