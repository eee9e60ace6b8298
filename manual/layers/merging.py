"""Layers that join several inputs into one."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.einsum import einsum, einsum_gradients
from manual.layers.base import Layer, Shape
from manual.registry import NoTwin, twin_of


class Merge(Layer):
    """Inputs that are joined number by number.

    Smaller inputs are repeated along the axes that they lack, or have only one of, as NumPy's
    broadcasting does; one with fewer axes gets the new ones behind the batch axis. On the way back
    a repeated number gets the sum of the gradients of its copies.
    """

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        try:
            return np.broadcast_shapes(*input_shape)
        except ValueError:
            raise ValueError(
                f"Layer {self.name!r} joins inputs number by number: their shapes must fit. "
                f"Received: {list(input_shape)}."
            ) from None

    def forward(
        self, x: Sequence[Array], *, training: bool = False, mask: Any = None
    ) -> tuple[Array, Any]:
        if mask is not None:
            raise NoTwin(
                f"layer {self.name!r}: Keras leaves masked steps out of a {type(self).__name__}, "
                "which has no hand-derived twin yet."
            )
        parts = aligned(x)
        return self.merged(parts), (x, parts)

    def backward(self, dy: Array, saved: Any) -> list[Array]:
        x, parts = saved
        gradients = self.gradients(dy, parts)
        return [
            summed_to(part.shape, dx).reshape(*one.shape)
            for one, part, dx in zip(x, parts, gradients, strict=True)
        ]

    def merged(self, parts: Sequence[Array]) -> Array:
        """Join inputs that have the same number of axes."""
        raise NotImplementedError

    def gradients(self, dy: Array, parts: Sequence[Array]) -> Sequence[Array]:
        """Return what each input would get if none of its numbers were repeated."""
        raise NotImplementedError

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Let a time step count that counts in any input, if all of them have a mask."""
        if mask is None or any(one is None for one in mask):
            return None
        either = mask[0]
        for one in mask[1:]:
            either = either | one
        return either


def aligned(x: Sequence[Array]) -> list[Array]:
    """Give all arrays the same number of axes: new ones stand behind the batch axis."""
    axes = max(part.ndim for part in x)
    return [part.reshape(part.shape[0], *(1,) * (axes - part.ndim), *part.shape[1:]) for part in x]


def summed_to(shape: Sequence[int], gradient: Array) -> Array:
    """Sum a gradient over the axes along which an array of this shape was repeated."""
    repeated = tuple(
        axis for axis, size in enumerate(shape) if size == 1 and gradient.shape[axis] > 1
    )
    return gradient.sum(axis=repeated, keepdims=True) if repeated else gradient


@twin_of("Add")
class Add(Merge):
    """The sum of the inputs: where a skip connection rejoins."""

    derivation = {
        "forward": "y = x₁ + x₂ + …",
        "input gradient": "dxᵢ = dy, the same for every input",
    }

    def merged(self, parts: Sequence[Array]) -> Array:
        y = parts[0]
        for other in parts[1:]:
            y = y + other
        return y

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        return [dy] * len(parts)


@twin_of("Subtract")
class Subtract(Merge):
    """The first input minus the second."""

    derivation = {
        "forward": "y = x₁ − x₂",
        "input gradient": "dx₁ = dy, dx₂ = −dy",
    }

    def merged(self, parts: Sequence[Array]) -> Array:
        minuend, subtrahend = parts
        return minuend - subtrahend

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        return [dy, -dy]


@twin_of("Average")
class Average(Merge):
    """The mean of the n inputs."""

    derivation = {
        "forward": "y = (x₁ + x₂ + …) / n",
        "input gradient": "dxᵢ = dy / n, the same for every input",
    }

    def merged(self, parts: Sequence[Array]) -> Array:
        total = parts[0]
        for other in parts[1:]:
            total = total + other
        return total / float(len(parts))

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        return [dy / float(len(parts))] * len(parts)


@twin_of("Multiply")
class Multiply(Merge):
    """The product of the inputs."""

    derivation = {
        "forward": "y = x₁ · x₂ · …",
        "input gradient": "dxᵢ = dy · the product of all other inputs",
    }
    takes_mask = True

    def merged(self, parts: Sequence[Array]) -> Array:
        y = parts[0]
        for other in parts[1:]:
            y = y * other
        return y

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        found = []
        for place in range(len(parts)):
            gradient = dy
            for factor in (*parts[:place], *parts[place + 1 :]):
                gradient = gradient * factor
            found.append(gradient)
        return found


class Extreme(Merge):
    """The largest, or smallest, of the inputs, number by number.

    Where two are equal, the earlier one gets the whole gradient, as in TensorFlow.
    """

    takes_mask = True

    def choice(self, one: Array, other: Array) -> Array:
        """Return the wanted of two."""
        raise NotImplementedError

    def is_first(self, one: Array, other: Array) -> Array:
        """Say where the wanted of two is the first one."""
        raise NotImplementedError

    def merged(self, parts: Sequence[Array]) -> Array:
        y = parts[0]
        for other in parts[1:]:
            y = self.choice(y, other)
        return y

    def gradients(self, dy: Array, parts: Sequence[Array]) -> list[Array]:
        so_far = [parts[0]]
        for other in parts[1:-1]:
            so_far.append(self.choice(so_far[-1], other))
        found = []
        for best, other in zip(reversed(so_far), reversed(parts[1:]), strict=True):
            first = self.is_first(best, other)
            found.append(np.where(first, 0.0, dy))
            dy = summed_to(best.shape, np.where(first, dy, 0.0))
        return [dy, *reversed(found)]


