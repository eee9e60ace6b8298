"""Attention without projections: Luong's dot product and Bahdanau's sum."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from manual import sums
from manual.activations import softmax
from manual.arrays import Array
from manual.einsum import einsum, einsum_gradients
from manual.layers.base import Layer, Shape
from manual.layers.einsum_dense import glorot
from manual.layers.symbol import Symbol, several
from manual.randomness import Draws
from manual.registry import twin_of

FAR_BELOW = 1e9
"""What Keras takes off the score of a key that must not be looked at."""


class ShowsWeights(Layer):
    """Attention that also gives the weights of its means, A, to a call that asks for them.

    With ``return_attention_scores`` it has two outputs, and a gradient may arrive at either.
    """

    def weights_shape(self, shapes: Sequence[Shape]) -> Shape:
        """Return the shape of A for one sample, from those of query, value and key."""
        raise NotImplementedError

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        made = super().apply(*inputs, call=call, **named)
        if not made.options.get("return_attention_scores"):
            return made
        of_weights = self.weights_shape([symbol.shape for symbol in made.inputs])
        shapes = [made.shape, of_weights]
        return several(self, made.inputs, shapes, call, made.options, made.masks)


def enlarging(rate: float) -> float:
    """Return by what dropout enlarges the weights that it keeps: by nothing, if it keeps none."""
    return 1.0 / (1.0 - rate) if rate < 1.0 else 0.0


def kept_of(shape: Shape, rate: float, draws: Draws) -> Array:
    """Return which weights dropout keeps; of those that are all dropped, Keras draws none."""
    return draws.uniform(shape) >= rate if rate < 1.0 else np.zeros(shape, bool)


class ScoredAttention(ShowsWeights):
    """Weighted means of the values; how queries and keys are compared is left open.

    Called on a list ``[query, value]`` or ``[query, value, key]`` of shapes ``(b, t, d)``,
    ``(b, s, ·)`` and ``(b, s, d)``; without a key, the value is the key too. With a mask on the
    value a query looks only at what counts; where the query's own mask is False, the output is 0.
    The weights that it shows are those after dropout.
    """

    takes_mask = True
    call_options: ClassVar[frozenset[str]] = frozenset(
        {"use_causal_mask", "return_attention_scores"}
    )

    def __init__(
        self, dropout: float, seed: int | None, *, name: str | None, trainable: bool
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.dropout, self.enlarged = dropout, enlarging(dropout)

    def scores(self, q: Array, k: Array) -> tuple[Array, Any]:
        """Return S, of shape (b, t, s), and what `score_gradients` needs."""
        raise NotImplementedError

    def score_gradients(self, dS: Array, saved: Any) -> tuple[Array, Array]:
        """Return dq and dk; add to the gradients of the weights."""
        raise NotImplementedError

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (*input_shape[0][:-1], input_shape[1][-1])

    def weights_shape(self, shapes: Sequence[Shape]) -> Shape:
        q, _, k = (*shapes, shapes[1])[:3]
        return (*q[:-1], k[-2])

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Give the queries' mask."""
        return mask[0] if mask else None

    def forward(
        self,
        x: Sequence[Array],
        *,
        training: bool = False,
        mask: Sequence[Array | None] | None = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
    ) -> tuple[Any, Any]:
        q, v, k = (*x, x[1])[:3]
        of_query, of_value = (*(mask or ()), None, None)[:2]
        S, compared = self.scores(q, k)
        M = None if of_value is None else of_value[:, None, :]
        if use_causal_mask:
            causal = (np.arange(k.shape[1]) <= np.arange(q.shape[1])[:, None])[None]
            M = causal if M is None else M & causal
        A = softmax(S if M is None else np.where(M, S, S - FAR_BELOW))
        used, kept = A, None
        if training and self.dropout:
            kept = kept_of(A.shape, self.dropout, self.draws)
            used = np.where(kept, A * self.enlarged, 0.0)
        y = einsum("bts,bsd->btd", used, v)
        if of_query is not None:
            y = np.where(of_query[:, :, None], y, 0.0)
        made = [y, used] if return_attention_scores else y
        return made, (len(x), v, compared, A, used, kept, of_query)

    def backward(self, dy: Any, saved: Any) -> list[Array]:
        inputs, v, compared, A, used, kept, of_query = saved
        dA: Any
        dy, dA = dy if isinstance(dy, list) else (dy, None)
        dv = np.zeros_like(v)
        if dy is not None:
            if of_query is not None:
                dy = np.where(of_query[:, :, None], dy, 0.0)
            through, dv = einsum_gradients("bts,bsd->btd", used, v, dy)
            dA = through if dA is None else dA + through
        if kept is not None:
            dA = np.where(kept, dA * self.enlarged, 0.0)
        dS = A * (dA - sums.over_last(dA * A))
        dq, dk = self.score_gradients(dS, compared)
        return [dq, dv, dk] if inputs == 3 else [dq, dv + dk]


