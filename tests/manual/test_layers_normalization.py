"""Normalization alone: equal to Keras, in training and at inference, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare.noise import Noisy
from manual.layers import BatchNormalization, GroupNormalization, Input, LayerNormalization
from manual.registry import NoTwin, twin

pytestmark = pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")

LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "batch": (lambda: keras.layers.BatchNormalization(), (6, 3)),
    "batch, without β": (lambda: keras.layers.BatchNormalization(center=False), (6, 3)),
    "batch, without γ": (lambda: keras.layers.BatchNormalization(scale=False), (6, 3)),
    "batch, bare": (lambda: keras.layers.BatchNormalization(center=False, scale=False), (6, 3)),
    "batch of images": (lambda: keras.layers.BatchNormalization(epsilon=0.1), (2, 3, 2, 3)),
    "batch, channels first": (lambda: keras.layers.BatchNormalization(axis=1), (2, 3, 2, 2)),
    "batch, momentum": (lambda: keras.layers.BatchNormalization(momentum=0.3), (4, 3)),
    "batch of one channel": (lambda: keras.layers.BatchNormalization(), (5, 2, 1)),
    "batch of one sample": (lambda: keras.layers.BatchNormalization(), (1, 3)),
    "layer": (lambda: keras.layers.LayerNormalization(), (4, 5)),
    "layer, without β": (lambda: keras.layers.LayerNormalization(center=False), (4, 5)),
    "layer, without γ": (lambda: keras.layers.LayerNormalization(scale=False), (4, 5)),
    "layer of rank 3": (lambda: keras.layers.LayerNormalization(epsilon=1e-5), (2, 3, 4)),
    "layer, two axes": (lambda: keras.layers.LayerNormalization(axis=[1, 2]), (2, 3, 4)),
    "layer, as written": (lambda: keras.layers.LayerNormalization(axis=[1, -1]), (2, 3, 4)),
    "layer, inner axis": (lambda: keras.layers.LayerNormalization(axis=1), (2, 3, 4)),
    "layer, rms": (lambda: keras.layers.LayerNormalization(rms_scaling=True), (3, 4)),
    "layer, rms, axes": (
        lambda: keras.layers.LayerNormalization(axis=[1, 2], rms_scaling=True),
        (2, 3, 4),
    ),
    "group": (lambda: keras.layers.GroupNormalization(2), (3, 4)),
    "group of images": (lambda: keras.layers.GroupNormalization(2), (2, 2, 3, 4)),
    "group, channels first": (lambda: keras.layers.GroupNormalization(2, axis=1), (2, 4, 3)),
    "group, inner axis": (lambda: keras.layers.GroupNormalization(3, axis=-2), (2, 2, 6, 2)),
    "group, instance": (lambda: keras.layers.GroupNormalization(-1, scale=False), (2, 3, 4)),
    "group, without β": (lambda: keras.layers.GroupNormalization(1, center=False), (2, 3, 4)),
    "unit": (lambda: keras.layers.UnitNormalization(), (4, 3)),
    "unit, two axes": (lambda: keras.layers.UnitNormalization(axis=[1, 2]), (2, 3, 4)),
    "rms": (lambda: keras.layers.RMSNormalization(), (4, 3)),
    "rms, two axes": (lambda: keras.layers.RMSNormalization(axis=[1, 2], epsilon=0.1), (2, 3, 4)),
    "rms, inner axis": (lambda: keras.layers.RMSNormalization(axis=1), (2, 3, 3)),
}

DIFFERENTIABLE = [
    *((name, True) for name in LAYERS if name != "batch of one sample"),  # there, all are β
    *((name, False) for name in LAYERS if name.startswith("batch")),  # others know no inference
]


def twin_of_layer(layer: Any, shape: tuple[int, ...]) -> Any:
    """Build the hand-written twin from Keras's own configuration."""
    made = twin("layer", type(layer).__name__).from_config(layer.get_config())
    assert made(Input(shape[1:])).shape == shape[1:]
    return made


