"""Layers that disturb their input in training, and let it pass unchanged otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer
from manual.registry import twin_of


@twin_of("Dropout")
class Dropout(Layer):
    """Sets a share of the inputs to 0 and makes up for it by enlarging the others.

    Srivastava et al. 2014, in the "inverted" form: the scaling happens in training, so that
    nothing has to be done at inference. An element is kept where a uniform draw u is at least
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
        noise_shape: Sequence[int | None] | None = None,
        seed: int | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.rate = rate
        self.enlarged = 1.0 / (1.0 - rate) if rate < 1.0 else 0.0
        self.noise_shape = noise_shape
        self.seed = seed

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        if not training or self.rate == 0.0:
            return x, None
        kept = self.draws.uniform(self._drawn_shape(x.shape)) >= self.rate
        return np.where(kept, x * self.enlarged, 0.0), kept

    def backward(self, dy: Array, saved: Any) -> Array:
        return dy if saved is None else np.where(saved, dy * self.enlarged, 0.0)

    def _drawn_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        if self.noise_shape is None:
            return shape
        return tuple(
            size if given is None else given
            for size, given in zip(shape, self.noise_shape, strict=True)
        )
