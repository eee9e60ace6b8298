"""The scalar product of two inputs, sample by sample."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.einsum import einsum, einsum_gradients
from manual.layers.base import Layer, Shape
from manual.registry import NoTwin, twin_of


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
