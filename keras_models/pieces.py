"""Layers that stand for what a user's own layer does beside calling others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming


class OwnWeight(keras.layers.Layer):
    """A weight, whatever it is called on: one that a layer has of its own, as a part of a graph.

    Parameters
    ----------
    shape : sequence of int
    weight : str
        What the weight is called.
    regularizer, constraint
        Those of the weight.
    """

    def __init__(
        self,
        shape: Sequence[int],
        weight: str,
        regularizer: Any = None,
        constraint: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.shape, self.weight = tuple(shape), weight
        self.regularizer = keras.regularizers.get(regularizer)
        self.constraint = keras.constraints.get(constraint)
        self.variable: Any = None

    @classmethod
    def of(cls, variable: Any, name: str) -> OwnWeight:
        """Return a layer that has this very variable."""
        told = {"regularizer": variable.regularizer, "constraint": variable.constraint}
        layer = cls(variable.shape, "", **told, name=name, dtype=variable.dtype)
        layer.variable, layer.built = variable, True
        ((layer.weight, _),) = naming.named_weights(layer)
        return layer

    def build(self, _: Any) -> None:
        self.variable = self.add_weight(
            shape=self.shape,
            name=self.weight,
            regularizer=self.regularizer,
            constraint=self.constraint,
        )

    def call(self, _: Any) -> Any:
        return tf.identity(self.variable.value)

    def compute_output_spec(self, _: Any) -> Any:
        return keras.KerasTensor(self.shape, self.variable_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "shape": list(self.shape),
            "weight": self.weight,
            "regularizer": keras.regularizers.serialize(self.regularizer),
            "constraint": keras.constraints.serialize(self.constraint),
        }


class GivenNumbers(keras.layers.Layer):
    """Fixed numbers, whatever it is called on: positions that a table is asked for, say.

    Parameters
    ----------
    numbers : array, or nested list
    kind : str
        Their dtype.
    """

    def __init__(self, numbers: Any, kind: str, **options: Any) -> None:
        super().__init__(**options)
        self.numbers, self.kind = np.asarray(numbers, kind), kind

    def call(self, _: Any) -> Any:
        return keras.ops.convert_to_tensor(self.numbers, self.kind)

    def compute_output_spec(self, _: Any) -> Any:
        return keras.KerasTensor(self.numbers.shape, self.kind)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "numbers": self.numbers.tolist(), "kind": self.kind}


class DrawnNumbers(keras.layers.Layer):
    """Random numbers, as many as there are samples in what it is called on.

    Parameters
    ----------
    kind : str
        Of which function of ``keras.random`` they are.
    numbers_shape : sequence of int or None
        None stands for the number of samples.
    first, second : float
        Mean and standard deviation, or lower and upper bound.
    numbers_dtype : str
    generator : keras.random.SeedGenerator, optional
    """

    def __init__(
        self,
        kind: str,
        numbers_shape: Sequence[int | None],
        first: float,
        second: float,
        numbers_dtype: str,
        generator: Any = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self.kind, self.numbers_shape = kind, tuple(numbers_shape)
        self.first, self.second, self.numbers_dtype = first, second, numbers_dtype
        self.generator = generator or keras.random.SeedGenerator(0)

    def call(self, x: Any) -> Any:
        shape = [tf.shape(x)[0] if size is None else size for size in self.numbers_shape]
        draw = getattr(keras.src.random, self.kind)
        return draw(shape, self.first, self.second, self.numbers_dtype, self.generator)

    def compute_output_spec(self, _: Any) -> Any:
        return keras.KerasTensor(self.numbers_shape, self.numbers_dtype)

    def get_config(self) -> dict[str, Any]:
        names = ("kind", "numbers_shape", "first", "second", "numbers_dtype")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class ForEachSample(keras.layers.Layer):
    """The first input, one row, once for each sample of the second."""

    def call(self, inputs: Sequence[Any]) -> Any:
        row, x = inputs
        return tf.repeat(row, tf.shape(x)[0], axis=0)

    def compute_output_spec(self, inputs: Sequence[Any]) -> Any:
        return keras.KerasTensor((None, *inputs[0].shape[1:]), inputs[0].dtype)


class AddedLoss(keras.layers.Layer):
    """The first input as it is, and the second, which is added to the loss."""

    supports_masking = True

    def call(self, inputs: Sequence[Any]) -> list[Any]:
        handed_on, cost = inputs
        self.add_loss(cost)
        return [handed_on, cost]

    def compute_output_spec(self, inputs: Sequence[Any]) -> list[Any]:
        return [keras.KerasTensor(one.shape, one.dtype) for one in inputs]

    def compute_mask(self, inputs: Any, mask: Any = None) -> list[Any]:
        return [mask[0] if isinstance(mask, (list, tuple)) else mask, None]


class OneOperation(keras.layers.Layer):
    """One of Keras's operations as a layer, which can be run by itself.

    Parameters
    ----------
    operation : keras.Operation
    args, kwargs
        What it is called with, with a `Place` for each tensor.
    """

    def __init__(
        self, operation: Any, args: Any, kwargs: Mapping[str, Any], **options: Any
    ) -> None:
        super().__init__(autocast=False, **options)
        self.operation, self.arguments = operation, (args, dict(kwargs))

    def call(self, *tensors: Any) -> Any:
        args, kwargs = keras.tree.map_structure(
            lambda one: tensors[one.place] if isinstance(one, Place) else one, self.arguments
        )
        return self.operation.call(*args, **kwargs)

    def get_config(self) -> dict[str, Any]:
        """Return what tells the layer, not what makes it: an operation can't be written down."""
        return {**super().get_config(), "operation": type(self.operation).__name__}


class Place:
    """Where one of the tensors belongs among the arguments of an operation."""

    def __init__(self, place: int) -> None:
        self.place = place
