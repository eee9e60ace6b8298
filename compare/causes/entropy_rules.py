"""Losses of probabilities, each written once more with every decision as a knob."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.loss_rules import (
    EPSILON,
    Knobs,
    Options,
    Rule,
    Terms,
    inside,
    log_1_plus_e,
    mean,
    sigmoid,
)

TOP = 1.0 - EPSILON


def softmax(z: Any) -> Any:
    """Return e^zᵢ / Σⱼ e^zⱼ over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def log_softmax(z: Any) -> Any:
    """Return its logarithm."""
    shifted = z - z.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def clip(p: Any, k: Knobs, top: float = TOP) -> tuple[Any, Any]:
    """Return clipped probabilities, and 1 where that changed nothing."""
    if k.get("unclipped"):
        return p, 1.0
    passes = 1.0 if k.get("through") else inside(p, EPSILON, top)
    return np.minimum(np.maximum(p, EPSILON), top), passes


CLIP_KNOBS: dict[str, Knobs] = {
    "the probabilities aren't clipped": {"unclipped": True},
    "the gradient passes where p was clipped": {"through": True},
}


def smooth(y: Any, o: Options, k: Knobs, classes: float) -> Any:
    """Spread a share of the certainty evenly over the classes."""
    s, way = o.get("label_smoothing", 0.0), k.get("smoothing", "")
    if way == "others":
        return y * (1.0 - s) + (1.0 - y) * (s / (classes - 1.0))
    if way == "whole":
        return y * (1.0 - s) + s
    if way == "only_less":
        return y * (1.0 - s)
    return y if way == "none" else y * (1.0 - s) + s / k.get("classes", classes)


SMOOTHING_KNOBS: dict[str, Knobs] = {
    "the label smoothing is forgotten": {"smoothing": "none"},
    "the labels are smoothed over the K − 1 other classes": {"smoothing": "others"},
    "the smoothing isn't divided by the number of classes": {"smoothing": "whole"},
    "what smoothing takes away isn't given to the classes": {"smoothing": "only_less"},
    "the labels are smoothed as for two classes": {"classes": 2.0},
}


