"""The weights of layers: all trainable ones in one flat array, all their gradients in another."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence

import numpy as np

from manual.arrays import Array
from manual.layers import Layer, Parameter
from manual.optimizers import Tensor


class Weights:
    """The weights of a network's layers, each a view into a flat array.

    Parameters
    ----------
    layers : sequence of Layer
        In the order of their weights.
    trainable : container of str, optional
        The names of the weights that are trained; by default those whose layers are.
    dtype : str
        ``"float32"`` or ``"float64"``.

    Attributes
    ----------
    parameters : dict of str to Parameter
        By name (``"hidden/kernel"``), in Keras's order.
    owners : dict of str to Layer
        By the same names, the layer that each belongs to.
    values, gradients : arrays, shape (trainable weights,)
        All trainable weights and all their gradients; every parameter is a view into them.
    tensors : list of Tensor
        Where in the flat arrays each trainable weight lies.
    trained : list of (Tensor, Parameter)
        The same with the weights themselves.
    """

    def __init__(
        self, layers: Sequence[Layer], *, dtype: str, trainable: Container[str] | None = None
    ) -> None:
        self.layers: list[Layer] = list(dict.fromkeys(layers))
        self.parameters: dict[str, Parameter] = {}
        self.owners: dict[str, Layer] = {}
        for layer in self.layers:
            for parameter in layer.parameters:
                name = f"{layer.name}/{parameter.name}"
                self.parameters[name], self.owners[name] = parameter, layer
        if trainable is not None:
            for name, parameter in self.parameters.items():
                parameter.trainable = name in trainable and not parameter.is_state
        self._lay_out(dtype)

    def _lay_out(self, dtype: str) -> None:
        """Lay all trainable weights in one array and make every parameter a view into it."""
        self.dtype = np.dtype(dtype)
        trainable = {name: p for name, p in self.parameters.items() if p.trainable}
        frozen = {name: p for name, p in self.parameters.items() if not p.trainable}
        values = np.empty(sum(p.size for p in self.parameters.values()), self.dtype)
        self._all_gradients = np.zeros(values.shape, self.dtype)  # of pages not touched yet
        self.slices: dict[str, slice] = {}
        start = 0
        for name, parameter in {**trainable, **frozen}.items():
            where = slice(start, start + parameter.size)
            values[where] = np.ravel(parameter.value)
            parameter.value = values[where].reshape(parameter.shape)
            parameter.gradient = self._all_gradients[where].reshape(parameter.shape)
            if parameter.trainable:
                self.slices[name] = where
            start = where.stop
        self.tensors = [
            Tensor(name, where, self.parameters[name].shape) for name, where in self.slices.items()
        ]
        self.trained = [(one, self.parameters[one.name]) for one in self.tensors]
        size = sum(parameter.size for parameter in trainable.values())
        self.values, self.gradients = values[:size], self._all_gradients[:size]
        self.constrained = [p for p in trainable.values() if p.constraint is not None]
        self.regularized = [p for p in trainable.values() if p.regularizer is not None]

    def _arrays(self) -> list[Array]:
        """Return all arrays that the weights and their gradients lie in."""
        views = [one for p in self.parameters.values() for one in (p.value, p.gradient)]
        return [self.values, self.gradients, self._all_gradients, *views]

    def get_weights(self) -> list[Array]:
        """Return copies of all weights in Keras's order."""
        return [parameter.value.copy() for parameter in self.parameters.values()]

    def set_weights(self, weights: Sequence[Array] | Mapping[str, Array]) -> None:
        """Set all weights: a list in Keras's order, or a mapping by name."""
        if not isinstance(weights, Mapping):
            if len(weights) != len(self.parameters):
                raise ValueError(
                    f"The network has {len(self.parameters)} weights "
                    f"({', '.join(self.parameters)}). Received: {len(weights)}."
                )
            weights = dict(zip(self.parameters, weights, strict=True))
        for name, value in weights.items():
            if name not in self.parameters:
                raise ValueError(
                    f"There is no weight {name!r}. The weights: {', '.join(self.parameters)}."
                )
            parameter = self.parameters[name]
            if np.shape(value) != parameter.shape:
                raise ValueError(
                    f"The weight {name!r} has the shape {parameter.shape}. "
                    f"Received: {np.shape(value)}."
                )
        for name, value in weights.items():
            self.parameters[name].value[...] = value

    def clear_gradients(self) -> None:
        """Set every gradient to zero, so that the next `backward` starts afresh."""
        self._all_gradients.fill(0.0)
        for parameter in self.parameters.values():
            parameter.rows.clear()
