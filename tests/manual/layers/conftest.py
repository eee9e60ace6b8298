"""A layer alone, held against Keras's: its test is a table of layers and a line.

A row of the table makes a layer of Keras, and gives the shape of its input (or a list, of several)
and the options of the call. The hand-written twin is built from Keras's own configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from calling import (
    Options,
    Shape,
    by_hand_called,
    called,
    compiled,
    gradients_of,
    is_spread,
    noisy,
    outputs_of,
    variables_of,
)

from compare.rounding.judge import BOUND
from compare.rounding.noise import SINGLE, Noisy
from keras_models.hooks import DRAWING, record_draws
from manual.layers import InputLayer
from manual.recorded import Recorded
from manual.recording import Tape
from manual.registry import twin
from manual.replay import on_tape_of

NONE: Options = {}


def drawn_by(layer: Any, xs: Sequence[Any], options: Options) -> list[np.ndarray]:
    """Return the random numbers that a layer of Keras draws in its next call.

    What only XLA can run is not asked: the tables let none of it draw.
    """
    states = [one for one in layer.variables if one.name == "seed_generator_state"]
    if not states or compiled(layer, layer.dtype):
        return []
    variables = [*layer.variables, *variables_of(layer)]
    before = [one.numpy() for one in variables]
    for one in layer._flatten_layers():
        if hasattr(one, "reset_dropout_mask"):  # a cell by itself would use the last one again
            one.reset_dropout_mask()
            one.reset_recurrent_dropout_mask()
    drawn: dict[str, Any] = {}
    undo = [record_draws(operation, drawn, ["layer"]) for operation in DRAWING]
    try:
        called(layer, [tf.constant(x) for x in xs], options)
    finally:
        for restore in undo:
            restore()
        for variable, value in zip(variables, before, strict=True):
            variable.assign(value)
    return [array.numpy() for array in drawn.values()]


@pytest.fixture
def twin_of() -> Callable[..., Any]:
    """Return a function that builds a Keras layer for inputs, and its hand-written twin."""

    def build(layer: Any, *shapes: Shape) -> Any:
        if compiled(layer, layer.dtype):
            layer.build(*shapes)
            shape = layer.compute_output_shape(*shapes)
            if isinstance(shape[0], tuple):
                shape = (shape[0][0], sum(int(np.prod(one[1:])) for one in shape))
        else:
            shape = called(layer, [tf.zeros(shape, layer.dtype) for shape in shapes], {}).shape
        name = keras.layers.serialize(layer)["class_name"]
        by_hand = twin("layer", name).from_config(layer.get_config())
        inputs = [InputLayer(batch_shape=shape).of_size(shape[1:]) for shape in shapes]
        ours = by_hand(*inputs)
        if isinstance(ours, list):
            assert sum(int(np.prod(one.shape)) for one in ours) == shape[1]
        else:
            assert ours.shape == tuple(shape)[1:]
        for weight, parameter in zip(variables_of(layer), by_hand.parameters, strict=True):
            name = (
                "rnn_state" if parameter.is_state and "rnn_state" in weight.path else parameter.name
            )
            assert weight.path.endswith(f"/{name}")
        return by_hand

    return build


def replay_gives_the_same(
    by_hand: Any, weights: Sequence[Any], xs: Sequence[Any], dy: Any, options: Options
) -> None:
    """Record the layer on one batch and replay it on another: the layer's own numbers, bit by bit.

    The other batch has the samples in another order, and other weights.
    """
    batches = [
        ([array.copy() for array in (*xs, dy)], weights),
        ([array[::-1].copy() for array in (*xs, dy)], [2 * weight for weight in weights]),
    ]
    state = by_hand.draws.state

    def run(arrays: Sequence[Any], dy: Any) -> list[Any]:
        y, saved = by_hand_called(by_hand, arrays, options)
        dxs = gradients_of(by_hand, dy, saved)
        by_hand.update_state(saved[0])
        return [y, *dxs]

    def load(values: Sequence[Any]) -> None:
        for parameter, value in zip(by_hand.parameters, values, strict=True):
            parameter.value[...], parameter.gradient[...] = value, 0.0
        by_hand.draws.state = state

    def results(made: Sequence[Any]) -> list[Any]:
        kept = [p.value for p in by_hand.parameters]
        kept += [p.gradient for p in by_hand.parameters if p.trainable]
        return [np.array(array) for array in (*made, *kept)]

    (arrays, values), (others, new_values) = batches
    for parameter, value in zip(by_hand.parameters, values, strict=True):
        parameter.value, parameter.gradient = np.array(value), np.zeros_like(value)
    load(new_values)
    expected = results(run(others[:-1], others[-1]))
    load(values)
    tape = Tape()
    with on_tape_of(tape, by_hand.parameters, [by_hand]):
        recorded = [tape.lasting_array(array) for array in arrays]
        made = run(recorded[:-1], recorded[-1])
        outputs = [np.array(one.value if isinstance(one, Recorded) else one) for one in made]
        for output, one in zip(outputs, made, strict=True):
            result = tape.lasting_array(output)
            tape.changed(np.copyto, (result, one), result)
    load(new_values)
    for place, array in zip(arrays, others, strict=True):
        place[...] = array
    for function, arguments in tape.program():
        function(*arguments)
    for ours, theirs in zip(results(outputs), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def passes_the_same_mask(layer: Any, by_hand: Any, xs: Sequence[Any], options: Options) -> None:
    """Hold the mask that goes on with the output against Keras's, which hangs on the tensor."""
    mask = options.get("mask")
    if isinstance(mask, np.ndarray) and mask.ndim == xs[0].ndim:
        return  # a mask of numbers, as Softmax takes it, and not of steps
    made = outputs_of(layer, [tf.constant(x) for x in xs], options)
    theirs = [getattr(one, "_keras_mask", None) for one in keras.tree.flatten(made)]
    ours = by_hand.compute_mask(xs[0] if len(xs) == 1 else list(xs), mask)
    ours = ours if isinstance(ours, list) else [ours]  # that of the first output
    for one, other in zip(theirs, ours, strict=False):
        assert (one is None) == (other is None), f"masks: Keras has {one}, by hand {other}"
        if other is not None:
            np.testing.assert_array_equal(one, other)


