"""Layers of a user's own, followed with symbols: nothing of them is left unverified."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
from fits import alike

import compare
from manual.layers import pieces

layers = keras.layers
ops = keras.ops
numbers = np.random.default_rng(0)
X, Y = numbers.normal(size=(8, 3, 4)), numbers.normal(size=(8, 2))


class Positions(layers.Layer):
    """A table that is asked for fixed numbers, a weight of which a part is taken, and a list."""

    def build(self, shape: Any) -> None:
        self.table = layers.Embedding(shape[1], shape[2], name="table")
        self.shift = self.add_weight(shape=(5, shape[2]), name="shift", regularizer="l2")
        self.factors = [
            self.add_weight(shape=(), initializer="ones", name=f"factor_{n}") for n in range(2)
        ]

    def call(self, x: Any) -> Any:
        size = ops.shape(x)[1]
        placed = self.table(ops.arange(size)) + self.shift[:size]
        return self.factors[0] * x + self.factors[1] * placed


class Block(layers.Layer):
    """Layers within, of which nobody is told whether it is in training."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.within = keras.Sequential(
            [layers.Dense(4, "gelu"), layers.Dropout(0.5), layers.BatchNormalization()]
        )

    def call(self, x: Any) -> Any:
        return x + self.within(x)


class Sampling(layers.Layer):
    """A draw around what is given, at a cost, in front of which a row is put."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.seed_generator = keras.random.SeedGenerator(3)

    def build(self, shape: Any) -> None:
        self.row = self.add_weight(shape=(1, 1, shape[2]), name="row")

    def call(self, x: Any) -> Any:
        batch, size, width = ops.shape(x)
        self.add_loss(0.1 * ops.mean(ops.square(x)))
        drawn = keras.random.normal((batch, size, width), seed=self.seed_generator)
        first = ops.repeat(self.row, batch, axis=0)
        return ops.concatenate([first, x + 0.3 * drawn], axis=1)


class Dropout(layers.Layer):
    """Not Keras's."""

    def call(self, x: Any) -> Any:
        return x * 2.0


def built(*given: Callable[[], Any]) -> keras.Model:
    x = keras.Input((3, 4))
    hidden = x
    for one in given:
        hidden = one()(hidden)
    model = keras.Model(x, layers.Dense(2, name="out")(layers.Flatten()(hidden)))
    model.compile(keras.optimizers.Adam(0.01), "mse")
    return model


@pytest.mark.parametrize("kind", [Positions, Block, Sampling, Dropout])
def test_it_trains_as_by_itself(kind: type[layers.Layer], precision: str) -> None:
    report = alike(partial(built, partial(kind, name="own")), lambda: (X, Y), batch_size=4)
    assert report.unverified == []
    names = {name for _, name, _ in report.quantities}
    assert any(name.startswith("own/") for name in names)


BUGS: list[tuple[type, type, str, Callable[..., Any], tuple[str, str]]] = [
    (
        Positions,
        pieces.OwnWeight,
        "backward",
        lambda self, dy, saved: None,
        ("weight gradient", "own/shift/shift"),
    ),
    (
        Positions,
        pieces.GivenNumbers,
        "forward",
        lambda self, x, *, training=False: (self.numbers.astype(x.dtype) * 0.0, None),
        ("activation", "own/numbers_1"),
    ),
    (
        Sampling,
        pieces.ForEachSample,
        "backward",
        lambda self, dy, saved: [dy.mean(axis=0, keepdims=True), None],
        ("activation gradient", "own/row"),
    ),
    (
        Sampling,
        pieces.DrawnNumbers,
        "forward",
        lambda self, x, *, training=False: (self.draws.normal(self.numbers_shape) * 2.0, None),
        ("activation", "own/drawn_1"),
    ),
]


@pytest.mark.parametrize(("kind", "piece", "method", "bug", "where"), BUGS)
def test_a_planted_bug_is_caught(
    kind: Any, piece: Any, method: str, bug: Any, where: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(piece, method, bug)
    report = compare.lockstep(built(partial(kind, name="own")), X, Y, batch_size=4, steps=1)
    assert report.first is not None
    assert (report.first.phase, report.first.name.partition("@")[0]) == where


def test_a_layer_that_reads_another_ones_weight_is_carried() -> None:
    class Tied(layers.Layer):
        def __init__(self, other: Any = None, **options: Any) -> None:
            super().__init__(**options)
            self.other = other or layers.Dense(4)

        def build(self, shape: Any) -> None:
            self.other.build(shape)

        def call(self, x: Any) -> Any:
            return ops.matmul(x, ops.transpose(self.other.kernel))

        def get_config(self) -> Any:
            return layers.Layer.get_config(self)

    report = compare.lockstep(built(partial(Tied, name="own")), X, Y, batch_size=4)
    assert report.ok
    assert report.unverified == ["own"]


def test_a_mask_that_is_fed() -> None:
    x, mask = keras.Input((3, 4)), keras.Input((3,), dtype="bool", name="mask")
    hidden = layers.GRU(4, return_sequences=True, name="first")(x, mask=mask)
    hidden = layers.GRU(3, name="second")(hidden)
    model = keras.Model([x, mask], layers.Dense(2)(hidden))
    model.compile("adam", "mse")
    counts = np.arange(3) < numbers.integers(1, 4, (8, 1))
    report = compare.lockstep(model, [X, counts], Y, batch_size=4)
    report.raise_if_different()
    assert report.unverified == []


def test_numbers_that_count_from_the_end_of_a_table() -> None:
    model = keras.Sequential([keras.Input((3,), dtype="int32"), layers.Embedding(5, 2, name="e")])
    model.add(layers.Flatten())
    model.add(layers.Dense(2))
    model.compile("adam", "mse")
    words = np.array([[0, -1, 4], [-1, -1, 2], [3, 1, -5], [4, 4, -1]])
    compare.lockstep(model, words, Y[:4], batch_size=4, epochs=2).raise_if_different()
