"""Operations that put tensors side by side, and take them apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Operation
from manual.registry import twin_of


class Joining(Operation):
    """Several tensors side by side along an axis that they have."""

    derivation = {
        "forward": "y = [x₁, x₂, …] along the axis",
        "input gradient": "dxᵢ = the slice of dy that came from xᵢ",
    }

    def __init__(self, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis

    def axes_added(self, x: Array) -> Array:
        """Return a part with the axes that it needs to be joined."""
        return x

    def compute(self, xs: Sequence[Array]) -> tuple[Array, Any]:
        parts = [self.axes_added(x) for x in xs]
        axis = self.axis % parts[0].ndim
        sizes = [part.shape[axis] for part in parts]
        return np.concatenate(parts, axis=axis), (axis, sizes, [x.shape for x in xs])

    def gradients(self, dy: Array, saved: Any) -> tuple[list[Array]]:
        axis, sizes, shapes = saved
        found, start = [], 0
        for size, shape in zip(sizes, shapes, strict=True):
            part = dy[(slice(None),) * axis + (slice(start, start + size),)]
            found.append(part.reshape(*shape) if shape else part.reshape(()))
            start += size
        return (found,)


@twin_of("Concatenate")
class Concatenate(Joining):
    """Tensors side by side."""


@twin_of("Vstack")
class Vstack(Joining):
    """Tensors below each other; one with a single axis is a row."""

    def __init__(self) -> None:
        super().__init__(0)

    def axes_added(self, x: Array) -> Array:
        return x.reshape(1, -1) if x.ndim < 2 else x


@twin_of("Hstack")
class Hstack(Joining):
    """Tensors beside each other, along the second axis if they have one."""

    def __init__(self) -> None:
        super().__init__(0)

    def compute(self, xs: Sequence[Array]) -> tuple[Array, Any]:
        self.axis = 0 if xs[0].ndim < 2 else 1
        return super().compute(xs)

    def axes_added(self, x: Array) -> Array:
        return x.reshape(1) if x.ndim < 1 else x


@twin_of("Dstack")
class Dstack(Joining):
    """Tensors behind each other, along the third axis."""

    def __init__(self) -> None:
        super().__init__(2)

    def axes_added(self, x: Array) -> Array:
        return x.reshape(1, -1, 1) if x.ndim < 2 else x.reshape(*x.shape, 1) if x.ndim < 3 else x


@twin_of("Stack")
class Stack(Joining):
    """Tensors side by side along a new axis."""

    def compute(self, xs: Sequence[Array]) -> tuple[Array, Any]:
        axis = self.axis % (xs[0].ndim + 1)
        shapes = [x.shape for x in xs]
        return np.stack(list(xs), axis=axis), (axis, [1] * len(xs), shapes)


@twin_of("Append")
class Append(Operation):
    """One tensor after another along an axis; without one, of all numbers in one row."""

    derivation = Joining.derivation

    def __init__(self, axis: int | None = None) -> None:
        super().__init__()
        self.axis = axis

    def compute(self, x1: Array, x2: Array) -> tuple[Array, Any]:
        parts = [x1, x2] if self.axis is not None else [x1.reshape(-1), x2.reshape(-1)]
        axis = (self.axis or 0) % parts[0].ndim
        y = np.concatenate(parts, axis=axis)
        return y, (axis, [part.shape[axis] for part in parts], [x1.shape, x2.shape])

    def gradients(self, dy: Array, saved: Any) -> tuple[Array, ...]:
        (found,) = Joining.gradients(self, dy, saved)  # type: ignore[arg-type]
        return tuple(found)


class Parting(Operation):
    """A tensor's parts along an axis, one after the other."""

    derivation = {
        "forward": "y₁, y₂, … = the parts of x along the axis",
        "input gradient": "dx = [dy₁, dy₂, …], with 0 for a part that no gradient comes back to",
    }

    def __init__(self, indices_or_sections: int | Sequence[int], axis: int = 0) -> None:
        super().__init__()
        self.sections, self.axis = indices_or_sections, axis

    def boundaries(self, n: int) -> list[int]:
        """Say where on the axis parts end, but for the last."""
        if not isinstance(self.sections, int):
            return [min(end + n if end < 0 else end, n) for end in self.sections]
        larger = n % self.sections  # so many parts have one more
        sizes = [n // self.sections + (part < larger) for part in range(self.sections)]
        return [int(end) for end in np.cumsum(sizes)[:-1]]

    def compute(self, x: Array) -> tuple[list[Array], Any]:
        axis = self.axis % x.ndim
        ends = [0, *self.boundaries(x.shape[axis]), x.shape[axis]]
        parts = [x[(slice(None),) * axis + (slice(start, end),)] for start, end in pairwise(ends)]
        return parts, (axis, parts)

    def gradients(self, dy: Sequence[Array | None], saved: Any) -> tuple[Array]:
        axis, parts = saved
        dys = [
            np.zeros_like(part) if one is None else one for one, part in zip(dy, parts, strict=True)
        ]
        return (np.concatenate(dys, axis=axis),)


@twin_of("ArraySplit")
@twin_of("Split")
class Split(Parting):
    """Parts of equal size, or between given places."""


@twin_of("Hsplit")
class Hsplit(Parting):
    def __init__(self, indices_or_sections: int | Sequence[int]) -> None:
        super().__init__(indices_or_sections, 1)


@twin_of("Vsplit")
class Vsplit(Parting):
    def __init__(self, indices_or_sections: int | Sequence[int]) -> None:
        super().__init__(indices_or_sections, 0)


@twin_of("Unstack")
class Unstack(Operation):
    """A tensor's slices along an axis, which is gone then."""

    derivation = Parting.derivation

    def __init__(self, num: int | None = None, axis: int = 0) -> None:
        super().__init__()
        self.axis = axis

    def compute(self, x: Array) -> tuple[list[Array], Any]:
        axis = self.axis % x.ndim
        parts = [x[(slice(None),) * axis + (place,)] for place in range(x.shape[axis])]
        return parts, (axis, parts)

    def gradients(self, dy: Sequence[Array | None], saved: Any) -> tuple[Array]:
        axis, parts = saved
        dys = [
            np.zeros_like(part) if one is None else one for one, part in zip(dy, parts, strict=True)
        ]
        return (np.stack(dys, axis=axis),)
