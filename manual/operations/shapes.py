"""Operations that only change how numbers are arranged in axes: nothing is lost or repeated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Operation, unrepeated
from manual.registry import NoTwin, twin_of

Axes = int | Sequence[int]


class Reshaping(Operation):
    """The same numbers, row by row, in another shape."""

    derivation = {
        "forward": "y = x, read row by row",
        "input gradient": "dx = dy, in the shape of x",
    }

    def shape(self, x: Array) -> Sequence[int]:
        """Return the shape to give to an array."""
        raise NotImplementedError

    def compute(self, x: Array) -> tuple[Array, Any]:
        return x.reshape(*self.shape(x)), x.shape

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        return (dy.reshape(*saved) if saved else dy.reshape(()),)


@twin_of("Reshape")
class Reshape(Reshaping):
    def __init__(self, newshape: Sequence[int | None]) -> None:
        super().__init__()
        newshape = [newshape] if isinstance(newshape, int) else newshape
        self.newshape = [-1 if size is None else size for size in newshape]

    def shape(self, x: Array) -> Sequence[int]:
        return self.newshape


@twin_of("Ravel")
class Ravel(Reshaping):
    def shape(self, x: Array) -> Sequence[int]:
        return (-1,)


@twin_of("ExpandDims")
class ExpandDims(Reshaping):
    def __init__(self, axis: Axes) -> None:
        super().__init__()
        self.axis = [axis] if isinstance(axis, int) else list(axis)

    def shape(self, x: Array) -> Sequence[int]:
        rank = x.ndim + len(self.axis)
        new, sizes = {axis % rank for axis in self.axis}, iter(x.shape)
        return [1 if axis in new else next(sizes) for axis in range(rank)]


@twin_of("Squeeze")
class Squeeze(Reshaping):
    def __init__(self, axis: Axes | None = None) -> None:
        super().__init__()
        self.axis = [axis] if isinstance(axis, int) else axis

    def shape(self, x: Array) -> Sequence[int]:
        gone = None if self.axis is None else {axis % x.ndim for axis in self.axis}
        return [
            n for axis, n in enumerate(x.shape) if not (n == 1 if gone is None else axis in gone)
        ]


class Turning(Operation):
    """The axes in another order."""

    derivation = {
        "forward": "y = x with its axes in another order",
        "input gradient": "dx = dy with its axes in the order of x",
    }

    def order(self, rank: int) -> list[int]:
        """Say for each axis of the result which one of x it is."""
        raise NotImplementedError

    def compute(self, x: Array) -> tuple[Array, list[int]]:
        order = self.order(x.ndim)
        return np.transpose(x, order), order

    def gradients(self, dy: Array, saved: list[int]) -> tuple[Array]:
        return (np.transpose(dy, [saved.index(axis) for axis in range(len(saved))]),)


@twin_of("Transpose")
class Transpose(Turning):
    def __init__(self, axes: Sequence[int] | None = None) -> None:
        super().__init__()
        self.axes = axes

    def order(self, rank: int) -> list[int]:
        return list(range(rank))[::-1] if self.axes is None else [one % rank for one in self.axes]


@twin_of("Swapaxes")
class Swapaxes(Turning):
    def __init__(self, axis1: int, axis2: int) -> None:
        super().__init__()
        self.swapped = axis1, axis2

    def order(self, rank: int) -> list[int]:
        order, (one, other) = list(range(rank)), self.swapped
        order[one], order[other] = order[other], order[one]
        return order


@twin_of("Moveaxis")
class Moveaxis(Turning):
    def __init__(self, source: Axes, destination: Axes) -> None:
        super().__init__()
        self.source = [source] if isinstance(source, int) else list(source)
        self.destination = [destination] if isinstance(destination, int) else list(destination)

    def order(self, rank: int) -> list[int]:
        moved = [axis % rank for axis in self.source]
        order = [axis for axis in range(rank) if axis not in moved]
        for place, axis in sorted(
            (place % rank, axis) for place, axis in zip(self.destination, moved, strict=True)
        ):
            order.insert(place, axis)
        return order


@twin_of("BroadcastTo")
class BroadcastTo(Operation):
    derivation = {
        "forward": "y = x, repeated along the axes that it lacks or has only one of",
        "input gradient": "dx = Σ dy over the copies",
    }

    def __init__(self, shape: Sequence[int | None]) -> None:
        super().__init__()
        if any(size is None or size < 0 for size in shape):
            raise NoTwin("broadcast_to a shape that isn't known has no hand-derived twin.")
        self.shape = tuple(int(size) for size in shape if size is not None)

    def compute(self, x: Array) -> tuple[Array, Any]:
        return x + np.zeros(self.shape, x.dtype), x.shape

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        return (unrepeated(dy, saved),)


class Same(Operation):
    """The numbers as they are."""

    derivation = {"forward": "y = x", "input gradient": "dx = dy"}

    def compute(self, x: Array) -> tuple[Array, None]:
        return x, None

    def gradients(self, dy: Array, saved: None) -> tuple[Array]:
        return (dy,)


@twin_of("Copy")
class Copy(Same):
    """A copy."""


@twin_of("Array")
@twin_of("ConvertToTensor")
class ConvertToTensor(Same):
    """The numbers as a tensor, which they are."""

    def __init__(self, dtype: Any = None, sparse: Any = None, ragged: Any = None) -> None:
        super().__init__()
        if dtype not in (None, "float32", "float64"):
            raise NoTwin(f"A tensor of {dtype} has no hand-derived twin.")


@twin_of("SaturateCast")
@twin_of("Cast")
class Cast(Operation):
    """The numbers in another precision; as whole numbers, or a yes or no, they have no gradient.

    A network computes in one precision, so that one of float32 and float64 is as good as the other.
    """

    derivation = {
        "forward": "y = x; rounded towards 0 to be whole; [x ≠ 0] to be a yes or no",
        "input gradient": "dx = dy; none through a whole number, or a yes or no",
    }

    def __init__(self, dtype: Any) -> None:
        super().__init__()
        self.to = dtype if isinstance(dtype, str) else str(dtype)
        if self.to in ("float16", "bfloat16") or "complex" in self.to:
            raise NoTwin(f"cast to {self.to} has no hand-derived twin.")

    def compute(self, x: Array) -> tuple[Array, None]:
        if self.to == "bool":
            return np.where(x != 0.0, np.ones_like(x), np.zeros_like(x)), None
        if "int" in self.to:
            return np.where(x < 0.0, -np.floor(-x), np.floor(x)), None
        return x, None

    def gradients(self, dy: Array, saved: None) -> tuple[Array | None]:
        return (dy if "float" in self.to else None,)
