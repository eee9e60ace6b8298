"""Activation functions that Keras has as layers, because of their options or a weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from manual import activations
from manual.arrays import Array
from manual.constraints import Constraint
from manual.layers.base import Layer, Shape
from manual.layers.core import Activation
from manual.registry import twin_of
from manual.regularizers import Regularizer


@twin_of("ReLU")
class ReLU(Activation):
    """The rectifier, with a slope on the left, a ceiling and a threshold if asked for."""

    def __init__(
        self,
        max_value: float | None = None,
        negative_slope: float = 0.0,
        threshold: float = 0.0,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        function = activations.ReLU(negative_slope, max_value, threshold)
        super().__init__(function, name=name, trainable=trainable)


@twin_of("LeakyReLU")
class LeakyReLU(Activation):
    """The leaky rectifier; note the slope of 0.3, where the function of that name has 0.2."""

    def __init__(
        self, negative_slope: float = 0.3, *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(activations.LeakyReLU(negative_slope), name=name, trainable=trainable)


@twin_of("ELU")
class ELU(Activation):
    """The exponential linear unit."""

    def __init__(
        self, alpha: float = 1.0, *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(activations.ELU(alpha), name=name, trainable=trainable)


@twin_of("Softmax")
class Softmax(Activation):
    """Softmax over one axis or several; what is masked gets the probability 0.

    Keras puts −10⁹ in the place of masked numbers, and 0 in that of their probabilities, so that
    a row that is masked altogether gives zeros.
    """

    takes_mask: ClassVar[bool] = True
    MASKED = -1e9

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        axes = axis if isinstance(axis, int) else tuple(axis)
        if isinstance(axes, tuple) and len(axes) == 1:
            axes = axes[0]
        super().__init__(activations.Softmax(axes), name=name, trainable=trainable)

    def forward(
        self, z: Array, *, training: bool = False, mask: Array | None = None
    ) -> tuple[Array, Any]:
        if mask is None:
            return super().forward(z, training=training)
        z = np.where(mask, z, self.MASKED)
        return np.where(mask, self.function.forward(z), 0.0), (z, mask)

    def backward(self, da: Array, saved: Any) -> Array:
        z, other = saved
        if other.dtype != bool:
            return self.function.backward(da, z, other)
        a = self.function.forward(z)
        return self.function.backward(da * other, z, a) * other


@twin_of("PReLU")
class PReLU(Layer):
    """A rectifier that learns its slope on the left (He et al. 2015), one for each input.

    The weight ``alpha`` has the shape of a sample, with 1 where an axis is shared. At the kink
    x = 0 no gradient passes, as TensorFlow has it.

    Parameters
    ----------
    shared_axes : int or sequence of int, optional
        The axes along which all numbers have the same slope, counted with the batch axis as 0.
    """

    derivation = {
        "forward": "y = max(x, 0) − α max(−x, 0)",
        "alpha gradient": "dα = −Σ dy · max(−x, 0) over the samples and the shared axes",
        "input gradient": "dx = dy · (1 where x > 0, α where x < 0)",
    }

    def __init__(
        self,
        alpha_regularizer: Mapping[str, Any] | Regularizer | None = None,
        alpha_constraint: Mapping[str, Any] | Constraint | None = None,
        shared_axes: int | Sequence[int] | None = None,
        *,
        name: str | None = None,
        trainable: bool = True,
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.of_alpha = alpha_constraint, alpha_regularizer
        self.shared_axes = (
            [shared_axes] if isinstance(shared_axes, int) else list(shared_axes or ())
        )

    def build(self, input_shape: Shape, generator: np.random.Generator) -> None:
        shape = list(input_shape)
        for axis in self.shared_axes:
            shape[axis - 1] = 1
        self.alpha = self.add_weight("alpha", np.zeros(shape), *self.of_alpha)

    def forward(self, x: Array, *, training: bool = False) -> tuple[Array, Array]:
        return np.maximum(x, 0.0) - self.alpha.value * np.maximum(-x, 0.0), x

    def backward(self, dy: Array, saved: Array) -> Array:
        x = saved
        along = (0, *(axis for axis, size in enumerate(self.alpha.shape, 1) if size == 1))
        share = (dy * -np.maximum(-x, 0.0)).sum(axis=along, keepdims=True)
        self.alpha.gradient += share.reshape(self.alpha.shape)
        return dy * (x > 0.0) + dy * self.alpha.value * (x < 0.0)
