"""Attention alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from compare.judge import BOUND
from compare.noise import Noisy, careful
from manual.layers import Input, MultiHeadAttention
from manual.registry import NoTwin, twin

Shapes = list[tuple[int, ...]]
QV: Shapes = [(2, 3, 2), (2, 4, 2)]
QVK: Shapes = [(2, 2, 3), (2, 4, 1), (2, 4, 2)]


def MHA(*args: Any, **options: Any) -> Any:  # noqa: N802 (Keras's initials)
    return keras.layers.MultiHeadAttention(*args, **options)


def GQA(*args: Any, **options: Any) -> Any:  # noqa: N802
    return keras.layers.GroupQueryAttention(*args, **options)


PROJECTED: dict[str, tuple[Callable[[], Any], Shapes, dict[str, Any]]] = {
    "one head": (lambda: MHA(1, 3), QV, {}),
    "two heads": (lambda: MHA(2, 3), QV, {}),
    "no bias": (lambda: MHA(2, 3, use_bias=False), QV, {}),
    "key": (lambda: MHA(3, 2, value_dim=5), QVK, {}),
    "output_shape": (lambda: MHA(2, 2, output_shape=7), QV, {}),
    "output_shape of two": (lambda: MHA(2, 2, output_shape=(3, 2)), QV, {}),
    "causal": (lambda: MHA(2, 3), QV, {"use_causal_mask": True}),
    "window": (lambda: MHA(2, 3, sliding_window=2), QV, {}),
    "causal window": (lambda: MHA(2, 3, sliding_window=2), QV, {"use_causal_mask": True}),
    "attention_mask": (
        lambda: MHA(2, 3),
        QV,
        {"attention_mask": np.arange(12).reshape(3, 4) % 5 > 0},
    ),
    "a query that may look at nothing": (
        lambda: MHA(2, 3),
        QV,
        {"attention_mask": np.arange(12).reshape(3, 4) > 5},
    ),
    "the same with dropout": (
        lambda: MHA(2, 3, dropout=0.5),
        QV,
        {"attention_mask": np.arange(12).reshape(3, 4) > 5},
    ),
    "grouped, one for all": (lambda: GQA(3, 4, 1), QV, {}),
    "grouped": (lambda: GQA(3, 4, 2), QV, {"use_causal_mask": True}),
    "grouped, key": (lambda: GQA(2, 6, 3, use_bias=False), QVK, {}),
    "grouped, window": (lambda: GQA(2, 2, 2, sliding_window=1), QV, {}),
}

SCORED: dict[str, tuple[Callable[[], Any], Shapes, dict[str, Any]]] = {
    "Attention": (lambda: keras.layers.Attention(), QV, {}),
    "Attention with scale": (lambda: keras.layers.Attention(use_scale=True), QV, {}),
    "Attention, key": (lambda: keras.layers.Attention(), [(2, 2, 3), (2, 4, 1), (2, 4, 3)], {}),
    "Attention, causal": (lambda: keras.layers.Attention(), QV, {"use_causal_mask": True}),
    "Attention, concat": (lambda: keras.layers.Attention(score_mode="concat"), QV, {}),
    "Attention, concat with scale": (
        lambda: keras.layers.Attention(use_scale=True, score_mode="concat"),
        QV,
        {"use_causal_mask": True},
    ),
    "AdditiveAttention": (lambda: keras.layers.AdditiveAttention(), QV, {}),
    "AdditiveAttention without scale": (
        lambda: keras.layers.AdditiveAttention(use_scale=False),
        [(2, 2, 3), (2, 4, 1), (2, 4, 3)],
        {"use_causal_mask": True},
    ),
}
ALL = {**PROJECTED, **SCORED}


def called(layer: Any, tensors: list[Any], options: dict[str, Any]) -> Any:
    """Call a Keras layer of either kind: with arguments, or on a list."""
    if isinstance(layer, keras.layers.Attention):
        return layer(tensors, **options)
    query, value, key = (*tensors, None)[:3]
    return layer(query, value, key=key, **options)


def made(
    name: str, generator: Any, precision: str
) -> tuple[Any, list[Any], Any, Any, dict[str, Any]]:
    """Build a Keras layer with drawn weights, its twin, and inputs."""
    make, shapes, options = ALL[name]
    layer = make()
    xs = [generator.normal(size=shape).astype(precision) for shape in shapes]
    y = called(layer, [tf.constant(x) for x in xs], options)
    layer.set_weights([generator.normal(size=w.shape) for w in layer.weights])
    by_hand = twin("layer", keras.layers.serialize(layer)["class_name"]).from_config(
        layer.get_config()
    )
    symbol = by_hand(*(Input(shape[1:]) for shape in shapes))
    assert symbol.shape == tuple(y.shape)[1:]
    return layer, xs, generator.normal(size=y.shape).astype(precision), by_hand, options


def check(layer: Any, by_hand: Any, ruler: Any, y: Any, actual: Any, found: Any, dy: Any) -> None:
    """Hold output and all gradients against the twin's."""
    expected, saved = found
    ruler.agrees(y, expected, "output")
    dxs = by_hand.backward(ruler.exact(dy), saved)
    for place, dx in enumerate(dxs):
        ruler.agrees(actual[place], dx, f"gradient of input {place}")
    paths = [w.path.split("/", 1)[1] for w in layer.trainable_variables]
    assert paths == [p.name for p in by_hand.parameters]
    for parameter, gradient in zip(by_hand.parameters, actual[len(dxs) :], strict=True):
        ruler.agrees(gradient, parameter.gradient, f"{parameter.name} gradient")


