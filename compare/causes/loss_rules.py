"""Losses of numbers, each written once more with every decision as a knob.

A rule takes targets, predictions, the loss's own options and the knobs that are turned. It returns
what each row costs, and the derivative of that at the prediction; the reduction comes after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

Options = Mapping[str, Any]
Knobs = Mapping[str, Any]

EPSILON = 1e-7


class Terms(NamedTuple):
    """What each row costs, the derivative of that, and which rows count, where not all do."""

    values: Any
    slopes: Any
    counts: Any = None


Rule = Callable[[Any, Any, Options, Knobs], Terms]


def mean(values: Any, slopes: Any) -> Terms:
    """Take the mean over the outputs of what each of them costs."""
    n = float(values.shape[-1])
    return Terms(values.sum(axis=-1) / n, slopes / n)


def sigmoid(z: Any) -> Any:
    """Return 1 / (1 + e⁻ᶻ)."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0 / (1.0 + e), e / (1.0 + e))


def log_1_plus_e(z: Any) -> Any:
    """Return log(1 + eᶻ)."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


def inside(p: Any, low: float, high: float = np.inf) -> Any:
    """Return 1 where clipping changes nothing, else 0."""
    return 1.0 * ((p >= low) & (p <= high))


# ---------------------------------------------------------------------- distances


def squared(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """(p − y)²."""
    d = p - y
    return mean(d * d, 2.0 * d)


def half_squared(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """½ (p − y)², summed."""
    d = p - y
    return Terms(0.5 * (d * d).sum(axis=-1), d)


def absolute(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """|p − y|."""
    d = p - y
    slope = np.where(d == 0.0, k.get("at_0", 0.0), 1.0 if k.get("no_sign") else np.sign(d))
    return mean(np.abs(d), slope)


ABSOLUTE_KNOBS: dict[str, Knobs] = {
    "at the kink p = y the slope is 1": {"at_0": 1.0},
    "the sign of the difference is missing": {"no_sign": True},
}


def huber(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """½ d² within δ, δ |d| − ½ δ² outside."""
    d, delta = p - y, k.get("delta", o["delta"])
    size = np.abs(d)
    within = (d * d if k.get("squared_compared") else size) <= delta
    if k.get("swapped"):
        within = size > delta
    sign = 1.0 if k.get("no_sign") else np.sign(d)
    slope_outside = sign * (1.0 if k.get("unit_slope") else delta)
    start = 0.0 if k.get("no_offset") else 0.5 * delta * delta
    outside = (size if k.get("unit_slope") else delta * size) - start
    half = 1.0 if k.get("no_half") else 0.5
    if k.get("smooth"):
        half, outside, slope_outside = 0.5 / delta, size - 0.5 * delta, np.sign(d)
    return mean(
        np.where(within, half * (d * d), outside), np.where(within, 2.0 * half * d, slope_outside)
    )


HUBER_KNOBS: dict[str, Knobs] = {
    "δ is ignored: it counts as 1": {"delta": 1.0},
    "the parabola and the straight lines are swapped": {"swapped": True},
    "δ is missing in the straight lines": {"unit_slope": True},
    "½ δ² is not subtracted from the straight lines": {"no_offset": True},
    "the ½ of the parabola is missing": {"no_half": True},
    "the sign of d is missing in the straight lines": {"no_sign": True},
    "d² is compared with δ": {"squared_compared": True},
    "everything is divided by δ, as in PyTorch's smooth L1": {"smooth": True},
}


def log_cosh(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """Σ d + log(1 + e^−2d) − log 2; log 2 is float32's."""
    d = p - y
    t = 1.0 - 2.0 * sigmoid(-2.0 * d)
    slope = {"sinh": (np.exp(d) - np.exp(-d)) * 0.5, "again": 1.0 - t * t}.get(
        k.get("slope", ""), t
    )
    offset = 0.0 if k.get("no_log_2") else float(np.log(np.float32(2.0)))
    return mean(d + log_1_plus_e(-2.0 * d) - offset, slope)


