"""ReversibleEmbedding: there and back, with one matrix or two, alone and in fit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from manual.layers import Input, ReversibleEmbedding
from manual.network import Network
from manual.registry import NoTwin

BACK: dict[str, Callable[[], Any]] = {
    "tied": lambda: keras.layers.ReversibleEmbedding(5, 3),
    "untied": lambda: keras.layers.ReversibleEmbedding(5, 3, tie_weights=False),
    "capped": lambda: keras.layers.ReversibleEmbedding(5, 3, logit_soft_cap=1.7),
    "untied, capped": lambda: keras.layers.ReversibleEmbedding(
        5, 3, tie_weights=False, logit_soft_cap=0.3
    ),
}


def held(layer: Any, ruler: Any, on_tape: Any, loaded: Any, generator: Any) -> None:
    """Hold the way back against Keras; its gradient of a weight that isn't used is None."""
    layer.build((None, 4))
    by_hand = ReversibleEmbedding.from_config(layer.get_config())
    by_hand(Input((4,)))
    weights = [generator.normal(size=one.shape).astype(ruler.precision) for one in layer.weights]
    layer.set_weights(weights)
    x = generator.normal(size=(2, 4, 3)).astype(ruler.precision)
    dy = generator.normal(size=(2, 4, 5)).astype(ruler.precision)
    used = 0 if layer.tie_weights else 1
    y, (dx, dw) = on_tape(
        lambda tensor: keras.ops.cast(layer(tensor, reverse=True), ruler.precision),
        [x],
        dy,
        [layer.weights[used].value],
    )
    loaded(by_hand, weights, ruler.exact)
    expected, saved = by_hand.forward(ruler.exact(x), reverse=True)
    ruler.agrees(y, expected, "output")
    ruler.agrees(dx, by_hand.backward(ruler.exact(dy), saved), "input gradient")
    ruler.agrees(dw, by_hand.parameters[used].gradient, "weight gradient")


@pytest.mark.parametrize("name", BACK)
def test_back_equals_keras(
    name: str, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    held(BACK[name](), ruler, on_tape, loaded, generator)


@pytest.mark.parametrize("cap", [None, 2.0])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_back_in_another_precision(
    dtype: str,
    cap: Any,
    ruler: Any,
    on_tape: Any,
    loaded: Any,
    generator: np.random.Generator,
    found: Any,
) -> None:
    options = {"reverse_dtype": dtype, "logit_soft_cap": cap}
    layer = keras.layers.ReversibleEmbedding(5, 3, **options)
    held(layer, ruler, on_tape, loaded, generator)
    found.agrees("layer", "ReversibleEmbedding", options, ruler.precision, ruler.largest)


@pytest.mark.parametrize("name", BACK)
def test_derivative_is_that_of_the_way_back(
    name: str, differences: Any, loaded: Any, smooth_points: Any
) -> None:
    layer = BACK[name]()
    by_hand = ReversibleEmbedding.from_config(layer.get_config())
    by_hand(Input((4,)))
    used = 0 if layer.tie_weights else 1
    values = [smooth_points(*one.shape) for one in by_hand.parameters]
    x, dy = smooth_points(2, 3), smooth_points(2, 5)

    def forward(points: list[Any]) -> tuple[Any, Any]:
        moved = [points[1] if place == used else one for place, one in enumerate(values)]
        loaded(by_hand, moved, differences.exact)
        return by_hand.forward(points[0], reverse=True)

    points = [x, values[used]]
    _, saved = forward([differences.exact(point) for point in points])
    dx = by_hand.backward(differences.exact(dy), saved)
    gradients = [dx, by_hand.parameters[used].gradient]
    differences.agree(lambda points: (forward(points)[0] * dy).sum(), points, gradients)


@pytest.mark.parametrize(
    ("precision", "options"),
    [
        ("float32", {"mask_zero": True}),
        ("float64", {"tie_weights": False, "logit_soft_cap": 3.0}),
        ("float64", {"mask_zero": True, "embeddings_regularizer": "l2"}),
        ("float64", {"reverse_dtype": "float32", "logit_soft_cap": 3.0}),
    ],
    indirect=["precision"],
)
def test_there_and_back_in_fit(precision: str, options: dict[str, Any]) -> None:
    words = keras.layers.ReversibleEmbedding(6, 6, name="words", **options)
    inputs = keras.Input((6,), dtype="int32")
    hidden = keras.layers.Dense(6, "tanh")(words(inputs))
    model = keras.Model(inputs, words(hidden, reverse=True))
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.5, momentum=0.9), loss)
    draw = np.random.default_rng(3)
    x = draw.integers(0, 6, (12, 6))
    x[::2, 4:] = 0
    lockstep(model, x, np.roll(x, 1, axis=1), batch_size=4, epochs=2).raise_if_different()


def test_a_tied_matrix_gets_both_gradients() -> None:
    x = Input((1,))
    words = ReversibleEmbedding(2, 1, name="words")
    network = Network(x, words(words(x), reverse=True), dtype="float64")
    network.compile("mse")
    network.set_weights([np.array([[2.0], [3.0]])])
    # x = 1: y = 3 · (2, 3) = (6, 9), targets 0: dy = y (of two numbers the mean of squares)
    run = network.forward(np.array([[1.0]]))
    np.testing.assert_array_equal(run.values[-1], [[[6.0, 9.0]]])
    _, upstream = network.loss(run, np.zeros((1, 1, 2)))
    network.clear_gradients()
    network.backward(run, upstream)
    # as a product dE = dyᵀ · 3 = (18, 27); looked up, dE[1] += 6 · 2 + 9 · 3 = 39
    np.testing.assert_array_equal(words.embeddings.gradient[:, 0], [18.0, 27.0 + 39.0])


def test_half_precision_is_refused() -> None:
    with pytest.raises(NoTwin, match="layer 'words': reverse_dtype='float16'"):
        ReversibleEmbedding(5, 3, reverse_dtype="float16", name="words")
