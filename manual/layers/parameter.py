"""A weight of a layer, and its gradient."""

from __future__ import annotations

import numpy as np

from manual.arrays import Array
from manual.constraints import Constraint
from manual.regularizers import Regularizer


class Parameter:
    """One weight of a layer.

    ``value`` and ``gradient`` are views into the flat arrays of the network that the layer belongs
    to; a layer adds to the gradient and never replaces either.

    Attributes
    ----------
    is_state : bool
        Whether the forward pass of a training step changes it (a moving average), and no gradient.
    is_prepared : bool
        Whether that changes it *before* the gradient does: a kernel that is normalized in place.
    autocast : bool
        Whether its layer takes it in its own precision, where that is narrower, as Keras does with
        most weights.
    used : array, or None
        What the last forward pass had in its place, if it is one of these: that is regularized.
    rows : list of (numbers, rows) or None
        Of a table: what its gradient is the sum of. An optimizer may look at each row by itself.
        None stands for what came whole.
    """

    is_prepared = False
    autocast = True
    used: Array = None

    def __init__(
        self,
        name: str,
        initial: Array,
        constraint: Constraint | None = None,
        regularizer: Regularizer | None = None,
        trainable: bool = True,
        is_state: bool = False,
    ) -> None:
        self.name = name
        self.shape: tuple[int, ...] = initial.shape
        self.value: Array = initial
        self.gradient: Array = np.zeros_like(initial)
        self.constraint = constraint
        self.regularizer = regularizer
        self.trainable = trainable
        self.is_state = is_state
        self.rows: list[tuple[Array, Array] | None] = []

    def add_rows(self, numbers: Array, rows: Array) -> None:
        """Add rows to the gradient's rows of these numbers."""
        np.add.at(self.gradient, numbers, rows)
        self.rows.append((numbers, rows))

    def add_whole(self, gradient: Array) -> None:
        """Add to the gradient of a table what isn't a list of rows."""
        self.gradient += gradient
        self.rows.append(None)

    def gathered(self) -> tuple[Array, Array] | None:
        """Return the numbers and the rows of all calls; None if the gradient is no sum of rows.

        It isn't where a regularizer, or another use of the table, adds to every row: there Keras
        adds all up first.
        """
        found = [rows for rows in self.rows if rows is not None]
        if not found or len(found) < len(self.rows) or self.regularizer is not None:
            return None
        numbers, rows = zip(*found, strict=True)
        return np.concatenate(numbers), np.concatenate(rows)

    @property
    def size(self) -> int:
        return int(np.prod(self.shape))
