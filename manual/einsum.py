"""Products of two arrays along named axes, and their derivatives."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
    product = Product(equation, a, b)
    return product.of_y.array(product.A @ product.B)


def einsum_gradients(equation: str, a: Array, b: Array, dy: Array) -> tuple[Array, Array]:
    """Return the gradients for both arrays."""
    product = Product(equation, a, b)
    return product.gradients(product.of_y.matrices(dy))


class Product:
    """The matrices behind an equation: Y = A B, one product for each place along shared axes.

    Attributes
    ----------
    A, B : array
    of_a, of_b, of_y : Arrangement
        How the arrays are made into matrices, and matrices into arrays.
    """

    def __init__(self, equation: str, a: Array, b: Array) -> None:
        a_axes, b_axes, y_axes = axes_of(equation)
        sizes = dict(zip(a_axes + b_axes, (*a.shape, *b.shape), strict=True))
        both = [axis for axis in a_axes if axis in b_axes]
        batch = [axis for axis in both if axis in y_axes]
        summed = [axis for axis in both if axis not in y_axes]
        rows = [axis for axis in a_axes if axis not in b_axes]
        columns = [axis for axis in b_axes if axis not in a_axes]
        self.of_a = Arrangement(a_axes, sizes, batch, rows, summed)
        self.of_b = Arrangement(b_axes, sizes, batch, summed, columns)
        self.of_y = Arrangement(y_axes, sizes, batch, rows, columns)
        self.A, self.B = self.of_a.matrices(a), self.of_b.matrices(b)

    def gradients(self, dY: Array) -> tuple[Array, Array]:
        """Return the gradients for both arrays: dA = dY Bᵀ and dB = Aᵀ dY."""
        dA = dY @ np.moveaxis(self.B, -1, -2)
        dB = np.moveaxis(self.A, -1, -2) @ dY
        return self.of_a.array(dA), self.of_b.array(dB)


class Arrangement:
    """Which axes of an array are a batch, which the rows of matrices, and which their columns."""

    def __init__(
        self,
        axes: str,
        sizes: Mapping[str, int],
        batch: Sequence[str],
        rows: Sequence[str],
        columns: Sequence[str],
    ) -> None:
        self.columns = "".join(columns)
        there = [*batch, *rows, *columns]
        self.order = [axes.index(axis) for axis in there]
        self.back = [there.index(axis) for axis in axes]
        self.sizes = [sizes[axis] for axis in there]
        self.matrix = (
            *(sizes[axis] for axis in batch),
            *(math.prod(sizes[axis] for axis in group) for group in (rows, columns)),
        )

    def matrices(self, array: Array) -> Array:
        """Return the array as matrices: where no axes have to be joined, nothing is copied."""
        return np.transpose(array, self.order).reshape(*self.matrix)

    def array(self, matrices: Array) -> Array:
        """Return the array behind its matrices."""
        return np.transpose(matrices.reshape(tuple(self.sizes)), self.back)


def axes_of(equation: str) -> tuple[str, str, str]:
    """Split an equation into the axes of both arrays and of the result."""
    arrays, of_y = equation.split("->")
    of_a, of_b = arrays.split(",")
    return of_a, of_b, of_y
