"""Bugs in attention."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.scored_attention import (
    HEADS,
    NUMBERS,
    SIZE,
    STEPS,
    between,
    data,
    in_scored_attention,
)
from compare.score.networks import Choice, Planted, spread
from manual.einsum import einsum, einsum_gradients
from manual.layers import multi_head_attention as module
from manual.layers.einsum_dense import Projection
from manual.layers.multi_head_attention import ProjectedAttention


def cross(bug: Choice) -> Planted:
    """Two heads of three numbers each."""
    attend = keras.layers.MultiHeadAttention(HEADS, SIZE, name="attend", **spread())
    return between(attend)


def masked(bug: Choice) -> Planted:
    """Attention under a mask that hides something from every query."""
    attend = keras.layers.MultiHeadAttention(HEADS, SIZE, name="attend", **spread())
    mask = (np.arange(STEPS)[:, None] * 2 + np.arange(STEPS)) % 3 > 0
    return between(lambda asked, told: attend(asked, told, attention_mask=mask))


def dropped(bug: Choice) -> Planted:
    """Attention whose weights are dropped in training."""
    attend = keras.layers.MultiHeadAttention(HEADS, SIZE, dropout=0.25, name="attend", **spread())
    return between(attend)


def windowed(bug: Choice) -> Planted:
    """Attention to neighbours only."""
    attend = keras.layers.MultiHeadAttention(
        HEADS, SIZE, sliding_window=2, name="attend", **spread()
    )
    return between(attend)


def grouped(bug: Choice) -> Planted:
    """Four query heads that share two heads of keys and values."""
    return between(keras.layers.GroupQueryAttention(SIZE, 4, 2, name="attend", **spread()))


def block(bug: Choice) -> Planted:
    """Put a causal self-attention into a block with a skip connection."""
    inputs = keras.Input((STEPS, NUMBERS))
    x = keras.layers.Dense(NUMBERS, name="embed", **spread())(inputs)
    attend = keras.layers.MultiHeadAttention(HEADS, SIZE, name="attend", **spread())
    x = keras.layers.Add(name="skip")([x, attend(x, x, use_causal_mask=True)])
    return keras.Model(inputs, keras.layers.Dense(2, name="last", **spread())(x)), *data()


# ---------------------------------------------------------------------- the lines of a derivative

_right_forward = ProjectedAttention.forward
_right_may_look = ProjectedAttention._may_look
_right_projection, _right_projection_back = Projection.forward, Projection.backward


def with_lines(**lines: Function) -> Function:
    """Return attention's derivative with some of its lines replaced."""

    def backward(self: Any, dy: Any, saved: Any) -> Any:
        x, Q, K, V, M, A, used, kept, C, *_ = saved
        dC = self.attention_output.backward(dy, C)
        dA, dV = einsum_gradients("bnts,bsnh->btnh", used, V, dC)
        if "dV" in lines:
            dV = einsum("bnst,btnh->bsnh", lines["dV"](used), dC)
        if kept is not None and "dropped" not in lines:
            dA = np.where(kept, dA * self.enlarged, 0.0)
        dS = lines.get("dS", lambda dA, A: A * (dA - (dA * A).sum(axis=-1, keepdims=True)))(dA, A)
        dS = (dS if M is None else np.where(M, dS, 0.0)) * self.scale
        dQ, dK = einsum_gradients("btnh,bsnh->bnts", Q, K, dS)
        dQ = lines["dQ"](dS, K, self.scale) if "dQ" in lines else dQ
        dK = lines["dK"](dS, Q, self.scale) if "dK" in lines else dK
        if "swap" in lines:
            dQ, dK = dK, dQ
        dK, dV = self._over_query_heads(dK), self._over_query_heads(dV)
        dx_q, dx_v = self.query.backward(dQ, x[0]), self.value.backward(dV, x[1])
        dx_k = self.key.backward(dK, x[-1])
        return [dx_q, lines.get("dx", lambda v, k: v + k)(dx_v, dx_k)]

    return backward


def scaled(scale: Callable[[Any], float]) -> Function:
    """Return attention's forward pass with another factor of the scores."""

    def forward(self: Any, x: Any, **options: Any) -> Any:
        kept, self.scale = self.scale, scale(self)
        try:
            return _right_forward(self, x, **options)
        finally:
            self.scale = kept

    return forward


