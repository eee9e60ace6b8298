"""Single layers of a model, run by Keras: what they give, and the gradients that go back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.ops import gen_stateless_random_ops_v2 as generators

from keras_models import naming
from keras_models.copies import CannotRun, computing_in, copied
from keras_models.hooks import DRAWING

Arrays = Sequence[np.ndarray]
Draw = Callable[[str, tuple[int, ...]], np.ndarray]
"""Gives random numbers of a shape, for one of the operations of `DRAWING`."""


class AddsLosses(CannotRun):
    """A layer does more than give outputs."""


@dataclass(frozen=True)
class Question:
    """What a layer is run on.

    Attributes
    ----------
    path : str
        Of the layer.
    weights : sequence of array
        All of the layer's, in its order.
    inputs : sequence of array
    packed : bool
        Whether it takes its inputs as one list.
    options : mapping
        What it is called with besides.
    masks : sequence of array or None
        One for each input.
    training : bool
    """

    path: str
    weights: Arrays
    inputs: Arrays
    packed: bool
    options: Mapping[str, Any]
    masks: Sequence[Any]
    training: bool


@dataclass(frozen=True)
class Answer:
    """What a layer gave.

    Attributes
    ----------
    outputs : list of array
    weights : list of array
        All of the layer's, after the call.
    into_inputs, into_weights : list of array
        The gradients, if upstream ones were given: zeros where none arrives.
    """

    outputs: list[np.ndarray]
    weights: list[np.ndarray]
    into_inputs: list[np.ndarray]
    into_weights: list[np.ndarray]


class Carrier:
    """Runs single layers of a model, each by Keras alone, on copies of the model.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional. It is copied when a layer is first run.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._layers: dict[str, dict[str, Any]] = {}

    def layer(self, path: str) -> Any:
        """Return a layer of the model itself, to be asked about and not to be run."""
        return dict(naming.layers(self._model))[path]

    def mask(self, path: str, inputs: Arrays, masks: Sequence[Any]) -> Any:
        """Return the mask of a layer's output, as Keras works it out."""
        layer, one = self.layer(path), len(inputs) == 1
        tensors = [tf.constant(array) for array in inputs]
        given = [None if mask is None else tf.constant(mask) for mask in masks]
        found = layer.compute_mask(tensors[0] if one else tensors, given[0] if one else given)
        outputs = len(layer._inbound_nodes[0].output_tensors)
        made = [None if one is None else np.asarray(one) for one in tf.nest.flatten(found)]
        made = [*made, *[None] * outputs][:outputs]
        if all(one is None for one in made):
            return None
        return made if outputs > 1 else made[0]

    def ask(
        self, question: Question, dtype: str, draw: Draw, dy: Sequence[Any] | None = None
    ) -> Answer:
        """Run a layer forward, and back if upstream gradients are given.

        Parameters
        ----------
        question : Question
        dtype : str
            What to compute in.
        draw : callable
            Gives the layer its random numbers.
        dy : sequence of array or None, optional
            The upstream gradient of each output.

        Raises
        ------
        CannotRun
            If Keras can't, in this precision.
        """
        with computing_in(dtype):
            if dtype not in self._layers:
                self._layers[dtype] = dict(naming.layers(copied(self._model, dtype)))
            layer = self._layers[dtype][question.path]
            for variable, value in zip(layer.weights, question.weights, strict=True):
                variable.assign(value)
            inputs = [
                tf.constant(array, symbol.dtype if _is_whole(symbol.dtype) else dtype)
                for array, symbol in zip(question.inputs, _inputs_of(layer), strict=True)
            ]
            for tensor, mask in zip(inputs, question.masks, strict=True):
                if mask is not None:
                    tensor._keras_mask = tf.constant(mask)
            variables = [one.value for one in layer.weights]
            with tf.GradientTape() as tape, _drawing(draw):
                tape.watch([one for one in (*inputs, *variables) if one.dtype.is_floating])
                taken = [list(inputs)] if question.packed else inputs
                options = dict(question.options)
                if layer._call_has_training_arg:
                    options["training"] = question.training
                # Layers within look there for what the layer around them isn't told.
                layer._get_call_context().set_value("training", question.training)
                layer._clear_losses()
                given = layer(*taken, **options)
                own = len(layer.losses) - len(layer._get_regularization_losses())
                outputs = tf.nest.flatten(given)
            if own:
                raise AddsLosses(f"The layer {question.path!r} adds losses of its own (add_loss)")
            gradients: list[Any] = [None] * (len(inputs) + len(variables))
            if dy is not None:
                arrived = [
                    tf.zeros_like(y) if one is None else tf.constant(one, y.dtype)
                    for y, one in zip(outputs, dy, strict=True)
                ]
                gradients = tape.gradient(outputs, [*inputs, *variables], arrived)
            found = [
                np.zeros(one.shape) if gradient is None else tf.convert_to_tensor(gradient).numpy()
                for one, gradient in zip([*inputs, *variables], gradients, strict=True)
            ]
            return Answer(
                [output.numpy() for output in outputs],
                [one.numpy() for one in layer.weights],
                found[: len(inputs)],
                found[len(inputs) :],
            )


def _inputs_of(layer: Any) -> list[Any]:
    """Return the symbols that a layer was called on, without their masks."""
    taken = layer._inbound_nodes[0].arguments
    named = {key: one for key, one in taken.kwargs.items() if not key.endswith("mask")}
    found = keras.tree.flatten([taken.args, named])
    return [one for one in found if isinstance(one, keras.KerasTensor)]


def _is_whole(dtype: str) -> bool:
    return "int" in dtype or dtype == "bool"


@contextmanager
def _drawing(draw: Draw) -> Iterator[None]:
    """Let TensorFlow's generators hand out given numbers."""
    own = {operation: getattr(generators, operation) for operation in DRAWING}

    def replaced(operation: str) -> Callable[..., Any]:
        def drawn(shape: Any, *args: Any, dtype: Any = tf.float32, **kwargs: Any) -> Any:
            wanted = tuple(int(size) for size in np.asarray(shape))
            return tf.constant(draw(operation, wanted), dtype)

        return drawn

    try:
        for operation in DRAWING:
            setattr(generators, operation, replaced(operation))
        yield
    finally:
        for operation, function in own.items():
            setattr(generators, operation, function)
