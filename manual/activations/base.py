"""What every activation function is: a map without weights, and its derivative under it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from manual.arrays import Array


class ActivationFunction:
    """An activation a = f(z) and its derivative.

    ``forward(z)`` maps the pre-activation to the activation ``a``; ``backward(da, z, a)`` maps the
    gradient that arrives from the right to the gradient at the pre-activation.

    Attributes
    ----------
    derivation : mapping of str to str
        The formulas by quantity, in the field's notation.
    carries_logits : bool
        True where Keras hands the loss the pre-activation ``z`` beside ``a``, so that a
        cross-entropy is computed, and differentiated, from the logits.
    """

    kind: ClassVar[str] = "activation"
    derivation: ClassVar[Mapping[str, str]]
    carries_logits: ClassVar[bool] = False

    def output_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a sample of a, given that of z: mostly it is the same."""
        return shape

    @property
    def parts(self) -> tuple[ActivationFunction, ...]:
        """The functions that it applies one after the other, as far as a loss tells them apart."""
        return (self,)

    def forward(self, z: Array) -> Array:
        raise NotImplementedError

    def backward(self, da: Array, z: Array, a: Array) -> Array:
        raise NotImplementedError
