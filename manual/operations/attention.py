"""Scaled dot-product attention, as an operation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from manual.activations.functions import softmax
from manual.arrays import Array
from manual.einsum import einsum, einsum_gradients
from manual.operations.base import Operation, unrepeated
from manual.registry import NoTwin, twin_of

SCORES, MIXTURE = "btnh,bsnh->bnts", "bnts,bsnh->btnh"


@twin_of("DotProductAttention")
class DotProductAttention(Operation):
    """Values, mixed by how well their keys fit the query (Vaswani et al. 2017, section 3.2.1).

    Query, key and value have the axes batch, time, head, feature; where there are fewer heads of
    keys and values than of queries, neighbouring queries share one. A masked score is set to a
    number near float32's least, so that a row that is masked altogether is a mean.
    """

    MASKED = -0.7 * 3.38953e38

    derivation = {
        "forward": "y = A v, A = softmax(S) over the keys, S = q · k / √h + bias",
        "input gradient": "dA = dy · v, dS = A (dA − Σ dA A), dq = dS k / √h, dk = dS q / √h, "
        "dv = A dy, dbias = dS",
    }

    def __init__(
        self,
        is_causal: bool = False,
        flash_attention: bool | None = None,
        attn_logits_soft_cap: float | None = None,
    ) -> None:
        super().__init__()
        if attn_logits_soft_cap is not None:
            raise NoTwin("dot_product_attention(attn_logits_soft_cap=…) has no hand-derived twin.")
        self.is_causal = is_causal

    def compute(
        self,
        query: Array,
        key: Array,
        value: Array,
        bias: Any = None,
        mask: Any = None,
        scale: float | None = None,
    ) -> tuple[Array, Any]:
        groups = query.shape[2] // key.shape[2]
        k, v = (np.repeat(one, groups, axis=2) if groups > 1 else one for one in (key, value))
        if scale is None:
            scale = 1.0 / math.sqrt(key.shape[-1])
        scale = float(np.float32(scale))
        S = einsum(SCORES, query, k) * scale
        if bias is not None:
            S = S + bias
        allowed = self._allowed(S, mask)
        if allowed is not None:
            S = np.where(allowed, S, self.MASKED)
        A = softmax(S)
        return einsum(MIXTURE, A, v), (query, k, v, A, scale, groups, bias, allowed)

    def _allowed(self, S: Array, mask: Any) -> Any:
        """Say which key each query may look at; None if every one."""
        allowed = None if mask is None else mask != 0.0
        if self.is_causal:
            past = np.tri(S.shape[-2], S.shape[-1]) > 0
            allowed = past if allowed is None else allowed & past
        return allowed

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        query, k, v, A, scale, groups, bias, allowed = saved
        dA, dv = einsum_gradients(MIXTURE, A, v, dy)
        dS = A * (dA - (dA * A).sum(axis=-1, keepdims=True))
        if allowed is not None:
            dS = np.where(allowed, dS, 0.0)
        dbias = None if bias is None else unrepeated(dS, bias.shape)
        dq, dk = einsum_gradients(SCORES, query, k, dS * scale)
        if groups > 1:
            shape = (*dk.shape[:2], dk.shape[2] // groups, groups)
            dk, dv = (one.reshape(*shape, one.shape[-1]).sum(axis=3) for one in (dk, dv))
        return dq, dk, dv, dbias
