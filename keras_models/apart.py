"""A user's own layer or model taken apart: what its ``call`` does with symbols, as a graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras

from keras_models import naming
from keras_models.pieces import AddedLoss, GivenNumbers, OwnWeight

Functional = keras.src.models.Functional
VARIABLES = ("_trainable_variables", "_non_trainable_variables")


class NoGraph(ValueError):
    """A ``call`` can't be followed; the message says why."""


class Followed(Functional):
    """A graph in which ``training=…`` counts where a call is told so.

    It does in the code that the graph was read off. Keras's own graphs pass over such words.
    """

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        flat = self._standardize_inputs(inputs)
        for one, its in zip(flat, keras.tree.flatten(mask) if mask is not None else (), strict=False):
            if its is not None:
                keras.src.backend.set_keras_mask(one, its)

        def told(operation: Any) -> Callable[..., Any]:
            def call(*args: Any, **kwargs: Any) -> Any:
                if getattr(operation, "_call_has_training_arg", False) and training is not None:
                    kwargs.setdefault("training", training)
                return operation(*args, **kwargs)

            return call

        return self._run_through_graph(flat, operation_fn=told)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "heeds_training": True}


def traced(part: Any, args: Any, kwargs: Any, inputs: Any, training: bool | None) -> Followed:
    """Return the graph of what a layer's or model's ``call`` does with symbols.

    Parameters
    ----------
    part : keras.Layer
        Built.
    args, kwargs
        What it is called with, tensors as symbols.
    inputs : nested symbols
        Those among them, as the graph shall take them.
    training : bool or None
        In what context it is called.
    """
    options = {**kwargs, "training": training} if part._call_has_training_arg else kwargs
    context = part._get_call_context()  # in which layers look for what they aren't told
    context.set_value("training", training)
    costs: list[Any] = []
    try:
        with _as_symbols(part, keras.tree.flatten(inputs)[0], costs):
            outputs = part.call(*args, **options)
        return Followed(inputs, _with_costs(outputs, costs), name=part.name)
    except NoGraph:
        raise
    except Exception as error:  # whatever comes of it when symbols meet the user's own code
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        first = (lines or [type(error).__name__])[0].partition(". ")[0].rstrip(".")
        raise NoGraph(f"can't be followed with symbols in place of numbers: {first}") from error
    finally:
        part._maybe_reset_call_context()


def _with_costs(outputs: Any, costs: Sequence[Any]) -> Any:
    """Let the graph of some outputs hold the losses that were added on the way to them."""
    flat = keras.tree.flatten(outputs)
    for number, cost in enumerate(costs):
        name = "added_loss" + (f"_{number}" if number else "")
        flat[0], _ = AddedLoss(name=name)([flat[0], cost])
    return keras.tree.pack_sequence_as(outputs, flat)


# ---------------------------------------------------------------------- numbers become symbols


