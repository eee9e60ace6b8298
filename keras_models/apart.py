"""A user's own layer or model taken apart: what its ``call`` does with symbols, as a graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from keras_models.pieces import AddedLoss, GivenNumbers
from keras_models.symbols import NoGraph, Symbols, is_array

Functional: Any = keras.src.models.Functional


class Inferring(Functional):
    """A graph that is in inference even while the model around it is trained."""

    def call(self, inputs: Any, training: Any = None, mask: Any = None) -> Any:
        return super().call(inputs, training=False, mask=mask)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "infers": True}


def traced(part: Any, args: Any, kwargs: Any, inputs: Any, training: bool | None) -> Any:
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
        with Symbols(part, keras.tree.flatten(inputs)[0], costs):
            outputs = part.call(*args, **options)
        return Functional(inputs, _with_costs(outputs, costs), name=part.name)
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


# ---------------------------------------------------------------------- two graphs side by side


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
        return keras.ops.convert_to_numpy(one).tolist() if is_array(one) else one

    def of(operation: Any) -> Any:
        if isinstance(operation, GivenNumbers):
            return operation.name, operation.numbers.tolist()
        if isinstance(operation, keras.layers.Layer):
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
