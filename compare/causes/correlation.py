"""How a kernel meets its input, written offset by offset with every decision as a knob.

The same knob turned in the forward map, in the input's gradient or in the kernel's is the same
slip; `compare.causes.convolution` proposes them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from compare.causes.base import Candidate
from compare.causes.reshaping import BORDERS
from manual.layers.convolution import Convolution

Sizes = tuple[int, ...]
Slips = Mapping[str, "Correlation"]


@dataclass(frozen=True)
class Correlation:
    """Where the kernel meets the input: i = p · stride + o · dilation − before, on each axis.

    Attributes
    ----------
    space, positions, size : tuple of int
        Of the input, the output and the kernel.
    strides, dilation, before : tuple of int
    groups : int
    mode : str
        What stands around the input: NumPy's name of a padding.
    flipped : bool
        Whether the kernel is read backwards on its spatial axes.
    interleaved : str
        Whether filter f, or channel f, belongs to group f mod groups instead of ⌊f / (filters /
        groups)⌋: ``"filters"``, ``"channels"`` or neither.
    """

    space: Sizes
    positions: Sizes
    size: Sizes
    strides: Sizes
    dilation: Sizes
    before: Sizes
    groups: int = 1
    mode: Any = "constant"
    flipped: bool = False
    interleaved: str = ""

    def meetings(self) -> Iterator[tuple[Sizes, tuple[slice, ...]]]:
        """Give each offset, and where on the surrounded input all positions meet it."""
        for offset in product(*map(range, self.size)):
            where = []
            for axis, o in enumerate(offset):
                start = o * self.dilation[axis] - self.before[axis] + self.margin
                reach = (self.positions[axis] - 1) * self.strides[axis] + 1
                where.append(slice(start, start + reach, self.strides[axis]))
            at = tuple(k - 1 - o for k, o in zip(self.size, offset, strict=True))
            yield (at if self.flipped else offset), (slice(None), *where)

    @property
    def margin(self) -> int:
        """How much room around the input any window can need."""
        reach = [
            abs(b) + p * s + k * d
            for b, p, s, k, d in zip(
                self.before, self.positions, self.strides, self.size, self.dilation, strict=True
            )
        ]
        return max(reach)

    def surrounded(self, x: Any) -> Any:
        wide = [(self.margin, self.margin)] * len(self.space)
        return np.pad(x, [(0, 0), *wide, (0, 0)], self.mode)

    def forward(self, x: Any, W: Any) -> Any:
        """Σ over the offsets of x[p s + o d − before] · W[o]."""
        wide, total = self.surrounded(x), 0.0
        for offset, where in self.meetings():
            total = total + self.mixed(wide[where], W[offset])
        return total

    def input_gradient(self, x: Any, dz: Any, W: Any, *, overwritten: str = "") -> Any:
        """dx[p s + o d − before] += dz[p] · W[o]ᵀ, for each offset.

        ``overwritten`` says in which loop ``=`` stands for ``+=``: one over the offsets, or one
        over the windows, whose last one has the smallest offset.
        """
        wide = np.zeros_like(self.surrounded(x))
        meetings = list(self.meetings())
        for offset, where in meetings[::-1] if overwritten == "windows" else meetings:
            share = self.mixed_back(dz, W[offset])
            wide[where] = share if overwritten else wide[where] + share
        inner = tuple(slice(self.margin, self.margin + n) for n in self.space)
        return wide[(slice(None), *inner)]

    def kernel_gradient(self, x: Any, dz: Any, W: Any) -> Any:
        """dW[o] = Σ over samples and positions of x[p s + o d − before]ᵀ · dz[p]."""
        wide, dW = self.surrounded(x), W * 0.0
        for offset, where in self.meetings():
            taken = wide[where].reshape(-1, x.shape[-1])
            dW[offset] = self.mixed_up(taken, dz.reshape(-1, dz.shape[-1]), W.shape[-2])
        return dW

    def blocks(self, channels: int, filters: int) -> Iterator[tuple[slice, Any]]:
        """Give the channels and the filters of each group; ``channels`` is a group's."""
        for g in range(self.groups):
            dealt, each = slice(g, None, self.groups), filters // self.groups
            yield (
                dealt
                if self.interleaved == "channels"
                else slice(g * channels, (g + 1) * channels),
                dealt if self.interleaved == "filters" else slice(g * each, g * each + each),
            )

    def mixed(self, x: Any, w: Any) -> Any:
        """X · w, each group alone."""
        if self.groups == 1:
            return x @ w
        z = (x[..., :1] * 0.0) @ (w[:1] * 0.0)
        for channels, filters in self.blocks(*w.shape):
            z[..., filters] = x[..., channels] @ w[:, filters]
        return z

    def mixed_back(self, dz: Any, w: Any) -> Any:
        """Dz · wᵀ, each group alone."""
        if self.groups == 1:
            return dz @ w.T
        blocks = self.blocks(*w.shape)
        parts = [dz[..., filters] @ w[:, filters].T for _, filters in blocks]
        if self.interleaved == "channels":
            return np.stack(parts, -1).reshape(*dz.shape[:-1], -1)
        return np.concatenate(parts, -1)

    def mixed_up(self, x: Any, dz: Any, channels: int) -> Any:
        """xᵀ · dz, each group alone."""
        if self.groups == 1:
            return x.T @ dz
        dw = (x[:1, :channels] * 0.0).T @ (dz[:1] * 0.0)
        for some, filters in self.blocks(channels, dz.shape[-1]):
            dw[:, filters] = x[:, some].T @ dz[:, filters]
        return dw


