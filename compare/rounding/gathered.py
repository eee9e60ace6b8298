"""The gradient of a table that knows of which rows it is the sum."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.rounding.noise import Noisy
from compare.rounding.working_precision import CAREFUL, added


class Gathered(Noisy):
    """A table's gradient, with the rows it was added up from.

    It is their sum, but for its squares and sizes: those Keras takes of each row. What comes of any
    operation is an array like any other and knows nothing of rows.

    Parameters
    ----------
    numbers : array of int, shape (n,)
        Which row was looked up.
    rows : Noisy, shape (n, width)
        What came back for each.
    shape : tuple of int
        Of the table.
    """

    __slots__ = ("numbers", "rows")

    def __init__(self, numbers: np.ndarray, rows: Noisy, shape: tuple[int, ...]) -> None:
        super().__init__(np.zeros(shape), unit=rows.unit)
        self.numbers, self.rows = numbers, rows
        total = self.sum_of(rows)
        self.value, self.variance = total.value, total.variance

    def sum_of(self, rows: Noisy) -> Noisy:
        """Add up, for each number of the table, the rows that were looked up by it."""
        total: Any = Noisy(np.zeros(self.value.shape), unit=self.unit)
        np.add.at(total, self.numbers, rows)  # type: ignore[arg-type]
        return total  # type: ignore[no-any-return]

    def summed(self) -> Noisy:
        """Return the sum as an array that knows nothing of rows."""
        return self._like(self.value, self.variance)

    def one_after_the_other(self, array: Noisy) -> Noisy:
        """Return what the rows were added to, one by one: each addition has rounded it."""
        rows = self.value.shape[0]  # a negative number counts from the last of them
        times = np.bincount(self.numbers % rows, minlength=rows)[:, None]
        rounded = np.where(times > 1, times, 0.0) * np.square(array.value) / 3
        if CAREFUL.get():  # equal rows round equally
            rounded = rounded * times
        return array._like(array.value, added(array.variance, rounded))

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Any:
        if ufunc in APART and method == "__call__" and all(one is self for one in inputs):
            return self.sum_of(ufunc(*(self.rows for _ in inputs)))
        return super().__array_ufunc__(ufunc, method, *inputs, **options)


APART = {np.multiply, np.square, np.absolute}
"""What isn't linear in the gradient, and is done to each row before they are added up."""
