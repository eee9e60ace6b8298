"""Losses that are taken for each other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.causes.entropy_rules import log_softmax, softmax
from compare.causes.loss_rules import EPSILON, log_1_plus_e, sigmoid


def related(y: Any, p: Any) -> Iterator[tuple[str, Any, Any, str]]:
    """Give the losses that are taken for each other, number by number, without any mean.

    Each with its name, its values, its derivatives and these as a formula.
    """
    d = p - y
    yield "½ (p − y)²", 0.5 * (d * d), d, "p − y"
    yield "(p − y)²", d * d, 2.0 * d, "2 (p − y)"
    yield "|p − y|", np.abs(d), np.sign(d), "sign(p − y)"
    yield "the cross-entropy −Σ y log p", -(y * np.log(p)), -(y / p), "−y / p"
    yield (
        "the binary cross-entropy of probabilities",
        -(y * np.log(p) + (1.0 - y) * np.log(1.0 - p)),
        (1.0 - y) / (1.0 - p) - y / p,
        "(1 − y)/(1 − p) − y/p",
    )
    yield (
        "the binary cross-entropy of logits",
        log_1_plus_e(p) - y * p,
        sigmoid(p) - y,
        "σ(p) − y",
    )
    q = softmax(p)
    yield "the cross-entropy of logits", -(y * log_softmax(p)), q - y, "softmax(p) − y"
    yield (
        "a cross-entropy with softmax applied twice",
        -(y * log_softmax(q)),
        softmax(q) - y,
        "softmax(softmax(p)) − y",
    )
    yield "the cross-entropy's softmax without the target", -log_softmax(p), q, "softmax(p)"
    far = 1.0 * (np.abs(d) > 1.0)
    yield (
        "Huber's loss of δ = 1",
        np.where(far > 0.0, np.abs(d) - 0.5, 0.5 * (d * d)),
        np.where(far > 0.0, np.sign(d), d),
        "p − y, cut off at ±1",
    )
    yield "log cosh", np.log(0.5 * (np.exp(d) + np.exp(-d))), np.tanh(d), "tanh(p − y)"
    size = np.maximum(np.abs(y), EPSILON)
    yield (
        "the percentage error",
        100.0 * np.abs(d) / size,
        100.0 * np.sign(d) / size,
        "100 sign(p − y)/|y|",
    )
    log = np.log(1.0 + np.maximum(p, EPSILON)) - np.log(1.0 + np.maximum(y, EPSILON))
    yield (
        "the squared logarithmic error",
        log * log,
        2.0 * log / (1.0 + np.maximum(p, EPSILON)) * (p >= EPSILON),
        "2 log((1 + p)/(1 + y))/(1 + p)",
    )
    yield "Poisson's loss", p - y * np.log(p + EPSILON), 1.0 - y / (p + EPSILON), "1 − y/p"
    binary = np.all((y == 0.0) | (y == 1.0))
    sign = 2.0 * y - 1.0 if binary else y
    short = np.maximum(1.0 - sign * p, 0.0)
    yield "the hinge loss", short, -sign * (sign * p <= 1.0), "−y [y p < 1]"
    yield "the squared hinge loss", short * short, -2.0 * sign * short, "−2 y max(1 − y p, 0)"
