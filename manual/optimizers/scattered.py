"""The gradient of a table of which only some rows were looked up, and some more than once.

The gradient of an embedding is a list of rows, one for each number that was looked up. Most of what
a rule does with a gradient is linear, and then their sum is all that matters. What isn't (a square,
a size, a bound), Keras on TensorFlow does to each row by itself before it adds up those of one
number; the papers add up first. This half does what Keras does: g² is Σ gᵢ² and |g| is Σ |gᵢ|, over
all places i where a number occurs. One that doesn't occur has a gradient of zero, and its row moves
like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manual.arrays import Array

Rows = tuple[Array, Array]
"""The numbers that were looked up, shape (n,), and what came back for each, (n, width)."""


@dataclass(frozen=True)
class Tensor:
    """One weight's place in a flat array."""

    name: str
    place: slice
    shape: tuple[int, ...]


class Scattered:
    """A flat gradient in which some weights' parts are sums of rows.

    A rule takes it for an array: it is the sum, but for ``g * g`` and ``abs(g)``. Whatever it is
    combined with gives an array.

    Parameters
    ----------
    total : array
        The gradient with all rows added up.
    tables : mapping of Tensor to Rows
        What the parts of some weights are made of.
    """

    __array_ufunc__ = None  # NumPy leaves the arithmetic to this class

    def __init__(self, total: Array, tables: Mapping[str, tuple[Tensor, Rows]]) -> None:
        self.total = total
        self.tables = tables

    @classmethod
    def added_up(cls, g: Array, tables: Mapping[str, tuple[Tensor, Rows]]) -> Scattered:
        """Take rows and the gradient of everything else, and add up the rows, in place."""
        for tensor, rows in tables.values():
            g[tensor.place] = _sum(g[tensor.place], tensor, rows)
        return cls(g, tables)

    def of(self, tensor: Tensor) -> Any:
        """Return one weight's part in its own shape."""
        part = self.total[tensor.place].reshape(tensor.shape)
        if tensor.name not in self.tables:
            return part
        alone = Tensor(tensor.name, slice(None), tensor.shape)
        return Scattered(part, {tensor.name: (alone, self.tables[tensor.name][1])})

    def each(self, function: Callable[[Array], Array], tensors: Sequence[Tensor]) -> Scattered:
        """Change each weight's gradient alone, and of a table the list of its rows."""
        changed, tables = np.copy(self.total), dict(self.tables)
        for tensor in tensors:
            if tensor.name not in tables:
                changed[tensor.place] = function(self.total[tensor.place])
        for name, (tensor, (numbers, rows)) in self.tables.items():
            tables[name] = tensor, (numbers, function(rows))
        return Scattered.added_up(changed, tables)

    def _apart(self, function: Callable[[Array], Array]) -> Array:
        """Return what a function makes of every element: of each row before they are added up."""
        found = function(self.total)
        for tensor, (numbers, rows) in self.tables.values():
            found[tensor.place] = _sum(found[tensor.place], tensor, (numbers, function(rows)))
        return found

    # ------------------------------------------------------------------ like an array

    def __mul__(self, other: Any) -> Array:
        return self._apart(lambda one: one * one) if other is self else self.total * other

    def __abs__(self) -> Array:
        return self._apart(np.abs)

    def __rmul__(self, other: Any) -> Array:
        return other * self.total

    def __add__(self, other: Any) -> Array:
        return self.total + other

    def __radd__(self, other: Any) -> Array:
        return other + self.total

    def __sub__(self, other: Any) -> Array:
        return self.total - other

    def __rsub__(self, other: Any) -> Array:
        return other - self.total

    def __truediv__(self, other: Any) -> Array:
        return self.total / other


def _sum(like: Array, tensor: Tensor, rows: Rows) -> Array:
    """Add up the rows of a table; return them as a part of a flat array, or in their own shape."""
    total = np.zeros_like(like).reshape(tensor.shape)
    np.add.at(total, *rows)
    return total.reshape(like.shape)


def summed(g: Any) -> Array:
    """Return a gradient with all rows added up."""
    return g.total if isinstance(g, Scattered) else g
