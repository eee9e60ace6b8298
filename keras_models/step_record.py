"""What is known of one batch of a running ``fit``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
import tensorflow as tf


@dataclass(frozen=True)
class StepRecord:
    """What one batch of a running ``fit`` did.

    Attributes
    ----------
    epoch, step : int
        Counted from 1; the step counts on over the epochs.
    x, y, sample_weight : arrays (or lists of them; None)
        The batch, as ``fit`` shuffled and cut it.
    before, after : dicts of name to array
        All weights.
    slots_before, slots_after : dicts of slot to name to array
        The optimizer's memory.
    iterations : int
        Training steps before this one (with accumulated gradients, fewer updates than that).
    learning_rate : float
        Of this step, also where a schedule gives it; of several optimizers, an array.
    seeds : list of array
        The states of the model's random generators before the step. Inside a graph Keras moves
        them on by a step that finds no data, too.
    gradients : dict of name to array
        As the optimizer received them: of the scaled loss, where it has a loss scale.
    loss : array
        Of this batch, before the update: one number, or all values if they aren't reduced.
    rows : dict of name to (numbers, rows)
        What the gradients of tables came as: the numbers that were looked up, and a row for each.
    beside : optional
        What was computed beside the step, in the same graph: see `Recorder`.
    """

    epoch: int
    step: int
    x: Any
    y: Any
    sample_weight: Any
    before: dict[str, np.ndarray]
    after: dict[str, np.ndarray]
    slots_before: dict[str, dict[str, np.ndarray]]
    slots_after: dict[str, dict[str, np.ndarray]]
    iterations: int
    learning_rate: Any
    seeds: list[np.ndarray]
    gradients: dict[str, np.ndarray]
    loss: np.ndarray
    rows: dict[str, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    beside: Any = field(default=None, compare=False, repr=False)

    @property
    def rate(self) -> float:
        """The learning rate; of several optimizers, that of the first."""
        one = self.learning_rate
        return float(one[0]) if isinstance(one, np.ndarray) and one.ndim else one


Batch = tuple[Any, Any, Any]
"""x, y, and sample weights or None, nested as the model takes them."""


def as_numpy(tensor: Any) -> np.ndarray:
    """Return a tensor's numbers; those of a narrow precision in float32, which holds them all."""
    array = np.asarray(tensor)
    return array.astype(np.float32) if tensor.dtype in (tf.float16, tf.bfloat16) else array


def in_numpy(data: Any) -> Batch:
    """Return a batch as arrays: x, y, and sample weights or None."""
    batch: Batch = keras.utils.unpack_x_y_sample_weight(
        tf.nest.map_structure(lambda one: one if one is None else as_numpy(one), data)
    )
    return batch


def as_rate(rate: np.ndarray) -> Any:
    """Return a learning rate as a number, or several as an array."""
    return rate if rate.ndim else float(rate)
