"""Attention: every query takes a weighted mean of the values, by how well it fits their keys."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from manual import sums
from manual.activations import Sigmoid, softmax
from manual.arrays import Array
from manual.einsum import einsum, einsum_gradients
from manual.layers.attention import ShowsWeights, enlarging, kept_of
from manual.layers.base import Shape
from manual.layers.einsum_dense import Projection, glorot
from manual.layers.parameter import Parameter
from manual.layers.symbol import NO_MASKS, GivenMasks, Symbol, several
from manual.registry import NoTwin, twin_of
from manual.regularizers import Regularizer

LOWEST = -0.7 * 3.38953e38
"""The score of a key that must not be looked at: e to the power of it is 0."""
LAST = "the last input"
"""What a call is told of an ``attention_mask`` that is no constant: where it comes."""


class ProjectedAttention(ShowsWeights):
    """Scaled dot-product attention of several heads, between four projections.

    Vaswani et al. 2017, section 3.2, with one letter an axis: b for the batch, t for the queries'
    positions, s for those of keys and values, n for the heads, h for the numbers of a head.

    Called on ``[query, value]``, or ``[query, value, key]``, of shapes ``(b, t, ·)`` and
    ``(b, s, ·)``; without a key, the value is the key too. Which key a query may look at (M) is
    said by the masks that arrive, ``attention_mask`` of shape ``(b, t, s)`` or ``(t, s)``,
    ``use_causal_mask`` (no later position), and ``sliding_window``.

    A query that may look at no key at all takes the plain mean of all values, as in Keras; with
    dropout, several axes, or where A is shown, it takes nothing. A is shown as before dropout.

    Queries and keys may have further axes, ``(b, t₁, t₂, ·)``. Along those in ``attention_axes``
    every query looks at every key, and t and s are several letters; the others are like the batch.
    What its activities cost is taken of what each projection gives.
    With ``use_gate`` what a head has found is multiplied by a number between 0 and 1 that the query
    says (Qiu et al. 2025).
    """

    derivation = {
        "forward": "Q = x_q W_Q + b_Q, K = x_k W_K + b_K, V = x_v W_V + b_V, "
        "S = Q · Kᵀ / √h, A = softmax(S) over the keys, y = C W_O + b_O with C = A · V, or with "
        "a gate (A · V) g, g = σ(x_q W_G + b_G)",
        "attention_output/kernel gradient": "dW_O = Cᵀ · dy, with C = A · V, or (A · V) g",
        "attention_output/bias gradient": "db_O = Σ dy",
        "value/kernel gradient": "dW_V = x_vᵀ · dV, with dV = Aᵀ · dC and dC = dy · W_Oᵀ",
        "value/bias gradient": "db_V = Σ dV, with dV = Aᵀ · dC",
        "query/kernel gradient": "dW_Q = x_qᵀ · dQ, with dQ = dS · K / √h, "
        "dS = A · (dA − Σₛ dA A) and dA = dC · Vᵀ",
        "query/bias gradient": "db_Q = Σ dQ, with dQ = dS · K / √h",
        "key/kernel gradient": "dW_K = x_kᵀ · dK, with dK = dSᵀ · Q / √h",
        "key/bias gradient": "db_K = Σ dK, with dK = dSᵀ · Q / √h: 0, for a softmax doesn't "
        "change when the same is added to all scores",
        "gate/kernel gradient": "dW_G = x_qᵀ · dz, with dz = dC (A · V) g (1 − g); what goes on "
        "from dC is dC g",
        "gate/bias gradient": "db_G = Σ dz, with dz = dC (A · V) g (1 − g)",
        "input gradient": "dx_q = dQ · W_Qᵀ (+ dz · W_Gᵀ), dx_k = dK · W_Kᵀ, dx_v = dV · W_Vᵀ; "
        "what is used twice gets the sum",
    }
    takes_mask = masks_further = True
    tensor_arguments = ("query", "value", "key")
    call_options: ClassVar[frozenset[str]] = frozenset(
        {"attention_mask", "use_causal_mask", "return_attention_scores"}
    )

    def __init__(
        self,
        *,
        query_heads: int,
        heads: int,
        sizes: tuple[int, int],
        result: Sequence[int] | None,
        dropout: float,
        use_bias: bool,
        sliding_window: int | None,
        use_gate: bool,
        of_kernel: tuple[Any, Any],
        of_bias: tuple[Any, Any],
        seed: int | None,
        name: str | None,
        trainable: bool,
        attention_axes: int | Sequence[int] | None = None,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.query_heads, self.heads = query_heads, heads
        self.key_size, self.value_size = sizes
        self.result = result
        self.use_bias, self.sliding_window = use_bias, sliding_window
        self.dropout, self.enlarged = dropout, enlarging(dropout)
        self.of_projections: Regularizer | None = None
        self.of_kernel, self.of_bias = of_kernel, of_bias
        self.attention_axes, self.use_gate, self.squash = attention_axes, use_gate, Sigmoid()
        self.scale = float(np.float32(1.0 / np.sqrt(self.key_size)))
        """1/√h. Keras rounds it to float32, in every precision."""

    # ------------------------------------------------------------------ the mathematics

    def forward(
        self,
        x: Sequence[Array],
        *,
        training: bool = False,
        mask: Sequence[Array | None] | None = None,
        attention_mask: Array | str | None = None,
        use_causal_mask: bool = False,
        return_attention_scores: bool = False,
    ) -> tuple[Any, Any]:
        masked_by_input = isinstance(attention_mask, str)
        if masked_by_input:
            *x, given = x
            attention_mask = given
            mask = [*mask[: len(x)], *mask[len(x) + 1 :]] if mask else None
        x_q, x_v, x_k = (*x, x[1])[:3]
        Q, K, V = self.query.forward(x_q), self.key.forward(x_k), self.value.forward(x_v)
        projected = [Q, K, V]
        K, V = self._for_each_query_head(K), self._for_each_query_head(V)
        steps = x_q.shape[1], x_v.shape[1]
        M = self._may_look(steps, mask, attention_mask, use_causal_mask)
        S = einsum(self.comparison, Q, K) * self.scale
        A = softmax(S if M is None else np.where(M, S, LOWEST), self.over_keys)
        used, kept = A, None
        if (self.dropout or self.several_axes or return_attention_scores) and M is not None:
            used = np.where(M, used, 0.0)
        shown = used
        if training and self.dropout:
            kept = kept_of(A.shape, self.dropout, self.draws)
            used = np.where(kept, used * self.enlarged, 0.0)
        found = einsum(self.combination, used, V)
        C, gate = found, None
        if self.use_gate:
            z = self.gate.forward(x_q)
            g = self.squash.forward(z)
            C, gate = found * g, (z, g, found)
            projected.append(g)
        y = self.attention_output.forward(C)
        made = [y, shown] if return_attention_scores else y
        return made, (x, Q, K, V, M, A, used, kept, C, gate, masked_by_input, [*projected, y])

    def backward(self, dy: Any, saved: Any) -> list[Any]:
        x, Q, K, V, M, A, used, kept, C, gate, masked_by_input, projected = saved
        of_Q, of_K, of_V, *of_g, of_y = self._of_activities(projected)
        x_q, x_v, x_k = (*x, x[1])[:3]
        dy, dshown = dy if isinstance(dy, list) else (dy, None)
        dA: Any = dshown
        dV, of_gate = np.zeros_like(V), None
        if of_y is not None:
            dy = of_y if dy is None else dy + of_y
        if dy is not None:
            dC = self.attention_output.backward(dy, C)
            if gate is not None:
                z, g, found = gate
                dg = with_share(dC * found, of_g[0])
                of_gate = self.gate.backward(self.squash.backward(dg, z, g), x_q)
                dC = dC * g
            dA, dV = einsum_gradients(self.combination, used, V, dC)
            if kept is not None:
                dA = np.where(kept, dA * self.enlarged, 0.0)
            dA = dA if dshown is None else dA + dshown
        if used is not A and M is not None:
            dA = np.where(M, dA, 0.0)
        dS = A * (dA - sums.over(dA * A, self.over_keys)) * self.scale
        if M is not None:
            dS = np.where(M, dS, 0.0)
        dQ, dK = einsum_gradients(self.comparison, Q, K, dS)
        dQ = with_share(dQ, of_Q)
        dK = with_share(self._over_query_heads(dK), of_K)
        dV = with_share(self._over_query_heads(dV), of_V)
        dx_q, dx_v = self.query.backward(dQ, x_q), self.value.backward(dV, x_v)
        dx_k = self.key.backward(dK, x_k)
        if of_gate is not None:
            dx_q = dx_q + of_gate
        dxs = [dx_q, dx_v, dx_k] if len(x) == 3 else [dx_q, dx_v + dx_k]
        return [*dxs, None] if masked_by_input else dxs

    # ------------------------------------------------------------------ what activities cost

    def regularize_activity(self, penalty: Regularizer) -> None:
        self.of_projections, self.has_costs_within = penalty, True

    def costs_within(self, saved: Any) -> Iterator[Array]:
        assert self.of_projections is not None
        for one in saved[-1]:
            yield self.of_projections.of_activity(one)

    def _of_activities(self, projected: list[Array]) -> list[Any]:
        """Return what each projection's output gets for what it costs."""
        penalty = self.of_projections
        if penalty is None:
            return [None] * len(projected)
        return [penalty.activity_gradient(one, self.loss_scale) for one in projected]

    # ------------------------------------------------------------------ masks, heads

    def _may_look(
        self,
        steps: tuple[int, int],
        mask: Sequence[Array | None] | None,
        attention_mask: Array | None,
        use_causal_mask: bool,
    ) -> Array | None:
        """Return M, True where a query may look at a key; None if it always may.

        As Keras has it, masks meet as arrays do, by their last axes, and what they then lack of the
        scores' axes is put in before those of queries and keys.
        """
        allowed = []
        of_query, of_value, of_key = (*(mask or ()), None, None, None)[:3]
        if of_query is not None:
            allowed.append(of_query[..., None])
        allowed += [one[..., None, :] for one in (of_value, of_key) if one is not None]
        t, s = np.arange(steps[0])[:, None], np.arange(steps[1])
        if use_causal_mask:
            allowed.append((s <= t)[None])
        if self.sliding_window is not None:
            allowed.append((np.abs(t - s) < self.sliding_window)[None])
        if attention_mask is not None:
            allowed.append(attention_mask != 0.0)
        if not allowed:
            return None
        M = allowed[0]
        for one in allowed[1:]:
            M = M & one
        before = M.ndim - 2 * len(self.along)
        if before < 0:
            raise NoTwin(
                f"layer {self.name!r}: a mask of the steps, a causal one among them, has no "
                "hand-derived twin where attention goes along several axes; nor has Keras."
            )
        lacking = (1,) * (self.rank_of_scores - M.ndim)
        return M.reshape(*M.shape[:before], *lacking, *M.shape[before:])

    def further_masks(self, saved: Any) -> list[Any]:
        """Give the mask of the weights that are shown: where they may look."""
        return [saved[4]]

    def _for_each_query_head(self, K: Array) -> Array:
        """Repeat each head of keys or values for the query heads that share it."""
        return K if self.query_heads == self.heads else K[:, :, self._shared_head()]

    def _over_query_heads(self, dK: Array) -> Array:
        """Sum the gradients of query heads that share a head of keys or values."""
        if self.query_heads == self.heads:
            return dK
        b, s, _, h = dK.shape
        return dK.reshape(b, s, self.heads, -1, h).sum(axis=3)

    def _shared_head(self) -> Array:
        return np.arange(self.query_heads) // (self.query_heads // self.heads)

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Give the queries' mask."""
        return mask[0] if mask else None

    # ------------------------------------------------------------------ shapes and weights

    def build(self, input_shape: Sequence[Shape], generator: np.random.Generator) -> None:
        of_q, of_v, of_k = (*input_shape, input_shape[1])[:3]
        self._name_axes(len(of_q))
        space = "tuvwxyz"[: len(of_q) - 1]
        in_heads = f"b{space}d,dnh->b{space}nh"
        to_queries, to_keys = (
            (self.query_heads, self.key_size),
            (self.heads, self.key_size),
        )
        self.query = self._projection("query", in_heads, of_q[-1:], to_queries, generator)
        self.key = self._projection("key", in_heads, of_k[-1:], to_keys, generator)
        if self.use_gate:
            to_gate = self.query_heads, self.value_size
            self.gate = self._projection("gate", in_heads, of_q[-1:], to_gate, generator)
        to_values = self.heads, self.value_size
        self.value = self._projection("value", in_heads, of_v[-1:], to_values, generator)
        result = tuple(self.result or (of_q[-1],))
        axes = "defgijklm"[: len(result)]
        self.attention_output = self._projection(
            "attention_output",
            f"b{space}nh,nh{axes}->b{space}{axes}",
            (self.query_heads, self.value_size),
            result,
            generator,
        )

    def _name_axes(self, rank: int) -> None:
        """Write the equations for samples with so many axes, the features' included."""
        axes = self.attention_axes
        given = range(1, rank) if axes is None else np.ravel(axes).tolist()
        # Keras counts backwards as ever: -1 is the features. own axis.
        self.along = tuple(axis if axis >= 0 else rank + 1 + axis for axis in given)
        self.several_axes = rank > 2
        t, s = list("tuvwxyz"[: rank - 1]), list("tuvwxyz"[: rank - 1])
        for axis in self.along:
            s[axis - 1] = "TUVWXYZ"[axis - 1]
        free = [t[axis - 1] for axis in range(1, rank) if axis not in self.along]
        of_Q, of_K = (f"b{''.join(letters)}nh" for letters in (t, s))
        looked = "".join(t[axis - 1] for axis in self.along)
        seen = "".join(s[axis - 1] for axis in self.along)
        of_S = f"b{''.join(free)}n{looked}{seen}"
        self.rank_of_scores = len(of_S)
        self.comparison = f"{of_Q},{of_K}->{of_S}"
        self.combination = f"{of_S},{of_K}->{of_Q}"
        places = tuple(range(-len(self.along), 0))
        self.over_keys = places if len(places) > 1 else -1

    def _projection(
        self,
        name: str,
        equation: str,
        inputs: Shape,
        outputs: Shape,
        generator: np.random.Generator,
    ) -> Projection:
        fan_in, fan_out = int(np.prod(inputs)), int(np.prod(outputs))
        initial = glorot(generator, (*inputs, *outputs), fan_in, fan_out)
        kernel = self.add_weight(f"{name}/kernel", initial, *self.of_kernel)
        bias: Parameter | None = None
        if self.use_bias:
            bias = self.add_weight(f"{name}/bias", np.zeros(outputs), *self.of_bias)
        bias_axes = equation.split("->")[1][-len(outputs) :]
        return Projection(equation, kernel, bias, bias_axes)

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        mask = named.get("attention_mask")
        if not isinstance(mask, Symbol):
            return super().apply(*inputs, call=call, **named)
        told = {**named, "attention_mask": LAST}
        del named["attention_mask"]
        shows = named.pop("return_attention_scores", False)
        made = super().apply(*inputs, call=call, **named)
        told = {**made.options, **{name: told[name] for name in self.call_options & told.keys()}}
        taken = (*made.inputs, mask)
        if not shows:
            return replace(made, inputs=taken, options=told)
        of_weights = self.weights_shape([symbol.shape for symbol in made.inputs])
        return several(self, taken, [made.shape, of_weights], call, told, made.masks)

    def weights_shape(self, shapes: Sequence[Shape]) -> Shape:
        q, _, k = (*shapes, shapes[1])[:3]
        free = [q[axis - 1] for axis in range(1, len(q)) if axis not in self.along]
        queries, keys = ([one[axis - 1] for axis in self.along] for one in (q, k))
        return (*free, self.query_heads, *queries, *keys)

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (*input_shape[0][:-1], *(self.result or input_shape[0][-1:]))


