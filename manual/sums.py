"""Sums along axes, as products with ones.

The sum of a row, x · 1, and that of a column, 1ᵀ · x, are matrix products, and BLAS works them out
several times faster than NumPy adds along a short axis. The sums of biases' gradients, of a softmax
and of a normalization are of that kind. How they round is what is known of any sum.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from manual.arrays import Array, order_in_memory


def over_all(x: Array) -> Array:
    """Return Σ x, one number.

    Examples
    --------
    >>> float(over_all(np.array([[1.0, 2.0], [3.0, 4.0]])))
    10.0
    """
    column = x.reshape(-1, 1)
    return column.reshape(()) if len(column) == 1 else (_ones(column) @ column).reshape(())


def over_last(x: Array) -> Array:
    """Return Σ x over the last axis, which is kept with a size of 1.

    Examples
    --------
    >>> over_last(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([[3.],
           [7.]])
    """
    columns = x.reshape(-1, x.shape[-1]).T
    return (_ones(columns) @ columns).reshape(*x.shape[:-1], 1)


def over_rows(x: Array) -> Array:
    """Return Σ x over all axes but the last.

    Examples
    --------
    >>> over_rows(np.array([[1.0, 2.0], [3.0, 4.0]]))
    array([4., 6.])
    """
    if x.ndim > 2 and order_in_memory(x)[-1] != x.ndim - 1:
        return _over_rows_as_they_lie(x)
    rows = x.reshape(-1, x.shape[-1])
    return rows[0] if len(rows) == 1 else (_ones(rows) @ rows).reshape(x.shape[-1])


def over(x: Array, axes: int | Sequence[int]) -> Array:
    """Return Σ x over an axis, or several, which are kept with a size of 1."""
    several, last = [axes] if isinstance(axes, int) else axes, x.ndim - 1
    axes = sorted(axis % x.ndim for axis in several)
    if axes == [last]:
        return over_last(x)
    if axes == list(range(last)):
        return over_rows(x).reshape(*(1,) * last, -1)
    return x.sum(axis=tuple(axes), keepdims=True)


def _over_rows_as_they_lie(x: Array) -> Array:
    """Sum first over what lies within the last axis in memory, then over what lies around it.

    To put the numbers in rows first would take longer than to add them up.
    """
    order, channels = order_in_memory(x), x.shape[-1]
    within = order[order.index(x.ndim - 1) + 1 :]
    columns = np.transpose(x, order).reshape(-1, math.prod(x.shape[axis] for axis in within)).T
    sums = (_ones(columns) @ columns).reshape(-1, channels)
    return (_ones(sums) @ sums).reshape(channels)


def _ones(matrix: Array) -> Array:
    """Return a row of ones, to be multiplied to a matrix."""
    return np.ones((1, len(matrix)), matrix.dtype)
