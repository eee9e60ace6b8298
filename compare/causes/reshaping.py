"""Slips in layers that move numbers around."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from manual.layers.core import Flatten
from manual.layers.reshaping import (
    Cropping,
    Permute,
    RepeatVector,
    Rescaling,
    Reshape,
    UpSampling,
    ZeroPadding,
)


def by_column(array: Any, shape: Sequence[int]) -> Any:
    """Read samples, and fill the shape, with the first axis running fastest."""
    backwards = [0, *range(array.ndim - 1, 0, -1)]
    turned = np.transpose(array, backwards).reshape(shape[0], *reversed(tuple(shape[1:])))
    return np.transpose(turned, [0, *range(len(shape) - 1, 0, -1)])


@hypothesis("activation", "activation gradient")
def moved(place: Place) -> Iterator[Candidate]:
    """Propose the numbers in another order, or copies that are not summed on the way back."""
    if not place.has("x", "y"):
        return
    x, layer, shape = place.inputs["x"], place.map, place.right.shape
    forward = place.phase == "activation"
    source = x if forward else place.inputs.get("dz")
    if source is None:
        return
    if isinstance(layer, (Reshape, Flatten)):
        yield Candidate(
            "the numbers are read column by column: the first axis runs fastest",
            by_column(source, shape),
            "order='F' instead of 'C'",
        )
        yield from channels_first(source, shape, forward)
    elif isinstance(layer, Permute):
        inverse = [int(one) for one in np.argsort((0, *layer.dims))]
        order = inverse if forward else [0, *layer.dims]
        sentence = (
            "the axes are permuted the inverse way"
            if forward
            else "the permutation is not inverted"
        )
        yield Candidate(sentence, np.transpose(source, order), f"axes {order}")
        yield Candidate(
            "the axes are not permuted, only reshaped", source.reshape(*shape), "reshape"
        )
    elif isinstance(layer, Rescaling):
        if forward:
            yield Candidate("the offset is forgotten", x * layer.scale, "y = x · scale")
            yield Candidate("the scale is forgotten", x + layer.offset, "y = x + offset")
            yield Candidate("the input is divided by the scale", x / layer.scale + layer.offset)
            yield Candidate("the offset is scaled too", (x + layer.offset) * layer.scale)
        else:
            yield Candidate("the scale is forgotten", source * 1.0, "dx = dy")
            yield Candidate("the gradient is divided by the scale", source / layer.scale)
            yield Candidate("the offset is added to the gradient", place.right + layer.offset)


def channels_first(source: Any, shape: Sequence[int], forward: bool) -> Iterator[Candidate]:
    """Propose that an image's channels are taken to come before its rows and columns."""
    sentence = "the channels are taken to come first, as in PyTorch"
    if forward and source.ndim > 2 and len(shape) == 2:
        yield Candidate(sentence, np.moveaxis(source, -1, 1).reshape(*shape))
    elif not forward and source.ndim == 2 and len(shape) > 2:
        first = source.reshape(shape[0], shape[-1], *shape[1:-1])
        yield Candidate(sentence, np.moveaxis(first, 1, -1))


@hypothesis("activation gradient")
def copies(place: Place) -> Iterator[Candidate]:
    """Propose that the gradients of copies are averaged, or that one of them stands for all."""
    if not place.has("x", "dz"):
        return
    layer, dy = place.map, place.inputs["dz"]
    if isinstance(layer, RepeatVector):
        yield Candidate(
            "the copies' gradients are averaged instead of summed", dy.mean(axis=1), "dx = mean dyₜ"
        )
        yield Candidate("only the first copy's gradient is there", dy[:, 0], "dx = dy₁")
        yield Candidate("only the last copy's gradient is there", dy[:, -1], "dx = dyₙ")
    elif isinstance(layer, UpSampling):
        times = float(np.prod(layer.size))
        yield Candidate("the copies' gradients are averaged instead of summed", place.right / times)
        for sentence, which in (("first", 0), ("last", -1)):
            one = dy
            for axis, step in enumerate(layer.size, start=layer.first):
                one = one[(slice(None),) * axis + (slice(which % step, None, step),)]
            yield Candidate(f"only the {sentence} copy's gradient is there", one)
        if layer.rank > 1 and len(set(layer.size)) == 1:
            tiled = dy
            for axis, step in enumerate(layer.size, start=layer.first):
                size = tiled.shape[axis]
                shape = (*tiled.shape[:axis], step, size // step, *tiled.shape[axis + 1 :])
                tiled = tiled.reshape(*shape).sum(axis=axis)
            yield Candidate("copies are taken to lie whole images apart, not side by side", tiled)
    elif isinstance(layer, (ZeroPadding, Cropping)):
        yield from shifted_edges(place, dy)


@hypothesis("activation")
def edges(place: Place) -> Iterator[Candidate]:
    """Propose padding and cropping with their sides exchanged."""
    if isinstance(place.map, (ZeroPadding, Cropping)) and place.has("x"):
        yield from shifted_edges(place, place.inputs["x"])


def shifted_edges(place: Place, source: Any) -> Iterator[Candidate]:
    """Give the numbers with what is before and after an axis exchanged."""
    layer = place.map
    pairs = layer.padding if isinstance(layer, ZeroPadding) else layer.cropping
    widens = isinstance(layer, ZeroPadding) == (place.phase == "activation")
    for which in ("all", "first", "second"):
        turned = [
            pair[::-1] if which == "all" or (which == "first") == (place_of == 0) else pair
            for place_of, pair in enumerate(pairs)
        ]
        if turned == list(pairs):
            continue
        around = [(0, 0)] * layer.first + turned
        around += [(0, 0)] * (source.ndim - len(around))
        if widens:
            value = np.pad(source, around)
        else:
            value = source[
                tuple(
                    slice(before, size - after)
                    for (before, after), size in zip(around, source.shape, strict=True)
                )
            ]
        yield Candidate("before and after are exchanged", value)
