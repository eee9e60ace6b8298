"""Products of two arrays along named axes, and their derivatives."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from manual.arrays import Array


def einsum(equation: str, a: Array, b: Array) -> Array:
    """Multiply two arrays as ``numpy.einsum`` would, by way of one matrix product.

    Parameters
    ----------
    equation : str
        The axes of both arrays and of the result, a letter each: ``"btd,dnh->btnh"``. A letter of
        one array only has to be in the result; one that both have and the result lacks is summed.

    Examples
    --------
    >>> import numpy as np
    >>> x, W = np.ones((2, 5, 3)), np.ones((3, 4, 7))
    >>> einsum("btd,dnh->btnh", x, W).shape
    (2, 5, 4, 7)
    """
    of_a, of_b, of_y = axes_of(equation)
    sizes = dict(zip(of_a + of_b, (*a.shape, *b.shape), strict=True))
    both = [axis for axis in of_a if axis in of_b]
    batch = [axis for axis in both if axis in of_y]
    summed = [axis for axis in both if axis not in of_y]
    rows = [axis for axis in of_a if axis not in of_b]
    columns = [axis for axis in of_b if axis not in of_a]

    def matrices(array: Array, axes: str, *groups: Sequence[str]) -> Array:
        order = [axes.index(axis) for group in (batch, *groups) for axis in group]
        shape = [math.prod(sizes[axis] for axis in group) for group in groups]
        if batch:
            shape.insert(0, math.prod(sizes[axis] for axis in batch))
        return np.transpose(array, order).reshape(*shape)

    y = matrices(a, of_a, rows, summed) @ matrices(b, of_b, summed, columns)
    axes = [*batch, *rows, *columns]
    y = y.reshape(tuple(sizes[axis] for axis in axes))
    return np.transpose(y, [axes.index(axis) for axis in of_y])


def einsum_gradients(equation: str, a: Array, b: Array, dy: Array) -> tuple[Array, Array]:
    """Return the gradients for both arrays: in each the other one and the result change places.

    With y = Σ a b over some axes, da = Σ dy b and db = Σ a dy over whatever else is not theirs.
    """
    of_a, of_b, of_y = axes_of(equation)
    da = einsum(f"{of_y},{of_b}->{of_a}", dy, b)
    db = einsum(f"{of_a},{of_y}->{of_b}", a, dy)
    return da, db


def axes_of(equation: str) -> tuple[str, str, str]:
    """Split an equation into the axes of both arrays and of the result."""
    arrays, of_y = equation.split("->")
    of_a, of_b = arrays.split(",")
    return of_a, of_b, of_y