@pytest.fixture
def hold_layer(
    ruler: Any, on_tape: Any, loaded: Any, twin_of: Any, generator: np.random.Generator
) -> Callable[..., Any]:
    """Return a function that holds a Keras layer against its twin on the inputs that it gets.

    On drawn weights and a drawn gradient: the output, the gradients of inputs and weights, and what
    the layer remembers. Before, on plain arrays: their precision stays, and so do the arguments.
    What Keras draws at random is handed to the twin. With ``in_graph`` Keras's half is compiled.
    The twin that comes back holds the gradients with their noise.
    """

    def drawn(weight: Any) -> np.ndarray:
        if not weight.dtype.startswith("float"):
            return weight.numpy()
        w = generator.normal(size=weight.shape).astype(ruler.precision)
        return np.abs(w) if is_spread(weight.name) else w

    def hold(layer: Any, *xs: np.ndarray, in_graph: bool = False, **options: Any) -> Any:
        by_hand = twin_of(layer, *(x.shape for x in xs))
        weights = [drawn(weight) for weight in variables_of(layer)]
        for variable, weight in zip(variables_of(layer), weights, strict=True):
            variable.assign(weight)
        if hasattr(layer, "finalize_state"):  # Normalization looks at its weights only here
            layer.finalize_state()
        loaded(by_hand, weights, lambda array: np.array(array, ruler.precision))
        y, saved = by_hand_called(by_hand, xs, {"training": True, **options})
        dy = generator.normal(size=y.shape).astype(ruler.precision)
        kept = [array.copy() for array in (*xs, dy)]
        arrays = [y, *gradients_of(by_hand, dy, saved)]
        by_hand.update_state(saved[0])
        arrays += [one for p in by_hand.parameters for one in (p.value, p.gradient)]
        assert {array.dtype.name for array in arrays} == {ruler.precision}
        for before, after in zip(kept, (*xs, dy), strict=True):
            np.testing.assert_array_equal(after, before)
        replay_gives_the_same(by_hand, weights, xs, dy, {"training": True, **options})

        def call(*tensors: Any) -> Any:
            return called(layer, tensors, options)

        replayed = drawn_by(layer, xs, options)
        if compiled(layer, ruler.precision):
            call = tf.function(call, jit_compile=True)
        elif in_graph:
            call = tf.function(call)
        y, actual = on_tape(call, xs, dy, [weight.value for weight in layer.trainable_variables])
        loaded(by_hand, weights, ruler.exact)
        if replayed:
            by_hand.draws.replay([ruler.exact(array) for array in replayed])
        expected, saved = by_hand_called(by_hand, [ruler.exact(x) for x in xs], options)
        ruler.agrees(y, noisy(expected, ruler), "output")
        dxs = gradients_of(by_hand, ruler.exact(dy), saved)
        trained = [one for one in by_hand.parameters if one.trainable]
        whats = [f"input {place}" for place in range(len(xs))] + [one.name for one in trained]
        found = [*dxs, *(one.gradient for one in trained)]
        for what, theirs, ours in zip(whats, actual, found, strict=True):
            ruler.agrees(theirs, noisy(ours, ruler), f"gradient of {what}")
        if options.get("training") and layer.trainable:
            by_hand.update_state(saved[0])
        for weight, parameter in zip(variables_of(layer), by_hand.parameters, strict=True):
            value = weight.numpy()
            if value.dtype.kind == "f":  # else it counts what was seen of data before
                ruler.agrees(value, parameter.value, parameter.name)
        if options.get("mask") is not None or by_hand.makes_mask:
            passes_the_same_mask(layer, by_hand, xs, options)
        return by_hand

    return hold


