"""Focal losses and overlaps, each written once more with every decision as a knob."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.entropy_rules import (
    CLIP_KNOBS,
    SMOOTHING_KNOBS,
    clip,
    smooth,
    softmax,
)
from compare.causes.loss_rules import (
    EPSILON,
    Knobs,
    Options,
    Rule,
    Terms,
    log_1_plus_e,
    mean,
    sigmoid,
)


def _power_slope(left: Any, gamma: float, k: Knobs) -> Any:
    """Return the derivative of left^γ."""
    exponent = gamma if k.get("old_power") else gamma - 1.0
    return (1.0 if k.get("no_gamma") else gamma) * left**exponent


def binary_focal(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """(1 − pₜ)^γ times the binary cross-entropy."""
    y, gamma = smooth(y, o, k, 2.0), k.get("gamma", o["gamma"])
    s = sigmoid(p) if o["logits"] else p
    true = y * s + (1.0 - y) * (1.0 - s)
    left = true if k.get("of_p") else 1.0 - true
    if o["logits"]:
        h, dh, inner = log_1_plus_e(p) - y * p, s - y, s * (1.0 - s)
    else:
        c, passes = clip(p, k)
        h = -(y * np.log(c) + (1.0 - y) * np.log(1.0 - c))
        dh, inner = ((1.0 - y) / (1.0 - c) - y / c) * passes, 1.0
    dleft = (1.0 - 2.0 * y) * inner * (-1.0 if k.get("of_p") else 1.0)
    factor = left**gamma
    dfactor = _power_slope(left, gamma, k) * dleft
    if k.get("constant"):
        dfactor = 0.0
    alpha = k.get("alpha", o["alpha"])
    weight = y * alpha + (1.0 - y) * (1.0 - alpha)
    if k.get("reversed"):
        weight = y * (1.0 - alpha) + (1.0 - y) * alpha
    if o["apply_class_balancing"] == bool(k.get("other_balance")):
        weight = 1.0
    return mean(weight * factor * h, weight * (factor * dh + dfactor * h))


FOCAL_KNOBS: dict[str, Knobs] = {
    "the modulating factor is treated as a constant": {"constant": True},
    "γ is missing before the power in the derivative": {"no_gamma": True},
    "the exponent isn't lowered by 1 in the derivative": {"old_power": True},
    "the modulating factor is missing: γ counts as 0": {"gamma": 0.0},
    "γ is 1 instead": {"gamma": 1.0},
    "γ is 2 instead": {"gamma": 2.0},
    "p stands for 1 − p in the modulating factor": {"of_p": True},
    "the classes are balanced by α without being asked, or not although asked": {
        "other_balance": True
    },
    "α weighs the wrong class": {"reversed": True},
    "α is forgotten": {"alpha": 1.0},
    "α is 0.25 instead": {"alpha": 0.25},
    **SMOOTHING_KNOBS,
    **CLIP_KNOBS,
}


def categorical_focal(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """Σ α (1 − q)^γ (−y log q), with q divided by its sum and clipped."""
    y, gamma = smooth(y, o, k, float(p.shape[-1])), k.get("gamma", o["gamma"])
    alpha = np.array(k.get("alpha", o["alpha"]), np.float32).astype(np.float64)
    if alpha.ndim == 0:
        alpha = k.get("alpha", o["alpha"])
    given = p
    p = softmax(p) if o["logits"] else p
    total = p.sum(axis=-1, keepdims=True)
    q = p / total
    c, passes = clip(q, k)
    left = c if k.get("of_p") else 1.0 - c
    factor = left**gamma
    dfactor = _power_slope(left, gamma, k) * (1.0 if k.get("of_p") else -1.0)
    if k.get("constant"):
        dfactor = 0.0
    dq = alpha * -y * (dfactor * np.log(c) + factor / c) * passes
    slope = (dq - (dq * q).sum(axis=-1, keepdims=True)) / total
    if o["logits"]:
        slope = p * (slope - (slope * p).sum(axis=-1, keepdims=True))
        if k.get("as_logits"):
            slope = softmax(given) - y
    return Terms((alpha * factor * (-y * np.log(c))).sum(axis=-1), slope)


def overlap(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """1 − I/S: Dice with α = β = ½, or Tversky."""
    axes = o["axis"] if o["axis"] is not None else tuple(range(p.ndim))
    alpha, beta = o.get("alpha", 0.5), o.get("beta", 0.5)
    if k.get("swapped"):
        alpha, beta = beta, alpha
    two = 1.0 if "alpha" in o else 2.0

    def total(terms: Any) -> Any:
        return terms.sum(axis=axes, keepdims=True)

    common = total(y * p)
    if "alpha" in o:
        sizes = common + alpha * total(y * (1.0 - p)) + beta * total(p * (1.0 - y)) + EPSILON
        if k.get("swapped_slope"):
            alpha, beta = beta, alpha
        dsizes = y - alpha * y + beta * (1.0 - y)
    else:
        sizes, dsizes = total(y + p) + EPSILON, 1.0
    if k.get("squares"):
        sizes, dsizes = total(y * y + p * p) + EPSILON, 2.0 * p
    two = k.get("two", two)
    more = k.get("more", 0.0)
    sizes = sizes + more - EPSILON * (more > 0.0)
    ratio = (two * common + more) / sizes
    if k.get("constant_sizes"):
        dsizes = 0.0
    offset = 0.0 if k.get("no_1") else 1.0
    sign = 1.0 if k.get("no_1") else -1.0
    slope = sign * (two * y - ratio * dsizes) / sizes
    return Terms((offset + sign * ratio).sum(axis=axes), slope)


OVERLAP_KNOBS: dict[str, Knobs] = {
    "α and β are swapped": {"swapped": True},
    "α and β are swapped in the derivative": {"swapped_slope": True},
    "the sizes are treated as constants": {"constant_sizes": True},
    "the 2 before the overlap is missing": {"two": 1.0},
    "the sizes are sums of squares": {"squares": True},
    "the overlap is not subtracted from 1": {"no_1": True},
    "1 is added above and below the line, where Keras has an ε below": {"more": 1.0},
}

OTHERS: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "BinaryFocalCrossentropy": (binary_focal, FOCAL_KNOBS),
    "CategoricalFocalCrossentropy": (categorical_focal, FOCAL_KNOBS),
    "Dice": (overlap, OVERLAP_KNOBS),
    "Tversky": (overlap, OVERLAP_KNOBS),
}
