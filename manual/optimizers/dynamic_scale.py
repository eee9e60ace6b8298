"""What a loss is multiplied by, where that changes with what the gradients are like."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import ClassVar

import numpy as np

from manual.arrays import Array

LARGEST = float(np.finfo(np.float32).max)


class DynamicScale:
    """A loss scale that is doubled after so many finite gradients, and halved by any other.

    It lives in two slots, the scale itself and the number of finite gradients since it changed.
    Keras has it in float32, whatever the precision of the model.

    Parameters
    ----------
    initial_scale : float
    growth_steps : int
    """

    derivation: ClassVar[Mapping[str, str]] = {
        "dynamic_scale": "σ⁺ = 2 σ after N finite gradients in a row; σ / 2 if one isn't finite: "
        "then that is all that happens",
        "step_counter": "n⁺ = n + 1; 0 when σ changes",
    }
    slots: ClassVar[tuple[str, str]] = ("step_counter", "dynamic_scale")

    def __init__(self, initial_scale: float, growth_steps: int) -> None:
        self.starts = {"dynamic_scale": float(np.float32(initial_scale))}
        self.growth_steps = growth_steps

    def shrink(self, slots: MutableMapping[str, Array]) -> None:
        """Take note, in place, of a gradient that isn't finite."""
        slots["step_counter"][...] = 0.0
        slots["dynamic_scale"] *= 0.5

    def grow(self, slots: MutableMapping[str, Array]) -> None:
        """Take note, in place, of a gradient that is."""
        counter, scale = slots["step_counter"], slots["dynamic_scale"]
        enough = counter == self.growth_steps - 1.0
        scale *= np.where(enough, 2.0, 1.0)
        scale[...] = np.where(scale > LARGEST, np.inf, scale)
        counter[...] = np.where(enough, 0.0, counter + 1.0)