def with_share(gradient: Array, share: Any) -> Array:
    """Return a gradient with another share of it, if there is one."""
    return gradient if share is None else gradient + share


@twin_of("MultiHeadAttention")
class MultiHeadAttention(ProjectedAttention):
    """Attention of ``num_heads`` heads, each with queries and keys of ``key_dim`` numbers.

    Parameters
    ----------
    value_dim : int, optional
        The numbers of a head's values; by default ``key_dim``.
    dropout : float
        The share of the weights A that is dropped in training.
    output_shape : int or sequence of int, optional
        The last axes of the output; by default the query's last.
    attention_axes : int or sequence of int, optional
        Along which axes the queries look, the batch's counted as 0; by default along all.
    use_gate : bool
        Whether the query says how much of what each head found goes on.
    """

    def __init__(
        self,
        num_heads: int,
        key_dim: int,
        value_dim: int | None = None,
        dropout: float = 0.0,
        use_bias: bool = True,
        output_shape: int | Sequence[int] | None = None,
        attention_axes: Sequence[int] | int | None = None,
        sliding_window: int | None = None,
        use_gate: bool = False,
        seed: int | None = None,
        *,
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(
            query_heads=num_heads,
            heads=num_heads,
            sizes=(key_dim, value_dim or key_dim),
            result=(output_shape,) if isinstance(output_shape, int) else output_shape,
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            use_gate=use_gate,
            attention_axes=attention_axes,
            of_kernel=(kernel_constraint, kernel_regularizer),
            of_bias=(bias_constraint, bias_regularizer),
            seed=seed,
            name=name,
            trainable=trainable,
        )

    def apply(self, *inputs: Symbol, call: int, masks: GivenMasks = NO_MASKS, **named: Any) -> Any:
        """Make the symbol of a call, in which Keras passes over a ``query_mask`` that is given."""
        at = {place: one for place, one in masks.at.items() if place}
        return super().apply(*inputs, call=call, masks=replace(masks, at=at), **named)
