"""Slips in attention: scores, masks, softmax, heads, and each of their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from compare.causes.attention_formulas import Heads
from compare.causes.attention_slips import GRADIENT_KNOBS, PROJECTED_KNOBS
from compare.causes.attention_weights import Knobs
from compare.causes.base import Candidate, Place, hypothesis
from manual.layers.multi_head_attention import ProjectedAttention


def possible(make: Callable[[], Any]) -> Any:
    """Return what a slip gives; None where the shapes don't allow it."""
    try:
        return make()
    except ValueError:
        return None


def plain(place: Place) -> bool:
    """Say whether it is attention between steps, without a gate: what the slips are written for."""
    layer = place.map
    projected = isinstance(layer, ProjectedAttention) and not shows_weights(place)
    return projected and not (layer.use_gate or layer.several_axes)


def shows_weights(place: Place) -> bool:
    """Say whether A is an output, too: what arrives there, the slips' formulas don't have."""
    return bool(place.inputs.get("options", {}).get("return_attention_scores"))


def variants(knobs: Knobs) -> Iterator[Knobs]:
    """Give a scale as Keras would round it, and as it is."""
    yield knobs
    if "scale" in knobs:
        yield {**knobs, "unrounded": True}


@hypothesis("activation")
def projected_forward(place: Place) -> Iterator[Candidate]:
    """Propose attention with one decision taken otherwise."""
    if not plain(place) or not place.has("x", "y"):
        return
    for sentence, (turned, formula) in PROJECTED_KNOBS.items():
        for knobs in variants(turned):
            made = possible(Heads(place, knobs).forward)
            if made is not None:
                yield Candidate(sentence, made["y"], formula)


@hypothesis("activation gradient", "weight gradient")
def projected_gradient(place: Place) -> Iterator[Candidate]:
    """Propose each of attention's gradients with one decision taken otherwise."""
    if not plain(place) or not place.has("x", "y", "dz"):
        return
    right = Heads(place).forward()
    if place.phase == "activation gradient":
        quantity = "dx"
    else:
        quantity = place.name.split("/", 1)[1]
        steps = right["A"].shape[-1 if quantity.startswith(("key", "value")) else -2]
        yield Candidate(
            f"the gradient is averaged over the {steps} positions instead of summed",
            place.right / float(steps),
        )
    for sentence, (turned, formula) in GRADIENT_KNOBS.items():
        for knobs in variants(turned):
            made = possible(partial(Heads(place, knobs).backward, right))
            if made is not None and made[quantity] is not None:
                yield Candidate(sentence, made[quantity].reshape(*place.right.shape), formula)