def softmax_over(axis: int) -> Function:
    """Return a softmax over another axis."""

    def softmax(z: Any, over_keys: Any) -> Any:
        e = np.exp(z - z.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    return softmax


def looking(rule: Callable[[Any, Any], Any]) -> Function:
    """Return another answer to where a query may look."""

    def may_look(self: Any, steps: tuple[int, int], *told: Any) -> Any:
        return rule(np.arange(steps[0])[:, None], np.arange(steps[1]))[None, None]

    return may_look


def without_bias(name: str) -> Function:
    """Return a projection that forgets one bias."""

    def forward(self: Any, x: Any) -> Any:
        if not self.kernel.name.startswith(name):
            return _right_projection(self, x)
        return einsum(self.equation, x, self.kernel.value)

    return forward


def exchanged(one: str, other: str) -> Function:
    """Return a forward pass in which two projections have changed places."""

    def forward(self: Any, x: Any, **options: Any) -> Any:
        first, second = getattr(self, one), getattr(self, other)
        setattr(self, one, second)
        setattr(self, other, first)
        try:
            return _right_forward(self, x, **options)
        finally:
            setattr(self, one, first)
            setattr(self, other, second)

    return forward


def split_without_transposing(self: Any, x: Any) -> Any:
    """Split into heads as if the axes lay in another order."""
    z = _right_projection(self, x)
    if z.ndim == 3:
        return z
    b, t, n, h = z.shape
    return np.moveaxis(z.reshape(b, n, t, h), 1, 2)


def joined_without_transposing(self: Any, x: Any) -> Any:
    """Join heads as if the axes lay in another order."""
    if x.ndim == 4:
        x = np.moveaxis(x, 2, 1).reshape(*x.shape)
    return _right_projection(self, x)


def output_turned(self: Any, x: Any) -> Any:
    """Multiply by the transposed output projection."""
    if x.ndim == 3:
        return _right_projection(self, x)
    W = self.kernel.value.reshape(-1, self.kernel.shape[-1])
    return x.reshape(*x.shape[:2], -1) @ W.T + self.bias.value


def mask_inverted(self: Any, *told: Any) -> Any:
    """Hide what counts."""
    looked: Any = _right_may_look(self, *told)
    return ~looked


def in_attention() -> Iterator[Bug]:
    """Give slips in the forward pass and in each line of the derivative."""
    yield from _forward()
    yield from _backward()
    yield from in_scored_attention()


def _forward() -> Iterator[Bug]:
    forward: list[tuple[str, Any, str, Function, Any, str]] = [
        (
            "not scaled",
            ProjectedAttention,
            "forward",
            scaled(lambda self: 1.0),
            cross,
            "the scores are not divided by √h",
        ),
        (
            "divided by h",
            ProjectedAttention,
            "forward",
            scaled(lambda self: 1.0 / SIZE),
            block,
            "the scores are divided by h instead",
        ),
        (
            "root of the embedding's size",
            ProjectedAttention,
            "forward",
            scaled(lambda self: float(np.float32(NUMBERS**-0.5))),
            cross,
            "the scores are divided by the root of the embedding's size",
        ),
        (
            "softmax over the queries",
            module,
            "softmax",
            softmax_over(-2),
            cross,
            "the softmax runs over the queries",
        ),
        (
            "a window one too wide",
            ProjectedAttention,
            "_may_look",
            looking(lambda t, s: np.abs(t - s) <= 2),
            windowed,
            "the sliding window is one too wide",
        ),
        (
            "no softmax",
            module,
            "softmax",
            lambda z, over: z * 1.0,
            grouped,
            "the softmax is left out",
        ),
        (
            "causal mask missing",
            ProjectedAttention,
            "_may_look",
            lambda self, *told: None,
            block,
            "the causal mask is missing",
        ),
        (
            "causal mask strict",
            ProjectedAttention,
            "_may_look",
            looking(lambda t, s: s < t),
            block,
            "the causal mask is off by one: a query doesn't see its own",
        ),
        (
            "causal mask late",
            ProjectedAttention,
            "_may_look",
            looking(lambda t, s: s <= t + 1),
            block,
            "the causal mask is off by one: a query sees the position after",
        ),
        (
            "causal mask turned",
            ProjectedAttention,
            "_may_look",
            looking(lambda t, s: s >= t),
            block,
            "the causal mask is transposed",
        ),
        (
            "mask ignored",
            ProjectedAttention,
            "_may_look",
            lambda self, *told: None,
            masked,
            "the mask is ignored",
        ),
        (
            "mask inverted",
            ProjectedAttention,
            "_may_look",
            mask_inverted,
            masked,
            "the mask is the wrong way round",
        ),
        (
            "query and key exchanged",
            ProjectedAttention,
            "forward",
            exchanged("query", "key"),
            cross,
            "query and key are swapped",
        ),
        (
            "value and key exchanged",
            ProjectedAttention,
            "forward",
            exchanged("value", "key"),
            masked,
            "value and key are swapped",
        ),
        (
            "heads split without transposing",
            Projection,
            "forward",
            split_without_transposing,
            cross,
            "the heads are split in the wrong order",
        ),
        (
            "heads joined without transposing",
            Projection,
            "forward",
            joined_without_transposing,
            block,
            "the heads are joined in the wrong order",
        ),
        (
            "output turned",
            Projection,
            "forward",
            output_turned,
            cross,
            "the output projection is transposed",
        ),
        (
            "query's bias",
            Projection,
            "forward",
            without_bias("query"),
            cross,
            "the bias of the query is forgotten",
        ),
        (
            "value's bias",
            Projection,
            "forward",
            without_bias("value"),
            grouped,
            "the bias of the value is forgotten",
        ),
        (
            "output's bias",
            Projection,
            "forward",
            without_bias("attention_output"),
            block,
            "the bias of the output is forgotten",
        ),
        (
            "heads shared in turn",
            ProjectedAttention,
            "_shared_head",
            lambda self: np.arange(self.query_heads) % self.heads,
            grouped,
            "query heads share keys in turn",
        ),
    ]
    for name, owner, method, function, network, cause in forward:
        yield Bug(
            f"attention: {name}",
            owner,
            method,
            function,
            "activation",
            "attend",
            (cause,),
            network=network,
        )


def _backward() -> Iterator[Bug]:
    lines: list[tuple[str, Any, str, str | tuple[str, ...], dict[str, Function]]] = [
        (
            "softmax's diagonal",
            cross,
            "told",
            "only the diagonal of softmax's derivative",
            {"dS": lambda dA, A: dA * A * (1.0 - A)},
        ),
        (
            "softmax's derivative missing",
            block,
            "embed",
            "the derivative of the softmax is missing",
            {"dS": lambda dA, A: dA},
        ),
        (
            "row sum missing",
            dropped,
            "told",
            "the row sum is missing in the softmax's derivative",
            {"dS": lambda dA, A: dA * A},
        ),
        (
            "sum over the queries",
            cross,
            "told",
            "the sum in the softmax's derivative runs over the queries",
            {"dS": lambda dA, A: A * (dA - (dA * A).sum(axis=-2, keepdims=True))},
        ),
        (
            "dQ not scaled",
            cross,
            "asked",
            ("the gradient of the query is not divided", "the scores' gradient is not divided"),
            {"dQ": lambda dS, K, scale: einsum("bnts,bsnh->btnh", dS / scale, K)},
        ),
        (
            "dK not scaled",
            block,
            "embed",
            "the gradient of the key is not divided by √h",
            {"dK": lambda dS, Q, scale: einsum("bnts,btnh->bsnh", dS / scale, Q)},
        ),
        (
            "dK not transposed",
            cross,
            "told",
            "the gradient of the key: the scores' gradient is not transposed",
            {"dK": lambda dS, Q, scale: einsum("bnst,btnh->bsnh", dS, Q)},
        ),
        (
            "dQ transposed",
            grouped,
            "asked",
            "the gradient of the query: the scores' gradient is transposed",
            {"dQ": lambda dS, K, scale: einsum("bnst,bsnh->btnh", dS, K)},
        ),
        (
            "dV not transposed",
            block,
            "embed",
            "the gradient of the value: the weights are not transposed",
            {"dV": lambda A: A},
        ),
        (
            "dQ and dK swapped",
            cross,
            "told",
            "the gradients of query and key are swapped",
            {"swap": lambda: None},
        ),
        (
            "no gradient through the key",
            cross,
            "told",
            "the gradient through the key is forgotten",
            {"dx": lambda v, k: v},
        ),
        (
            "no gradient through the value",
            block,
            "embed",
            "the gradient through the value is forgotten",
            {"dx": lambda v, k: k},
        ),
        (
            "dropout left out on the way back",
            dropped,
            "told",
            "the dropout of the weights is left out",
            {"dropped": lambda: None},
        ),
        ("trap: dS off by a thousandth", cross, "told", "", {"dS": _almost}),
    ]
    for name, network, where, cause, changed in lines:
        causes = cause if isinstance(cause, tuple) else (cause,) if cause else ()
        yield Bug(
            f"attention: {name}",
            ProjectedAttention,
            "backward",
            with_lines(**changed),
            "activation gradient",
            where,
            causes,
            network=network,
        )
    yield Bug(
        "attention: shared heads averaged",
        ProjectedAttention,
        "_over_query_heads",
        lambda self, dK: dK.reshape(*dK.shape[:2], self.heads, -1, SIZE).mean(axis=3),
        "activation gradient",
        "told",
        ("query heads that share a key: their gradients are averaged",),
        network=grouped,
    )
    for weight, factor, cause in (
        ("query/kernel", 1.0 / STEPS, f"the gradient is averaged over the {STEPS} positions"),
        ("value/bias", -1.0, "the sign is reversed"),
        ("attention_output/kernel", 0.0, "the gradient is never computed"),
        ("key/kernel", 1.001, ""),
    ):

        def backward(
            self: Any, dz: Any, x: Any, weight: str = weight, factor: float = factor
        ) -> Any:
            parameter = self.bias if weight.endswith("bias") else self.kernel
            right = parameter.gradient * 1.0
            dx = _right_projection_back(self, dz, x)
            if parameter.name == weight:
                parameter.gradient = right + (parameter.gradient - right) * factor
            return dx

        yield Bug(
            f"attention: gradient of {weight} times {factor:g}",
            Projection,
            "backward",
            backward,
            "weight gradient",
            f"attend/{weight}",
            (cause,) if cause else (),
            network=cross,
        )


def _almost(dA: Any, A: Any) -> Any:
    right = A * (dA - (dA * A).sum(axis=-1, keepdims=True))
    return right + 0.001 * dA * dA
