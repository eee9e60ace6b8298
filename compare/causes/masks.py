"""Slips with embeddings and masks: in the layers that make a mask, and in the loss."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.penalties import penalty_of
from compare.causes.related import related
from compare.rounding.judge import judge
from manual.layers import Embedding, Masking


def _numbers(place: Place) -> Any:
    return place.inputs["x"].value.astype(int)


SHIFTS = ((-1, "small", "− 1"), (1, "large", "+ 1"))


@hypothesis("activation")
def looked_up(place: Place) -> Iterator[Candidate]:
    """Propose other rows of the table than E[x]."""
    if not isinstance(place.map, Embedding) or not place.has("x", "embeddings"):
        return
    x, E = _numbers(place), place.inputs["embeddings"]
    for shift, told, by in SHIFTS:
        wrapped = (x + shift) % len(E)
        yield Candidate(f"the index is one too {told}", E[wrapped], f"y = E[x {by}]")
    yield Candidate(
        "the padding's vector is set to 0", np.where((x == 0)[..., None], 0.0, E[x]), "E[0] = 0"
    )
    root = float(np.sqrt(E.shape[-1]))
    sentence = "the vectors are multiplied by √d, as in the Transformer"
    yield Candidate(sentence, E[x] * root, "y = √d E[x]")
    yield Candidate("the vectors are divided by √d", E[x] / root, "y = E[x] / √d")
    length = np.sqrt((E * E).sum(axis=-1, keepdims=True))
    yield Candidate("the vectors are brought to length 1", (E / length)[x], "y = E[x] / |E[x]|")


def _last(rows: Any) -> Any:
    return rows[-1]


def _gathered(x: Any, dy: Any, like: Any, how: Callable[[Any], Any]) -> Any:
    """Make one row of all that belong to an index."""
    found = like * 0.0
    for index in np.unique(x):
        found[index] = how(dy[x == index])
    return found


@hypothesis("weight gradient")
def table_gradient(place: Place) -> Iterator[Candidate]:
    """Propose other ways to gather dy by index than to add."""
    if not isinstance(place.map, Embedding) or not place.has("x", "dz"):
        return
    x = _numbers(place).reshape(-1)
    dy = place.inputs["dz"].reshape(-1, place.right.shape[-1])
    right: Any = place.right
    sentence = "the gradient of an index that comes twice is overwritten instead of added"
    yield Candidate(sentence, _gathered(x, dy, right, _last), "dE[x] = dy")
    sentence = "within a sample, the gradient of an index that comes twice is overwritten"
    samples = len(place.inputs["x"])
    each: Any = right * 0.0
    for some, theirs in zip(
        x.reshape(samples, -1), dy.reshape(samples, -1, dy.shape[-1]), strict=True
    ):
        each = each + _gathered(some, theirs, right, _last)
    yield Candidate(sentence, each, "dE[xₙ] += dyₙ, sample by sample")
    sentence = "only the first gradient of an index that comes twice is there"
    yield Candidate(sentence, _gathered(x, dy, right, lambda rows: rows[0]), "dE[x] = dy")
    sentence = "the gradients of an index that comes twice are averaged"
    mean = _gathered(x, dy, right, lambda rows: rows.mean(axis=0))
    yield Candidate(sentence, mean, "dE[k] = mean of dy where x = k")
    places = len(x) // samples
    if places != samples:  # that is a mean that may be taken of any number
        sentence = f"the gradient is averaged over the {places} places of a sample"
        yield Candidate(sentence, right / float(places), f"1/{places} Σ dy")
    rows = np.arange(len(right))
    for shift, told, by in SHIFTS:
        rolled = right[(rows - shift) % len(right)]
        yield Candidate(f"the index is one too {told}", rolled, f"dE[x {by}] += dy")
    sentence = "the padding's row is not trained, as with PyTorch's padding_idx"
    yield Candidate(sentence, np.where((rows == 0)[:, None], 0.0, right), "dE[0] = 0")


@hypothesis("activation", "activation gradient")
def masked_out(place: Place) -> Iterator[Candidate]:
    """Propose another choice of the steps that Masking zeroes, forward and back."""
    if not isinstance(place.map, Masking) or not place.has("x"):
        return
    x, value = place.inputs["x"], place.map.mask_value
    source = x if place.phase == "activation" else place.inputs.get("dz")
    if source is None:
        return
    differs = x.value != np.float32(value)
    some, every = differs.any(axis=-1, keepdims=True), differs.all(axis=-1, keepdims=True)
    yield Candidate("the masked steps are not set to 0", source, "m = 1")
    sentence = "a step is masked as soon as one of its features has the mask value"
    yield Candidate(sentence, np.where(every, source, 0.0), "m = [no feature is the mask value]")
    yield Candidate("the mask is inverted", np.where(some, 0.0, source), "1 − m")
    yield Candidate(
        "the features that have the mask value are set to 0, instead of whole steps",
        np.where(differs, source, 0.0),
        "m by feature",
    )
    if value:
        by_zero = (x.value != 0.0).any(axis=-1, keepdims=True)
        sentence = "the mask value is taken to be 0"
        yield Candidate(sentence, np.where(by_zero, source, 0.0), "m = [x ≠ 0]")


@hypothesis("loss", "activation gradient")
def mean_over_all(place: Place) -> Iterator[Candidate]:
    """Propose a mean over other values than those that the mask counts."""
    mask = place.inputs.get("mask")
    if mask is None or not hasattr(place.map, "reduction"):
        return
    valid, size, samples = int(mask.sum()), mask.size, len(mask)
    penalty = penalty_of(place) if place.phase == "loss" else None
    rest = 0.0 if penalty is None else penalty
    bare = place.right - rest
    for factor, sentence in (
        (valid / size, "the mean is taken over all steps, masked ones too"),
        (valid / samples, "the mean is taken over the samples instead of the steps that count"),
        (float(valid), "the mean over the steps that count is missing"),
    ):
        yield Candidate(sentence, bare * factor + rest, f"factor {factor:.6g}")
    if place.phase == "loss" or place.inputs["y"].shape != place.inputs["p"].shape:
        return
    y, p = place.inputs["y"], place.inputs["p"]
    weights = place.inputs.get("sample_weight")
    share = 1.0 if weights is None else weights.reshape(mask.shape)[..., None]
    for _, _, derivative, formula in related(y, p):
        for divisor in (1.0, float(p.shape[-1])):
            each = derivative * share / divisor
            # Only of the loss that is there: masked, it gives what is right.
            masked: Any = np.where(mask[..., None], each, 0.0)
            if judge(place.right.value, masked / float(valid)).agrees:
                told = f"({formula}) / all steps"
                yield Candidate("the mask is ignored in the loss", each / float(size), told)
                told = f"({formula}) / steps that count"
                yield Candidate(
                    "the mask is only used to count the steps", each / float(valid), told
                )