@twin_of("Maximum")
class Maximum(Extreme):
    """The largest of the inputs, number by number."""

    derivation = {
        "forward": "y = max(x₁, x₂, …)",
        "input gradient": "dxᵢ = dy where xᵢ is the largest (the first of equal ones), else 0",
    }

    def choice(self, one: Array, other: Array) -> Array:
        return np.maximum(one, other)

    def is_first(self, one: Array, other: Array) -> Array:
        return one >= other


@twin_of("Minimum")
class Minimum(Extreme):
    """The smallest of the inputs, number by number."""

    derivation = {
        "forward": "y = min(x₁, x₂, …)",
        "input gradient": "dxᵢ = dy where xᵢ is the smallest (the first of equal ones), else 0",
    }

    def choice(self, one: Array, other: Array) -> Array:
        return np.minimum(one, other)

    def is_first(self, one: Array, other: Array) -> Array:
        return one <= other


@twin_of("Concatenate")
class Concatenate(Layer):
    """The inputs side by side along one axis (the batch axis counts as axis 0)."""

    derivation = {
        "forward": "y = [x₁, x₂, …] along the axis",
        "input gradient": "dxᵢ = the slice of dy that came from xᵢ",
    }

    def __init__(self, axis: int = -1, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis = axis

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        axis = self.axis - 1 if self.axis > 0 else self.axis
        joined = list(input_shape[0])
        joined[axis] = sum(shape[axis] for shape in input_shape)
        return tuple(joined)

    def forward(self, x: Sequence[Array], *, training: bool = False) -> tuple[Array, list[int]]:
        return np.concatenate(x, axis=self.axis), [part.shape[self.axis] for part in x]

    def backward(self, dy: Array, saved: list[int]) -> list[Array]:
        boundaries = np.cumsum(saved)[:-1]
        return list(np.split(dy, boundaries, axis=self.axis))

    def compute_mask(self, x: Sequence[Array], mask: Any) -> Any:
        """Join the masks along the same axis; an input without one counts everywhere."""
        if mask is None or all(one is None for one in mask):
            return None
        whole = [
            np.ones(part.shape, bool)
            if one is None
            else np.broadcast_to(
                one.reshape(*one.shape, *(1,) * (part.ndim - one.ndim)), part.shape
            )
            for part, one in zip(x, mask, strict=True)
        ]
        return np.concatenate(whole, axis=self.axis).any(axis=-1)


@twin_of("Dot")
class Dot(Layer):
    """The scalar products of two inputs along one axis of each, sample by sample.

    Parameters
    ----------
    axes : int, or two of them
        The axis of each input that is summed over; the batch axis counts as axis 0.
    normalize : bool
        Whether both are first divided by their length along that axis: the cosine. A length
        below 1e-7 is taken as 1e-7.
    """

    derivation = {
        "forward": "y = Σₖ x₁[…, k] x₂[…, k], where normalize: of xᵢ / ‖xᵢ‖",
        "input gradient": "dx₁ = Σ dy x₂ and dx₂ = Σ dy x₁, where normalize: of n = x / ‖x‖, then "
        "dx = (dn − n (n · dn)) / ‖x‖",
    }
    SHORTEST = 1e-7

    def __init__(
        self,
        axes: int | Sequence[int],
        normalize: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axes = (axes, axes) if isinstance(axes, int) else tuple(axes)
        self.normalize = normalize
        if 0 in self.axes:
            raise NoTwin(f"layer {self.name!r}: Keras's Dot can't sum over the batch axis either.")

    def equation(self, ranks: Sequence[int]) -> str:
        """Name the axes: ``a`` is the batch, ``b`` what is summed over."""
        others = iter(ascii_lowercase[2:])
        names = [["a", *(next(others) for _ in range(rank - 1))] for rank in ranks]
        for axes, summed in zip(names, self.axes, strict=True):
            axes[summed] = "b"
        rest = [axis for axes in names for axis in axes[1:] if axis != "b"]
        first, second = ("".join(axes) for axes in names)
        return f"{first},{second}->a{''.join(rest)}"

    def output_shape(self, input_shape: Sequence[Shape]) -> Shape:
        rest: list[int] = []
        for shape, summed in zip(input_shape, self.axes, strict=True):
            sizes = [0, *shape]
            del sizes[summed]
            rest += sizes[1:]
        return tuple(rest) or (1,)

    def forward(self, x: Sequence[Array], *, training: bool = False) -> tuple[Array, Any]:
        equation = self.equation([part.ndim for part in x])
        first, second = x
        lengths: list[Array] = [None, None]
        if self.normalize:
            lengths = [length(part, axis) for part, axis in zip(x, self.axes, strict=True)]
            first = first / np.maximum(lengths[0], self.SHORTEST)
            second = second / np.maximum(lengths[1], self.SHORTEST)
        y = einsum(equation, first, second)
        return (y if y.ndim > 1 else y[:, None]), (equation, first, second, lengths)

    def backward(self, dy: Array, saved: Any) -> list[Array]:
        equation, first, second, lengths = saved
        dy = dy.reshape(*dy.shape[: len(equation.split("->")[1])])
        gradients = einsum_gradients(equation, first, second, dy)
        if not self.normalize:
            return list(gradients)
        return [
            self._through_the_length(dn, n, size, axis)
            for dn, n, size, axis in zip(
                gradients, (first, second), lengths, self.axes, strict=True
            )
        ]

    def _through_the_length(self, dn: Array, n: Array, size: Array, axis: int) -> Array:
        """Carry a gradient through n = x / max(‖x‖, 1e-7)."""
        along = (n * dn).sum(axis=axis, keepdims=True) * (size >= self.SHORTEST)
        return (dn - n * along) / np.maximum(size, self.SHORTEST)


def length(x: Array, axis: int) -> Array:
    """Return the Euclidean length along an axis, which stays."""
    return np.sqrt((x * x).sum(axis=axis, keepdims=True))
