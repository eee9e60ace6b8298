"""Layers that disturb their input in training, or make it cost something."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer
from manual.layers.reshaping import Identity
from manual.registry import twin_of
from manual.regularizers import L1L2

Drawn = Sequence[int | None] | None
"""The shape of what is drawn, batch axis included; None stands for the input's size."""


def drawn_shape(shape: tuple[int, ...], noise_shape: Drawn) -> tuple[int, ...]:
    """Fill in the input's sizes."""
    if noise_shape is None:
        return shape
    return tuple(
        size if given is None else given for size, given in zip(shape, noise_shape, strict=True)
    )


@twin_of("ActivityRegularization")
class ActivityRegularization(Identity):
    """The input as it is, at a cost: ``λ₁ Σ |x| + λ₂ Σ x²``, divided by the batch size."""

    def __init__(
        self,
        l1: float = 0.0,
        l2: float = 0.0,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.activity_regularizer = L1L2(l1, l2)


@twin_of("Dropout")
class Dropout(Layer):
    """Sets a share of the inputs to 0 and makes up for it by enlarging the others.

    Srivastava et al. 2014, in the "inverted" form: the scaling happens in training, so that
    nothing has to be done at inference. Keras keeps an element where a uniform draw u is at least
    ``rate``.

    Parameters
    ----------
    rate : float
        The share that is dropped, from 0 to 1.
    noise_shape : sequence of int or None, optional
        Shape of the draws, batch axis included; None stands for the input's size.
    """

    derivation = {
        "forward": "y = x · m / (1 − rate), with m = [u ≥ rate]",
        "input gradient": "dx = dy · m / (1 − rate), with the same m",
    }

    def __init__(
        self,
        rate: float,
        noise_shape: Drawn = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.rate = rate
        self.hands_on = not rate
        self.noise_shape = noise_shape

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        if not training or self.rate == 0.0:
            return x, None
        u = self.draws.uniform(drawn_shape(x.shape, self.noise_shape), x.dtype)
        m = u >= self.rate
        return self._enlarged(x, m), m

    def backward(self, dy: Array, saved: Any) -> Array:
        return dy if saved is None else self._enlarged(dy, saved)

    def _enlarged(self, x: Array, m: Array) -> Array:
        scale = 1.0 / (1.0 - self.rate) if self.rate < 1.0 else 0.0
        return np.where(m, x * scale, 0.0)


@twin_of("SpatialDropout1D")
class SpatialDropout1D(Dropout):
    """Dropout of whole channels of a sequence, ``(batch, time, channels)``.

    Tompson et al. 2015.
    """

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(rate, (None, 1, None), seed, name=name, trainable=trainable)


class _SpatialDropout(Dropout):
    """Dropout of whole channels over several axes of space, before or after the channels."""

    axes: int

    def __init__(
        self,
        rate: float,
        data_format: str | None = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        one = (1,) * self.axes
        first = data_format == "channels_first"
        noise_shape = (None, None, *one) if first else (None, *one, None)
        super().__init__(rate, noise_shape, seed, name=name, trainable=trainable)
        self.data_format = data_format


@twin_of("SpatialDropout2D")
class SpatialDropout2D(_SpatialDropout):
    """Dropout of whole channels of an image, ``(batch, rows, columns, channels)``."""

    axes = 2


@twin_of("SpatialDropout3D")
class SpatialDropout3D(_SpatialDropout):
    """Dropout of whole channels of a volume, ``(batch, 3 axes of space, channels)``."""

    axes = 3


@twin_of("GaussianNoise")
class GaussianNoise(Layer):
    """Adds normally distributed noise.

    Parameters
    ----------
    stddev : float
        Its standard deviation.
    """

    derivation = {
        "forward": "y = x + stddev · n, with n drawn from N(0, 1)",
        "input gradient": "dx = dy",
    }

    def __init__(
        self,
        stddev: float,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.stddev = stddev
        self.hands_on = not stddev

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        if not training or self.stddev == 0.0:
            return x, None
        return x + self.draws.normal(x.shape, x.dtype) * self.stddev, None

    def backward(self, dy: Array, saved: Any) -> Array:
        return dy


@twin_of("GaussianDropout")
class GaussianDropout(Layer):
    """Multiplies by noise of mean 1 and the variance that dropout's would have.

    Srivastava et al. 2014, section 10: rate / (1 − rate).

    Parameters
    ----------
    rate : float
        From 0 to 1, 1 excluded.
    """

    derivation = {
        "forward": "y = x · m, with m = 1 + √(rate / (1 − rate)) · n, n drawn from N(0, 1)",
        "input gradient": "dx = dy · m, with the same m",
    }

    def __init__(
        self,
        rate: float,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.rate = rate
        self.hands_on = not rate

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        if not training or self.rate == 0.0:
            return x, None
        m = self.draws.normal(x.shape, x.dtype) * math.sqrt(self.rate / (1.0 - self.rate)) + 1.0
        return x * m, m

    def backward(self, dy: Array, saved: Any) -> Array:
        return dy if saved is None else dy * saved


@twin_of("AlphaDropout")
class AlphaDropout(Layer):
    """Dropout that keeps mean and variance of a SELU's output (Klambauer et al. 2017).

    What is dropped becomes α′ = −λα, what a SELU gives at −∞, and all is then moved and stretched
    back to mean 0 and variance 1.

    Parameters
    ----------
    rate : float
        The share that is dropped, from 0 to 1, 1 excluded.
    noise_shape : sequence of int or None, optional
        Shape of the draws, batch axis included; None stands for the input's size.
    """

    derivation = {
        "forward": (
            "y = a (x m + α′ (1 − m)) + b, with m = [u ≥ rate], "
            "a = 1 / √((1 − rate) (1 + rate α′²)), b = −a α′ rate"
        ),
        "input gradient": "dx = a m dy, with the same m",
    }
    alpha = -1.6732632423543772 * 1.0507009873554805

    def __init__(
        self,
        rate: float,
        noise_shape: Drawn = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable, seed=seed)
        self.rate = rate
        self.hands_on = not rate
        self.noise_shape = noise_shape

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        if not training or self.rate == 0.0:
            return x, None
        u = self.draws.uniform(drawn_shape(x.shape, self.noise_shape), x.dtype)
        m = u >= self.rate
        a = 1.0 / math.sqrt((1.0 - self.rate) * (1.0 + self.rate * self.alpha**2))
        b = -a * self.alpha * self.rate
        return a * np.where(m, x, self.alpha) + b, (m, a)

    def backward(self, dy: Array, saved: Any) -> Array:
        if saved is None:
            return dy
        m, a = saved
        return np.where(m, dy * a, 0.0)