@contextmanager
def _as_symbols(part: Any, anchor: Any, costs: list[Any]) -> Iterator[None]:
    """Let a layer's own weights, and what its layers are called on, be symbols for a while.

    What it adds to the loss goes into ``costs``. Any other weight that is read would become a
    mere number in the graph, so that this is refused.
    """
    attributes, own_call = vars(part), keras.layers.Layer.__call__
    before = dict(attributes)
    own = {id(one): one for name in VARIABLES for one in before[name]}
    names = {id(one): name.replace("/", "_") for name, one in naming.named_weights(part)}
    symbols: dict[int, Any] = {}
    depth = given = 0

    def symbol(variable: Any) -> Any:
        if id(variable) not in own:
            return variable
        if id(variable) not in symbols:
            symbols[id(variable)] = OwnWeight.of(variable, names[id(variable)])(anchor)
        return symbols[id(variable)]

    def constant(array: Any) -> Any:
        nonlocal given
        given += 1
        kind = keras.backend.standardize_dtype(array.dtype)
        numbers = keras.ops.convert_to_numpy(array)
        return GivenNumbers(numbers, kind, name=f"numbers_{given}")(anchor)

    def called(layer: Any, *args: Any, **kwargs: Any) -> Any:
        nonlocal depth
        flat = keras.tree.flatten((args, kwargs))
        symbolic = any(keras.backend.is_keras_tensor(one) for one in flat)
        if not depth and not symbolic and not isinstance(layer, GivenNumbers):
            args, kwargs = keras.tree.map_structure(
                lambda one: constant(one) if _is_array(one) else one, (args, kwargs)
            )
        depth += 1
        try:
            return own_call(layer, *args, **kwargs)
        finally:
            depth -= 1

    def add_loss(loss: Any) -> None:
        costs.extend(keras.tree.flatten(loss))

    try:
        for name, value in before.items():
            if name not in VARIABLES:
                attributes[name] = _with(symbol, value)
        attributes["add_loss"] = add_loss
        keras.layers.Layer.__call__ = called
        with _reading_refused(lambda: depth == 0):
            yield
    finally:
        keras.layers.Layer.__call__ = own_call
        for name in [name for name in attributes if name not in before]:
            del attributes[name]
        attributes.update(before)


def _is_array(one: Any) -> bool:
    return hasattr(one, "shape") and hasattr(one, "dtype") and not isinstance(one, keras.Variable)


def _with(symbol: Callable[[Any], Any], value: Any) -> Any:
    """Return an attribute with symbols in place of weights, as it is or in a list or dict."""
    if isinstance(value, keras.Variable):
        return symbol(value)
    if isinstance(value, (list, tuple)) and any(isinstance(one, keras.Variable) for one in value):
        return [symbol(one) for one in value]
    if isinstance(value, dict) and any(isinstance(one, keras.Variable) for one in value.values()):
        return {key: symbol(one) for key, one in value.items()}
    return value


@contextmanager
def _reading_refused(forbidden: Callable[[], bool]) -> Iterator[None]:
    """Refuse that the number of a weight is read outside a layer's own call."""
    kind = keras.src.backend.Variable
    own = kind.value

    def value(variable: Any) -> Any:
        if forbidden():
            raise NoGraph(f"takes the weight {variable.path!r} of another layer")
        return own.fget(variable)

    kind.value = property(value)
    try:
        yield
    finally:
        del kind.value  # it is a base class's


# ---------------------------------------------------------------------- in training and in inference


def changes(layer: Any) -> bool:
    """Say whether a layer is another map in training: one that draws or keeps statistics."""
    drawing = any(variable.name == "seed_generator_state" for variable in layer.variables)
    keeping = layer.trainable and any(not weight.trainable for weight in layer.weights)
    return (drawing or keeping) and layer._call_has_training_arg


def steps(graph: keras.Model) -> str:
    """Return what a graph does, without what tells training from inference.

    Operations, which are named anew each time, are known by their place.
    """
    functional = getattr(graph, "_functional", graph)
    nodes = [node for nodes in functional._nodes_by_depth.values() for node in nodes]
    made = {id(one): place for place, node in enumerate(nodes) for one in node.outputs}

    def told(one: Any) -> Any:
        if keras.backend.is_keras_tensor(one):
            return made[id(one)], one._keras_history.tensor_index
        return keras.ops.convert_to_numpy(one).tolist() if _is_array(one) else one

    def of(operation: Any) -> Any:
        if isinstance(operation, keras.layers.Layer) and not isinstance(operation, GivenNumbers):
            return operation.name
        own = {key: value for key, value in vars(operation).items() if not key.startswith("_")}
        return type(operation).__name__, {**own, "name": None}

    return repr(
        [
            (
                of(node.operation),
                keras.tree.map_structure(told, node.arguments.args),
                {
                    name: keras.tree.map_structure(told, value)
                    for name, value in node.arguments.kwargs.items()
                    if name != "training"
                },
            )
            for node in nodes
        ]
    )
