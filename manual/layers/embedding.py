"""Embedding: numbers of words in, vectors out; and the mask that says which words count."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from manual.arrays import Array, in_single_precision
from manual.constraints import Constraint
from manual.layers.base import Layer, Shape
from manual.layers.symbol import Symbol
from manual.registry import NoTwin, twin_of
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
    takes_exact = True

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
        self.embeddings.add_rows(numbers.reshape(-1), dy.reshape(-1, self.output_dim))
        return np.zeros_like(x, dtype=dy.dtype)


@twin_of("ReversibleEmbedding")
class ReversibleEmbedding(Embedding):
    """An embedding that also leads back, from rows to a number for each word: with ``reverse``.

    Parameters
    ----------
    tie_weights : bool
        Whether the way back has the same weights, turned; else it has ``reverse_embeddings``.
    reverse_dtype : str, optional
        In which precision the way back is computed.
    logit_soft_cap : float, optional
        What the numbers on the way back don't exceed: c tanh(z / c) is given for z.
    """

    derivation = {
        **Embedding.derivation,
        "forward": "y = E[x]; reversed, y = c tanh(z / c) with z = x Eᵀ, or x R if not tied",
        "embeddings gradient": (
            "dE[k] = Σ dy over all places where x = k; reversed, + dzᵀ · x, dz = dy (1 − tanh²)"
        ),
        "reverse_embeddings gradient": "dR = xᵀ · dz",
        "input gradient": "dx = 0; reversed, dx = dz E, or dz Rᵀ",
    }
    call_options = frozenset({"reverse"})

    def __init__(
        self,
        input_dim: int,
        output_dim: int,
        tie_weights: bool = True,
        *,
        reverse_dtype: str | None = None,
        logit_soft_cap: float | None = None,
        **options: Any,
    ) -> None:
        super().__init__(input_dim, output_dim, **options)
        if reverse_dtype not in (None, "float32", "float64"):
            raise NoTwin(
                f"layer {self.name!r}: reverse_dtype={reverse_dtype!r} has no hand-derived twin."
            )
        self.tie_weights, self.logit_soft_cap = tie_weights, logit_soft_cap
        self.single = single = reverse_dtype == "float32"
        self.product, self.capped, self.uncapped = (
            in_single_precision(one) if single else one for one in WAY_BACK
        )

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        super().build(input_shape, generator)
        if not self.tie_weights:
            initial = generator.uniform(-0.05, 0.05, (self.output_dim, self.input_dim))
            self.reverse_embeddings = self.add_weight("reverse_embeddings", initial)

    def apply(self, *inputs: Symbol, call: int, **named: Any) -> Any:
        symbol = super().apply(*inputs, call=call, **named)
        if not symbol.options.get("reverse"):
            return symbol
        shape = (*symbol.inputs[0].shape[:-1], self.input_dim)
        return replace(symbol, layer=Reversed(self), shape=shape)

    def forward(
        self, x: Array, *, training: bool = False, reverse: bool = False
    ) -> tuple[Array, Any]:
        if not reverse:
            return super().forward(x)
        kernel = self.embeddings.value.T if self.tie_weights else self.reverse_embeddings.value
        z = self.product(x, kernel)
        y = z if self.logit_soft_cap is None else self.capped(z, self.logit_soft_cap)
        return y, (x, kernel, z)

    def backward(self, dy: Array, saved: Any) -> Array:
        if len(saved) == 2:
            return super().backward(dy, saved)
        x, kernel, z = saved
        dz = dy if self.logit_soft_cap is None else self.uncapped(dy, z, self.logit_soft_cap)
        rows, dz_rows = x.reshape(-1, self.output_dim), dz.reshape(-1, self.input_dim)
        if self.tie_weights:
            self.embeddings.add_whole(self.product(dz_rows.T, rows))
        else:
            self.reverse_embeddings.gradient += self.product(rows.T, dz_rows)
        return self.product(dz, kernel.T)


class Reversed(Layer):
    """The way back through an embedding: a call of the same layer, through which no mask passes."""

    def __init__(self, embedding: ReversibleEmbedding) -> None:
        super().__init__(name=embedding.name)
        self.embedding, self.gives_single = embedding, embedding.single
        self.precision = embedding.precision
        self.activity_regularizer = embedding.activity_regularizer
        self.derivation = embedding.derivation  # type: ignore[misc]

    def compute_mask(self, x: Array, mask: Any) -> None:
        return None

    def forward(
        self, x: Array, *, training: bool = False, reverse: bool = True
    ) -> tuple[Array, Any]:
        return self.embedding.forward(x, training=training, reverse=reverse)

    def backward(self, dy: Array, saved: Any) -> Array:
        return self.embedding.backward(dy, saved)


def _capped(z: Array, c: float) -> Array:
    return np.tanh(z / c) * c


def _uncapped(dy: Array, z: Array, c: float) -> Array:
    t = np.tanh(z / c)
    return dy * (1.0 - t * t)


WAY_BACK: tuple[Callable[..., Array], ...] = (np.matmul, _capped, _uncapped)


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