def right_and_slips(layer: Convolution, x: Any, dz: Any) -> tuple[Correlation, Slips]:
    """Return how the kernel should meet the input, and every way in which one thing is wrong."""
    windows, space, positions = layer.windows, x.shape[1:-1], dz.shape[1:-1]
    spans = [(k - 1) * d + 1 for k, d in zip(windows.size, windows.dilation, strict=True)]
    totals = [
        max((p - 1) * s + span - n, 0)
        for p, s, span, n in zip(positions, windows.strides, spans, space, strict=True)
    ]
    none = (0,) * len(space)
    before = {
        "valid": none,
        "same": tuple(total // 2 for total in totals),
        "causal": tuple(span - 1 for span in spans),
    }[windows.padding]
    right = Correlation(
        space, positions, windows.size, windows.strides, windows.dilation, before, layer.groups
    )
    ones = (1,) * len(space)
    later = tuple(total - total // 2 for total in totals)
    slips = {
        "the kernel is flipped": replace(right, flipped=True),
        "the strides are ignored": replace(right, strides=ones),
        "the dilation is ignored": replace(right, dilation=ones),
        "the groups' filters are interleaved": replace(right, interleaved="filters"),
        "the groups' channels are interleaved": replace(right, interleaved="channels"),
    }
    if len(space) > 1:
        slips |= {
            "the strides of the axes are exchanged": replace(right, strides=right.strides[::-1]),
            "the dilations of the axes are exchanged": replace(
                right, dilation=right.dilation[::-1]
            ),
        }
        for a in range(len(space)):
            strides, dilation = list(right.strides), list(right.dilation)
            strides[a] = dilation[a] = 1
            on_axis = f"on axis {a + 1}"
            slips[f"{on_axis} the strides are ignored"] = replace(right, strides=tuple(strides))
            slips[f"{on_axis} the dilation is ignored"] = replace(right, dilation=tuple(dilation))
    if windows.padding == "same":
        slips |= {
            "the odd zero of the padding comes before the input instead of after it": replace(
                right, before=later
            ),
            "the input isn't padded before its start, only after its end": replace(
                right, before=none
            ),
            "the dilation is forgotten in the padding": replace(
                right,
                before=tuple(
                    max((p - 1) * s + k - n, 0) // 2
                    for p, s, k, n in zip(
                        positions, windows.strides, windows.size, space, strict=True
                    )
                ),
            ),
            "the strides are forgotten in the padding": replace(
                right, before=tuple((span - 1) // 2 for span in spans)
            ),
        }
    if windows.padding == "causal":
        slips |= {
            "the padding is not causal but the same on both sides": replace(
                right, before=tuple((span - 1) // 2 for span in spans)
            ),
            "the padding lies after the end: every step sees the future": replace(
                right, before=none
            ),
            "the dilation is forgotten in the padding": replace(
                right, before=tuple(k - 1 for k in windows.size)
            ),
        }
    for by, way in ((1, "one place too early"), (-1, "one place too late")):
        moved = tuple(b + by for b in before)
        slips[f"the windows begin {way}: the padding is off by one"] = replace(right, before=moved)
        for axis in range(len(space) if len(space) > 1 else 0):
            one = tuple(b + by * (axis == a) for a, b in enumerate(before))
            name = f"on axis {axis + 1} the windows begin {way}: the padding is off by one"
            slips[name] = replace(right, before=one)
    if any(before) or windows.padding != "valid":
        for mode, what in BORDERS.items():
            if min(space) > 1:
                slips[f"around the input {what} instead of zeros"] = replace(right, mode=mode)
    return right, {name: slip for name, slip in slips.items() if slip != right}


def turned_kernels(layer: Convolution, W: Any) -> Iterator[tuple[str, str, Any, int]]:
    """Give every wrong way of reading the kernel that keeps its shape, and how many slips it is."""
    rank = len(layer.windows.size)
    axes = list(range(W.ndim))
    swapped = []
    if rank == 2 and W.shape[0] == W.shape[1]:
        turned = np.transpose(W, [1, 0, 2, 3])
        swapped.append(("the kernel's height and width are swapped", "W[o₂, o₁]", turned))
    if W.shape[-1] == W.shape[-2]:
        turned = np.transpose(W, [*axes[:-2], axes[-1], axes[-2]])
        swapped.append(("input and output channels of the kernel are swapped", "W[o]ᵀ", turned))
    for sentence, how, turned in swapped:
        yield sentence, how, turned, 1
        flipped = turned[(slice(None, None, -1),) * rank]
        yield f"{sentence}, and it is flipped", how.replace("o", "−o"), flipped, 2
    for axis in range(rank if rank > 1 else 0):
        turned = W[(slice(None),) * axis + (slice(None, None, -1),)]
        yield f"the kernel is flipped along its axis {axis} only", "W[−o]", turned, 1
    if W.shape[-2] > 1 and np.prod(W.shape[:-2]) > 1:
        *size, channels, filters = W.shape
        read = W.reshape(channels, *size, filters)
        yield (
            "the kernel is read channel by channel, where it lies offset by offset",
            "im2col in the order c, o instead of o, c",
            np.moveaxis(read, 0, -2),
            1,
        )


def in_place(layer: Any, array: Any) -> Any:
    """Return an array of a layer's input or output with its channels last."""
    return np.moveaxis(array, 1, -1) if layer.data_format == "channels_first" else array


def given(layer: Any, array: Any) -> Any:
    """Return an array with its channels last as the layer has it."""
    return np.moveaxis(array, -1, 1) if layer.data_format == "channels_first" else array


def by_reshape(layer: Any, array: Any, function: Callable[[Any], Any]) -> Iterator[Candidate]:
    """Propose that channels that come first were moved by a reshape, on the way in, out or both.

    Parameters
    ----------
    layer : SpatialLayer
    array : array
        What the map takes, as the layer has it.
    function : callable
        The right map, of arrays with their channels last.
    """
    if layer.data_format != "channels_first":
        return
    sentence = "the channels' axis is moved by a reshape, which mixes channels and places"
    misread = function(array.reshape(array.shape[0], *array.shape[2:], array.shape[1]))
    yield Candidate(sentence, given(layer, misread), "reshape instead of transpose")
    for value in (misread, function(in_place(layer, array))):
        misplaced = value.reshape(value.shape[0], value.shape[-1], *value.shape[1:-1])
        yield Candidate(sentence, misplaced, "reshape instead of transpose")
