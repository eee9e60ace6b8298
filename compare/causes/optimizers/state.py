"""What an update starts from, and the constants that Keras rounds on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from compare.rounding.noise import Noisy

Slots = dict[str, Any]
Knobs = Mapping[str, Any]
Rule = Callable[["State", Knobs], Slots]


@dataclass(frozen=True)
class State:
    """What the update of one weight starts from.

    Attributes
    ----------
    w, g : arrays
        The weight and its gradient, as the optimizer received it.
    slots : mapping of str to array
    t : float
        The number of the update.
    learning_rate : float
    settings : mapping of str to number
        The optimizer's options.
    processed : array, optional
        What clipping made of the gradient, where that is known.
    name : str
        Of the weight.
    gradients, accumulators : mapping of str to array
        Of all weights: a global norm needs them.
    iterations : int
        Training steps before this one.
    decays : bool
        Whether the weight takes part in weight decay.
    constraint : manual.constraints.Constraint, optional
        What projects the updated weight.
    starts : mapping of str to float
        What a slot holds before the first update, where that isn't 0.
    """

    w: Any
    g: Any
    slots: Slots
    t: float
    learning_rate: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    processed: Any = None
    name: str = ""
    gradients: Mapping[str, Any] = field(default_factory=dict)
    accumulators: Mapping[str, Any] = field(default_factory=dict)
    iterations: int = 0
    decays: bool = True
    constraint: Any = None
    starts: Mapping[str, float] = field(default_factory=dict)


def rounded(number: float) -> float:
    """Round to float32, as Keras on TensorFlow does with some hyper-parameters."""
    return float(np.float32(number))


def as_asked(number: float) -> float:
    """Return the shortest decimal that has the same float32: what somebody wrote, 0.9 say."""
    return float(str(np.float32(number)))


def norm(array: Any) -> Any:
    """Return the Euclidean norm of all elements."""
    return np.sqrt((array * array).sum())


def squares(g: Any, k: Knobs) -> Any:
    """Return what a mean or a sum of squared gradients takes in."""
    return g if k.get("unsquared") else np.abs(g) if k.get("absolute") else g * g


def numbers(array: Any) -> Any:
    """Return an array's numbers without their noise."""
    return array.value if isinstance(array, Noisy) else array


def without_noise(s: State) -> State:
    """Return the same state in plain numbers, on which a step costs little."""

    def plain(arrays: Mapping[str, Any]) -> dict[str, Any]:
        return {name: numbers(array) for name, array in arrays.items()}

    return replace(
        s,
        w=numbers(s.w),
        g=numbers(s.g),
        slots=plain(s.slots),
        processed=numbers(s.processed),
        gradients=plain(s.gradients),
        accumulators=plain(s.accumulators),
    )
