"""Layers that prepare data with constants: nothing in them is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Layer, Shape
from manual.registry import NoTwin, twin_of

Numbers = Any
"""A number, a list of numbers, an array, or Keras's configuration of one."""


def constant(given: Numbers) -> Array:
    """Return constants as Keras on TensorFlow holds them: float32, unless they came as an array."""
    if isinstance(given, Mapping):
        return np.array(given["config"]["value"], given["config"]["dtype"])
    return given if isinstance(given, np.ndarray) else np.array(given, np.float32)


@twin_of("Rescaling")
class Rescaling(Layer):
    """The input times a constant, plus a constant.

    Parameters
    ----------
    scale, offset : float, or array that meets the last axes of the input
        Keras rounds numbers and lists to float32.
    """

    derivation = {"forward": "y = x · scale + offset", "input gradient": "dx = dy · scale"}

    def __init__(
        self,
        scale: Numbers,
        offset: Numbers = 0.0,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.scale, self.offset = constant(scale), constant(offset)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        scale = self.scale.astype(x.dtype)
        return x * scale + self.offset.astype(x.dtype), scale

    def backward(self, dy: Array, saved: Array) -> Array:
        return dy * saved


@twin_of("Normalization")
class Normalization(Layer):
    """Brings data to mean 0 and variance 1, by constants that were given or taken from data.

    What was taken from data is kept in weights that are never trained.

    Parameters
    ----------
    axis : int, sequence of int, or None
        The axes along which each place has a mean of its own; None for a single one.
    mean, variance : number, list or array, optional
        The constants, for the last of these axes; Keras rounds them to float32.
    invert : bool
        Whether the map goes the other way.
    """

    derivation = {
        "forward": "y = (x − μ) / s, or y = μ + x s if inverted, with s = √σ², at least 10⁻⁷",
        "input gradient": "dx = dy / s, or dy s",
    }
    smallest = 1e-7

    def __init__(
        self,
        axis: int | Sequence[int] | None = -1,
        mean: Numbers = None,
        variance: Numbers = None,
        invert: bool = False,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.axis = [axis] if isinstance(axis, int) else list(axis or ())
        self.given = None if mean is None else (constant(mean), constant(variance))
        self.invert = invert

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        sizes = (1, *input_shape)
        self.kept = sorted(axis % len(sizes) for axis in self.axis)
        self.spread = tuple(size if axis in self.kept else 1 for axis, size in enumerate(sizes))
        if self.given is None:
            shape = tuple(sizes[axis] for axis in self.kept)
            self.mean = self.add_weight("mean", np.zeros(shape), trainable=False)
            self.variance = self.add_weight("variance", np.ones(shape), trainable=False)
            self.add_weight("count", np.zeros(()), trainable=False)

    def constants(self, x: Array) -> tuple[Array, Array]:
        """Return mean and variance in shapes that spread over the input."""
        if self.given is None:
            return self.mean.value.reshape(self.spread), self.variance.value.reshape(self.spread)
        mean, variance = (one.astype(x.dtype) for one in self.given)
        shape = [1] * x.ndim
        for axis, size in zip(reversed(self.kept), reversed(mean.shape), strict=False):
            shape[axis] = size
        return mean.reshape(shape), variance.reshape(shape)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        mean, variance = self.constants(x)
        s = np.maximum(np.sqrt(variance), self.smallest)
        return (x * s + mean if self.invert else (x - mean) / s), s

    def backward(self, dy: Array, saved: Array) -> Array:
        return dy * saved if self.invert else dy / saved


class Encoding(Layer):
    """A layer that gives whole numbers, or says which of them occur: no gradient comes through."""

    modes = ("one_hot", "multi_hot", "count")

    def __init__(
        self,
        output_mode: str,
        *,
        sparse: bool = False,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        if sparse:
            raise NoTwin(f"layer {self.name!r}: sparse=True has no hand-derived twin.")
        self.output_mode = output_mode

    def encoded(self, numbers: Array, depth: int, dtype: Any) -> Array:
        """Say for each class whether it is the number, or whether or how often it occurs."""
        if self.output_mode == "int":
            return numbers.astype(dtype)
        if self.output_mode == "one_hot" and numbers.ndim > 1 and numbers.shape[-1] == 1:
            numbers = numbers.reshape(*numbers.shape[:-1])
        found = numbers[..., None] == np.arange(depth)
        if self.output_mode != "one_hot":
            found = found.sum(axis=1)
            found = found > 0 if self.output_mode == "multi_hot" else found
        return found.astype(dtype)

    def encoded_shape(self, input_shape: Shape, depth: int) -> Shape:
        if self.output_mode == "int":
            return input_shape
        if self.output_mode == "one_hot":
            return (*(input_shape[:-1] if input_shape[-1:] == (1,) else input_shape), depth)
        return (*input_shape[1:], depth)

    def compute_mask(self, x: Array, mask: Any) -> None:
        """Give no mask: Keras's layer doesn't pass one on."""

    def backward(self, dy: Array, saved: Array) -> Array:
        return np.zeros_like(saved)


@twin_of("CategoryEncoding")
class CategoryEncoding(Encoding):
    """Whole numbers as rows of zeros and ones, or of counts.

    Parameters
    ----------
    num_tokens : int
        The numbers are below it.
    output_mode : str
        ``"one_hot"``: a row for each number; ``"multi_hot"``, ``"count"``: one for each sample.
    """

    derivation = {
        "forward": "yₖ = [x = k]; over all numbers of a sample, [some x = k], or how many are",
        "input gradient": "dx = 0: a number of a class can't be moved",
    }

    def __init__(self, num_tokens: int, output_mode: str = "multi_hot", **options: Any) -> None:
        super().__init__("multi_hot" if output_mode == "binary" else output_mode, **options)
        self.num_tokens = num_tokens

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.encoded_shape(input_shape, self.num_tokens)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        return self.encoded(x.astype(np.intp), self.num_tokens, x.dtype), x


@twin_of("Discretization")
class Discretization(Encoding):
    """The number of the interval that each number lies in.

    Parameters
    ----------
    bin_boundaries : sequence of float
        Where intervals begin; TensorFlow rounds them to float32. Keras may have taken them from
        data, for ``num_bins`` intervals and as exactly as ``epsilon`` says.
    output_mode : str
        ``"int"``, or as in `CategoryEncoding`.
    """

    derivation = {
        "forward": "y = how many boundaries are ≤ x; encoded as zeros and ones, or counted",
        "input gradient": "dx = 0: a step is flat",
    }

    def __init__(
        self,
        bin_boundaries: Sequence[float] | None = None,
        num_bins: int | None = None,
        epsilon: float = 0.01,
        output_mode: str = "int",
        **options: Any,
    ) -> None:
        super().__init__(output_mode, **options)
        if bin_boundaries is None:
            raise NoTwin(
                f"layer {self.name!r}: the boundaries of its bins aren't known yet; "
                "call adapt(data) first."
            )
        self.boundaries = np.array(bin_boundaries, np.float32)

    def output_shape(self, input_shape: Shape) -> Shape:
        return self.encoded_shape(input_shape, len(self.boundaries) + 1)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        numbers = (x[..., None] >= self.boundaries.astype(x.dtype)).sum(axis=-1)
        return self.encoded(numbers, len(self.boundaries) + 1, x.dtype), x
