"""Attention alone: equal to Keras, and right derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from compare.rounding.judge import BOUND
from compare.rounding.noise import careful
from manual.layers import GroupQueryAttention, Input, MultiHeadAttention
from manual.registry import NoTwin

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
    "heads of one number, as many as steps": (lambda: MHA(3, 1), QV, {}),
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


@pytest.mark.parametrize("name", ALL)
def test_equals_keras(name: str, layer_equals_keras: Any) -> None:
    layer_equals_keras(*ALL[name])


@pytest.mark.parametrize("name", ALL)
def test_derivative_is_that_of_the_forward_map(name: str, layer_derivative: Any) -> None:
    layer_derivative(*ALL[name], scale=0.5, zero=["key/bias"])


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
    hold_layer: Any,
    ruler: Any,
    generator: np.random.Generator,
) -> None:
    """Not in training, so that nothing is dropped."""
    shapes: Shapes = [(2, 3, 4), (2, 5, 4), (2, 5, 4)][: len(masked)]
    xs = [generator.normal(size=shape).astype(ruler.precision) for shape in shapes]
    masks = [
        generator.uniform(size=x.shape[:2]) < 0.6 if has else None
        for x, has in zip(xs, masked, strict=True)
    ]
    by_hand = hold_layer(MHA(2, 3, dropout=dropout), *xs, mask=masks)
    assert by_hand.compute_mask(xs, masks) is masks[0]


@pytest.mark.parametrize("causal", [False, True])
def test_masks_of_attention_without_projections(causal: bool, layer_equals_keras: Any) -> None:
    masks = [np.array([[True, False, True]] * 2), np.array([[True, False, True, False]] * 2)]
    layer_equals_keras(keras.layers.Attention, QV, mask=masks, use_causal_mask=causal)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 30.0])
def test_a_key_bias_has_gradient_zero_and_is_judged_by_what_cancelled(
    scale: float, hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> None:
    """Adding the same to all scores changes no softmax: what is left is rounding."""
    xs = [scale * generator.normal(size=shape) for shape in [(4, 9, 16), (4, 33, 16)]]
    with careful():
        by_hand = hold_layer(MHA(2, 8), *(x.astype(ruler.precision) for x in xs))
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
    grouped = GroupQueryAttention(2, 2, 1, name="a")
    with pytest.raises(NoTwin, match=r"layer 'a': attention of grouped heads.*\(2, 3, 4\)"):
        grouped(Input((2, 3, 4)), Input((2, 3, 4)))
    layer = MultiHeadAttention(2, 3, name="a")
    layer(Input((2, 3, 4)), Input((2, 3, 4)))
    with pytest.raises(NoTwin, match="layer 'a': a mask of the steps, a causal one"):
        layer.forward([np.zeros((1, 2, 3, 4))] * 2, use_causal_mask=True)
    with pytest.raises(NoTwin, match="layer 'a': it is called with return_all"):
        MultiHeadAttention(2, 3, name="a")(Input((3, 4)), Input((3, 4)), return_all=True)


def shown_scores(layer: Any) -> keras.Model:
    """A model that goes on with both outputs, and one call whose output nobody reads."""
    x = keras.Input((3, 4))
    masked = keras.layers.Masking()(x)
    called = [masked, masked] if isinstance(layer, keras.layers.Attention) else None
    y, a = (
        layer(called, return_attention_scores=True)
        if called
        else layer(masked, masked, return_attention_scores=True)
    )
    only = keras.layers.MultiHeadAttention(2, 2, name="only")
    _, alone = only(y, y, return_attention_scores=True)
    flat = [keras.layers.Flatten()(one) for one in (y, a, alone)]
    return keras.Model(x, keras.layers.Dense(1)(keras.layers.Concatenate()(flat)))


SHOWING: dict[str, Any] = {
    "MultiHeadAttention": lambda: keras.layers.MultiHeadAttention(2, 3, dropout=0.3),
    "GroupQueryAttention": lambda: keras.layers.GroupQueryAttention(3, 4, 2, use_gate=True),
    "Attention": lambda: keras.layers.Attention(dropout=0.3),
}


def fit_showing(name: str) -> Any:
    keras.utils.set_random_seed(0)
    model = shown_scores(SHOWING[name]())
    model.compile("sgd", "mse")
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(8, 3, 4)), draw.normal(size=(8, 1))
    x[::2, 2:] = 0.0
    return lockstep(model, x, y, batch_size=4)


@pytest.mark.parametrize("name", SHOWING)
def test_weights_that_are_shown_in_lock_step(name: str) -> None:
    report = fit_showing(name)
    assert report.ok, str(report.first)


def test_a_gradient_at_shown_weights_that_is_forgotten_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    right = MultiHeadAttention.backward

    def forgetful(self: Any, dy: Any, saved: Any) -> Any:
        dy = [dy[0], None] if isinstance(dy, list) and dy[0] is not None else dy
        return right(self, dy, saved)

    monkeypatch.setattr(MultiHeadAttention, "backward", forgetful)
    first = fit_showing("MultiHeadAttention").first
    assert first.phase == "weight gradient", str(first)


def test_the_weights_that_are_shown_have_the_mask_by_which_they_were_made() -> None:
    """So that a loss on them counts those alone that may be looked at."""
    x, given = keras.Input((2, 3)), keras.Input((2, 2, 2), dtype="bool")
    attention = MHA(2, 2, trainable=False)  # which in Keras freezes none of its projections
    _, shown = attention(x, x, attention_mask=given, return_attention_scores=True)
    model = keras.Model([x, given], shown)
    model.compile("sgd", "mse", run_eagerly=True)
    assert model.trainable_variables
    draw = np.random.default_rng(0)
    data = [draw.normal(size=(4, 2, 3)), draw.random((4, 2, 2, 2)) < 0.6]
    report = lockstep(model, data, draw.normal(size=(4, 2, 2, 2)), batch_size=2)
    report.raise_if_different()
