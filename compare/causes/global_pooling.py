"""Slips in global pooling, where each channel becomes one number."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.correlation import given, in_place
from compare.causes.pooling import first_of
from manual.layers.global_pooling import GlobalAveragePooling, GlobalMaxPooling


@hypothesis("activation")
def globally_pooled(place: Place) -> Iterator[Candidate]:
    """Propose another number for each channel."""
    layer = place.map
    if not isinstance(layer, (GlobalMaxPooling, GlobalAveragePooling)) or not place.has("x"):
        return
    x = in_place(layer, place.inputs["x"])
    row = x.reshape(x.shape[0], -1, x.shape[-1])
    mask = place.inputs.get("mask")
    of_mean = isinstance(layer, GlobalAveragePooling)
    found = {
        "the places are added up": row.sum(axis=1),
        "the minimum is taken": -((-row).max(axis=1)),
        "only the first place is taken": row[:, 0],
        "only the last place is taken": row[:, -1],
    }
    for axis, side in enumerate(x.shape[1:-1] if of_mean and x.ndim > 3 else (), start=1):
        found[f"the sum is divided by the length of axis {axis} only"] = row.sum(axis=1) / float(
            side
        )
    if of_mean:
        found["the maximum is taken instead of the mean"] = row.max(axis=1)
    else:
        found["the mean is taken instead of the maximum"] = row.mean(axis=1)
    if of_mean and mask is not None:
        kept = np.where(mask[..., None], row, 0.0)
        found["the mask is ignored"] = row.mean(axis=1)
        found["masked steps are counted in the mean"] = kept.mean(axis=1)
    taken = place.inputs["x"]
    if layer.data_format == "channels_first" and taken.shape[1] == taken.shape[-1]:
        row = taken.reshape(row.shape[0], -1, row.shape[-1])
        as_last = row.mean(axis=1) if of_mean else row.max(axis=1)
        found["the last axis is taken for the channels, which come first"] = as_last
    for sentence, value in found.items():
        yield Candidate(sentence, value.reshape(*place.right.shape))


@hypothesis("activation gradient")
def global_gradient(place: Place) -> Iterator[Candidate]:
    """Propose other shares for the places of a channel."""
    layer = place.map
    if not isinstance(layer, (GlobalMaxPooling, GlobalAveragePooling)):
        return
    if not place.has("x", "dz"):
        return
    x = in_place(layer, place.inputs["x"])
    row = x.reshape(x.shape[0], -1, x.shape[-1])
    n, dy = float(row.shape[1]), place.inputs["dz"].reshape(x.shape[0], 1, x.shape[-1])
    ones = np.ones((1, row.shape[1], 1))
    found = {
        "the gradient is not divided by the number of places": dy * ones,
        "the gradient is divided by the number of places twice": dy * ones / n / n,
    }
    for axis, side in enumerate(x.shape[1:-1] if x.ndim > 3 else (), start=1):
        sentence = f"the gradient is divided by the length of axis {axis} only"
        found[sentence] = dy * ones / float(side)
    ends = [np.zeros((1, row.shape[1], 1)) for _ in "fl"]
    ends[0][:, 0] = ends[1][:, -1] = 1.0
    if isinstance(layer, GlobalMaxPooling):
        ties = 1.0 * (row == row.max(axis=1, keepdims=True))
        first = np.concatenate(first_of([ties[:, i : i + 1] for i in range(int(n))]), axis=1)
        found = {
            "at a tie every maximum gets all of the gradient": dy * ties,
            "at a tie only the first maximum gets the gradient": dy * first,
            "every place gets the gradient, not only the maximum": dy * ones,
            "the gradient is spread evenly, as of a mean": dy * ones / n,
            "the maximum's gradient is divided by the number of places": dy * ties / n,
            "the first place gets the gradient, whatever is largest": dy * ends[0],
            "the last place gets the gradient, whatever is largest": dy * ends[1],
        }
    elif place.has("mask"):
        mask = place.inputs["mask"][..., None]
        found["the mask is ignored"] = dy * ones / n
        found["masked steps are counted in the mean"] = dy * mask / n
        steps = np.sum(mask, axis=1, keepdims=True)
        found["masked steps get a share of the gradient"] = dy * ones / steps
    else:
        found["only the first place gets the gradient"] = dy * ends[0]
        found["only the last place gets the gradient"] = dy * ends[1]
    for sentence, dx in found.items():
        yield Candidate(sentence, given(layer, dx.reshape(*x.shape)))
