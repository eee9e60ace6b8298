"""Bugs in attention without projections, and the networks in which attention's bugs are planted."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, Choice, Planted, generator, spread
from manual.einsum import einsum_gradients
from manual.layers import AdditiveAttention, Attention
from manual.layers.attention import ScoredAttention

STEPS, NUMBERS, HEADS, SIZE = 5, 6, 2, 3
"""Square in every way, so that slips of shape go unnoticed: as many queries as keys, n h = d."""


def data() -> tuple[np.ndarray, np.ndarray]:
    """Draw sequences, and as many targets."""
    draw = generator()
    return draw.normal(size=(SAMPLES, STEPS, NUMBERS)), draw.normal(size=(SAMPLES, STEPS, 2))


def between(attend: Callable[[Any, Any], Any]) -> Planted:
    """Let what one Dense layer makes of a sequence attend to what another one makes of it."""
    inputs = keras.Input((STEPS, NUMBERS))
    asked = keras.layers.Dense(NUMBERS, name="asked", **spread())(inputs)
    told = keras.layers.Dense(NUMBERS, name="told", **spread())(inputs)
    outputs = keras.layers.Dense(2, name="last", **spread())(attend(asked, told))
    return keras.Model(inputs, outputs), *data()


def luong(bug: Choice) -> Planted:
    """Dot-product attention without projections."""
    attend = keras.layers.Attention(use_scale=True, name="attend")
    planted = between(lambda asked, told: attend([asked, told]))
    attend.set_weights([np.array(0.7)])  # a scale of 1 could be forgotten unnoticed
    return planted


def causal(bug: Choice) -> Planted:
    """Dot-product attention to what came before, some of it dropped."""
    attend = keras.layers.Attention(dropout=0.25, name="attend")
    return between(lambda asked, told: attend([asked, told], use_causal_mask=True))


def bahdanau(bug: Choice) -> Planted:
    """Additive attention."""
    attend = keras.layers.AdditiveAttention(name="attend")
    return between(lambda asked, told: attend([asked, told]))


def in_scored_attention() -> Iterator[Bug]:
    """Give slips in the scores, in the causal mask, and in each derivative."""
    right_scores: Function = Attention.scores
    right_gradients: Function = Attention.score_gradients
    right_forward: Function = ScoredAttention.forward
    right_backward: Function = ScoredAttention.backward

    def root(self: Any, q: Any, k: Any) -> Any:
        S, saved = right_scores(self, q, k)
        return S / float(np.sqrt(NUMBERS)), saved

    def subtracted(self: Any, q: Any, k: Any) -> Any:
        bent = np.tanh(q[:, :, None] - k[:, None])
        return (bent * self.scale.value).sum(axis=-1), bent

    def scaled_inside(self: Any, q: Any, k: Any) -> Any:
        bent = np.tanh((q[:, :, None] + k[:, None]) * self.scale.value)
        return bent.sum(axis=-1), bent

    def seeing_all(self: Any, x: Any, **options: Any) -> Any:
        return right_forward(self, x, **{**options, "use_causal_mask": False})

    def averaged(self: Any, dS: Any, saved: Any) -> Any:
        so_far = self.scale.gradient * 1.0
        found = right_gradients(self, dS, saved)
        self.scale.gradient = so_far + (self.scale.gradient - so_far) / float(dS.size)
        return found

    def before_dropout(self: Any, dy: Any, saved: Any) -> Any:
        v, A, used = saved[1], saved[3], saved[4]
        dq, dv = right_backward(self, dy, saved)
        right, wrong = (einsum_gradients("bts,bsd->btd", one, v, dy)[1] for one in (used, A))
        return [dq, dv - right + wrong]

    told = ("activation gradient", "told")
    for name, network, owner, method, function, place, cause in (
        (
            "Luong over √d",
            luong,
            Attention,
            "scores",
            root,
            ("activation", "attend"),
            "the scores are divided by √d",
        ),
        (
            "Luong: one scale's gradient",
            luong,
            Attention,
            "score_gradients",
            _unscaled,
            told,
            "the scale is forgotten",
        ),
        (
            "Luong: the scale's gradient averaged",
            luong,
            Attention,
            "score_gradients",
            averaged,
            ("weight gradient", "attend/scale"),
            "the gradient is averaged over all scores",
        ),
        (
            "Luong: no causal mask",
            causal,
            ScoredAttention,
            "forward",
            seeing_all,
            ("activation", "attend"),
            "the causal mask is missing",
        ),
        (
            "Luong: dV before dropout",
            causal,
            ScoredAttention,
            "backward",
            before_dropout,
            told,
            "the gradient of the value is made of the weights before dropout",
        ),
        (
            "Bahdanau: q − k",
            bahdanau,
            AdditiveAttention,
            "scores",
            subtracted,
            ("activation", "attend"),
            "the key is subtracted from the query",
        ),
        (
            "Bahdanau: the scale inside",
            bahdanau,
            AdditiveAttention,
            "scores",
            scaled_inside,
            ("activation", "attend"),
            "the scale stands on the wrong side of tanh",
        ),
        (
            "Bahdanau without tanh's derivative",
            bahdanau,
            AdditiveAttention,
            "score_gradients",
            _no_local_gradient,
            told,
            "the derivative of tanh is missing",
        ),
    ):
        yield Bug(f"attention: {name}", owner, method, function, *place, (cause,), network=network)


def _unscaled(self: Any, dS: Any, saved: Any) -> Any:
    q, k, compared = saved
    self.scale.gradient += (dS * compared).sum()
    return einsum_gradients("btd,bsd->bts", q, k, dS)


def _no_local_gradient(self: Any, dS: Any, saved: Any) -> Any:
    dS = dS[..., None]
    self.scale.gradient += (dS * saved).sum(axis=(0, 1, 2))
    inside = dS * self.scale.value * (saved * 0.0 + 1.0)
    return inside.sum(axis=2), inside.sum(axis=1)