LOG_COSH_KNOBS: dict[str, Knobs] = {
    "log 2 is not subtracted": {"no_log_2": True},
    "sinh is not divided by cosh": {"slope": "sinh"},
    "1 − tanh² stands for tanh": {"slope": "again"},
}


def percentage(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """100 |p − y| / max(|y|, ε)."""
    base = p if k.get("of_prediction") else y
    size = np.maximum(np.abs(base), EPSILON)
    if k.get("signed"):
        size = y
    if k.get("unscaled"):
        size = size * 0.0 + 1.0
    d, hundred = p - y, 1.0 if k.get("fraction") else 100.0
    slope = {"distance": d, "size": d * 0.0 + 1.0}.get(k.get("slope", ""), np.sign(d))
    return mean(hundred * np.abs(d) / size, hundred * slope / size)


PERCENTAGE_KNOBS: dict[str, Knobs] = {
    "the factor 100 is missing": {"fraction": True},
    "the error is relative to the prediction": {"of_prediction": True},
    "the sign of the target counts: |y| is meant": {"signed": True},
    "the error isn't divided by the target": {"unscaled": True},
    "the difference stands for its sign": {"slope": "distance"},
    "the sign of the difference is missing": {"slope": "size"},
}


def squared_logarithmic(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """(log(1 + p) − log(1 + y))², with max(·, ε) of float32."""
    low, one = float(np.float32(EPSILON)), 0.0 if k.get("no_1") else 1.0
    c = p if k.get("unclipped") else np.maximum(p, low)
    base = float(np.log(k.get("base", np.e)))
    d = (np.log(c + one) - np.log(np.maximum(y, low) + one)) / base
    passes = 1.0 if k.get("through") or k.get("unclipped") else inside(p, low)
    inner = 1.0 if k.get("no_inner") else 1.0 / (c + one) / base
    return mean(d * d, 2.0 * d * inner * passes)


SQUARED_LOGARITHMIC_KNOBS: dict[str, Knobs] = {
    "1 is not added inside the logarithm": {"no_1": True},
    "the derivative of the logarithm is missing": {"no_inner": True},
    "the gradient passes where p was clipped": {"through": True},
    "the prediction isn't clipped": {"unclipped": True},
    "the logarithm has the base 2": {"base": 2.0},
    "the logarithm has the base 10": {"base": 10.0},
}


def cosine(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """−ŷ · p̂."""

    def inverse_length(x: Any) -> Any:
        return np.minimum(1.0 / np.sqrt((x * x).sum(axis=-1, keepdims=True)), 1.0 / EPSILON)

    if not k.get("long_target"):
        y = y * inverse_length(y)
    r = 1.0 if k.get("long_prediction") else inverse_length(p)
    along = (y * p).sum(axis=-1, keepdims=True)
    of_length = 0.0 if k.get("constant_length") or k.get("long_prediction") else p * along * r**3
    if k.get("wrong_power"):
        of_length = p * along * r * r
    if k.get("added"):
        of_length = -of_length
    return Terms(-(y * p * r).sum(axis=-1) + k.get("offset", 0.0), of_length - y * r)


COSINE_KNOBS: dict[str, Knobs] = {
    "the prediction's length is treated as a constant": {"constant_length": True},
    "the target isn't normalised": {"long_target": True},
    "the prediction isn't normalised": {"long_prediction": True},
    "the cube of the length is taken for its square": {"wrong_power": True},
    "the share of the length has the wrong sign": {"added": True},
    "1 is added": {"offset": 1.0},
}

# ---------------------------------------------------------------------- margins


def signs(y: Any, k: Knobs) -> Any:
    """Turn 0 and 1 into −1 and 1."""
    binary = np.all((y == 0.0) | (y == 1.0)) and not k.get("as_they_are")
    return 2.0 * y - 1.0 if binary else y


def hinge(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """max(1 − y p, 0)."""
    y = signs(y, k)
    short = k.get("margin", 1.0) - y * p
    costs = inside(short, 0.0)
    costs = {"always": costs * 0.0 + 1.0, "inverted": 1.0 * (short < 0.0)}.get(
        k.get("where", ""), costs
    )
    if k.get("strict"):
        costs = 1.0 * (short > 0.0)
    slope = -1.0 if k.get("without_y") else -y
    return mean(np.maximum(short, 0.0), slope * costs)


def squared_hinge(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """max(1 − y p, 0)²."""
    y = signs(y, k)
    short = k.get("margin", 1.0) - y * p
    kept = short if k.get("where") == "always" else np.maximum(short, 0.0)
    slope = -1.0 if k.get("without_y") else -y
    return mean(kept * kept, 2.0 * kept * slope)


HINGE_KNOBS: dict[str, Knobs] = {
    "the labels 0 and 1 aren't turned into −1 and 1": {"as_they_are": True},
    "the margin of 1 is missing": {"margin": 0.0},
    "what keeps the margin counts, too": {"where": "always"},
    "what keeps the margin counts instead": {"where": "inverted"},
    "on the margin itself nothing passes": {"strict": True},
    "the target is missing in the derivative": {"without_y": True},
}


def categorical_hinge(y: Any, p: Any, o: Options, k: Knobs) -> Terms:
    """max(1 + max (1 − y) p − Σ y p, 0)."""
    others = p if k.get("all_classes") else (1.0 - y) * p
    rival = others.max(axis=-1)
    best = 1.0 * (others.argmax(axis=-1)[..., None] == np.arange(p.shape[-1]))
    if k.get("ties"):
        best = 1.0 * (others == rival[..., None])
    if k.get("sum"):
        best, rival = best * 0.0 + 1.0, others.sum(axis=-1)
    wanted = (y * p).sum(axis=-1)
    short = rival - wanted + k.get("margin", 1.0)
    costs = inside(short, 0.0)
    if k.get("always"):
        costs = costs * 0.0 + 1.0
    up = (1.0 if k.get("all_classes") else 1.0 - y) * (1.0 if k.get("every") else best)
    parts = {"wanted": -y, "rival": up}
    slope = parts.get(k.get("only", ""), up - y)
    if k.get("each"):
        short = (1.0 - y) * np.maximum(1.0 + p - wanted[..., None], 0.0)
        up = 1.0 * (short > 0.0)
        return Terms(short.sum(axis=-1), up - y * up.sum(axis=-1, keepdims=True))
    return Terms(np.maximum(short, 0.0), costs[..., None] * slope)


CATEGORICAL_HINGE_KNOBS: dict[str, Knobs] = {
    "the margin of 1 is missing": {"margin": 0.0},
    "the wanted class is among its own rivals": {"all_classes": True},
    "all rivals count instead of the best": {"sum": True},
    "all rivals get a gradient, not the best alone": {"every": True},
    "each rival has a margin of its own, as of Weston & Watkins": {"each": True},
    "rivals that are equally good all get the whole gradient": {"ties": True},
    "what keeps the margin counts, too": {"always": True},
    "only the wanted class gets a gradient": {"only": "wanted"},
    "the wanted class gets no gradient": {"only": "rival"},
}

NUMBERS: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "MeanSquaredError": (squared, {}),
    "HalfSquaredSum": (half_squared, {}),
    "MeanAbsoluteError": (absolute, ABSOLUTE_KNOBS),
    "Huber": (huber, HUBER_KNOBS),
    "LogCosh": (log_cosh, LOG_COSH_KNOBS),
    "MeanAbsolutePercentageError": (percentage, PERCENTAGE_KNOBS),
    "MeanSquaredLogarithmicError": (squared_logarithmic, SQUARED_LOGARITHMIC_KNOBS),
    "CosineSimilarity": (cosine, COSINE_KNOBS),
    "Hinge": (hinge, HINGE_KNOBS),
    "SquaredHinge": (squared_hinge, HINGE_KNOBS),
    "CategoricalHinge": (categorical_hinge, CATEGORICAL_HINGE_KNOBS),
}
