"""Slips in what is done to a gradient before the rule gets it: scaled, averaged, clipped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.optimizers.state import Knobs, State, norm


def averaged(s: State, k: Knobs) -> dict[str, Any]:
    """Return all weights' gradients without the loss scale, over the accumulated steps."""
    scale, n = s.settings.get("loss_scale_factor"), s.settings.get("gradient_accumulation_steps")
    result = {}
    for name, g in (s.gradients or {s.name: s.g}).items():
        if scale and not k.get("scaled"):
            g = g * scale if k.get("scale_multiplied") else g / scale
            g = g / scale if k.get("scale_twice") else g
        if n and s.accumulators:
            total = s.accumulators[name]
            g = g * k.get("last", 1.0) + total * k.get("earlier", 1.0)
            g = g / k.get("share", float(n))
        result[name] = g
    return result


def clipped(s: State, k: Knobs) -> Any:
    """Return what enters the rule: averaged, then clipped."""
    if s.processed is not None:
        return s.processed
    gradients = averaged(s, k)
    g = gradients[s.name]
    each, all_, element = (
        s.settings.get(option) for option in ("clipnorm", "global_clipnorm", "clipvalue")
    )
    bound = each or all_ or element
    how = k.get("clip", "each" if each else "all" if all_ else "element" if element else "")
    if not bound or how == "none":
        return g
    if how == "element":
        upper = g if k.get("below_only") else np.minimum(g, bound)
        return upper if k.get("above_only") else np.maximum(upper, -bound)
    if how == "axis":
        size = np.sqrt((g * g).sum(axis=tuple(range(g.ndim - 1)), keepdims=True))
    elif how == "all":
        squares = [(one * one).sum().reshape(1) for one in gradients.values()]
        size = np.sqrt(np.concatenate(squares).sum())
    else:
        size = norm(g)
    size = measured(size, list(gradients.values()) if how == "all" else [g], k)
    if k.get("always"):
        return g * bound / size
    larger = np.minimum(size, bound) if k.get("smaller") else np.maximum(size, bound)
    return g * (1.0 if k.get("unscaled") else bound) / larger


def measured(size: Any, parts: list[Any], k: Knobs) -> Any:
    """Return the size of a gradient, or of several together, by another measure."""
    kind = k.get("norm")
    if kind == "padded":
        return size + 1e-6
    if kind == "squared":
        return size * size
    if kind == "mean":
        return size / float(sum(part.size for part in parts)) ** 0.5
    if kind not in ("absolute", "largest"):
        return size
    sizes = np.concatenate([np.abs(part).reshape(-1) for part in parts])
    return sizes.sum() if kind == "absolute" else sizes.max()


UNCLIPPED: dict[str, Knobs] = {"the gradient is not clipped": {"clip": "none"}}
OF_NORMS: dict[str, Knobs] = {
    "each weight is clipped by its own norm, not by the norm of all": {"clip": "each"},
    "the norm of all weights' gradients is used, not each weight's own": {"clip": "all"},
    "every element is clipped instead of the norm": {"clip": "element"},
    "every unit's column is clipped by its own norm": {"clip": "axis"},
    "the norm isn't rooted: its square is compared with the bound": {"norm": "squared"},
    "the norm is a root of a mean instead of a sum of squares": {"norm": "mean"},
    "the norm is the sum of the absolute values": {"norm": "absolute"},
    "the norm is the largest absolute value": {"norm": "largest"},
    "1e-6 is added to the norm, as in PyTorch": {"norm": "padded"},
    "the gradient is scaled to the bound even where its norm is below": {"always": True},
    "the smaller of norm and bound divides, where the larger belongs": {"smaller": True},
    "the gradient is divided by its norm, but not multiplied by the bound": {"unscaled": True},
}
OF_ELEMENTS: dict[str, Knobs] = {
    "the norm is clipped instead of every element": {"clip": "each"},
    "the norm of all weights' gradients is clipped instead of every element": {"clip": "all"},
    "only what is above the bound is clipped, not what is below −c": {"above_only": True},
    "only what is below −c is clipped, not what is above the bound": {"below_only": True},
}
SCALING: dict[str, Knobs] = {
    "the loss scale is left in the gradient": {"scaled": True},
    "the loss scale is taken out twice": {"scale_twice": True},
    "the gradient is multiplied by the loss scale instead of divided": {"scale_multiplied": True},
}
MEANS: dict[str, Knobs] = {
    "the sum of the accumulated gradients is used, not their mean": {"share": 1.0},
    "only the last gradient is used": {"earlier": 0.0, "share": 1.0},
    "only the last gradient is used, and that divided by k": {"earlier": 0.0},
    "the last gradient is left out of the mean": {"last": 0.0},
}


def processing_knobs(settings: Mapping[str, Any]) -> dict[str, Knobs]:
    """Return the slips that are possible with these options."""
    knobs: dict[str, Knobs] = {}
    if settings.get("clipvalue"):
        knobs |= UNCLIPPED | OF_ELEMENTS
    elif settings.get("clipnorm") or settings.get("global_clipnorm"):
        knobs |= UNCLIPPED | OF_NORMS
    if settings.get("loss_scale_factor"):
        knobs |= SCALING
    n = settings.get("gradient_accumulation_steps")
    if n:
        knobs |= MEANS
        knobs["the mean of the accumulated gradients is divided by k twice"] = {
            "share": float(n) ** 2
        }
        if n > 2:
            knobs["the mean is over k − 1 gradients instead of k"] = {"share": n - 1.0}
    return knobs


@hypothesis("processed gradient")
def one_slip(place: Place) -> Iterator[Candidate]:
    """Propose a gradient that was clipped or scaled in another way."""
    if not place.has("state"):
        return
    state: State = place.inputs["state"]
    for sentence, knobs in processing_knobs(state.settings).items():
        yield Candidate(sentence, clipped(state, knobs))
    scale = state.settings.get("loss_scale_factor")
    if scale:
        unscaled = {**state.settings, "loss_scale_factor": None}
        late = clipped(replace(state, settings=unscaled), {}) / scale
        yield Candidate("the loss scale is taken out after clipping", late)
