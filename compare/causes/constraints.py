"""What is done to a weight after its update, once more, with every decision as a knob."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from compare.causes.optimizers.state import Knobs
from manual.constraints import Constant, Constraint, MinMaxNorm, NonNeg, UnitNorm


def constrained(w: Any, constraint: Constraint, k: Knobs) -> Any:
    """Return the weight as its constraint makes it."""
    if isinstance(constraint, Constant):
        return w * 0.0 + constraint.value
    if isinstance(constraint, NonNeg):
        if k.get("mirrored"):
            return np.abs(w)
        return np.minimum(w, 0.0) if k.get("turned") else np.maximum(w, 0.0)
    if isinstance(constraint, UnitNorm):
        return w / (sizes(w, constraint.axis, k) + k.get("eps", 1e-7))
    if isinstance(constraint, MinMaxNorm):
        low, high, rate = constraint.min_value, constraint.max_value, constraint.rate
        if k.get("elements"):
            return np.minimum(np.maximum(w, -high), high)
        size = sizes(w, constraint.axis, k)
        wanted = size if k.get("no_minimum") else np.maximum(size, low)
        wanted = wanted if k.get("no_maximum") else np.minimum(wanted, high)
        wanted = size * 0.0 + high if k.get("always") else wanted
        rate = k.get("rate", 1.0 - rate if k.get("rate_turned") else rate)
        wanted = rate * wanted + (1.0 - rate) * size
        return w * (wanted / (size + k.get("eps", 1e-7)))
    projected = w * 1.0
    constraint.apply(projected)
    return projected


def sizes(w: Any, axis: int | tuple[int, ...] | None, k: Knobs) -> Any:
    """Return the norms along an axis, or by another measure."""
    axes: Any = axis
    if axis is None or k.get("whole"):
        axes = tuple(range(w.ndim))
    elif k.get("other_axis"):
        given = {one % w.ndim for one in (axis if isinstance(axis, tuple) else (axis,))}
        axes = tuple(one for one in range(w.ndim) if one not in given)
    if k.get("absolute_sum"):
        return np.abs(w).sum(axis=axes, keepdims=True)
    squared = (w * w).sum(axis=axes, keepdims=True)
    return squared if k.get("norm_unrooted") else np.sqrt(squared)


ANY: dict[str, Knobs] = {
    "the constraint is forgotten": {"unconstrained": True},
    "the constraint comes before the update instead of after": {"constrained_early": True},
}
POSITIVE: dict[str, Knobs] = {
    "negative weights are mirrored instead of set to 0": {"mirrored": True},
    "what is positive is cut off instead of what is negative": {"turned": True},
}
NORMS: dict[str, Knobs] = {
    "the norms are taken along the other axis": {"other_axis": True},
    "the norm of the whole weight is taken, not one for each unit": {"whole": True},
    "the norms aren't rooted": {"norm_unrooted": True},
    "the norms are sums of absolute values": {"absolute_sum": True},
    "1e-7 is missing beside the norm": {"eps": 0.0},
}
BOUNDS: dict[str, Knobs] = {
    "every norm is brought to the upper bound, also those below it": {"always": True},
    "the upper bound is forgotten": {"no_maximum": True},
    "every element is clipped instead of the norm": {"elements": True},
}
LOWER: dict[str, Knobs] = {
    "the lower bound is forgotten": {"no_minimum": True},
    "rate is forgotten: the norms are brought all the way": {"rate": 1.0},
    "rate and 1 − rate are swapped": {"rate_turned": True},
}


def constraint_knobs(constraint: Constraint | None) -> Mapping[str, Knobs]:
    """Return the slips that are possible with a constraint."""
    if constraint is None:
        return {}
    if isinstance(constraint, NonNeg):
        return ANY | POSITIVE
    if isinstance(constraint, UnitNorm):
        return ANY | NORMS
    if isinstance(constraint, MinMaxNorm):
        return ANY | NORMS | BOUNDS | LOWER
    return ANY
