"""An expression of Keras's operations, held against its twin: its test is a table and a line.

A row of the table is a function of tensors, the shapes of these, and from where their numbers are
drawn. The twin is built from the configuration of the Functional model that the function makes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare.rounding.noise import Noisy
from manual.network import Network
from manual.recorded import Recorded
from manual.recording import Tape
from manual.replay import on_tape_of

DOMAINS: dict[str, tuple[float, float]] = {
    "near": (-2.0, 2.0),
    "positive": (0.1, 3.0),
    "within 1": (-0.9, 0.9),
    "above 1": (1.1, 4.0),
}


def drawn(generator: np.random.Generator, shape: Sequence[int], domain: str) -> np.ndarray:
    """Draw float32 numbers, none of them nearer than 1/16 to 0 (where kinks lie)."""
    low, high = DOMAINS[domain]
    numbers = generator.uniform(low, high, shape)
    return np.where(np.abs(numbers) < 1 / 16, 0.375, numbers).astype(np.float32)


def model_of(function: Callable[..., Any], shapes: Sequence[tuple[int, ...]]) -> Any:
    """Return the Functional model of an expression; each input's first size is the batch's."""
    inputs = [keras.Input(shape[1:], name=f"x{place}") for place, shape in enumerate(shapes)]
    made = function(*inputs)
    outputs = list(made) if isinstance(made, (list, tuple)) else [made]
    return keras.Model(inputs, [one for one in outputs if one is not None])


class Expression:
    """A Keras expression and its twin, and the gradients of both at every input."""

    def __init__(self, function: Callable[..., Any], shapes: Any, precision: str) -> None:
        self.shapes = shapes if isinstance(shapes, list) else [shapes]
        self.model = model_of(function, self.shapes)
        self.network = Network.from_config(self.model.get_config(), dtype=precision)

    @property
    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Give what its operations are in a record: kind, class, and options."""
        for one in self.model.get_config()["layers"]:
            if one["module"] != "keras.layers":  # an input
                yield "operation", one["class_name"], one["config"]

    def by_keras(self, xs: Sequence[Any], dys: Sequence[Any] | None = None) -> tuple[Any, Any]:
        """Return the outputs, and the gradients of the inputs (None where there is none)."""
        with tf.GradientTape() as tape:
            tensors = [tf.constant(x) for x in xs]
            tape.watch(tensors)
            outputs = self.model(tensors)
            outputs = outputs if isinstance(outputs, list) else [outputs]
        if dys is None:
            return [y.numpy() for y in outputs], None
        smooth = [(y, dy) for y, dy in zip(outputs, dys, strict=True) if y.dtype.is_floating]
        dxs = tape.gradient([y for y, _ in smooth], tensors, [tf.constant(dy) for _, dy in smooth])
        return [y.numpy() for y in outputs], [None if dx is None else dx.numpy() for dx in dxs]

    def by_hand(
        self, xs: Sequence[Any], dys: Callable[[Sequence[Any]], Any] | None = None
    ) -> tuple[Any, Any]:
        run = self.network.forward(list(xs))
        outputs = [run.values[place] for place in self.network.outputs]
        if dys is None:
            return outputs, None
        upstream: dict[int, Any] = {}
        for place, dy in zip(self.network.outputs, dys(outputs), strict=True):
            upstream[place] = upstream[place] + dy if place in upstream else dy
        self.network.backward(run, upstream)
        return outputs, [run.gradients[place] for place in self.network.inputs]


@pytest.fixture
def expression_equals_keras(
    ruler: Any, generator: np.random.Generator, found: Any
) -> Callable[..., None]:
    """Return a function that holds a row of a table against Keras, on drawn inputs.

    On plain arrays the precision stays, nothing given is changed, and a replay of the recorded
    expression gives the same bits where it can be recorded.
    """

    def check(function: Callable[..., Any], shapes: Any, domain: str = "near") -> None:
        one = Expression(function, shapes, ruler.precision)
        xs = [drawn(generator, shape, domain).astype(ruler.precision) for shape in one.shapes]
        outputs, _ = one.by_hand(xs)
        dys = [generator.normal(size=y.shape).astype(ruler.precision) for y in outputs]
        kept = [array.copy() for array in (*xs, *dys)]
        made, dxs = one.by_hand(xs, lambda _: dys)
        arrays = [*made, *(dx for dx in dxs if dx is not None)]
        assert {array.dtype.name for array in arrays} == {ruler.precision}
        for before, after in zip(kept, (*xs, *dys), strict=True):
            np.testing.assert_array_equal(after, before)

        ys, actual = one.by_keras(xs, dys)
        with np.errstate(all="ignore"):
            exact = [ruler.exact(x) for x in xs]
            expected, gradients = one.by_hand(exact, lambda _: [ruler.exact(dy) for dy in dys])
        for place, (theirs, ours) in enumerate(zip(ys, expected, strict=True)):
            assert theirs.shape == ours.shape
            ruler.agrees(theirs.astype(ruler.precision), ours, f"output {place}")
        for place, (theirs, ours) in enumerate(zip(actual, gradients, strict=True)):
            if theirs is None or ours is None:
                assert (theirs is None or not theirs.any()) and (
                    ours is None or not ours.value.any()
                ), f"gradient of input {place}: one side has none"
                continue
            ruler.agrees(theirs, ours, f"gradient of input {place}")
        for told in one.operations:
            found.agrees(*told, ruler.precision, ruler.largest)

    return check


