"""A fault of Keras's own: an embedding's gradient is squared before its parts are added up."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import Report, lockstep


def trained(optimizer: Any, x: np.ndarray, eagerly: bool = True) -> Report:
    keras.utils.set_random_seed(100)  # an index's gradients all but cancel: much noise in their sum
    inputs = keras.Input((x.shape[1],), dtype="int32")
    h = keras.layers.Embedding(5, 3, name="words")(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(h)))
    model.compile(optimizer, "mse", run_eagerly=eagerly)
    y = np.random.default_rng(0).normal(size=(len(x), 1))
    return lockstep(model, x, y, batch_size=len(x))


REPEATED, ONCE = np.array([[1, 1], [2, 1], [4, 2]]), np.array([[1, 3], [2, 4]])


@pytest.mark.parametrize(
    ("precision", "eagerly"), [("float32", False), ("float64", True)], indirect=["precision"]
)
@pytest.mark.parametrize(
    ("make", "phase", "name"),
    [
        (lambda: keras.optimizers.Adam(), "optimizer slot", "words/embeddings/velocity"),
        (lambda: keras.optimizers.RMSprop(), "optimizer slot", "words/embeddings/velocity"),
        (lambda: keras.optimizers.Adagrad(), "optimizer slot", "words/embeddings/accumulator"),
        (lambda: keras.optimizers.SGD(clipnorm=1e-3), "processed gradient", "words/embeddings"),
        (lambda: keras.optimizers.SGD(global_clipnorm=1e-3), "processed gradient", "words/emb"),
    ],
)
def test_keras_is_wrong_and_why(
    make: Any, phase: str, name: str, precision: str, eagerly: bool
) -> None:
    first = trained(make(), REPEATED, eagerly).first
    assert first is not None and first.diagnosis is not None
    assert first.phase == phase
    if name.startswith("words/embeddings"):
        assert first.name == name
    causes = [cause.sentence for cause in first.diagnosis.causes]
    assert causes[0] == "each occurrence of a repeated index is squared by itself", str(first)


@pytest.mark.parametrize("optimizer", ["adam", "rmsprop", "adagrad"])
def test_indices_that_occur_once_agree(optimizer: str, precision: str) -> None:
    trained(optimizer, ONCE).raise_if_different()


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_what_is_linear_in_the_gradient_agrees(momentum: float, precision: str) -> None:
    trained(keras.optimizers.SGD(0.1, momentum), REPEATED).raise_if_different()


def test_keras_itself() -> None:
    """One index twice, a gradient of 4 at each: v is 0.001 · (4² + 4²), not 0.001 · 8²."""
    model = keras.Sequential(
        [
            keras.Input((2,), dtype="int32"),
            keras.layers.Embedding(3, 1, embeddings_initializer="ones"),
            keras.layers.Flatten(),
            keras.layers.Dense(1, use_bias=False, kernel_initializer="ones", trainable=False),
        ]
    )
    model.compile(keras.optimizers.Adam(), "mse")
    model.fit(np.array([[1, 1]]), np.array([[0.0]]), verbose=0)
    slots = {v.name.rsplit("_", 1)[1]: v.numpy() for v in model.optimizer.variables[2:]}
    assert slots["momentum"][1, 0] == pytest.approx(0.1 * 8.0)
    assert slots["velocity"][1, 0] == pytest.approx(0.001 * 32.0)