@pytest.fixture
def layer_equals_keras(
    hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> Callable[..., None]:
    """Return a function that holds a row of a table against Keras, on drawn inputs."""

    def check(make: Callable[[], Any], shapes: Any, options: Options = NONE, **more: Any) -> None:
        shapes = shapes if isinstance(shapes, list) else [shapes]
        xs = [generator.normal(size=shape).astype(ruler.precision) for shape in shapes]
        hold_layer(make(), *xs, **options, **more)

    return check


@pytest.fixture
def layer_derivative(
    differences: Any, loaded: Any, twin_of: Any, smooth_points: Any
) -> Callable[..., None]:
    """Return a function that holds a row's derivative against differences of its forward map.

    Of a weight whose gradient is zero (a key bias before a softmax) no such check can be sharp: it
    has to be zero within the noise of what cancels. Their names are given as ``zero``. ``agree``
    says how the numbers are moved.
    """
    exact = differences.exact

    def check(
        make: Callable[[], Any],
        shapes: Any,
        options: Options = NONE,
        *,
        scale: float = 1.0,
        zero: Sequence[str] = (),
        agree: Callable[..., None] = differences.agree,
    ) -> None:
        shapes = shapes if isinstance(shapes, list) else [shapes]
        by_hand = twin_of(make(), *shapes)
        xs = [scale * smooth_points(*shape) for shape in shapes]
        weights: list[Any] = [scale * smooth_points(*one.shape) for one in by_hand.parameters]
        state = by_hand.draws.state
        moving = []
        for place, one in enumerate(by_hand.parameters):
            if is_spread(one.name):
                weights[place] = np.abs(weights[place])
            if one.trainable and one.name not in zero:
                moving.append(place)

        def forward(points: Sequence[Any]) -> tuple[Noisy, Any]:
            moved = list(weights)
            for place, point in zip(moving, points[len(xs) :], strict=True):
                moved[place] = point
            loaded(by_hand, moved, exact)
            by_hand.draws.state = state
            y, saved = by_hand_called(by_hand, points[: len(xs)], options)
            return noisy(y, differences), saved

        points = [*xs, *(weights[place] for place in moving)]
        y, saved = forward([exact(point) for point in points])
        dy = smooth_points(*y.shape)
        dxs = gradients_of(by_hand, exact(dy), saved)
        gradients = [*dxs, *(by_hand.parameters[place].gradient for place in moving)]

        def function(points: list[Noisy]) -> Noisy:
            total: Noisy = (forward(points)[0] * dy).sum()
            return total

        left = {one.name: one.gradient for one in by_hand.parameters if one.name in zero}
        for gradient in left.values():
            assert (np.abs(gradient.value) <= BOUND * gradient.unit * gradient.noise).all()
        agree(function, points, gradients)

    return check


@pytest.fixture
def transposed(twin_of: Any, generator: np.random.Generator) -> Callable[..., None]:
    """Return a function that holds the way back of a linear map of float32 as its transposed map.

    With f(x) = A x + b it is Aᵀ: dy · (f(x) − f(0)) = (Aᵀ dy) · x.
    """

    def check(make: Callable[[], Any], shape: Shape) -> None:
        by_hand = twin_of(make(), shape)
        x, zero = (
            Noisy(one, unit=SINGLE) for one in (generator.normal(size=shape), np.zeros(shape))
        )
        y, saved = by_hand.forward(x)
        dy = generator.normal(size=y.shape)
        dx = by_hand.backward(Noisy(dy, unit=SINGLE), saved)
        difference = ((y - by_hand.forward(zero)[0]) * dy).sum() - (dx * x.value).sum()
        assert abs(difference.value) <= BOUND * SINGLE * difference.noise

    return check