def binary(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """−y log p − (1 − y) log(1 − p), or from logits."""
    y = smooth(1.0 - y if k.get("flipped") else y, o, k, 2.0)
    if o["logits"]:
        s = sigmoid(p)
        slope = sigmoid(s) - y if k.get("again") else s - y
        if k.get("inner"):
            slope = slope * s * (1.0 - s)
        if k.get("half"):
            return mean(y * log_1_plus_e(-p), y * (s - 1.0))
        return mean(log_1_plus_e(p) - y * p, slope)
    c, passes = clip(p, k)
    wrong = 0.0 if k.get("half") else (1.0 - y) / (1.0 - c)
    log_wrong = 0.0 if k.get("half") else (1.0 - y) * np.log(1.0 - c)
    slope = p - y if k.get("as_logits") else (wrong - y / c) * passes
    return mean(-(y * np.log(c) + log_wrong), slope)


BINARY_KNOBS: dict[str, Knobs] = {
    "the sigmoid is applied twice": {"again": True},
    "the derivative of the sigmoid is multiplied in, which has cancelled already": {"inner": True},
    "p − y stands at the probabilities: it holds at the logits only": {"as_logits": True},
    "the term of 1 − y is missing": {"half": True},
    "y and 1 − y are swapped": {"flipped": True},
    **SMOOTHING_KNOBS,
    **CLIP_KNOBS,
}


def categorical(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """−Σ y log p, with p divided by its sum and clipped, or from logits."""
    n = float(p.shape[-1])
    y = smooth(y, o, k, n)
    if o["logits"]:
        q = softmax(p)
        slope = q - y
        if k.get("inner"):
            slope = slope * q * (1.0 - q)
        if k.get("true_derivative"):
            slope = q * y.sum(axis=-1, keepdims=True) - y
        return Terms(-(y * log_softmax(p)).sum(axis=-1), slope)
    total = 1.0 if k.get("undivided") else p.sum(axis=-1, keepdims=True)
    q = p / total
    c, passes = clip(q, k)
    dq = -y / c * passes
    slope = (dq - (dq * q).sum(axis=-1, keepdims=True)) / total
    if k.get("undivided") or k.get("constant_sum"):
        slope = dq / total
    if k.get("as_logits"):
        slope = p - y
    return Terms(-(y * np.log(c)).sum(axis=-1), slope)


CATEGORICAL_KNOBS: dict[str, Knobs] = {
    "the derivative of softmax is multiplied in, which has cancelled already": {"inner": True},
    "p − y stands at the probabilities: it holds at the logits only": {"as_logits": True},
    "the sum of the probabilities is treated as a constant": {"constant_sum": True},
    "the probabilities aren't divided by their sum": {"undivided": True},
    "softmax is multiplied by Σ y, as TensorFlow doesn't": {"true_derivative": True},
    **SMOOTHING_KNOBS,
    **CLIP_KNOBS,
}


def sparse(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """−log p[y], the class given as one-hot; p is clipped first, and then divided."""
    off = k.get("off", 0)
    y = np.roll(y, off, axis=-1)
    if k.get("lost"):
        y = y * (np.arange(p.shape[-1]) != (0 if off > 0 else p.shape[-1] - 1))
    if o["logits"]:
        return categorical(y, p, o, {**k, "smoothing": "none"})
    c, passes = clip(p, k)
    total = c.sum(axis=-1, keepdims=True)
    values = np.log(total)[..., 0] - (y * np.log(c)).sum(axis=-1)
    slope = (1.0 / total - y / c) * passes
    if k.get("undivided"):
        values, slope = -(y * np.log(c)).sum(axis=-1), -y / c * passes
    if k.get("as_logits"):
        slope = p - y
    return Terms(values, slope)


SPARSE_KNOBS: dict[str, Knobs] = {
    "the class numbers are one too small: counted from 1": {"off": -1},
    "the class numbers are one too large": {"off": 1},
    "the class numbers are one too small, so that class 0 has none": {"off": -1, "lost": True},
    "the class numbers are one too large, so that the last has none": {"off": 1, "lost": True},
    "the derivative of softmax is multiplied in, which has cancelled already": {"inner": True},
    "p − y stands at the probabilities: it holds at the logits only": {"as_logits": True},
    "the probabilities aren't divided by their sum": {"undivided": True},
    **CLIP_KNOBS,
}


def generalized(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """(1 − p[y]^q) / q."""
    q = k.get("q", o["q"])
    of_class = (p * y).sum(axis=-1)
    power = q if k.get("old_power") else q - 1.0
    slope = -(of_class**power) * (q if k.get("undivided") else 1.0)
    divisor = 1.0 if k.get("undivided") else q
    return Terms((1.0 - of_class**q) / divisor, slope[..., None] * y)


GENERALIZED_KNOBS: dict[str, Knobs] = {
    "the division by q is missing": {"undivided": True},
    "the exponent isn't lowered by 1": {"old_power": True},
    "q is 0.5 instead": {"q": 0.5},
    "q is 0.7 instead": {"q": 0.7},
}


def divergence(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """Σ y log(y/p), clipped to [ε, 1]."""
    y = np.minimum(np.maximum(y, EPSILON), 1.0)
    c, passes = clip(p, k, 1.0)
    if k.get("reverse"):
        return Terms((c * np.log(c / y)).sum(axis=-1), (np.log(c / y) + 1.0) * passes)
    if k.get("no_log"):
        return Terms((y * (y / c)).sum(axis=-1), -y * y / (c * c) * passes)
    top = 1.0 if k.get("no_entropy") else y
    slope = -1.0 / c if k.get("without_y") else -y / c
    return Terms((y * np.log(top / c)).sum(axis=-1), slope * passes)


DIVERGENCE_KNOBS: dict[str, Knobs] = {
    "the roles are swapped: this is the divergence of p from y": {"reverse": True},
    "the logarithm is missing": {"no_log": True},
    "y log y is missing: this is the cross-entropy": {"no_entropy": True},
    "the target is missing in the derivative": {"without_y": True},
    **CLIP_KNOBS,
}


def poisson(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """Σ p − y log(p + ε)."""
    eps = 0.0 if k.get("no_eps") else EPSILON
    if k.get("log_rate"):
        return mean(np.exp(p) - y * p, np.exp(p) - y)
    if k.get("no_log"):
        return mean(p - y * p, 1.0 - y + p * 0.0)
    rate = 0.0 if k.get("no_rate") else 1.0
    values = rate * p - y * np.log(p + eps)
    if k.get("stirling"):
        many = np.maximum(y, 1.0)
        values = values + (y > 1.0) * (many * np.log(many) - many + 0.5 * np.log(2 * np.pi * many))
    return mean(values, rate - y / (p + eps))


POISSON_KNOBS: dict[str, Knobs] = {
    "ε is forgotten": {"no_eps": True},
    "the prediction is taken for the logarithm of the rate": {"log_rate": True},
    "the logarithm is missing": {"no_log": True},
    "the rate itself is forgotten": {"no_rate": True},
    "log y! is added, by Stirling's formula": {"stirling": True},
}


PROBABILITIES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "BinaryCrossentropy": (binary, BINARY_KNOBS),
    "CategoricalCrossentropy": (categorical, CATEGORICAL_KNOBS),
    "SparseCategoricalCrossentropy": (sparse, SPARSE_KNOBS),
    "CategoricalGeneralizedCrossEntropy": (generalized, GENERALIZED_KNOBS),
    "KLDivergence": (divergence, DIVERGENCE_KNOBS),
    "Poisson": (poisson, POISSON_KNOBS),
}
