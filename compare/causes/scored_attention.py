"""Slips in attention without projections: Luong's dot product and Bahdanau's sum."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from compare.causes.attention import possible, shows_weights
from compare.causes.attention_formulas import Arrays, turned
from compare.causes.attention_slips import (
    DROPOUT_KNOBS,
    FORWARD_KNOBS,
    SHARE_KNOBS,
    SOFTMAX_KNOBS,
    TURNED_KNOBS,
    VALUE_KNOBS,
)
from compare.causes.attention_weights import Knobs, allowed, dropped, score_gradient, weights
from compare.causes.base import Candidate, Place, hypothesis
from manual.layers.attention import AdditiveAttention, ScoredAttention

FAR = 1e9
"""What Keras takes off the score of a key that must not be looked at."""


class Compared:
    """Attention that compares queries and keys as they are, with knobs."""

    def __init__(self, place: Place, knobs: Knobs | None = None) -> None:
        self.map, self.inputs, self.k = place.map, place.inputs, knobs or {}
        x = list(place.inputs["x"])
        self.q, self.v, self.key = (*x, x[1])[:3]
        self.separate_key = len(x) == 3
        if self.k.get("exchanged"):
            self.v, self.key = self.key, self.v

    @property
    def added(self) -> bool:
        """Whether query and key are added, and bent by tanh."""
        return isinstance(self.map, AdditiveAttention) or self.map.score_mode == "concat"

    def number(self, name: str) -> Any:
        forgotten = self.k.get("forgotten") == name
        return 1.0 if forgotten or self.inputs.get(name) is None else self.inputs[name]

    def forward(self) -> Arrays:
        k, scale = self.k, self.number("scale")
        q, key = self.q[:, :, None], self.key[:, None]
        both = q - key if k.get("subtracted") else q + key
        bent = both
        if self.added:
            inside = isinstance(self.map, AdditiveAttention) == bool(k.get("scale_moved"))
            both_scaled = both * scale if inside else both
            bent = both_scaled if k.get("no_tanh") else np.tanh(both_scaled)
            S = (bent if inside else bent * scale).sum(axis=-1)
            S = S * self.number("concat_score_weight")
        else:
            S = self.q @ turned(self.key) * scale
        if k.get("root"):
            S = S / float(np.sqrt(self.q.shape[-1]))
        if k.get("scores_turned") and S.shape[-1] == S.shape[-2]:
            S = turned(S)
        masks = [*(self.inputs.get("masks") or ()), None, None][:2]
        as_queries = k.get("keys_as_queries") and S.shape[-1] == S.shape[-2]
        seen = {
            "masks": [None, masks[0] if as_queries else masks[1]],
            "options": self.inputs.get("options"),
        }
        M = allowed(seen, None, S[:, None].shape, k)
        A = weights(S[:, None], M, k, S[:, None] - FAR)[:, 0]
        used = dropped(A, self.inputs, self.map.dropout, k.get("dropout", ""))
        y = used @ self.v
        if masks[0] is not None and not k.get("query_mask_ignored"):
            y = np.where(masks[0][:, :, None], y, 0.0)
        return {"both": both, "bent": bent, "S": S, "A": A, "used": used, "y": y}

    def backward(self, right: Arrays) -> Arrays:
        """Run back from the right forward pass; the gradients by name, of the inputs as ``dx``."""
        k, dy, scale = self.k, self.inputs["dz"], self.number("scale")
        mask = (self.inputs.get("masks") or [None])[0]
        if mask is not None and not k.get("query_mask_ignored"):
            dy = np.where(mask[:, :, None], dy, 0.0)
        A, used = right["A"], right["used"]
        square = A.shape[-1] == A.shape[-2]
        dA = dropped(dy @ turned(self.v), self.inputs, self.map.dropout, k.get("dropout", ""))
        dS = score_gradient(dA[:, None], A[:, None], k)[:, 0]
        if k.get("root"):
            dS = dS / float(np.sqrt(self.q.shape[-1]))
        for_dv = {"S": right["S"], "A": A}.get(k.get("for_dV", ""), used)
        dv = (for_dv if k.get("dV_untransposed") and square else turned(for_dv)) @ dy
        found: Arrays = {}
        if self.added:
            bent = right["bent"]
            local = LOCAL.get(k.get("local", ""), LOCAL[""])(right["both"], bent)
            weight = self.number("concat_score_weight")
            inside = (dS * weight)[..., None] * local
            found["concat_score_weight"] = (dS * bent.sum(axis=-1)).sum()
            if isinstance(self.map, AdditiveAttention):
                found["scale"] = (dS[..., None] * bent).sum(axis=(0, 1, 2))
            else:
                found["scale"] = (inside * right["both"]).sum()
            inside = inside * scale
            dq, dk = inside.sum(axis=2), inside.sum(axis=1)
        else:
            found["scale"] = (dS * (self.q @ turned(self.key))).sum()
            dq = (turned(dS) if k.get("dQ_turned") and square else dS) @ self.key * scale
            dk = (dS if k.get("dK_untransposed") and square else turned(dS)) @ self.q * scale
        if k.get("swapped") and square:
            dq, dk = dk, dq
        shares = {"query": dq, "value": dv, "key": dk}
        for name in k.get("without", ()):
            shares[name] = shares[name] * 0.0
        if not self.separate_key:
            shares["value"] = shares["value"] + shares.pop("key")
        total: Any = None
        for where in self.inputs.get("which", ()):
            share = list(shares.values())[where]
            total = share if total is None else total + share
        return {**found, "dx": total}


LOCAL: dict[str, Callable[[Any, Any], Any]] = {
    "": lambda z, a: 1.0 - a * a,
    "missing": lambda z, a: a * 0.0 + 1.0,
    "no square": lambda z, a: 1.0 - a,
    "at z": lambda z, a: 1.0 - z * z,
}
"""What stands for the derivative of tanh."""

FORWARD: dict[str, tuple[Knobs, str]] = {
    **FORWARD_KNOBS,
    "the scores are divided by √d, which this attention doesn't do": ({"root": True}, ""),
    "query and key are swapped: the scores are transposed": ({"scores_turned": True}, "S = k · qᵀ"),
    "value and key are swapped": ({"exchanged": True}, "S = q · vᵀ, y = A · k"),
    "the scale is forgotten": ({"forgotten": "scale"}, ""),
    "the weight of the scores is forgotten": ({"forgotten": "concat_score_weight"}, ""),
    "tanh is forgotten": ({"no_tanh": True}, "S = Σ scale · (q + k)"),
    "the key is subtracted from the query": ({"subtracted": True}, "tanh(q − k)"),
    "the scale stands on the wrong side of tanh": ({"scale_moved": True}, ""),
    "the query's mask is ignored": ({"query_mask_ignored": True}, "y = A · v"),
    **DROPOUT_KNOBS,
}
BACKWARD: dict[str, tuple[Knobs, str]] = {
    **SOFTMAX_KNOBS,
    "the scores' gradient is divided by √d, which this attention doesn't do": ({"root": True}, ""),
    **TURNED_KNOBS,
    "the gradients of query and key are swapped": ({"swapped": True}, ""),
    **VALUE_KNOBS,
    "the scale is forgotten": ({"forgotten": "scale"}, ""),
    "the weight of the scores is forgotten": ({"forgotten": "concat_score_weight"}, ""),
    "the derivative of tanh is missing": ({"local": "missing"}, "D = dS · scale"),
    "1 − a stands for the derivative of tanh": ({"local": "no square"}, "1 − tanh"),
    "the derivative of tanh is computed from what it is applied to": ({"local": "at z"}, "1 − z²"),
    "the query's mask is ignored": ({"query_mask_ignored": True}, ""),
    **SHARE_KNOBS,
    **DROPOUT_KNOBS,
}
"""Sentence, what is turned, and the formula that comes of it."""


def is_known(place: Place) -> bool:
    """Say whether it is attention without projections, of which the output alone is asked for."""
    return isinstance(place.map, ScoredAttention) and not shows_weights(place)


@hypothesis("activation")
def scored_forward(place: Place) -> Iterator[Candidate]:
    """Propose attention with one decision taken otherwise."""
    if not is_known(place) or not place.has("x", "y"):
        return
    for sentence, (knobs, formula) in FORWARD.items():
        made = possible(Compared(place, knobs).forward)
        if made is not None:
            yield Candidate(sentence, made["y"], formula)


@hypothesis("activation gradient", "weight gradient")
def scored_gradient(place: Place) -> Iterator[Candidate]:
    """Propose each of attention's gradients with one decision taken otherwise."""
    if not is_known(place) or not place.has("x", "y", "dz"):
        return
    right = Compared(place).forward()
    if place.phase == "weight gradient":
        samples, queries, keys = right["S"].shape
        for n, told in (
            (samples * queries * keys, "all scores"),
            (queries * keys, "the scores of a sample"),
            (samples, "the samples"),
        ):
            sentence = f"the gradient is averaged over {told} instead of summed"
            yield Candidate(sentence, place.right / float(n), f"1/{n} Σ")
    quantity = "dx" if place.phase == "activation gradient" else place.name.split("/", 1)[1]
    for sentence, (knobs, formula) in BACKWARD.items():
        made = possible(partial(Compared(place, knobs).backward, right))
        if made is not None and made.get(quantity) is not None:
            yield Candidate(sentence, made[quantity], formula)
