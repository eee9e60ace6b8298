"""What the hand-written half computes in a faster way, computed in the plain one.

Added up in parts, a sum collects less rounding noise than one term after the other. Which way a
library goes is a matter of its speed, on one machine and in one version; the ruler is made for all
of them, so it's that of the whole sum, and of the quotient as it is written.
`compare.rounding.noise.Noisy` takes the noise from here, and the numbers from the layer's own code.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from manual.activations.functions import sigmoid
from manual.arrays import summed_products
from manual.layers.columns import columns, from_rows
from manual.layers.convolution import correlate_back
from manual.layers.windows import Windows
from manual.losses.alignment import log_sum_exp


def sum_of_products(a: Any, b: Any) -> Any:
    """Return Σ a[p] · b[p] as one matrix product."""
    *several, _, _, n = b.shape
    a = np.moveaxis(a, -3, -2)
    return a.reshape(*several, a.shape[-3], -1) @ b.reshape(*several, -1, n)


def correlated_back(
    windows: Windows, dz: Any, space: Sequence[int], W: Any, groups: int = 1
) -> Any:
    """Return a convolution's gradient for its input: a convolution of dz, with the kernel flipped.

    With strides, there are zeros between the numbers of dz.
    """
    dz = from_rows(dz, windows.positions(tuple(space)))
    pads = []
    for axis, (n, (before, _), span, stride) in enumerate(
        zip(space, windows.pads(tuple(space)), windows.spans, windows.strides, strict=True), start=1
    ):
        reach = (dz.shape[axis] - 1) * stride
        dz = spread(dz, axis, stride)
        pads.append((span - 1 - before, n - 1 + before - reach))
    once = Windows(windows.size, (1,) * len(space), windows.dilation, "valid")
    of_dz = columns(once, np.pad(dz, [(0, 0), *pads, (0, 0)]))
    rows, _, others = of_dz.shape
    flipped = np.moveaxis(W[(slice(None, None, -1),) * len(space)], -1, -2)
    offsets, filters, channels = int(np.prod(windows.size)), W.shape[-1], W.shape[-2]
    x = of_dz.reshape(rows, offsets, groups, filters // groups, others)
    w = flipped.reshape(offsets, groups, filters // groups, channels)
    x = np.moveaxis(x, 2, 1).reshape(rows, groups, -1, others)
    w = np.moveaxis(w, (1, 3), (0, 1)).reshape(groups, channels, -1)
    return from_rows((w @ x).reshape(rows, groups * channels, others), tuple(space))


def spread(x: Any, axis: int, stride: int) -> Any:
    """Put stride − 1 zeros between neighbours on an axis."""
    shape = x.shape
    gaps = [(0, 0)] * (x.ndim + 1)
    gaps[axis + 1] = (0, stride - 1)
    x = np.pad(np.expand_dims(x, axis + 1), gaps)
    x = x.reshape(*shape[:axis], shape[axis] * stride, *shape[axis + 1 :])
    return x[(slice(None),) * axis + (slice(0, (shape[axis] - 1) * stride + 1),)]


def logistic(z: Any) -> Any:
    """Return 1 / (1 + e⁻ᶻ), or eᶻ / (1 + eᶻ), exponentiating only numbers that aren't positive."""
    return np.exp(np.minimum(z, 0.0)) / (1.0 + np.exp(-np.abs(z)))


def log_of_sum(x: Any) -> Any:
    """Return log Σ eˣ, where what is taken out of the sum and put back brings no error in."""
    largest = np.asarray(getattr(x, "value", x)).max(axis=-1, keepdims=True)
    return (np.log(np.exp(x - largest).sum(axis=-1, keepdims=True)) + largest)[..., 0]


PLAIN: Mapping[Callable[..., Any], Callable[..., Any]] = {
    summed_products: sum_of_products,
    correlate_back: correlated_back,
    sigmoid: logistic,
    log_sum_exp: log_of_sum,
}
"""The plain way of each function that is marked as going its own."""
