"""Attention: every query takes a weighted mean of the values, by how well it fits their keys."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

from manual import sums
from manual.activations import softmax
from manual.arrays import Array
from manual.einsum import einsum, einsum_gradients
from manual.layers.base import Layer, Parameter, Shape
from manual.layers.einsum_dense import Projection, glorot
from manual.registry import NoTwin, twin_of

LOWEST = -0.7 * 3.38953e38
"""The score of a key that must not be looked at: e to the power of it is 0."""


class ProjectedAttention(Layer):
    """Scaled dot-product attention of several heads, between four projections.

    Vaswani et al. 2017, section 3.2, with one letter an axis: b for the batch, t for the queries'
    positions, s for those of keys and values, n for the heads, h for the numbers of a head.

    Called on ``[query, value]``, or ``[query, value, key]``, of shapes ``(b, t, ·)`` and
    ``(b, s, ·)``; without a key, the value is the key too. Which key a query may look at (M) is
    said by the masks that arrive, ``attention_mask`` of shape ``(b, t, s)`` or ``(t, s)``,
    ``use_causal_mask`` (no later position), and ``sliding_window``.

    A query that may look at no key at all takes the plain mean of all values, as in Keras; with
    dropout it takes nothing.
    """

    regularizes_activity = False  # Keras takes the penalty of each projection
    derivation = {
        "forward": "Q = x_q W_Q + b_Q, K = x_k W_K + b_K, V = x_v W_V + b_V, "
        "S = Q · Kᵀ / √h, A = softmax(S) over the keys, y = (A · V) W_O + b_O",
        "attention_output/kernel gradient": "dW_O = Cᵀ · dy, with C = A · V",
        "attention_output/bias gradient": "db_O = Σ dy",
        "value/kernel gradient": "dW_V = x_vᵀ · dV, with dV = Aᵀ · dC and dC = dy · W_Oᵀ",
        "value/bias gradient": "db_V = Σ dV, with dV = Aᵀ · dC",
        "query/kernel gradient": "dW_Q = x_qᵀ · dQ, with dQ = dS · K / √h, "
        "dS = A · (dA − Σₛ dA A) and dA = dC · Vᵀ",
        "query/bias gradient": "db_Q = Σ dQ, with dQ = dS · K / √h",
        "key/kernel gradient": "dW_K = x_kᵀ · dK, with dK = dSᵀ · Q / √h",
        "key/bias gradient": "db_K = Σ dK, with dK = dSᵀ · Q / √h: 0, for a softmax doesn't "
        "change when the same is added to all scores",
        "input gradient": "dx_q = dQ · W_Qᵀ, dx_k = dK · W_Kᵀ, dx_v = dV · W_Vᵀ; what is used "
        "twice gets the sum",
    }
    takes_mask = True
    tensor_arguments = ("query", "value", "key")
    call_options: ClassVar[frozenset[str]] = frozenset({"attention_mask", "use_causal_mask"})

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
        of_kernel: tuple[Any, Any],
        of_bias: tuple[Any, Any],
        seed: int | None,
        name: str | None,
        trainable: bool,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.query_heads, self.heads = query_heads, heads
        self.key_size, self.value_size = sizes
        self.result = result
        self.use_bias, self.sliding_window = use_bias, sliding_window
        self.dropout, self.enlarged = dropout, 1.0 / (1.0 - dropout)
        self.of_kernel, self.of_bias = of_kernel, of_bias
        self.scale = float(np.float32(1.0 / np.sqrt(self.key_size)))
        """1/√h. Keras rounds it to float32, in every precision."""

    # ------------------------------------------------------------------ the mathematics

    def forward(
        self,
        x: Sequence[Array],
        *,
        training: bool = False,
        mask: Sequence[Array | None] | None = None,
        attention_mask: Array | None = None,
        use_causal_mask: bool = False,
    ) -> tuple[Array, Any]:
        x_q, x_v, x_k = (*x, x[1])[:3]
        Q, K, V = self.query.forward(x_q), self.key.forward(x_k), self.value.forward(x_v)
        K, V = self._for_each_query_head(K), self._for_each_query_head(V)
        M = self._may_look(Q.shape[1], K.shape[1], mask, attention_mask, use_causal_mask)
        S = einsum("btnh,bsnh->bnts", Q, K) * self.scale
        A = softmax(S if M is None else np.where(M, S, LOWEST))
        used, kept = A, None
        if self.dropout:
            if M is not None:
                used = np.where(M, used, 0.0)
            if training:
                kept = self.draws.uniform(A.shape) >= self.dropout
                used = np.where(kept, used * self.enlarged, 0.0)
        C = einsum("bnts,bsnh->btnh", used, V)
        return self.attention_output.forward(C), (x, Q, K, V, M, A, used, kept, C)

    def backward(self, dy: Array, saved: Any) -> list[Array]:
        x, Q, K, V, M, A, used, kept, C = saved
        x_q, x_v, x_k = (*x, x[1])[:3]
        dC = self.attention_output.backward(dy, C)
        dA, dV = einsum_gradients("bnts,bsnh->btnh", used, V, dC)
        if kept is not None:
            dA = np.where(kept, dA * self.enlarged, 0.0)
        if self.dropout and M is not None:
            dA = np.where(M, dA, 0.0)
        dS = A * (dA - sums.over_last(dA * A)) * self.scale
        if M is not None:
            dS = np.where(M, dS, 0.0)
        dQ, dK = einsum_gradients("btnh,bsnh->bnts", Q, K, dS)
        dK, dV = self._over_query_heads(dK), self._over_query_heads(dV)
        dx_q, dx_v = self.query.backward(dQ, x_q), self.value.backward(dV, x_v)
        dx_k = self.key.backward(dK, x_k)
        return [dx_q, dx_v, dx_k] if len(x) == 3 else [dx_q, dx_v + dx_k]

    def _may_look(
        self,
        queries: int,
        keys: int,
        mask: Sequence[Array | None] | None,
        attention_mask: Array | None,
        use_causal_mask: bool,
    ) -> Array | None:
        """Return M, True where a query may look at a key; None if it always may."""
        t, s = np.arange(queries)[:, None], np.arange(keys)
        of_query, of_value, of_key = (*(mask or ()), None, None, None)[:3]
        allowed = [one[:, None, None, :] for one in (of_value, of_key) if one is not None]
        if of_query is not None:
            allowed.append(of_query[:, None, :, None])
        if attention_mask is not None:
            given = attention_mask.reshape(-1, queries, keys)
            allowed.append(given[:, None])
        if use_causal_mask:
            allowed.append((s <= t)[None, None])
        if self.sliding_window is not None:
            allowed.append((np.abs(t - s) < self.sliding_window)[None, None])
        M = None
        for one in allowed:
            M = one if M is None else M & one
        return M

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
        if len(of_q) != 2 or len(of_v) != 2:
            raise NoTwin(
                f"layer {self.name!r}: attention over other inputs than (batch, steps, features) "
                f"has no hand-derived twin. Received: {list(input_shape)}."
            )
        in_heads = "btd,dnh->btnh"
        self.query = self._projection(
            "query", in_heads, (of_q[-1],), (self.query_heads, self.key_size), generator
        )
        self.key = self._projection(
            "key", in_heads, (of_k[-1],), (self.heads, self.key_size), generator
        )
        self.value = self._projection(
            "value", in_heads, (of_v[-1],), (self.heads, self.value_size), generator
        )
        result = tuple(self.result or (of_q[-1],))
        axes = "defgijklm"[: len(result)]
        self.attention_output = self._projection(
            "attention_output",
            f"btnh,nh{axes}->bt{axes}",
            (self.query_heads, self.value_size),
            result,
            generator,
        )

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
        return Projection(equation, kernel, bias, equation.split("bt")[-1])

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        return (*input_shape[0][:-1], *(self.result or input_shape[0][-1:]))


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
            of_kernel=(kernel_constraint, kernel_regularizer),
            of_bias=(bias_constraint, bias_regularizer),
            seed=seed,
            name=name,
            trainable=trainable,
        )
        if attention_axes not in (None, 1, -2) and tuple(np.ravel(attention_axes)) not in (
            (1,),
            (-2,),
        ):
            raise NoTwin(
                f"layer {self.name!r}: attention along other axes than the steps has no "
                f"hand-derived twin. Received: attention_axes={attention_axes}."
            )


@twin_of("GroupQueryAttention")
class GroupQueryAttention(ProjectedAttention):
    """Attention whose query heads share fewer heads of keys and values (Ainslie et al. 2023).

    Parameters
    ----------
    head_dim : int
        The numbers of every head.
    num_query_heads, num_key_value_heads : int
        The first is a multiple of the second; heads are shared by neighbours.
    """

    def __init__(
        self,
        head_dim: int,
        num_query_heads: int,
        num_key_value_heads: int,
        dropout: float = 0.0,
        use_bias: bool = True,
        sliding_window: int | None = None,
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
            query_heads=num_query_heads,
            heads=num_key_value_heads,
            sizes=(head_dim, head_dim),
            result=None,
            dropout=dropout,
            use_bias=use_bias,
            sliding_window=sliding_window,
            of_kernel=(kernel_constraint, kernel_regularizer),
            of_bias=(bias_constraint, bias_regularizer),
            seed=seed,
            name=name,
            trainable=trainable,
        )
