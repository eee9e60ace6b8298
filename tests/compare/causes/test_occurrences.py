"""What Keras does to each row of an embedding's gradient by itself, and who adds them up first."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import Report, lockstep
from manual.optimizers import Scattered, summed


def trained(optimizer: Any, x: np.ndarray, eagerly: bool = True, **options: Any) -> Report:
    keras.utils.set_random_seed(100)  # an index's gradients all but cancel: much noise in their sum
    inputs = keras.Input((x.shape[1],), dtype="int32")
    h = keras.layers.Embedding(5, 3, name="words", **options)(inputs)
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Flatten()(h)))
    model.compile(optimizer, "mse", run_eagerly=eagerly)
    y = np.random.default_rng(0).normal(size=(len(x), 1))
    return lockstep(model, x, y, batch_size=len(x), epochs=3)


REPEATED, ONCE = np.array([[1, 1], [2, 1], [4, 2]]), np.array([[1, 3], [2, 4]])

NOT_LINEAR = {
    "Adam": (lambda: keras.optimizers.Adam(), "optimizer slot", "velocity"),
    "RMSprop": (lambda: keras.optimizers.RMSprop(), "optimizer slot", "velocity"),
    "Adagrad": (lambda: keras.optimizers.Adagrad(), "optimizer slot", "accumulator"),
    "norm": (lambda: keras.optimizers.SGD(clipnorm=1e-3), "processed gradient", ""),
    "all norms": (lambda: keras.optimizers.SGD(global_clipnorm=1e-3), "processed gradient", ""),
}
MORE: dict[str, Any] = {
    "Adamax": lambda: keras.optimizers.Adamax(),
    "Nadam": lambda: keras.optimizers.Nadam(),
    "Adadelta": lambda: keras.optimizers.Adadelta(0.5),
    "Ftrl": lambda: keras.optimizers.Ftrl(0.1, l2_shrinkage_regularization_strength=0.1),
    "Lamb": lambda: keras.optimizers.Lamb(),
    "Lion": lambda: keras.optimizers.Lion(),
    "Adafactor": lambda: keras.optimizers.Adafactor(0.1, clip_threshold=0.01),
    "Muon": lambda: keras.optimizers.Muon(exclude_embeddings=False),
    "ScheduleFreeAdamW": lambda: keras.optimizers.ScheduleFreeAdamW(),
    "momentum": lambda: keras.optimizers.SGD(0.1, 0.9, nesterov=True),
    "SGD": lambda: keras.optimizers.SGD(0.1),
    "bounds": lambda: keras.optimizers.Adam(clipvalue=1e-2, weight_decay=0.1),
    "accumulation": lambda: keras.optimizers.Adam(gradient_accumulation_steps=2, clipnorm=1e-2),
    "average": lambda: keras.optimizers.RMSprop(use_ema=True, centered=True, momentum=0.5),
}


@pytest.mark.parametrize("rule", [*NOT_LINEAR, *MORE])
def test_every_rule_does_to_each_row_what_keras_does(rule: str, precision: str) -> None:
    make = NOT_LINEAR[rule][0] if rule in NOT_LINEAR else MORE[rule]
    trained(make(), REPEATED, eagerly=False).raise_if_different()


@pytest.mark.parametrize("jit_compile", [True])
def test_compiled_by_xla(jit_compile: bool, precision: str) -> None:
    inputs = keras.Input((2,), dtype="int32")
    h = keras.layers.Flatten()(keras.layers.Embedding(5, 3)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(h))
    model.compile("adam", "mse", jit_compile=jit_compile)
    lockstep(model, REPEATED, np.ones((3, 1)), batch_size=3, epochs=2).raise_if_different()


def test_a_regularizer_has_keras_add_up_first(precision: str) -> None:
    trained(keras.optimizers.Adam(), REPEATED, embeddings_regularizer="l2").raise_if_different()


def test_a_table_that_is_looked_up_twice(precision: str) -> None:
    """The rows of both calls are one list."""
    inputs, table = keras.Input((2,), dtype="int32"), keras.layers.Embedding(5, 3)
    first = keras.layers.Dense(6, "tanh")(keras.layers.Flatten()(table(inputs)))
    second = keras.layers.Flatten()(table(inputs))
    model = keras.Model(inputs, keras.layers.Dense(1)(keras.layers.Add()([first, second])))
    model.compile("adam", "mse")
    lockstep(model, REPEATED, np.ones((3, 1)), batch_size=3, epochs=5).raise_if_different()


def test_a_table_that_leads_back_has_its_rows_added_up_first(precision: str) -> None:
    """What comes from the way back is no list of rows, and Keras adds both up."""
    inputs, table = keras.Input((2,), dtype="int32"), keras.layers.ReversibleEmbedding(5, 3)
    h = keras.layers.Dense(3, "tanh")(table(inputs))
    model = keras.Model(inputs, table(h, reverse=True))
    model.compile("adam", "mse")
    y = np.random.default_rng(0).normal(size=(3, 2, 5))
    lockstep(model, REPEATED, y, batch_size=3, epochs=3).raise_if_different()


@pytest.mark.parametrize(
    ("precision", "eagerly"), [("float32", False), ("float64", True)], indirect=["precision"]
)
@pytest.mark.parametrize("rule", NOT_LINEAR)
def test_rows_that_are_added_up_first(
    rule: str, precision: str, eagerly: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The papers' way, planted into the hand-written half, is found and named."""
    make, phase, slot = NOT_LINEAR[rule]

    def each(self: Scattered, function: Any, tensors: Any) -> Any:
        parts = [function(self.total[one.place]) for one in tensors]
        return np.concatenate(parts)

    monkeypatch.setattr(Scattered, "__mul__", lambda self, g: self.total * summed(g))
    monkeypatch.setattr(Scattered, "each", each)
    first = trained(make(), REPEATED, eagerly).first
    assert first is not None and first.diagnosis is not None
    assert first.phase == phase
    if rule != "all norms":
        assert first.name == "words/embeddings" + (f"/{slot}" if slot else "")
    causes = [cause.sentence for cause in first.diagnosis.causes]
    told = "the rows of a repeated index are added up first; Keras squares each by itself"
    assert causes[0] == told, str(first)


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
    assert slots["momentum"][1, 0] == np.float32(1 - 0.9) * 8  # powers of 2: nothing is rounded
    assert slots["velocity"][1, 0] == np.float32(1 - 0.999) * 32