def draw_weights(layer: Any, generator: np.random.Generator, dtype: str) -> list[np.ndarray]:
    """Draw weights for a layer of Keras and set them; variances are positive."""
    weights = [generator.uniform(0.5, 1.5, w.shape).astype(dtype) for w in layer.weights]
    layer.set_weights(weights)
    return weights


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("name", LAYERS)
def test_equals_keras(
    name: str,
    training: bool,
    ruler: Any,
    on_tape: Any,
    loaded: Any,
    generator: np.random.Generator,
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    layer.build(shape)
    weights = draw_weights(layer, generator, ruler.precision)
    x, dy = generator.normal(size=(2, *shape)).astype(ruler.precision)
    check(layer, weights, x, dy, training, ruler, on_tape, loaded)


def check(
    layer: Any,
    weights: list[np.ndarray],
    x: np.ndarray,
    dy: np.ndarray,
    training: bool,
    ruler: Any,
    on_tape: Any,
    loaded: Any,
    mask: np.ndarray | None = None,
) -> None:
    """Compare everything that a layer computes: output, gradients, and its state afterwards."""
    options = {} if mask is None else {"mask": mask}
    by_hand = loaded(twin_of_layer(layer, x.shape), weights, ruler.exact)
    variables = [weight.value for weight in layer.trainable_variables]
    y, actual = on_tape(lambda t: layer(t, training=training, **options), [x], dy, variables)

    expected, saved = by_hand.forward(ruler.exact(x), training=training, **options)
    ruler.agrees(y, expected, "output")
    ruler.agrees(actual[0], by_hand.backward(ruler.exact(dy), saved), "input gradient")
    assert [w.name for w in layer.weights] == [p.name for p in by_hand.parameters]
    trained = [parameter for parameter in by_hand.parameters if parameter.trainable]
    for parameter, gradient in zip(trained, actual[1:], strict=True):
        ruler.agrees(gradient, parameter.gradient, f"{parameter.name} gradient")
    if training and layer.trainable:
        by_hand.update_state(saved)
    for parameter, variable in zip(by_hand.parameters, layer.weights, strict=True):
        ruler.agrees(variable.numpy(), parameter.value, parameter.name)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e4])
