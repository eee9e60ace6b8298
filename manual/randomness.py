"""Random numbers of a layer: drawn, or replayed from what was drawn elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from manual.arrays import Array


class Draws:
    """Where a stochastic layer gets its random numbers.

    Parameters
    ----------
    seed : int, or Keras configuration of a generator, optional
        For numbers that come back.
    """

    def __init__(self, seed: int | Mapping[str, Any] | None = None) -> None:
        number = seed["config"]["seed"] if isinstance(seed, Mapping) else seed
        self._generator = np.random.default_rng(number)
        self._replayed: Iterator[Array] | None = None

    def replay(self, arrays: Sequence[Array]) -> None:
        """Hand out these arrays, one at every request, instead of drawing."""
        self._replayed = iter(arrays)

    @property
    def state(self) -> Any:
        """Where the generator stands: set it, and the same numbers come again."""
        return self._generator.bit_generator.state

    @state.setter
    def state(self, state: Any) -> None:
        self._generator.bit_generator.state = state

    def uniform(self, shape: Sequence[int], dtype: Any = np.float64) -> Array:
        """Return numbers between 0 and 1, 1 excluded."""
        if self._replayed:
            return self._next()
        return self._generator.random(tuple(shape), dtype)

    def normal(self, shape: Sequence[int], dtype: Any = np.float64) -> Array:
        """Return numbers with mean 0 and standard deviation 1."""
        if self._replayed:
            return self._next()
        return self._generator.standard_normal(tuple(shape), dtype)

    def _next(self) -> Array:
        assert self._replayed is not None
        try:
            return next(self._replayed)
        except StopIteration:
            raise RuntimeError("More random numbers are asked for than were handed over.") from None
