"""Slips in layers that move numbers around."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from manual.layers.core import Flatten
from manual.layers.preprocessing import Rescaling
from manual.layers.reshaping import Permute, RepeatVector, Reshape
from manual.layers.spatial import Cropping, UpSampling, ZeroPadding

BORDERS: dict[Any, str] = {
    "edge": "the border's own numbers are repeated",
    "reflect": "the input is mirrored",
    "wrap": "the input is wrapped around",
}
"""What may stand there instead of zeros, by NumPy's name of it."""


def by_column(array: Any, shape: Sequence[int]) -> Any:
    """Read samples, and fill the shape, with the first axis running fastest."""
    backwards = [0, *range(array.ndim - 1, 0, -1)]
    turned = np.transpose(array, backwards).reshape(shape[0], *reversed(tuple(shape[1:])))
    return np.transpose(turned, [0, *range(len(shape) - 1, 0, -1)])


def in_another_order(array: Any, shape: Sequence[int]) -> Iterator[Candidate]:
    """Read samples, or fill the shape, with its axes in another order.

    In PyTorch channels come before space, so that they are read one by one.
    """
    for axes, read in ((array.ndim, True), (len(shape), False)):
        for order in permutations(range(1, axes)) if axes <= 5 else ():
            if order == tuple(range(1, axes)):
                continue
            sentence = f"the numbers are read with the axes in the order {list(order)}"
            if order == (axes - 1, *range(1, axes - 1)):
                sentence = "the numbers are read channel by channel, as in PyTorch: "
                sentence += "the last axis runs slowest"
            if read:
                yield Candidate(sentence, np.transpose(array, (0, *order)).reshape(*shape))
            else:
                filled = array.reshape(shape[0], *(shape[axis] for axis in order))
                back = [int(axis) for axis in np.argsort((0, *order))]
                yield Candidate(sentence, np.transpose(filled, back))


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
        yield from in_another_order(source, shape)
        if isinstance(layer, Flatten) and layer.data_format == "channels_first":
            sentence = "the channels, which come first, are not moved to the end"
            yield Candidate(sentence, source.reshape(*shape), "reshape alone")
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
        tiled = dy
        for axis, step in enumerate(layer.size, start=layer.first):
            size = tiled.shape[axis]
            shape = (*tiled.shape[:axis], step, size // step, *tiled.shape[axis + 1 :])
            tiled = tiled.reshape(*shape).sum(axis=axis)
        apart = "copies are taken to lie whole images apart, not side by side"
        yield Candidate(apart, tiled)
        yield Candidate(f"{apart}, and averaged instead of summed", tiled / times, slips=2)
    elif isinstance(layer, (ZeroPadding, Cropping)):
        yield from shifted_edges(place, dy)


@hypothesis("activation")
def edges(place: Place) -> Iterator[Candidate]:
    """Propose padding and cropping with their sides exchanged."""
    if isinstance(place.map, (ZeroPadding, Cropping)) and place.has("x"):
        yield from shifted_edges(place, place.inputs["x"])
    if isinstance(place.map, ZeroPadding) and place.has("x"):
        x, layer = place.inputs["x"], place.map
        around = layer.around(layer.padding, x.ndim)
        for mode, what in BORDERS.items():
            if mode != "reflect" or all(max(p) < n for p, n in zip(around, x.shape, strict=True)):
                sentence = f"around the input {what} instead of zeros"
                yield Candidate(sentence, np.pad(x, around, mode))


@hypothesis("activation")
def repeated(place: Place) -> Iterator[Candidate]:
    """Propose copies that lie elsewhere, or one among zeros."""
    if not place.has("x"):
        return
    x, layer = place.inputs["x"], place.map
    if isinstance(layer, RepeatVector):
        among_zeros = np.pad(x[:, None], [(0, 0), (0, layer.n - 1), (0, 0)])
        yield Candidate("only the first copy is there, zeros stand for the others", among_zeros)
    if not isinstance(layer, UpSampling):
        return
    tiled, alone = x, place.right
    for axis, times in enumerate(layer.size, start=layer.first):
        tiled = np.concatenate([tiled] * times, axis=axis)
        first = np.arange(alone.shape[axis]) % times == 0
        alone = alone * np.where(first, 1.0, 0.0).reshape(-1, *(1,) * (x.ndim - axis - 1))
    yield Candidate("the whole is repeated, not each number", tiled, "np.tile for np.repeat")
    yield Candidate("zeros stand between the numbers instead of copies", alone)


def shifted_edges(place: Place, source: Any) -> Iterator[Candidate]:
    """Give the numbers with what is before and after, or the axes' edges, exchanged."""
    layer = place.map
    pairs = layer.padding if isinstance(layer, ZeroPadding) else layer.cropping
    widens = isinstance(layer, ZeroPadding) == (place.phase == "activation")
    exchanged = "before and after are exchanged"
    others = [
        (exchanged, [pair[::-1] for pair in pairs]),
        *((exchanged, [*pairs[:i], pairs[i][::-1], *pairs[i + 1 :]]) for i in range(len(pairs))),
        ("the edges of two axes are exchanged", list(pairs[::-1])),
        ("all of the edge lies after: none is before", [(0, sum(pair)) for pair in pairs]),
        ("all of the edge lies before: none is after", [(sum(pair), 0) for pair in pairs]),
    ]
    for sentence, turned in others:
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
        yield Candidate(sentence, value)
