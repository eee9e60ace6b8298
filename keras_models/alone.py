"""One map of a Keras model run alone, in float64: what it gives where digits don't run out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_models import naming
from keras_models.copies import CannotRun, computing_in, copied
from keras_models.optimizers import copy_into, set_state

Arrays = Mapping[str, np.ndarray]


class Alone:
    """The maps of a compiled model, each on its own, eagerly and in float64.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional. It is copied when the first map is asked for.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._copy: keras.Model | None = None

    def activation(
        self,
        node: str,
        inputs: Sequence[np.ndarray],
        weights: Arrays,
        mask: Any = None,
        *,
        named: Sequence[str] = (),
        options: Mapping[str, Any] | None = None,
        output: int = 0,
    ) -> np.ndarray:
        """Return a node's output for the given inputs, in training.

        Parameters
        ----------
        node : str
            As in a trace: ``hidden/pre_activation`` is Dense without its activation function, and
            ``hidden`` that function alone.
        mask : array, or list with one entry per input, optional
        named : sequence of str
            What the layer calls its inputs, if it takes them one by one and not as a list.
        options : mapping, optional
            What the layer was called with besides.
        output : int
            Which of its outputs is asked for, if it has several.
        """
        with computing_in("float64"):
            model = self._with(weights)
            if node.endswith("/logits"):
                raise CannotRun("these are numbers within a function of the user's own")
            name = node.removesuffix("/pre_activation")
            part = name != node
            call = naming.operation_call(model, name)
            if call is not None:
                return _operation(call, inputs, output)
            layer = dict(naming.layers(model))[name.partition("@")[0]]
            function = vars(layer).get("activation")
            applied = function not in (None, keras.activations.linear)
            of_its_own = isinstance(layer, keras.layers.Activation)
            tensors = [keras.ops.convert_to_tensor(array, "float64") for array in inputs]
            if applied and not part and not of_its_own:
                return np.asarray(_ending_at(tensors[0], function(tensors[0])))
            names = signature(layer.call).parameters
            of_masks = named if named and f"{named[0]}_mask" in names else ()
            given = {**(options or {}), **_masks(mask, tensors if of_masks else [], of_masks)}
            if layer._call_has_training_arg:
                given["training"] = True
            taken: Any = tensors[0] if len(tensors) == 1 else tensors
            if applied and not of_its_own:
                layer.activation = keras.activations.linear
            before = _random_states(layer)
            try:
                made = layer.call(*tensors, **given) if named else layer.call(taken, **given)
                found = np.asarray(keras.tree.flatten(_ending_at(taken, made))[output])
            finally:
                if applied and not of_its_own:
                    layer.activation = function
            if _random_states(layer) != before:
                raise CannotRun("the layer draws random numbers")
            return found

    def update(
        self,
        weights: Arrays,
        gradients: Arrays,
        slots: Mapping[str, Arrays],
        iterations: int,
        learning_rate: float,
        rows: Mapping[str, tuple[np.ndarray, np.ndarray]],
    ) -> dict[str, np.ndarray]:
        """Return what one update makes of the state, all by name.

        The weights, the optimizer's slots (``hidden/kernel/momentum``), and what entered the rule
        (``hidden/kernel/processed gradient``).
        """
        with computing_in("float64"):
            model = self._with(weights)
            optimizer, named = model.optimizer, naming.slots(model)
            for slot, variables in named.items():
                for name, variable in variables.items():
                    variable.assign(slots[slot][name])
            set_state(model, iterations, learning_rate)
            variables = dict(
                zip(naming.trainable_names(model), model.trainable_variables, strict=True)
            )
            arrived = [_arrived(gradient, rows.get(name)) for name, gradient in gradients.items()]
            own, entered = optimizer._clip_gradients, list(arrived)

            def clip(unclipped: Any) -> Any:
                entered[:] = own(unclipped)
                return list(entered)

            optimizer._clip_gradients = clip
            try:
                optimizer.apply(arrived, [variables[name] for name in gradients])
            finally:
                del optimizer._clip_gradients
            after = {name: np.asarray(variable) for name, variable in naming.weights(model).items()}
            for name, gradient in zip(gradients, entered, strict=True):
                after[f"{name}/processed gradient"] = np.asarray(tf.convert_to_tensor(gradient))
            for slot, moved in named.items():
                after |= {f"{name}/{slot}": np.asarray(one) for name, one in moved.items()}
            return after

    def _with(self, weights: Arrays) -> keras.Model:
        """Return the copy in float64, with the given weights."""
        if self._copy is None:
            self._copy = copied(self._model, "float64")
            config = {**self._model.get_compile_config(), "optimizer": "sgd"}
            self._copy.compile_from_config(config)
            self._copy.optimizer = copy_into(self._copy, self._model)
        for name, variable in naming.weights(self._copy).items():
            variable.assign(weights[name])
        return self._copy


def _arrived(gradient: np.ndarray, rows: tuple[np.ndarray, np.ndarray] | None) -> Any:
    """Return a gradient as the optimizer gets it: that of a table as a list of rows."""
    if rows is None:
        return keras.ops.convert_to_tensor(gradient, "float64")
    values = keras.ops.convert_to_tensor(rows[1], "float64")
    return tf.IndexedSlices(values, rows[0], tf.constant(gradient.shape))


def _operation(call: Any, inputs: Sequence[np.ndarray], output: int) -> np.ndarray:
    """Call an operation with other tensors, and with its own constants."""
    taken = {
        id(symbol): keras.ops.convert_to_tensor(array, "float64")
        for symbol, array in zip(call.input_tensors, inputs, strict=True)
    }
    args, kwargs = call.arguments.fill_in(taken)
    made = call.operation.call(*args, **kwargs)
    return np.asarray(keras.tree.flatten(made)[output], np.float64)


def _masks(mask: Any, tensors: Sequence[Any], named: Sequence[str]) -> dict[str, Any]:
    """Return masks as the layer takes them: by the names of its inputs, or as it takes these."""
    if mask is None:
        return {}
    each = [
        None if one is None else keras.ops.convert_to_tensor(one)
        for one in (mask if isinstance(mask, list) else [mask])
    ]
    if not named:
        return {"mask": each if isinstance(mask, list) else each[0]}
    for tensor, one in zip(tensors, each, strict=True):
        tensor._keras_mask = one  # where MultiHeadAttention looks for that of its query
    return {f"{name}_mask": one for name, one in zip(named, each, strict=False)}


def _random_states(layer: keras.Layer) -> list[list[int]]:
    """Return how far a layer's random generators are."""
    return [
        np.asarray(variable).tolist()
        for variable in layer.variables
        if variable.name == "seed_generator_state"
    ]


def _ending_at(taken: Any, given: Any) -> Any:
    """Return what a function gave, unless there are logits on the way, which were its input."""
    logits = getattr(given, "_keras_logits", taken)
    if logits is not taken:
        raise CannotRun("there are logits within its function")
    return given