@twin_of("Attention")
class Attention(ScoredAttention):
    """Dot-product attention (Luong et al. 2015): no division by √d.

    Parameters
    ----------
    use_scale : bool
        Whether a weight, one number, multiplies the scores (or the sum inside tanh).
    score_mode : str
        ``"dot"``, or ``"concat"``: the sum of tanh over the numbers of query + key.
    """

    derivation = {
        "forward": "S = scale · q kᵀ (concat: w Σ tanh(scale · (q + k))), A = softmax(S) over the "
        "keys, y = A · v",
        "input gradient": "dv = Aᵀ · dy, dS = A · (dA − Σₛ dA A) with dA = dy · vᵀ, "
        "dq = scale · dS · k, dk = scale · dSᵀ · q (concat: dq = Σₛ, dk = Σₜ of "
        "dS w scale (1 − tanh²)); what is used twice gets the sum",
        "scale gradient": "dscale = Σ dS · q kᵀ (concat: Σ dS w (1 − tanh²) (q + k))",
        "concat_score_weight gradient": "dw = Σ dS Σ tanh(scale · (q + k))",
    }

    def __init__(
        self,
        use_scale: bool = False,
        score_mode: str = "dot",
        dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(dropout, seed, name=name, trainable=trainable)
        self.use_scale, self.score_mode = use_scale, score_mode

    def build(self, input_shape: Sequence[Shape], generator: np.random.Generator) -> None:
        if self.use_scale:
            self.scale = self.add_weight("scale", np.ones(()))
        if self.score_mode == "concat":
            self.weight = self.add_weight("concat_score_weight", np.ones(()))

    def scores(self, q: Array, k: Array) -> tuple[Array, Any]:
        if self.score_mode == "dot":
            compared = einsum("btd,bsd->bts", q, k)
            S = compared * self.scale.value if self.use_scale else compared
            return S, (q, k, compared)
        both = q[:, :, None] + k[:, None]
        bent = np.tanh(both * self.scale.value if self.use_scale else both)
        total = bent.sum(axis=-1)
        return total * self.weight.value, (both, bent, total)

    def score_gradients(self, dS: Array, saved: Any) -> tuple[Array, Array]:
        if self.score_mode == "dot":
            q, k, compared = saved
            if self.use_scale:
                self.scale.gradient += (dS * compared).sum()
                dS = dS * self.scale.value
            return einsum_gradients("btd,bsd->bts", q, k, dS)
        both, bent, total = saved
        self.weight.gradient += (dS * total).sum()
        inside = (dS * self.weight.value)[..., None] * (1.0 - bent * bent)
        if self.use_scale:
            self.scale.gradient += (inside * both).sum()
            inside = inside * self.scale.value
        return inside.sum(axis=2), inside.sum(axis=1)


@twin_of("AdditiveAttention")
class AdditiveAttention(ScoredAttention):
    """Additive attention (Bahdanau et al. 2015), with the projections left to Dense layers.

    Parameters
    ----------
    use_scale : bool
        Whether each number of tanh has a weight of its own.
    """

    derivation = {
        "forward": "S = Σ scale · tanh(q + k) over the numbers, A = softmax(S) over the keys, "
        "y = A · v",
        "input gradient": "dv = Aᵀ · dy, dS = A · (dA − Σₛ dA A) with dA = dy · vᵀ, and of "
        "D = dS scale (1 − tanh²): dq = Σₛ D, dk = Σₜ D; what is used twice gets the sum",
        "scale gradient": "dscale = Σ dS tanh(q + k)",
    }

    def __init__(
        self,
        use_scale: bool = True,
        dropout: float = 0.0,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(dropout, seed, name=name, trainable=trainable)
        self.use_scale = use_scale

    def build(self, input_shape: Sequence[Shape], generator: np.random.Generator) -> None:
        if self.use_scale:
            numbers = input_shape[0][-1]
            self.scale = self.add_weight("scale", glorot(generator, (numbers,), numbers, numbers))

    def scores(self, q: Array, k: Array) -> tuple[Array, Array]:
        bent = np.tanh(q[:, :, None] + k[:, None])
        return (bent * self.scale.value if self.use_scale else bent).sum(axis=-1), bent

    def score_gradients(self, dS: Array, saved: Array) -> tuple[Array, Array]:
        bent, dS = saved, dS[..., None]
        inside = dS * (1.0 - bent * bent)
        if self.use_scale:
            self.scale.gradient += (dS * bent).sum(axis=(0, 1, 2))
            inside = inside * self.scale.value
        return inside.sum(axis=2), inside.sum(axis=1)
