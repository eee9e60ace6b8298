"""How much each query looks at each key: masks, softmax, dropout, with every decision as a knob."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

Knobs = Mapping[str, Any]

NEVER = -(2.0**127)
"""A score that no softmax sees."""


def allowed(inputs: Mapping[str, Any], window: int | None, shape: Any, k: Knobs) -> Any:
    """Return where a query may look, as (b, 1, t, s), with one decision taken otherwise."""
    t, s = np.arange(shape[-2])[:, None], np.arange(shape[-1])
    masks = [*(inputs.get("masks") or ()), None, None, None][:3]
    options = inputs.get("options") or {}
    given = {"query": masks[0], "value": masks[1], "key": masks[2]}
    if k.get("keys_as_queries") and masks[0] is not None and shape[-1] == shape[-2]:
        given["value"] = masks[0]
    given["attention_mask"] = options.get("attention_mask")
    laid_out = {"query": (-1, 1, shape[-2], 1), "attention_mask": (-1, 1, *shape[-2:])}
    found = [
        mask.reshape(*laid_out.get(name, (-1, 1, 1, shape[-1])))
        for name, mask in given.items()
        if mask is not None and name not in k.get("without_mask", ())
    ]
    if window is not None:
        near = {
            "missing": s < np.inf,
            "wide": np.abs(t - s) <= window,
            "narrow": np.abs(t - s) < window - 1,
            "causal": (s <= t) & (t - s < window),
        }
        close = near.get(k.get("window", ""), np.abs(t - s) < window)
        found.append(np.broadcast_to(close, shape[-2:])[None, None])
    if options.get("use_causal_mask"):
        causal = {
            "missing": s < np.inf,
            "strict": s < t,
            "late": s <= t + 1,
            "turned": s >= t,
            "at the end": s <= t + len(s) - len(t),
        }
        found.append(
            np.broadcast_to(causal.get(k.get("causal", ""), s <= t), shape[-2:])[None, None]
        )
    elif k.get("causal") == "added":
        found.append((s <= t)[None, None])
    if not found:
        return None
    M = found[0]
    for one in found[1:]:
        M = M & one
    return ~M if k.get("inverted") else M


def weights(S: Any, M: Any, k: Knobs, unseen: Any = NEVER) -> Any:
    """Return A = softmax(S), where the query may look; ``unseen`` is the score where it may not."""
    if M is not None:
        hidden = {"raised": -NEVER, "zeroed": 0.0, "seen": S}
        if k.get("hidden") == "lowered":
            M = ~M | M.all(axis=-1, keepdims=True)
        S = np.where(M, S, hidden.get(k.get("hidden", ""), unseen))
    axis = {"queries": -2, "heads": 1}.get(k.get("softmax_over", ""), -1)
    if k.get("no_softmax"):
        return S
    e = np.exp(S - S.max(axis=axis, keepdims=True))
    A = e if k.get("unnormalised") else e / e.sum(axis=axis, keepdims=True)
    return np.where(M, A, 0.0) if M is not None and k.get("hidden") == "seen" else A


def dropped(array: Any, inputs: Mapping[str, Any], rate: float, how: str) -> Any:
    """Return what dropout leaves of the weights, or of their gradient."""
    drawn = inputs.get("drawn")
    if not drawn or how == "left out":
        return array
    kept = drawn[0] < rate if how == "inverted" else drawn[0] >= rate
    scale = {"not enlarged": 1.0, "multiplied": 1.0 - rate}.get(how, 1.0 / (1.0 - rate))
    return np.where(kept, array * scale, 0.0)


def score_gradient(dA: Any, A: Any, k: Knobs) -> Any:
    """Return dS: what the gradient of a softmax's output makes of its input."""
    how = k.get("softmax_gradient", "")
    if how == "missing":
        return dA
    if how == "diagonal":
        return dA * A * (1.0 - A)
    if how == "no sum":
        return dA * A
    if how == "plain sum":
        return A * (dA - dA.sum(axis=-1, keepdims=True))
    if how == "plus":
        return A * (dA + (dA * A).sum(axis=-1, keepdims=True))
    axis = -2 if how == "queries" else -1
    return A * (dA - (dA * A).sum(axis=axis, keepdims=True))
