"""What a user's own layer does beside calling others: weights, fixed numbers, losses of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.registry import twin_of


@twin_of("OwnWeight")
class OwnWeight(Layer):
    """A weight as a value in the graph, whatever the layer is called on.

    Parameters
    ----------
    shape : sequence of int
    weight : str
        Its name.
    regularizer, constraint : mapping, optional
        As Keras has them in a configuration.
    """

    derivation = {"forward": "y = w", "input gradient": "none"}

    def __init__(
        self,
        shape: Sequence[int],
        weight: str,
        *,
        regularizer: Mapping[str, Any] | None = None,
        constraint: Mapping[str, Any] | None = None,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.shape, self.weight = tuple(shape), weight
        self.regularizer, self.constraint = regularizer, constraint
        self.derivation = {**type(self).derivation, f"{weight} gradient": "dw = dy"}  # type: ignore[misc]

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        initial = np.zeros(self.shape)
        self.add_weight(self.weight, initial, self.constraint, self.regularizer)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.shape[1:]

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Give no mask."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        return self.parameters[0].value, None

    def backward(self, dy: Array, saved: None) -> None:
        self.parameters[0].gradient += dy


@twin_of("GivenNumbers")
class GivenNumbers(Layer):
    """Fixed numbers, whatever the layer is called on."""

    derivation = {"forward": "y is given", "input gradient": "none"}

    def __init__(self, numbers: Any, kind: str, *, name: str | None = None) -> None:
        super().__init__(name=name)
        self.numbers = np.asarray(numbers, kind).astype("float64")

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.numbers.shape[1:]

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Give no mask."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        return self.numbers.astype(x.dtype), None

    def backward(self, dy: Array, saved: None) -> None:
        """Send nothing back."""


@twin_of("DrawnNumbers")
class DrawnNumbers(Layer):
    """Random numbers, as many as there are samples in what the layer is called on.

    Parameters
    ----------
    kind : str
        ``"normal"`` or ``"uniform"``.
    numbers_shape : sequence of int or None
        None stands for the number of samples.
    first, second : float
        Mean and standard deviation, or lower and upper bound.
    """

    derivation = {"forward": "y = μ + σ n, or y = a + (b − a) u", "input gradient": "none"}

    def __init__(
        self,
        kind: str,
        numbers_shape: Sequence[int | None],
        first: float,
        second: float,
        numbers_dtype: str,
        *,
        name: str | None = None,
    ) -> None:
        super().__init__(name=name)
        self.is_normal, self.numbers_shape = kind == "normal", tuple(numbers_shape)
        self.offset, self.scale = first, second if self.is_normal else second - first

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.numbers_shape[1:]  # type: ignore[return-value]

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Give no mask."""

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, None]:
        shape = tuple(len(x) if size is None else size for size in self.numbers_shape)
        take = self.draws.normal if self.is_normal else self.draws.uniform
        y = take(shape, x.dtype)
        y = y if self.scale == 1.0 else y * self.scale
        return (y if self.offset == 0.0 else y + self.offset), None

    def backward(self, dy: Array, saved: None) -> None:
        """Send nothing back."""


@twin_of("ForEachSample")
class ForEachSample(Layer):
    """The first input, one row, once for each sample of the second."""

    derivation = {"forward": "y_i = x, for each sample i", "input gradient": "dx = Σ_i dy_i"}

    def output_shape(self, input_shape: Any) -> Shape:
        row: Shape = input_shape[0]
        return row

    def compute_mask(self, x: Any, mask: Any) -> None:
        """Give no mask."""

    def forward(self, x: Any, *, training: bool = False) -> tuple[Array, None]:
        row, samples = x
        return np.repeat(row, len(samples), axis=0), None

    def backward(self, dy: Array, saved: None) -> list[Array | None]:
        return [dy.sum(axis=0, keepdims=True), None]


@twin_of("AddedLoss")
class AddedLoss(Layer):
    """The first input as it is, and the second, which is added to the loss."""

    derivation = {"forward": "y = x; E = … + c", "input gradient": "dx = dy; dc = 1"}
    costs = True

    def output_shape(self, input_shape: Any) -> Any:
        return list(input_shape)

    def compute_mask(self, x: Any, mask: Any) -> Any:
        return None if mask is None else [mask[0], None]

    def forward(self, x: Any, *, training: bool = False) -> tuple[Any, None]:
        return list(x), None

    def backward(self, dy: Any, saved: None) -> Any:
        return list(dy)
