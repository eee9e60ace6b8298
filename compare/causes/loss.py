"""The derivative of a related loss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis


def softmax(z: Any) -> Any:
    """Return e^zᵢ / Σⱼ e^zⱼ over the last axis."""
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def related(y: Any, p: Any) -> Iterator[tuple[str, Any, str]]:
    """Give the derivatives of the losses that are taken for each other, without any mean.

    Two losses with the same name differ in the means, of which `other_derivative` tries all.
    """
    d = p - y
    yield "½ (p − y)²", d, "p − y"
    yield "(p − y)²", 2.0 * d, "2 (p − y)"
    yield "|p − y|", np.sign(d), "sign(p − y)"
    yield "the cross-entropy −Σ y log p", -(y / p), "−y / p"
    yield (
        "the binary cross-entropy of probabilities",
        (1.0 - y) / (1.0 - p) - y / p,
        "(1 − y)/(1 − p) − y/p",
    )
    yield (
        "the binary cross-entropy of logits",
        1.0 / (1.0 + np.exp(-p)) - y,
        "σ(p) − y",
    )
    q = softmax(p)
    yield "the cross-entropy of logits", q - y, "softmax(p) − y"
    yield "a cross-entropy with softmax applied twice", softmax(q) - y, "softmax(softmax(p)) − y"
    yield "the cross-entropy's softmax without the target", q, "softmax(p)"


@hypothesis("activation gradient")
def other_derivative(place: Place) -> Iterator[Candidate]:
    """Propose the derivatives of related losses, averaged in each way that occurs."""
    if not place.has("y", "p"):
        return
    y, p = place.inputs["y"], place.inputs["p"]
    if y.shape != p.shape:
        return
    samples, outputs = place.facts.samples, p.shape[-1]
    means = {
        1.0: "",
        float(samples): " / batch size",
        float(outputs): " / outputs",
        float(samples * outputs): " / (batch size · outputs)",
    }
    for loss, derivative, formula in related(y, p):
        for divisor, written in means.items():
            yield Candidate(
                f"this is the derivative of {loss}", derivative / divisor, f"({formula}){written}"
            )
    weights = place.inputs.get("sample_weight")
    if weights is not None:
        share = np.reshape(weights, weights.shape + (1,) * (p.ndim - weights.ndim))
        with np.errstate(all="ignore"):
            yield Candidate("the sample weights are ignored", place.right / share)
            yield Candidate("the sample weights are applied twice", place.right * share)
