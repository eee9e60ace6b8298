"""What an update starts from, and the constants that Keras rounds on the way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

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
    constrained : callable, optional
        Projects the updated weight.
    squares : array, optional
        Of an embedding: the squares of what each occurrence of an index adds to its gradient,
        added up.
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
    constrained: Callable[[Any], Any] | None = None
    squares: Any = None


def rounded(number: float) -> float:
    """Round to float32, as Keras on TensorFlow does with some hyper-parameters."""
    return float(np.float32(number))


def as_asked(number: float) -> float:
    """Return the shortest decimal that has the same float32: what somebody wrote, 0.9 say."""
    return float(str(np.float32(number)))


def norm(array: Any) -> Any:
    """Return the Euclidean norm of all elements."""
    return np.sqrt((array * array).sum())
