"""Slips in a convolution: forward, and in each of its derivatives."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.correlation import (
    Correlation,
    by_reshape,
    given,
    in_place,
    right_and_slips,
    turned_kernels,
)
from manual.layers.convolution import Convolution


@hypothesis("activation")
def forward(place: Place) -> Iterator[Candidate]:
    """Propose z[p] = Σ x[p s + o d − before] · W[o] + b with one thing wrong."""
    layer = place.map
    if not isinstance(layer, Convolution) or not place.has("x", "W", "y"):
        return
    x, W, b = in_place(layer, place.inputs["x"]), place.inputs["W"], place.inputs.get("b")
    right, slips = right_and_slips(layer, x, in_place(layer, place.inputs["y"]))
    z = right.forward(x, W)
    if b is not None:
        yield Candidate("the bias is forgotten", given(layer, z), "z = x ⋆ W")
        yield Candidate("the bias is added twice", given(layer, z + b + b), "z = x ⋆ W + 2 b")
        yield Candidate("the bias is subtracted", given(layer, z - b), "z = x ⋆ W − b")
        if layer.data_format == "channels_first" and place.right.shape[-1] == b.shape[0]:
            along = given(layer, z) + b
            yield Candidate("the bias is added along the last axis of space", along, "z + b[w]")
    bias = 0.0 if b is None else b
    yield from by_reshape(layer, place.inputs["x"], lambda x: right.forward(x, W) + bias)
    for sentence, slip in slips.items():
        formula, wrong = formula_of(right, slip, "z[p] = Σ x[{i}] · W[{o}]"), slip.forward(x, W)
        yield Candidate(sentence, given(layer, wrong + bias), f"{formula} + b")
        if b is not None:
            both = f"{sentence}, and the bias is forgotten"
            yield Candidate(both, given(layer, wrong), formula, slips=2)
    for sentence, how, turned, many in turned_kernels(layer, W):
        value = right.forward(x, turned) + bias
        yield Candidate(sentence, given(layer, value), f"z = Σ x · {how} + b", many)
    channels, offsets = float(W.shape[-2]), float(np.prod(right.size))
    for count, what in (
        (channels, "the input channels"),
        (offsets, "the kernel's offsets"),
        (channels * offsets, "the kernel's offsets and the input channels"),
    ):
        sentence = f"a mean over {what} stands for the sum"
        yield Candidate(sentence, given(layer, z / count + bias), f"z = (x ⋆ W) / {count:g} + b")
    if x.shape[-1] > 1 and layer.groups == 1:
        first = right.forward(x[..., :1], W[..., :1, :])
        yield Candidate("only the first channel is seen", given(layer, first + bias))
    if layer.groups > 1:
        ignored = replace(right, groups=1)
        same = x[..., : W.shape[-2]]
        value = given(layer, ignored.forward(same, W) + bias)
        yield Candidate("the groups are ignored: every filter sees the first one's", value)


@hypothesis("activation gradient")
def input_gradient(place: Place) -> Iterator[Candidate]:
    """Propose dx[i] = Σ dz[p] · W[o]ᵀ with one thing wrong."""
    layer = place.map
    if not isinstance(layer, Convolution) or not place.has("x", "dz", "W"):
        return
    x, dz = in_place(layer, place.inputs["x"]), in_place(layer, place.inputs["dz"])
    W = place.inputs["W"]
    right, slips = right_and_slips(layer, x, dz)
    names = {
        "the kernel is flipped": "the kernel is flipped once too often, or not at all",
        "the strides are ignored": "the strides are ignored: dz isn't spread over the input",
    }
    for sentence, slip in slips.items():
        if slip.mode == "constant":  # what lies around the input has no gradient here
            formula = formula_of(right, slip, "dx[{i}] += dz[p] · W[{o}]ᵀ")
            value = given(layer, slip.input_gradient(x, dz, W))
            yield Candidate(names.get(sentence, sentence), value, formula)
    for sentence, how, turned, many in turned_kernels(layer, W):
        value = given(layer, right.input_gradient(x, dz, turned))
        yield Candidate(sentence, value, f"dx = Σ dz · ({how})ᵀ", many)
    sentence = "where windows overlap, the last one's share overwrites the others'"
    for loop in ("windows", "offsets"):
        value = given(layer, right.input_gradient(x, dz, W, overwritten=loop))
        yield Candidate(sentence, value, f"dx[i] = dz[p] · W[o]ᵀ instead of +=, over all {loop}")
    yield from by_reshape(layer, place.inputs["dz"], lambda dz: right.input_gradient(x, dz, W))
    for what, sentence, formula in wrong_factors(place):
        value = given(layer, right.input_gradient(x, in_place(layer, what), W))
        yield Candidate(sentence, value, f"dx = Σ {formula} · W[o]ᵀ")
    if place.has("kernel_new"):
        value = given(layer, right.input_gradient(x, dz, place.inputs["kernel_new"]))
        yield Candidate("the already updated kernel is used", value, "dx = Σ dz · W⁺[o]ᵀ")
    if W.shape[-1] > 1 and layer.groups == 1:
        value = given(layer, right.input_gradient(x, dz[..., :1], W[..., :1]))
        yield Candidate("only the first filter passes its gradient on", value)
    value = given(layer, right.input_gradient(x, dz, np.abs(W)))
    yield Candidate("the absolute values of the kernel are used", value, "dx = Σ dz · |W[o]|ᵀ")
    dx = right.input_gradient(x, dz, W)
    for count, sentence, formula in counts(right, dz):
        yield Candidate(sentence, given(layer, dx / count), f"dx / {formula}")
    filters = float(W.shape[-1]) / layer.groups
    sentence = "a mean over the filters stands for the sum"
    yield Candidate(sentence, given(layer, dx / filters), "dx / number of filters")


@hypothesis("weight gradient")
def kernel_gradient(place: Place) -> Iterator[Candidate]:
    """Propose dW[o] = Σ x[p s + o d − before]ᵀ · dz[p] with one thing wrong."""
    layer = place.map
    if not isinstance(layer, Convolution) or not place.has("x", "dz", "W"):
        return
    if not place.name.endswith("/kernel"):
        return
    x, dz = in_place(layer, place.inputs["x"]), in_place(layer, place.inputs["dz"])
    W = place.inputs["W"]
    right, slips = right_and_slips(layer, x, dz)
    dW = right.kernel_gradient(x, dz, W)
    names = {
        "the kernel is flipped": "the kernel's gradient is flipped",
        "the strides are ignored": "the strides are ignored: dz meets neighbouring places of x",
    }
    for sentence, slip in slips.items():
        formula = formula_of(right, slip, "dW[{o}] = Σ x[{i}]ᵀ · dz[p]")
        value = slip.kernel_gradient(x, dz, W)
        yield Candidate(names.get(sentence, sentence), value, formula)
    for sentence, how, turned, many in turned_kernels(layer, dW):
        said = sentence.replace("the kernel", "the kernel's gradient", 1)
        yield Candidate(said, turned, how, many)
    flipped = dW[(slice(None, None, -1),) * len(right.size)]
    for count, sentence, formula in counts(right, dz):
        yield Candidate(sentence, dW / count, f"dW / {formula}")
        both = f"the kernel's gradient is flipped, and {sentence}"
        yield Candidate(both, flipped / count, f"dW[−o] / {formula}", slips=2)
    for what, sentence, formula in shares(dz):
        yield Candidate(sentence, right.kernel_gradient(x, what, W), f"dW = Σ xᵀ · {formula}")
    for what, sentence, formula in wrong_factors(place):
        value = right.kernel_gradient(x, in_place(layer, what), W)
        yield Candidate(sentence, value, f"dW = Σ xᵀ · {formula}")
    sentence = "the layer's input is left out"
    yield Candidate(sentence, right.kernel_gradient(x * 0.0 + 1.0, dz, W), "dW = Σ 1ᵀ · dz")
    if place.has("x_pre"):
        value = right.kernel_gradient(in_place(layer, place.inputs["x_pre"]), dz, W)
        sentence = "the pre-activation of the layer below is used instead of its activation"
        yield Candidate(sentence, value, "dW = Σ z_belowᵀ · dz")


@hypothesis("weight gradient")
def bias_gradient(place: Place) -> Iterator[Candidate]:
    """Propose db = Σ dz over samples and positions with one thing wrong."""
    layer = place.map
    if not isinstance(layer, Convolution) or not place.has("dz"):
        return
    if not place.name.endswith("/bias"):
        return
    dz = in_place(layer, place.inputs["dz"])
    axes = tuple(range(dz.ndim - 1))
    positions = dz.reshape(dz.shape[0], -1, dz.shape[-1])

    def summed(array: Any) -> Any:
        return array.reshape(-1, dz.shape[-1]).sum(axis=0)

    db = summed(dz)
    size = int(np.prod([dz.shape[axis] for axis in axes[1:]]))
    yield Candidate("the gradient is averaged over the positions", db / float(size), "db / n")
    if dz.shape[0] > 1:
        every = float(size * dz.shape[0])
        sentence = "the gradient is averaged over samples and positions"
        yield Candidate(sentence, db / every, "db = mean of dz")
    for what, sentence, formula in shares(dz):
        yield Candidate(sentence, summed(what), f"db = Σ {formula}")
    for what, sentence, formula in wrong_factors(place):
        yield Candidate(sentence, summed(in_place(layer, what)), f"db = Σ {formula}")
    for end, which in ((0, "first"), (-1, "last")):
        sentence = f"dz is summed over the {which} position of the {which} sample only"
        yield Candidate(sentence, positions[end, end], "db = dz of one place")


def counts(right: Correlation, dz: Any) -> Iterator[tuple[float, str, str]]:
    """Give what a gradient may have been divided by without reason."""
    positions = float(np.prod(right.positions))
    yield positions, "the gradient is averaged over the positions", "number of positions"
    if dz.shape[0] > 1:
        sentence = "the gradient is averaged over samples and positions"
        yield positions * dz.shape[0], sentence, "(batch size · number of positions)"
    size = float(np.prod(right.size))
    yield size, "the gradient is averaged over the kernel's offsets", "size of the kernel"


def shares(dz: Any) -> Iterator[tuple[Any, str, str]]:
    """Give dz with only one sample or position left in it."""
    one = np.zeros(dz.shape[:1] + (1,) * (dz.ndim - 1))
    for end, which in ((0, "first"), (-1, "last")):
        sample = one.copy()
        sample[end] = 1.0
        yield dz * sample, f"only the {which} sample's share is there", f"dz of the {which} sample"
    for end, which in ((0, "first"), (-1, "last")):
        place = np.zeros((1, *dz.shape[1:-1], 1))
        place[(0, *(end,) * (dz.ndim - 2), 0)] = 1.0
        sentence = f"only the {which} position's share is there"
        yield dz * place, sentence, f"dz of the {which} position"


def wrong_factors(place: Place) -> Iterator[tuple[Any, str, str]]:
    """Give what may stand for the gradient from the right."""
    ones = place.inputs["dz"] * 0.0 + 1.0
    yield ones, "the gradient from the right is not multiplied in", "1"
    for letter, sentence in (
        ("da", "the derivative of the activation is missing"),
        ("z", "the pre-activation stands for the gradient from the right"),
        ("a", "the activation stands for the gradient from the right"),
    ):
        if place.has(letter):
            yield place.inputs[letter], sentence, letter


def formula_of(right: Correlation, slip: Correlation, pattern: str) -> str:
    """Write a formula with what is wrong in it."""
    i = "p" if slip.strides != right.strides else "p s"
    i += " + o" if slip.dilation != right.dilation else " + o d"
    if any(slip.before):
        i += (
            f" − {', '.join(map(str, slip.before))}" if slip.before != right.before else " − before"
        )
    return pattern.format(i=i, o="−o" if slip.flipped else "o")