@pytest.mark.parametrize("name", ALL)
def test_equals_keras(
    name: str, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    layer, xs, dy, by_hand, options = made(name, generator, ruler.precision)
    variables = [weight.value for weight in layer.trainable_variables]
    y, actual = on_tape(lambda *t: called(layer, list(t), options), xs, dy, variables)
    loaded(by_hand, layer.get_weights(), ruler.exact)
    found = by_hand.forward([ruler.exact(x) for x in xs], **options)
    check(layer, by_hand, ruler, y, actual, found, dy)


@pytest.mark.parametrize("name", ALL)
def test_derivative_is_that_of_the_forward_map(
    name: str, differences: Any, loaded: Any, smooth_points: Any, generator: Any
) -> None:
    _, xs, _, by_hand, options = made(name, generator, "float32")
    xs = [0.5 * smooth_points(*x.shape) for x in xs]
    weights = [0.5 * smooth_points(*parameter.shape) for parameter in by_hand.parameters]
    weights = [np.float64(np.float32(weight)) for weight in weights]
    exact, inputs = differences.exact, len(xs)

    def function(points: list[Noisy]) -> Noisy:
        loaded(by_hand, points[inputs:], exact)
        return (by_hand.forward(points[:inputs], **options)[0] * dy).sum()

    loaded(by_hand, weights, exact)
    y, saved = by_hand.forward([exact(x) for x in xs], **options)
    dy = smooth_points(*y.shape)
    dxs = by_hand.backward(exact(dy), saved)
    gradients = [*dxs, *(parameter.gradient for parameter in by_hand.parameters)]
    checked = [place for place, one in enumerate(gradients) if one.shape]
    for place in checked:  # a key bias has gradient 0, of which no check can be sharp
        if place >= inputs and by_hand.parameters[place - inputs].name == "key/bias":
            size = np.abs(gradients[place].value)
            assert (size <= 8.0 * differences.unit * gradients[place].noise).all()

    def moved(place: int) -> Callable[[list[Noisy]], Noisy]:
        points = [exact(one) for one in (*xs, *weights)]
        return lambda one: function([*points[:place], one[0], *points[place + 1 :]])

    for place, (point, gradient) in enumerate(zip([*xs, *weights], gradients, strict=True)):
        if place < inputs or by_hand.parameters[place - inputs].name != "key/bias":
            differences.agree(moved(place), [np.asarray(point)], [gradient])


@pytest.mark.parametrize("name", ALL)
def test_the_precision_stays(name: str, precision: str, generator: np.random.Generator) -> None:
    _, xs, dy, by_hand, options = made(name, generator, precision)
    for parameter in by_hand.parameters:
        parameter.value = parameter.value.astype(precision)
        parameter.gradient = parameter.gradient.astype(precision)
    y, saved = by_hand.forward(xs, training=True, **options)
    assert y.dtype == precision
    assert [dx.dtype.name for dx in by_hand.backward(dy, saved)] == [precision] * len(xs)
    assert all(parameter.gradient.dtype == precision for parameter in by_hand.parameters)


MASKS = [
    ("query", [True, False, False]),
    ("value", [False, True]),
    ("key", [False, False, True]),
    ("all", [True, True, True]),
]


@pytest.mark.parametrize(("which", "masked"), MASKS, ids=[name for name, _ in MASKS])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_masks(
    which: str,
    masked: list[bool],
    dropout: float,
    ruler: Any,
    on_tape: Any,
    loaded: Any,
    generator: np.random.Generator,
) -> None:
    """Masks of the inputs, as Keras hangs them on tensors; not in training, so none is dropped."""
    layer = MHA(2, 3, dropout=dropout)
    shapes: Shapes = [(2, 3, 4), (2, 5, 4), (2, 5, 4)][: len(masked)]
    xs = [generator.normal(size=shape).astype(ruler.precision) for shape in shapes]
    masks = [
        generator.uniform(size=x.shape[:2]) < 0.6 if has else None
        for x, has in zip(xs, masked, strict=True)
    ]
    called(layer, [tf.constant(x) for x in xs], {})
    layer.set_weights([generator.normal(size=w.shape) for w in layer.weights])
    dy = generator.normal(size=(2, 3, 4)).astype(ruler.precision)

    def with_masks(*tensors: Any) -> Any:
        for tensor, mask in zip(tensors, masks, strict=True):
            if mask is not None:
                tensor._keras_mask = tf.constant(mask)
        return called(layer, list(tensors), {})

    variables = [weight.value for weight in layer.trainable_variables]
    y, actual = on_tape(with_masks, xs, dy, variables)
    by_hand = twin("layer", "MultiHeadAttention").from_config(layer.get_config())
    by_hand(*(Input(x.shape[1:]) for x in xs))
    loaded(by_hand, layer.get_weights(), ruler.exact)
    found = by_hand.forward([ruler.exact(x) for x in xs], mask=masks)
    check(layer, by_hand, ruler, y, actual, found, dy)
    assert by_hand.compute_mask(xs, masks) is masks[0]


@pytest.mark.parametrize("causal", [False, True])
def test_masks_of_attention_without_projections(
    causal: bool, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    layer = keras.layers.Attention()
    xs = [generator.normal(size=shape).astype(ruler.precision) for shape in QV]
    masks = [np.array([[True, False, True]] * 2), np.array([[True, False, True, False]] * 2)]
    dy = generator.normal(size=(2, 3, 2)).astype(ruler.precision)
    y, actual = on_tape(
        lambda *tensors: layer(list(tensors), mask=masks, use_causal_mask=causal), xs, dy
    )
    by_hand = twin("layer", "Attention").from_config(layer.get_config())
    by_hand(*(Input(x.shape[1:]) for x in xs))
    found = by_hand.forward([ruler.exact(x) for x in xs], mask=masks, use_causal_mask=causal)
    check(layer, by_hand, ruler, y, actual, found, dy)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_a_key_bias_has_gradient_zero_and_is_judged_by_what_cancelled(
    scale: float, ruler: Any, on_tape: Any, loaded: Any, generator: np.random.Generator
) -> None:
    """Adding the same to all scores changes no softmax: what is left is rounding."""
    layer = MHA(2, 8)
    xs = [scale * generator.normal(size=shape) for shape in [(4, 9, 16), (4, 33, 16)]]
    xs = [x.astype(ruler.precision) for x in xs]
    layer(*map(tf.constant, xs))
    layer.set_weights([generator.normal(size=w.shape) * 0.5 for w in layer.weights])
    dy = generator.normal(size=(4, 9, 16)).astype(ruler.precision)
    variables = [weight.value for weight in layer.trainable_variables]
    y, actual = on_tape(layer, xs, dy, variables)
    by_hand = twin("layer", "MultiHeadAttention").from_config(layer.get_config())
    by_hand(*(Input(x.shape[1:]) for x in xs))
    loaded(by_hand, layer.get_weights(), ruler.exact)
    with careful():
        found = by_hand.forward([ruler.exact(x) for x in xs])
        check(layer, by_hand, ruler, y, actual, found, dy)
    of_bias = {p.name: p.gradient for p in by_hand.parameters}
    gradient, beside = of_bias["key/bias"], np.abs(of_bias["query/bias"].value).max()
    allowed = BOUND * ruler.unit * gradient.noise
    assert (np.abs(gradient.value) <= allowed).all()
    if scale == 1.0:  # where scores are tiny or a softmax saturated, the others are almost 0 too
        assert allowed.max() < beside / 100.0


def test_dropout_of_the_weights_is_replayed() -> None:
    layer = MultiHeadAttention(2, 3, dropout=0.5)
    layer(Input((3, 4)), Input((5, 4)))
    x = [np.ones((2, 3, 4)), np.ones((2, 5, 4))]
    layer.draws.replay([np.zeros((2, 2, 3, 5))])
    layer.attention_output.bias.value += 7.0
    y, saved = layer.forward(x, training=True)
    np.testing.assert_array_equal(y, np.full((2, 3, 4), 7.0))  # u = 0 < rate: all dropped
    layer.backward(np.ones_like(y), saved)
    assert not layer.value.kernel.gradient.any()


def test_what_has_no_twin_is_refused() -> None:
    with pytest.raises(NoTwin, match="use_gate=True has no hand-derived twin"):
        twin("layer", "MultiHeadAttention").from_config(MHA(2, 3, use_gate=True).get_config())
    with pytest.raises(NoTwin, match="layer 'a': attention along other axes than the steps"):
        MultiHeadAttention(2, 3, attention_axes=(1, 2), name="a")
    with pytest.raises(NoTwin, match=r"layer 'a': attention over other inputs.*\(2, 3, 4\)"):
        MultiHeadAttention(2, 3, name="a")(Input((2, 3, 4)), Input((2, 3, 4)))
    with pytest.raises(NoTwin, match="layer 'a': it is called with return_attention_scores"):
        MultiHeadAttention(2, 3, name="a")(
            Input((3, 4)), Input((3, 4)), return_attention_scores=True
        )