@pytest.mark.parametrize("mean", [0.0, 100.0])
def test_far_from_zero_the_noise_is_keras_s(
    scale: float, mean: float, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    """Where mean ≫ deviation both halves lose the same digits, forwards and backwards."""
    for layer, shape in (
        (keras.layers.BatchNormalization(), (64, 5)),
        (keras.layers.LayerNormalization(), (8, 40)),
        (keras.layers.GroupNormalization(2), (4, 6, 8)),
    ):
        layer.build(shape)
        weights = draw_weights(layer, generator, ruler.precision)
        x = (scale * (mean + generator.normal(size=shape))).astype(ruler.precision)
        dy = generator.normal(size=shape).astype(ruler.precision)
        check(layer, weights, x, dy, True, ruler, on_tape, loaded)


@pytest.mark.parametrize("axis", [-1, 1])
def test_masked_time_steps_stay_out_of_the_statistics(
    axis: int, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    shape = (4, 5, 3)
    layer = keras.layers.BatchNormalization(axis=axis, momentum=0.5)
    layer.build(shape)
    weights = draw_weights(layer, generator, ruler.precision)
    x, dy = generator.normal(size=(2, *shape)).astype(ruler.precision)
    mask = np.arange(5) < np.array([[5], [3], [1], [2]])
    check(layer, weights, x, dy, True, ruler, on_tape, loaded, mask)


def test_frozen_it_behaves_as_at_inference(
    ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    layer = keras.layers.BatchNormalization(trainable=False)
    layer.build((6, 3))
    weights = draw_weights(layer, generator, ruler.precision)
    x, dy = generator.normal(size=(2, 6, 3)).astype(ruler.precision)
    check(layer, weights, x, dy, True, ruler, on_tape, loaded)


@pytest.mark.parametrize(("name", "training"), DIFFERENTIABLE)
def test_derivative_is_that_of_the_forward_map(
    name: str, training: bool, differences: Any, loaded: Any, smooth_points: Any
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    layer.build(shape)
    by_hand = twin_of_layer(layer, shape)
    exact = differences.exact
    x, dy = smooth_points(*shape), smooth_points(*shape)
    weights = [np.abs(smooth_points(*parameter.shape)) for parameter in by_hand.parameters]
    trained = [place for place, one in enumerate(by_hand.parameters) if one.trainable]

    def function(points: list[Noisy]) -> Noisy:
        moved: list[Any] = list(weights)
        for place, point in zip(trained, points[1:], strict=True):
            moved[place] = point
        loaded(by_hand, moved, exact)
        return (by_hand.forward(points[0], training=training)[0] * dy).sum()

    loaded(by_hand, weights, exact)
    _, saved = by_hand.forward(exact(x), training=training)
    gradients = [by_hand.backward(exact(dy), saved)]
    gradients += [by_hand.parameters[place].gradient for place in trained]
    differences.agree(function, [x, *(weights[place] for place in trained)], gradients)


@pytest.mark.parametrize("name", LAYERS)
def test_the_precision_stays_and_so_do_the_arguments(
    name: str, precision: str, generator: np.random.Generator
) -> None:
    make, shape = LAYERS[name]
    layer = make()
    layer.build(shape)
    by_hand = twin_of_layer(layer, shape)
    for parameter in by_hand.parameters:
        parameter.value = parameter.value.astype(precision)
        parameter.gradient = parameter.gradient.astype(precision)
    x, dy = generator.normal(size=(2, *shape)).astype(precision)
    kept, kept_dy = x.copy(), dy.copy()
    y, saved = by_hand.forward(x, training=True)
    dx = by_hand.backward(dy, saved)
    by_hand.update_state(saved)
    held = [y, dx, *(one for p in by_hand.parameters for one in (p.value, p.gradient))]
    assert {array.dtype.name for array in held} == {precision}
    assert y.shape == dx.shape == shape
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(dy, kept_dy)


def test_the_precision_stays_under_a_mask(precision: str) -> None:
    layer = BatchNormalization()
    layer(Input((2, 3)))
    for parameter in layer.parameters:
        parameter.value = parameter.value.astype(precision)
        parameter.gradient = parameter.gradient.astype(precision)
    x = np.ones((2, 2, 3), precision)
    y, saved = layer.forward(x, training=True, mask=np.array([[True, False], [True, True]]))
    assert y.dtype == layer.backward(x, saved).dtype == precision


def test_a_batch_by_hand() -> None:
    """Two samples, 1 and 3: mean 2, biased variance 1."""
    layer = BatchNormalization(momentum=0.75, epsilon=0.0)
    layer(Input((1,)))
    y, saved = layer.forward(np.array([[1.0], [3.0]]), training=True)
    np.testing.assert_array_equal(y, [[-1.0], [1.0]])
    layer.update_state(saved)
    np.testing.assert_array_equal(layer.moving_mean.value, [0.5])
    np.testing.assert_array_equal(layer.moving_variance.value, [1.0])
    # A gradient along ones or along x̂ alone does nothing: the output can't follow either.
    np.testing.assert_array_equal(layer.backward(np.ones((2, 1)), saved), np.zeros((2, 1)))
    np.testing.assert_array_equal(layer.backward(y, saved), np.zeros((2, 1)))
    y, saved = layer.forward(np.array([[1.0], [3.0]]))
    np.testing.assert_array_equal(y, [[0.5], [2.5]])


@pytest.mark.parametrize("name", ["UnitNormalization", "RMSNormalization"])
def test_a_vector_of_zeros(name: str, ruler: Any, on_tape: Any, loaded: Any) -> None:
    layer = getattr(keras.layers, name)()
    layer.build((2, 3))
    x = np.array([[0.0, 0.0, 0.0], [1.0, -2.0, 3.0]], ruler.precision)
    dy = np.array([[1.0, 2.0, 3.0], [1.0, 2.0, 0.0]], ruler.precision)
    weights = draw_weights(layer, np.random.default_rng(0), ruler.precision)
    with np.errstate(all="raise"):  # plain numbers meet no 1/0 either
        by_hand = loaded(twin_of_layer(layer, x.shape), weights, np.array)
        by_hand.backward(dy, by_hand.forward(x)[1])
    with np.errstate(all="ignore"):  # the noise of √0 is looked for
        check(layer, weights, x, dy, True, ruler, on_tape, loaded)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: keras.layers.BatchNormalization(renorm=True), "renorm=True"),
        (lambda: keras.layers.BatchNormalization(synchronized=True), "synchronized=True"),
    ],
)
def test_what_has_no_twin_is_said(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(NoTwin, match=said):
        BatchNormalization.from_config(make().get_config())


def test_statistics_over_the_samples_have_no_twin() -> None:
    with pytest.raises(NoTwin, match="the samples' own axis"):
        LayerNormalization(axis=[0, 1])(Input((3,)))


def test_groups_must_be_equal() -> None:
    with pytest.raises(ValueError, match="'g' can't form 4 equal groups of 6 channels"):
        GroupNormalization(4, name="g")(Input((6,)))
