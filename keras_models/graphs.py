"""The graph of a subclassed model: what its ``call`` does with symbols, as a Functional model."""

from __future__ import annotations

import json
from typing import Any

import keras

from keras_models import naming

KERAS_CALLS = keras.Sequential.call, keras.src.models.Functional.call


class NoGraph(ValueError):
    """A model's ``call`` can't be followed; the message says why."""


def tells_graph(model: keras.Model) -> bool:
    """Say whether a model's configuration is its graph: it is of Keras's own classes."""
    return type(model) in (keras.Sequential, keras.src.models.Functional)


def build_for(model: keras.Model, x: Any) -> None:
    """Build a model that isn't yet for such inputs, as ``fit`` would.

    Parameters
    ----------
    model : keras.Model
    x : anything with shapes and dtypes, nested as the model takes it
    """
    if not all(layer.built for layer in model._flatten_layers()):
        keras.src.backend.compute_output_spec(model, keras.tree.map_structure(_tensor, x))


def graph_of(model: keras.Model, x: Any) -> keras.Model:
    """Return a Functional model of what a subclassed model's ``call`` does in training.

    It has the very layers and weights of the model, in an order of its own, and is compiled alike.

    Parameters
    ----------
    model : keras.Model
        Compiled and built.
    x : anything with shapes and dtypes, nested as the model takes it

    Raises
    ------
    NoGraph
        If ``call`` does more than to call layers and Keras's own operations, does something else
        in inference, or uses weights that aren't in the graph's layers.
    """
    if naming.is_graph(model) and type(model).call in KERAS_CALLS:
        functional = getattr(model, "_functional", model)
        ends = functional._inputs_struct, functional._outputs_struct
        graph = keras.src.models.Functional(*ends, name=model.name)
    else:
        inputs = _symbols(x, taken={layer.name for layer in model.layers})
        training, graph = (_traced(model, inputs, training) for training in (True, False))
        if _steps(training) != _steps(graph):
            raise NoGraph("does something else in training than in inference, outside its layers")
    own = {id(weight) for weight in graph.weights}
    for weight in model.weights:
        if id(weight) not in own:
            raise NoGraph(f"has the weight {weight.path!r}, which lies in none of the layers used")
    for path, layer in naming.layers(graph):
        if isinstance(layer, keras.Model):
            raise NoGraph(f"calls the model {path!r}, which is subclassed itself")
    model.optimizer.build(model.trainable_variables)  # in the order of these, as fit would
    graph.compile(**{**model._compile_config.config, "optimizer": model.optimizer})
    return graph


def _traced(model: keras.Model, inputs: Any, training: bool) -> keras.Model:
    options = {"training": training} if model._call_has_training_arg else {}
    context = model._get_call_context()  # in which layers look for what they aren't told
    context.set_value("training", options.get("training"))
    try:
        outputs = model.call(inputs, **options)
        graph = keras.src.models.Functional(inputs, outputs, name=model.name)
    except Exception as error:  # whatever comes of it when symbols meet the user's own code
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        told = (lines or [type(error).__name__])[0].partition(". ")[0].rstrip(".")
        raise NoGraph(f"can't be followed with symbols in place of numbers: {told}") from error
    finally:
        model._maybe_reset_call_context()
    if options:
        for entry in graph.get_config()["layers"]:  # a Functional model would pass over such words
            for node in entry["inbound_nodes"]:
                if node["kwargs"].get("training") is (not training):
                    raise NoGraph(
                        f"calls the layer {entry['name']!r} with training={not training} also "
                        f"where it is called with training={training}"
                    )
    elif training and (odd := _changing(graph)):
        raise NoGraph(
            "takes no training argument, so that Keras trains it with the layer "
            f"{odd!r} as in inference"
        )
    return graph


def _changing(graph: keras.Model) -> str | None:
    """Return a layer that is another map in training: one that draws or keeps statistics."""
    for path, layer in naming.layers(graph):
        drawing = any(variable.name == "seed_generator_state" for variable in layer.variables)
        keeping = layer.trainable and any(not weight.trainable for weight in layer.weights)
        if drawing or keeping:
            return path
    return None


def _steps(graph: keras.Model) -> str:
    """Return what a graph does, without what tells training from inference."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(one) for key, one in value.items() if key != "training"}
        if isinstance(value, (list, tuple)):
            return [without(one) for one in value]
        return value

    config = graph.get_config()
    steps = json.dumps(without(config), default=repr)
    for number, entry in enumerate(config["layers"]):
        if (entry.get("module") or "").startswith("keras.src.ops"):  # named anew each time
            steps = steps.replace(f'"{entry["name"]}"', f'"operation {number}"')
    return steps


def _tensor(one: Any) -> Any:
    return keras.KerasTensor(*_of(one))


def _of(one: Any) -> tuple[tuple[int | None, ...], str]:
    """Return the shape of a batch of any size, and the dtype that ``fit`` makes of it."""
    dtype = keras.backend.standardize_dtype(one.dtype)
    whole = "float" not in dtype
    return (None, *tuple(one.shape)[1:]), dtype if whole else keras.config.floatx()


def _symbols(x: Any, taken: set[str]) -> Any:
    """Return symbols in the place of arrays, called by their keys as far as names are free."""
    symbols = []
    for path, one in keras.tree.flatten_with_path(x):
        steps = path if path and isinstance(path[0], str) else ("x", *path)
        name = "_".join(map(str, steps))
        while name in taken:
            name += "_input"
        taken.add(name)
        shape, dtype = _of(one)
        symbols.append(keras.Input(batch_shape=shape, dtype=dtype, name=name))
    return keras.tree.pack_sequence_as(x, symbols)
