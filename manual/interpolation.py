"""How an axis of an image is made longer or shorter: its numbers, weighed with a kernel.

A resize is linear along each axis, y = W x. The row of W for the output pixel i has the values of
a kernel at the distances from the pixel's middle, (i + ½) · n / m, to the middles of the n input
pixels, and is divided by its sum, so that a surface of one colour stays as it is. What is outside
of the image weighs nothing.

Keras on TensorFlow computes both the weights and the sums in float32, whatever the policy, and so
does this file: its weights are float32 numbers, and `resized` is marked as computing in float32.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from functools import lru_cache, reduce

import numpy as np

from manual.arrays import Array, in_single_precision

Kernel = Callable[[Array], Array]
"""A function of the distance, in pixels."""

STEPS = np.float32(1024.0)
"""Without antialiasing, TensorFlow takes the cubic kernel from a table with steps of 1/1024."""


def triangle(t: Array) -> Array:
    """Weigh linearly: 1 − |t| up to the neighbour."""
    return np.maximum(1.0 - np.abs(t), 0.0)


def cubic(t: Array) -> Array:
    """Weigh by two cubics that meet smoothly (Keys 1981, with a = −½)."""
    t = np.abs(t)
    near = (1.5 * t - 2.5) * t * t + 1.0
    far = ((-0.5 * t + 2.5) * t - 4.0) * t + 2.0
    return np.where(t < 1.0, near, np.where(t < 2.0, far, 0.0))


def lanczos(radius: int) -> Kernel:
    """Return the windowed sinc: sin(πt) sin(πt/a) a / (πt)² up to the radius a (Lanczos)."""
    pi, a = np.float32(np.pi), np.float32(radius)

    def kernel(t: Array) -> Array:
        t = np.abs(t)
        apart = np.where(t > 1e-3, t, np.float32(1.0))
        sincs = a * np.sin(pi * apart) * np.sin(pi * apart / a) / (pi * pi * apart * apart)
        return np.where(t > a, np.float32(0.0), np.where(t > 1e-3, sincs, np.float32(1.0)))

    return kernel


KERNELS: dict[str, tuple[Kernel, int]] = {
    "bilinear": (triangle, 1),
    "bicubic": (cubic, 2),
    "lanczos3": (lanczos(3), 3),
    "lanczos5": (lanczos(5), 5),
}
"""By Keras's name: the kernel, and the distance from which on it is 0."""


@lru_cache(maxsize=256)
def weights(interpolation: str, before: int, after: int, antialias: bool = False) -> Array:
    """Return the matrix W, float32 of shape ``(after, before)``, that resizes an axis.

    Parameters
    ----------
    interpolation : str
        ``"nearest"``, ``"bilinear"``, ``"bicubic"``, ``"lanczos3"`` or ``"lanczos5"``.
    before, after : int
        The numbers of pixels.
    antialias : bool
        Whether the kernel is stretched, where the image gets smaller, over all pixels that an
        output pixel covers.

    Examples
    --------
    >>> weights("bilinear", 2, 4)
    array([[1.  , 0.  ],
           [0.75, 0.25],
           [0.25, 0.75],
           [0.  , 1.  ]], dtype=float32)
    """
    half, one = np.float32(0.5), np.float32(1.0)
    scale = np.float32(before) / np.float32(after)
    middles = (np.arange(after, dtype=np.float32) + half) * scale
    if interpolation == "nearest":
        nearest = np.minimum(np.floor(middles), before - 1)
        return (nearest[:, None] == np.arange(before)).astype(np.float32)
    kernel, radius = KERNELS[interpolation]
    pixels = np.arange(before, dtype=np.float32)
    if interpolation == "bilinear" and not antialias:  # beyond the last middle, the last pixel
        at = np.clip(middles - half, np.float32(0.0), np.float32(before - 1))
        return triangle(pixels - at[:, None])
    if interpolation == "bicubic" and not antialias:
        at = middles - half
        whole = np.floor(at)
        part = np.rint((at - whole) * STEPS) / STEPS  # in float64, as the table is made
        found = cubic(pixels - whole[:, None] - part[:, None].astype(np.float64)).astype(np.float32)
    else:
        scale = one / (np.float32(after) / np.float32(before))
        middles = (np.arange(after, dtype=np.float32) + half) * scale
        stretch = max(scale, one) if antialias else one
        distance = (pixels + half - middles[:, None]) * (one / stretch)
        found = np.where(np.abs(distance) <= radius, kernel(distance), np.float32(0.0))
    total = found.cumsum(axis=1)[:, -1:]  # one after the other
    normalized: Array = found * (one / total)
    return normalized


class Resize:
    """The map from an image to one of another size, and its derivative.

    Parameters
    ----------
    interpolation : str
    before, after : sequence of int
        The sizes along both axes of space.
    first : int
        Which axis of a batch is the first of these.
    antialias : bool
    """

    def __init__(
        self,
        interpolation: str,
        before: Sequence[int],
        after: Sequence[int],
        first: int,
        antialias: bool = False,
    ) -> None:
        pairs = zip(before, after, strict=True)
        self.matrices = [weights(interpolation, *pair, antialias) for pair in pairs]
        self.first = first
        self.blends = interpolation == "bilinear" and not antialias

    def forward(self, x: Array) -> Array:
        return (blended if self.blends else weighed)(x, self.matrices, self.first)

    def backward(self, dy: Array) -> Array:
        return weighed(dy, [W.T for W in self.matrices], self.first)


@in_single_precision
def weighed(x: Array, matrices: Sequence[Array], first: int) -> Array:
    """Multiply a matrix to each of the axes from the first on: sums over what weighs something."""
    for axis, W in enumerate(matrices, start=first):
        pixels, shares = _taps(W, int((W != 0).sum(axis=1).max()), axis, x.ndim)
        x = reduce(operator.add, (_at(x, p, axis) * w for p, w in zip(pixels, shares, strict=True)))
    return x


@in_single_precision
def blended(x: Array, matrices: Sequence[Array], first: int) -> Array:
    """Do the same where each row has two neighbours, a + (b − a) w: the last axis first."""
    for axis, W in reversed(list(enumerate(matrices, start=first))):
        (one, other), (_, share) = _taps(W, 2, axis, x.ndim)
        a = _at(x, one, axis)
        x = a + (_at(x, other, axis) - a) * share
    return x


def _taps(W: Array, count: int, axis: int, ndim: int) -> tuple[Array, Array]:
    """Return which pixels weigh something in each row, and how much: shaped to meet the axis."""
    pixels = np.argsort(W == 0, axis=1, kind="stable")[:, :count].T
    pixels = np.concatenate([pixels, pixels[:1]])[:count]  # there may be only one pixel
    shares = W[np.arange(len(W)), pixels] * (np.arange(count) < W.shape[1])[:, None]
    return pixels, shares.reshape(count, *(1,) * axis, len(W), *(1,) * (ndim - axis - 1))


def _at(x: Array, pixels: Array, axis: int) -> Array:
    return x[(*(slice(None),) * axis, pixels)]
