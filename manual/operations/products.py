"""Products of matrices, and of arrays along named axes."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_letters
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.einsum import einsum, einsum_gradients
from manual.operations.base import Operation, unrepeated
from manual.registry import NoTwin, twin_of

Pair = tuple[Array, Array]


@twin_of("Matmul")
class Matmul(Operation):
    """Matrix products, one for each place along the axes before the last two.

    Of a vector on the left a row is made, of one on the right a column.
    """

    derivation = {
        "forward": "Y = X₁ X₂",
        "input gradient": "dX₁ = dY X₂ᵀ, dX₂ = X₁ᵀ dY, summed over the places that share a matrix",
    }

    def compute(self, x1: Array, x2: Array) -> tuple[Array, Any]:
        a = x1 if x1.ndim > 1 else x1.reshape(1, -1)
        b = x2 if x2.ndim > 1 else x2.reshape(-1, 1)
        Y = a @ b
        shape = Y.shape[:-2] + Y.shape[-2:][x1.ndim < 2 : 2 - (x2.ndim < 2)]
        return Y.reshape(tuple(shape)), (a, b, x1.shape, x2.shape, Y.shape)

    def gradients(self, dy: Array, saved: Any) -> Pair:
        a, b, shape1, shape2, shape = saved
        dY = dy.reshape(*shape)
        da = unrepeated(dY @ np.moveaxis(b, -1, -2), a.shape)
        if b.ndim == 2:  # one product over all rows
            db = a.reshape(-1, a.shape[-1]).T @ dY.reshape(-1, dY.shape[-1])
        else:
            db = unrepeated(np.moveaxis(a, -1, -2) @ dY, b.shape)
        return da.reshape(*shape1), db.reshape(*shape2)


class Contraction(Operation):
    """A product along axes that two arrays share, written as an equation of named axes."""

    derivation = {
        "forward": "y = Σ x₁ x₂ over the axes that both have and y lacks",
        "input gradient": "dx₁ = Σ dy x₂, dx₂ = Σ dy x₁, over the axes that each lacks",
    }

    def equation(self, a: int, b: int) -> str:
        """Name the axes of arrays that have so many: ``"ab,bc->ac"``."""
        raise NotImplementedError

    def compute(self, x1: Any, x2: Any) -> tuple[Array, Any]:
        equation = self.equation(x1.ndim, x2.ndim)
        return einsum(equation, x1, x2), (equation, x1, x2)

    def gradients(self, dy: Array, saved: Any) -> Pair:
        equation, x1, x2 = saved
        return einsum_gradients(equation, x1, x2, dy)


def names(a: int, b: int, summed: Sequence[tuple[int, int]]) -> str:
    """Name the axes of two arrays, the same for those that are summed together."""
    of_a, of_b = list(ascii_letters[:a]), list(ascii_letters[a : a + b])
    for one, other in summed:
        of_b[other] = of_a[one]
    gone = {of_a[one] for one, _ in summed}
    rest = [axis for axis in of_a + of_b if axis not in gone]
    return f"{''.join(of_a)},{''.join(of_b)}->{''.join(rest)}"


@twin_of("Dot")
class Dot(Contraction):
    """The last axis of the first with the second last of the second, or its only one."""

    def equation(self, a: int, b: int) -> str:
        return names(a, b, [(a - 1, max(b - 2, 0))])


@twin_of("Inner")
class Inner(Contraction):
    """The last axis of both."""

    def equation(self, a: int, b: int) -> str:
        return names(a, b, [(a - 1, b - 1)])


@twin_of("Tensordot")
class Tensordot(Contraction):
    def __init__(self, axes: Any = 2) -> None:
        super().__init__()
        self.axes = axes

    def equation(self, a: int, b: int) -> str:
        if isinstance(self.axes, int):
            return names(a, b, [(a - self.axes + one, one) for one in range(self.axes)])
        mine, others = ([axes] if isinstance(axes, int) else axes for axes in self.axes)
        return names(a, b, [(one % a, two % b) for one, two in zip(mine, others, strict=True)])


class Flattened(Contraction):
    """A product of all numbers of both, each in one row."""

    def compute(self, x1: Any, x2: Any) -> tuple[Array, Any]:
        y, saved = super().compute(x1.reshape(-1), x2.reshape(-1))
        return y, (saved, x1.shape, x2.shape)

    def gradients(self, dy: Array, saved: Any) -> Pair:
        kept, shape1, shape2 = saved
        dx1, dx2 = super().gradients(dy, kept)
        return dx1.reshape(*shape1), dx2.reshape(*shape2)


@twin_of("Outer")
class Outer(Flattened):
    """Every number of the first with every one of the second."""

    def equation(self, a: int, b: int) -> str:
        return "a,b->ab"


@twin_of("Vdot")
class Vdot(Flattened):
    """The scalar product of all numbers."""

    def equation(self, a: int, b: int) -> str:
        return "a,a->"


@twin_of("Kron")
class Kron(Contraction):
    """Every number of the first times the whole of the second, as blocks side by side."""

    derivation = {
        "forward": "y[i b + k, …] = x₁[i, …] x₂[k, …]",
        "input gradient": "dx₁ = Σ dy x₂ over each block, dx₂ = Σ dy x₁ over the blocks",
    }

    def equation(self, a: int, b: int) -> str:
        if a != b:
            raise NoTwin(f"operation {self.name!r}: kron of unlike ranks has no hand-derived twin.")
        of_a, of_b = ascii_letters[:a], ascii_letters[a : a + b]
        return f"{of_a},{of_b}->{''.join(x + y for x, y in zip(of_a, of_b, strict=True))}"

    def compute(self, x1: Any, x2: Any) -> tuple[Array, Any]:
        y, saved = super().compute(x1, x2)
        shape = [n * m for n, m in zip(x1.shape, x2.shape, strict=True)]
        return y.reshape(*shape), (saved, y.shape)

    def gradients(self, dy: Array, saved: Any) -> Pair:
        kept, blocks = saved
        return super().gradients(dy.reshape(*blocks), kept)


@twin_of("Cross")
class Cross(Operation):
    """The vector product of vectors with three numbers each."""

    derivation = {"forward": "y = x₁ × x₂", "input gradient": "dx₁ = x₂ × dy, dx₂ = dy × x₁"}

    def __init__(
        self, axisa: int = -1, axisb: int = -1, axisc: int = -1, axis: int | None = None
    ) -> None:
        super().__init__()
        self.axes = (axisa, axisb, axisc) if axis is None else (axis, axis, axis)

    def compute(self, x1: Any, x2: Any) -> tuple[Array, Any]:
        of_a, of_b, of_y = self.axes
        a, b = np.moveaxis(x1, of_a, -1), np.moveaxis(x2, of_b, -1)
        if a.shape[-1] != 3 or b.shape[-1] != 3:
            raise NoTwin(f"operation {self.name!r}: cross has a twin for three numbers only.")
        return np.moveaxis(crossed(a, b), -1, of_y), (a, b)

    def gradients(self, dy: Array, saved: Any) -> Pair:
        (a, b), (of_a, of_b, of_y) = saved, self.axes
        d = np.moveaxis(dy, of_y, -1)
        da, db = unrepeated(crossed(b, d), a.shape), unrepeated(crossed(d, a), b.shape)
        return np.moveaxis(da, -1, of_a), np.moveaxis(db, -1, of_b)


def crossed(a: Array, b: Array) -> Array:
    """Return the vector products along the last axis."""
    x, y, z = (a[..., place] for place in range(3))
    u, v, w = (b[..., place] for place in range(3))
    return np.stack([y * w - z * v, z * u - x * w, x * v - y * u], axis=-1)


@twin_of("Einsum")
class Einsum(Operation):
    """A sum of products along named axes, of any number of arrays.

    Two arrays are joined at a time, the first two first; axes that nothing else has and the result
    lacks are summed before.
    """

    derivation = {
        "forward": "y = Σ x₁ x₂ … over the axes that y lacks",
        "input gradient": "dxᵢ = Σ dy · (all other x) over the axes that xᵢ lacks",
    }

    def __init__(self, subscripts: str) -> None:
        super().__init__()
        self.subscripts = subscripts.replace(" ", "")

    def compute(self, *operands: Any) -> tuple[Array, Any]:
        *given, of_y = axes_of(self.subscripts, [x.ndim for x in operands])
        steps: list[Any] = []
        axes, y = given[0], operands[0]
        for place in range(1, len(operands)):
            needed = "".join(given[place + 1 :]) + of_y
            b = operands[place]
            a_kept, a = summed(axes, y, given[place] + needed)
            b_kept, b = summed(given[place], b, axes + needed)
            joined = "".join(axis for axis in dict.fromkeys(a_kept + b_kept) if axis in needed)
            equation = f"{a_kept},{b_kept}->{joined}"
            steps.append((equation, a, b, (axes, y.shape), (given[place], operands[place].shape)))
            axes, y = joined, einsum(equation, a, b)
        kept, total = summed(axes, y, of_y)
        order = [kept.index(axis) for axis in of_y]
        return np.transpose(total, order), (steps, (axes, y.shape), kept, order)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array, ...]:
        steps, (axes, shape), kept, order = saved
        dy = np.transpose(dy, [order.index(axis) for axis in range(len(order))])
        dy = repeated(dy, kept, axes, shape)
        found = []
        for equation, a, b, of_a, of_b in reversed(steps):
            da, db = einsum_gradients(equation, a, b, dy)
            a_kept, b_kept = equation.split("->")[0].split(",")
            found.append(repeated(db, b_kept, *of_b))
            dy = repeated(da, a_kept, *of_a)
        return (dy, *reversed(found))


def axes_of(subscripts: str, ranks: Sequence[int]) -> list[str]:
    """Return a letter for each axis of each array, and of the result."""
    inputs, arrow, of_y = subscripts.partition("->")
    given = inputs.split(",")
    unused = [letter for letter in ascii_letters[::-1] if letter not in subscripts]
    spare = max(
        rank - len(one.replace("...", ""))
        for one, rank in zip(given, ranks, strict=True)
        if "..." in one or not one.count("...")
    )
    for place, rank in enumerate(ranks):
        more = rank - len(given[place].replace("...", ""))
        given[place] = given[place].replace("...", "".join(unused[:spare][spare - more :]))
    if arrow:
        of_y = of_y.replace("...", "".join(unused[:spare]))
    else:
        every = "".join(given)
        of_y = "".join(sorted(axis for axis in set(every) if every.count(axis) == 1))
    if any(len(set(axes)) < len(axes) for axes in given):
        raise NoTwin(f"einsum {subscripts!r} takes a diagonal, which has no hand-derived twin.")
    return [*given, of_y]


def summed(axes: str, x: Array, needed: str) -> tuple[str, Array]:
    """Sum over the axes that nothing needs."""
    gone = tuple(place for place, axis in enumerate(axes) if axis not in needed)
    kept = "".join(axis for axis in axes if axis in needed)
    return kept, x.sum(axis=gone) if gone else x


def repeated(dx: Array, kept: str, axes: str, shape: Sequence[int]) -> Array:
    """Give every number that was summed the gradient of the sum."""
    if kept == axes:
        return dx
    wide = dx.reshape(*(n if axis in kept else 1 for axis, n in zip(axes, shape, strict=True)))
    return wide + np.zeros(tuple(shape), dx.dtype)
