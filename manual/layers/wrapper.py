"""Layers that have other layers within."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manual.layers.base import Layer
from manual.randomness import Draws


class Wrapper(Layer):
    """A layer whose map is made of other layers' maps, which all draw from its own source."""

    within: Sequence[Layer] = ()

    def _holds(self, *layers: Any) -> None:
        self.within = layers
        self.draws = self._draws

    @property
    def draws(self) -> Draws:
        """Where the layers within get their random numbers, one after the other."""
        return self._draws

    @draws.setter
    def draws(self, draws: Draws) -> None:
        self._draws = draws
        for layer in self.within:
            layer.draws = draws
