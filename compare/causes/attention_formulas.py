"""Attention once more, with every decision as a knob: turning one knob is one slip.

Arrays of a head have the axes batch, head, position, number.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.attention_weights import Knobs, allowed, dropped, score_gradient, weights
from compare.causes.base import Place

Arrays = dict[str, Any]


def turned(array: Any) -> Any:
    """Transpose the last two axes."""
    return np.moveaxis(array, -1, -2)


def flat(array: Any) -> Any:
    """Put a head's numbers beside those of the others: from (b, n, t, h) to (b · t, n · h)."""
    b, n, t, h = array.shape
    return np.moveaxis(array, 1, 2).reshape(b * t, n * h)


class Heads:
    """Attention between projections, with knobs.

    Parameters
    ----------
    place : Place
        Of anything in such a layer.
    knobs : mapping
        What is done otherwise; nothing by default.
    """

    def __init__(self, place: Place, knobs: Knobs | None = None) -> None:
        self.place, self.k = place, knobs or {}
        self.map, self.inputs = place.map, place.inputs
        x = list(place.inputs["x"])
        self.x = dict(zip(("query", "value", "key"), [*x, x[1]], strict=False))
        if self.k.get("exchanged_inputs"):
            one, other = self.k["exchanged_inputs"]
            self.x[one], self.x[other] = self.x[other], self.x[one]
        for name, source in self.k.get("projects", {}).items():
            self.x[name] = self.x[source]
        self.separate_key = len(x) == 3

    def kernel(self, name: str) -> Any:
        exchanged = self.k.get("exchanged", ())
        if name in exchanged:
            name = exchanged[1 - exchanged.index(name)]
        W = self.inputs[f"{name}/kernel"]
        W = W.reshape(-1, int(np.prod(W.shape[2:]))) if name == "attention_output" else W
        return W.reshape(W.shape[0], -1)

    def bias(self, name: str) -> Any:
        exchanged = self.k.get("exchanged", ())
        if name in exchanged:
            name = exchanged[1 - exchanged.index(name)]
        forgotten = name in self.k.get("without_bias", ())
        bias = None if forgotten else self.inputs.get(f"{name}/bias")
        if bias is None:
            return None
        return bias.reshape(-1) * (2.0 if name in self.k.get("bias_twice", ()) else 1.0)

    def projected(self, name: str, heads: int) -> Any:
        """Return a projection as (b, n, t, h)."""
        z = self.x[name] @ self.kernel(name)
        bias = self.bias(name)
        return self.split(z if bias is None else z + bias, heads)

    def split(self, z: Any, heads: int) -> Any:
        b, t, numbers = z.shape
        if self.k.get("split") in ("reshaped", "both"):
            return z.reshape(b, heads, t, numbers // heads)
        if self.k.get("split") == "interleaved":
            return np.moveaxis(z.reshape(b, t, numbers // heads, heads), 3, 1)
        return np.moveaxis(z.reshape(b, t, heads, numbers // heads), 2, 1)

    def shared(self, K: Any) -> Any:
        """Give every query head its head of keys or values."""
        n, groups = self.map.query_heads, self.map.heads
        if n == groups:
            return K
        if self.k.get("alternating"):
            return K[:, np.arange(n) % groups]
        return K[:, np.arange(n) * groups // n]

    def gathered(self, dK: Any) -> Any:
        n, groups = self.map.query_heads, self.map.heads
        if n == groups:
            return dK
        b, _, s, h = dK.shape
        shares = dK.reshape(b, groups, n // groups, s, h)
        if "one_of_group" in self.k:
            return shares[:, :, self.k["one_of_group"]]
        return shares.mean(axis=2) if self.k.get("mean_of_group") else shares.sum(axis=2)

    def scale(self, size: int) -> float:
        """Return 1/√h, rounded to float32 as Keras does."""
        choices = {
            "none": 1.0,
            "h": 1.0 / size,
            "root": float(np.sqrt(size)),
            "embedding": 1.0 / float(np.sqrt(self.x["query"].shape[-1])),
            "all heads": 1.0 / float(np.sqrt(size * self.map.query_heads)),
            "heads": 1.0 / float(np.sqrt(self.map.query_heads)),
            "steps": 1.0 / float(np.sqrt(self.x["key"].shape[1])),
        }
        chosen = choices.get(self.k.get("scale", ""), size**-0.5)
        return chosen if self.k.get("unrounded") else float(np.float32(chosen))

    def forward(self) -> Arrays:
        """Run forward; return everything by its letter."""
        n, groups, k = self.map.query_heads, self.map.heads, self.k
        Q = self.projected("query", n)
        K, V = (
            self.shared(self.projected("key", groups)),
            self.shared(self.projected("value", groups)),
        )
        S = Q @ turned(K) * self.scale(Q.shape[-1])
        S = turned(S) if k.get("scores_turned") and S.shape[-1] == S.shape[-2] else S
        M = allowed(self.inputs, self.map.sliding_window, S.shape, k)
        A = used = weights(S, M, k)
        if self.map.dropout:
            used = used if M is None else np.where(M, used, 0.0)
            used = dropped(used, self.inputs, self.map.dropout, k.get("dropout", ""))
        C = used @ V
        b, _, t, _ = C.shape
        merged = np.moveaxis(C, 1, 2).reshape(b, t, -1)
        if k.get("split") in ("merged", "both"):
            merged = C.reshape(b, t, -1)
        if k.get("split") == "joined interleaved":
            merged = np.moveaxis(C, 1, 3).reshape(b, t, -1)
        W = self.kernel("attention_output")
        y = merged @ (W.T if k.get("output_turned") and W.shape[0] == W.shape[1] else W)
        bias = self.bias("attention_output")
        y = (y if bias is None else y + bias).reshape(*self.inputs["y"].shape)
        return {"Q": Q, "K": K, "V": V, "S": S, "A": A, "M": M, "used": used, "C": C, "y": y}

    def backward(self, right: Arrays) -> Arrays:
        """Run back from the right forward pass.

        Returns the gradients of all weights by name, and of the inputs as ``dx``.
        """
        k = self.k
        Q, K, V, A, used, C = (right[letter] for letter in ("Q", "K", "V", "A", "used", "C"))
        b, _, t, size = Q.shape
        dy = self.inputs["dz"].reshape(b, t, -1)
        square = t == K.shape[2]
        W = self.kernel("attention_output")
        turn_output = k.get("output_turned") and W.shape[0] == W.shape[1]
        dC = self.split(dy @ (W if turn_output else W.T), self.map.query_heads)
        other = {"K": K, "C": C}.get(k.get("for_values", ""), V)
        dA = dC @ turned(other if other.shape == V.shape else V)
        dA = dA if right["M"] is None or not self.map.dropout else np.where(right["M"], dA, 0.0)
        dA = dropped(dA, self.inputs, self.map.dropout, k.get("dropout", ""))
        dS = score_gradient(dA, used if k.get("dropped_twice") else A, k)
        dS = dS if right["M"] is None else np.where(right["M"], dS, 0.0)
        scale, plain = self.scale(size), float(np.float32(size**-0.5))
        of_query = {"query": scale, "key": plain}.get(k.get("scale_of", ""), scale)
        of_key = {"query": plain, "key": scale}.get(k.get("scale_of", ""), scale)
        dQ = (turned(dS) if k.get("dQ_turned") and square else dS) @ K * of_query
        dK = (dS if k.get("dK_untransposed") and square else turned(dS)) @ Q * of_key
        for_dV = {"S": right["S"], "A": A}.get(k.get("for_dV", ""), used)
        dV = (for_dV if k.get("dV_untransposed") and square else turned(for_dV)) @ dC
        if k.get("dQ_with_Q") and square:
            dQ = dS @ Q * scale
        if k.get("dK_with_K") and square:
            dK = turned(dS) @ K * scale
        if k.get("swapped") and square:
            dQ, dK = dK, dQ
        found = {"query": dQ, "key": self.gathered(dK), "value": self.gathered(dV)}
        if "head" in k:
            only = (np.arange(n) == k["head"] % n for n in (d.shape[1] for d in found.values()))
            found = {
                name: d * (1.0 * which)[:, None, None]
                for (name, d), which in zip(found.items(), only, strict=True)
            }
        gradients: Arrays = {
            "attention_output/kernel": self.merged(C).T @ dy.reshape(b * t, -1),
            "attention_output/bias": dy.reshape(b * t, -1).sum(axis=0),
        }
        shares = {}
        for name, d in found.items():
            x, side = self.x[name], self.merged(d)
            gradients[f"{name}/kernel"] = x.reshape(-1, x.shape[-1]).T @ side
            gradients[f"{name}/bias"] = side.sum(axis=0)
            U = self.kernel(name)
            turn = k.get("input_turned") and U.shape[0] == U.shape[1]
            shares[name] = (side @ (U if turn else U.T)).reshape(*x.shape)
        for name in k.get("without", ()):
            shares[name] = shares[name] * 0.0
        taken = ["query", "value", "key"] if self.separate_key else ["query", "value"]
        if not self.separate_key:
            shares["value"] = shares["value"] + shares["key"]
        total: Any = None
        for where in self.inputs.get("which", ()):
            share = shares[taken[where]]
            total = share if total is None else total + share
        return {**gradients, "dx": total}

    def merged(self, d: Any) -> Any:
        """Return a head's gradients as (b · t, n · h)."""
        b, n, t, h = d.shape
        if self.k.get("split") in ("merged", "both"):
            return d.reshape(b, t, n * h).reshape(b * t, n * h)
        if self.k.get("split") == "interleaved":
            return np.moveaxis(d, 1, 3).reshape(b * t, h * n)
        return flat(d)
