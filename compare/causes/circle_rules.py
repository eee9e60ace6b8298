"""The circle loss, of each sample with each, once more with every decision as a knob."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.loss_rules import Knobs, Options, Rule, Terms, log_1_plus_e, sigmoid


def partners(y: Any, kept: bool) -> tuple[Any, Any]:
    """Return who is whose positive, and who is whose negative, from a column of classes."""
    same = y[:, None] == y[None, :]
    return same & ~(np.eye(len(y), dtype=bool) & (not kept)), ~same


def circle(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """log(1 + Σₙ e^(γ αₙ (1 − m − d)) Σₚ e^(−γ αₚ (m − d))), αₙ = (1 + m − d)₊, αₚ = (m + d)₊."""
    gamma, m = k.get("gamma", o["gamma"]), k.get("margin", o["margin"])
    kept = bool(o["remove_diagonal"]) == bool(k.get("diagonal"))
    positive, negative = partners(y[:, 0], kept)
    if k.get("swapped"):
        positive, negative = negative, positive
    similar = p @ p.T
    near = similar if k.get("similarity") else 1.0 - similar
    d = near if k.get("unclipped") else np.maximum(near, 0.0)
    passes = 1.0 if k.get("unclipped") or k.get("through") else 1.0 * (near >= 0.0)
    far = np.maximum((1.0 + m) - d, 0.0)
    pull = -gamma * (m + d) * (m - d)
    push = gamma * far * ((1.0 - m) - d)
    dpull, dpush = gamma * 2.0 * d, -gamma * (1.0 * (far > 0.0) * ((1.0 - m) - d) + far)
    if k.get("unweighted"):
        pull, push, dpull, dpush = -gamma * (m - d), gamma * ((1.0 - m) - d), gamma, -gamma
    if k.get("constant"):
        dpull, dpush = gamma * (m + d), -gamma * far
    counts = positive.any(axis=1) & negative.any(axis=1)
    pulls, of_positives = _log_sum(pull, positive)
    pushes, of_negatives = _log_sum(push, negative)
    total = np.where(counts, pulls + pushes, -np.inf)
    values = log_1_plus_e(total)
    of_total = sigmoid(total)
    if k.get("no_1"):
        values, of_total = np.where(counts, total, 0.0), 1.0 * counts
    dd = of_positives * dpull * (k.get("only") != "negatives")
    dd = dd + of_negatives * dpush * (k.get("only") != "positives")
    dd = dd * passes * of_total[:, None] * (-1.0 if k.get("similarity") else 1.0)

    def slopes(factor: Any) -> Any:
        g = dd * np.reshape(factor, (-1, 1))
        both = {"own": g, "other": g.T, "doubled": 2.0 * g}.get(k.get("side", ""), g + g.T)
        return -(both @ p)

    return Terms(values, slopes, counts)


def _log_sum(w: Any, among: Any) -> tuple[Any, Any]:
    """Return log Σ eʷ of each row over some of its numbers, and each number's share in the sum."""
    some = among.any(axis=1, keepdims=True)
    top = np.where(some, np.where(among, w, -np.inf).max(axis=1, keepdims=True), 0.0)
    e = np.where(among, np.exp(np.where(among, w - top, 0.0)), 0.0)
    total = np.where(some, e.sum(axis=1, keepdims=True), 1.0)
    return (np.log(total) + top)[:, 0], e / total


CIRCLE_KNOBS: dict[str, Knobs] = {
    "the weights of the pairs are treated as constants, as in the paper": {"constant": True},
    "the pairs aren't weighted": {"unweighted": True},
    "only one side of each pair gets a gradient: the sample itself": {"side": "own"},
    "only one side of each pair gets a gradient: the partner": {"side": "other"},
    "each pair is taken to be symmetric": {"side": "doubled"},
    "only the positives get a gradient": {"only": "positives"},
    "only the negatives get a gradient": {"only": "negatives"},
    "positives and negatives are swapped": {"swapped": True},
    "the similarity stands for the distance": {"similarity": True},
    "the distance isn't cut off at 0": {"unclipped": True},
    "the gradient passes where the distance was cut off": {"through": True},
    "γ is forgotten: it counts as 1": {"gamma": 1.0},
    "γ is 80 instead": {"gamma": 80.0},
    "γ is 256 instead": {"gamma": 256.0},
    "the margin is missing": {"margin": 0.0},
    "the margin is 0.25 instead": {"margin": 0.25},
    "the margin is 0.4 instead": {"margin": 0.4},
    "a sample is its own partner without being asked, or isn't although asked": {"diagonal": True},
    "the 1 in the logarithm is missing": {"no_1": True},
}

PAIRS: dict[str, tuple[Rule, dict[str, Knobs]]] = {"Circle": (circle, CIRCLE_KNOBS)}