@pytest.fixture
def expression_derivative(
    differences: Any, generator: np.random.Generator, found: Any
) -> Callable[..., None]:
    """Return a function that holds a row's derivative against differences of its forward map."""

    def check(function: Callable[..., Any], shapes: Any, domain: str = "near") -> None:
        one = Expression(function, shapes, "float64")
        xs = [drawn(generator, shape, domain).astype(np.float64) for shape in one.shapes]
        outputs, _ = one.by_hand(xs)
        dys = [drawn(generator, y.shape, "near").astype(np.float64) for y in outputs]
        exact = differences.exact
        _, dxs = one.by_hand([exact(x) for x in xs], lambda _: [exact(dy) for dy in dys])

        def total(points: list[Noisy]) -> Noisy:
            ys, _ = one.by_hand(points)
            parts = [(y * dy).sum() for y, dy in zip(ys, dys, strict=True)]
            return sum(parts[1:], parts[0])

        zeros = [
            exact(np.zeros(x.shape)) if dx is None else dx for x, dx in zip(xs, dxs, strict=True)
        ]
        differences.agree(total, xs, zeros)
        for told in one.operations:
            found.is_derived(*told)

    return check


@pytest.fixture
def expression_is_replayed(generator: np.random.Generator) -> Callable[..., None]:
    """Return a function that records an expression on one batch and replays it on another."""

    def check(function: Callable[..., Any], shapes: Any, domain: str = "near") -> None:
        one = Expression(function, shapes, "float32")
        xs, others = ([drawn(generator, s, domain) for s in one.shapes] for _ in range(2))
        ys, _ = one.by_hand(others)
        dys = [generator.normal(size=y.shape).astype(np.float32) for y in ys]
        ys, dxs = one.by_hand(others, lambda _: dys)
        wanted = [np.array(array) for array in (*ys, *(dx for dx in dxs if dx is not None))]
        tape = Tape()
        with on_tape_of(tape, [], one.network.layers):
            recorded = [tape.lasting_array(x) for x in xs]
            ys, dxs = one.by_hand(recorded, lambda _: [tape.lasting_array(dy) for dy in dys])
            made = [*ys, *(dx for dx in dxs if dx is not None)]
            outputs = [np.array(r.value if isinstance(r, Recorded) else r) for r in made]
            for output, result in zip(outputs, made, strict=True):
                kept = tape.lasting_array(output)
                tape.changed(np.copyto, (kept, result), kept)
        for place, array in zip(xs, others, strict=True):
            place[...] = array
        for call, arguments in tape.program():
            call(*arguments)
        for ours, theirs in zip(outputs, wanted, strict=True):
            np.testing.assert_array_equal(ours, theirs)

    return check


@pytest.fixture
def twin_of_expression() -> Callable[..., Network]:
    """Return a function that builds the twin of an expression, for what is refused on the way."""

    def build(function: Callable[..., Any], *shapes: tuple[int, ...]) -> Network:
        return Expression(function, list(shapes), "float64").network

    return build


@pytest.fixture
def gradient_at(float64: None) -> Callable[..., list[np.ndarray]]:
    """Return a function that gives the gradients of an expression's sum, the same by both halves.

    For points at which a derivative is a matter of choice: they have to choose alike.
    """

    def gradients(function: Callable[..., Any], *xs: np.ndarray) -> list[np.ndarray]:
        one = Expression(function, [x.shape for x in xs], "float64")
        ys, by_hand = one.by_hand(list(xs), lambda ys: [np.ones_like(y) for y in ys])
        _, by_keras = one.by_keras(list(xs), [np.ones_like(y) for y in ys])
        for ours, theirs in zip(by_hand, by_keras, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        return by_hand

    return gradients
