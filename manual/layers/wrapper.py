"""Layers that have other layers within."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
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


def adopted(owner: Layer, parts: Iterable[tuple[str, Layer]]) -> None:
    """Make the weights of layers within, which have been built, those of the layer around them.

    As in Keras a weight goes by its own name if no other has it, else by its path. Each has the
    formula of the layer in which it lies.

    Parameters
    ----------
    owner : Layer
    parts : pairs of str and Layer
        The layers within that have weights, each with the path at which it lies.
    """
    found = [
        (path, one.name.rpartition("/")[-1], layer, one)
        for path, layer in parts
        for one in layer.parameters
        if not one.is_state
    ]
    times = Counter(name for _, name, _, _ in found)
    formulas = {}
    for path, name, layer, one in found:
        formula = type(layer).derivation[f"{name} gradient"]
        one.name = name if times[name] == 1 else f"{path}/{name}"
        formulas[f"{one.name} gradient"] = formula
        owner.parameters.append(one)
    vars(owner)["derivation"] = {**formulas, **owner.derivation}
