"""A user's own functions inside layers: which of Keras's operations they are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras

from keras_models import naming

Config = dict[str, Any]
ACTIVATIONS = ("activation", "recurrent_activation")
"""The options of layers that take a function of one array."""
OF_ONE_ARRAY = ("Activation", "ELU", "LeakyReLU", "ReLU", "Softmax")
"""Layers that are nothing but an activation function."""


def lambdas(model: keras.Model, config: Config) -> Iterator[tuple[Any, Config]]:
    """Yield each ``Lambda`` layer, also of models within, with its part of the configuration."""
    entries = {_name(entry): entry for entry in config["layers"]}
    for layer in model.layers:
        entry = entries.get(layer.name)
        if entry is None:
            continue
        if naming.is_graph(layer):
            yield from lambdas(layer, entry["config"])
        elif isinstance(layer, keras.layers.Lambda):
            yield layer, entry["config"]


def activations(model: keras.Model, config: Config) -> Iterator[tuple[Any, Config, str]]:
    """Yield each function that a layer has for an activation and Keras has no name for.

    Also of models within: the layer, its part of the configuration, and the option in which the
    function stands.
    """
    entries = {_name(entry): entry for entry in config["layers"]}
    for layer in model.layers:
        entry = entries.get(layer.name)
        if entry is None:
            continue
        if naming.is_graph(layer):
            yield from activations(layer, entry["config"])
            continue
        for option, function in own_activations(layer).items():
            if option not in entry["config"]:  # what a user's own layer has, it reads by itself
                continue
            if _is_nameless(function):  # it was left out
                entry["config"][option] = {"class_name": "a function without a name"}
            yield layer, entry["config"], option


def own_activations(layer: Any) -> dict[str, Any]:
    """Return what a layer has for an activation and Keras has no name for, by the option."""
    found = {option: vars(_holder(layer)).get(option) for option in ACTIVATIONS}
    return {
        option: function
        for option, function in found.items()
        if callable(function)
        and getattr(keras.activations, getattr(function, "__name__", ""), None) is not function
    }


def _is_nameless(function: Any) -> bool:
    """Say whether Keras can't write a function down, or warns that it can hardly read it back."""
    return isinstance(function, partial) or getattr(function, "__name__", "") == "<lambda>"


def _holder(layer: Any) -> Any:
    """Return who has the activation of a layer: of a recurrent one, its cell."""
    return layer.cell if isinstance(layer, keras.layers.RNN) else layer


@contextmanager
def written_down(layers: Iterable[Any]) -> Iterator[None]:
    """Let the configurations of layers leave out activations that have no name to be known by."""
    undo = [
        (_holder(layer), option, function)
        for layer in layers
        for option, function in own_activations(layer).items()
        if _is_nameless(function)
    ]
    for holder, option, _ in undo:
        setattr(holder, option, keras.activations.linear)
    try:
        yield
    finally:
        for holder, option, function in undo:
            setattr(holder, option, function)


def operations(model: keras.Model, config: Config) -> Iterator[tuple[Any, Config]]:
    """Yield each operation of a model, also of models within, with its entry in a configuration."""
    entries = {_name(entry): entry for entry in config["layers"]}
    for operation in getattr(model, "_functional", model).operations:
        entry = entries.get(operation.name)
        if entry is None:
            continue
        if naming.is_graph(operation):
            yield from operations(operation, entry["config"])
        elif not isinstance(operation, keras.Layer):
            yield operation, entry


def kind_of_numbers(operation: Any) -> str:
    """Return the dtype in which an operation computes; that of whole numbers if it never rounds."""
    node = operation._inbound_nodes[0]
    given = keras.backend.standardize_dtype(node.output_tensors[0].dtype)
    taken = [keras.backend.standardize_dtype(one.dtype) for one in node.input_tensors]
    inexact = [dtype for dtype in taken if "float" in dtype]
    return str(given if "float" in given or not inexact else inexact[0])


def masks_by_hand(model: keras.Model, config: Config) -> Iterator[tuple[Config, list[str]]]:
    """Yield calls with masks that their inputs can't have brought along, for they have none.

    Each is a call's entry in the configuration, with the names of these masks.
    """
    entries = {_name(entry): entry for entry in config["layers"]}
    for layer in getattr(model, "_functional", model).operations:
        entry = entries.get(layer.name)
        if entry is None:
            continue
        if naming.is_graph(layer):
            yield from masks_by_hand(layer, entry["config"])
        if len(entry.get("inbound_nodes", ())) != len(layer._inbound_nodes):
            continue
        for written, node in zip(entry["inbound_nodes"], layer._inbound_nodes, strict=True):
            given = {
                name: masks
                for name, masks in node.arguments.kwargs.items()
                if name.endswith("mask") and keras.tree.flatten(masks)
            }
            without = all(getattr(one, "_keras_mask", None) is None for one in node.input_tensors)
            if given and without:
                yield written, list(given)


def _name(entry: Config) -> str:
    """Return the name in an entry; the configuration of a user's own layer may have none."""
    return str(entry["name"] if "name" in entry else entry["config"]["name"])


def graph(layer: Any) -> Config | None:
    """Return the configuration of the graph that a layer's function makes of symbolic tensors.

    None if it isn't made of operations alone: if it calls TensorFlow by itself or layers, draws
    random numbers, or is told of masks or training.
    """
    told = layer._fn_expects_mask_arg or layer._fn_expects_training_arg or layer.mask is not None
    if told or not layer._inbound_nodes:
        return None
    given = layer._inbound_nodes[0].arguments.args[0]
    return _graph(partial(layer.function, **layer.arguments), given)


def graph_of_activation(layer: Any, option: str) -> Config | None:
    """Return the configuration of the graph that a layer's activation makes of an array.

    None if it isn't made of operations, and of layers that are activations, alone.
    """
    return _graph(getattr(layer, option), keras.KerasTensor(_activated(layer)))


def carries_logits(layer: Any, option: str) -> bool:
    """Say whether Keras finds logits behind what a layer's function gives: as behind a softmax."""
    zeros = keras.ops.zeros([1 if size is None else size for size in _activated(layer)])
    arguments = layer.arguments if isinstance(layer, keras.layers.Lambda) else {}
    try:
        return hasattr(getattr(layer, option)(zeros, **arguments), "_keras_logits")
    except Exception:  # whatever a function may raise that takes other arrays
        return False


def _activated(layer: Any) -> tuple[int | None, ...]:
    """Return the shape of what a layer's function is called with, sizes that are open made up."""
    if isinstance(layer, keras.layers.RNN) or len(layer._inbound_nodes) == 0:
        return (None, getattr(layer, "units", 2))
    node = layer._inbound_nodes[0]
    bare = isinstance(layer, (keras.layers.Activation, keras.layers.Lambda))
    ends = node.input_tensors if bare else node.output_tensors
    return (None, *(2 if size is None else size for size in ends[0].shape[1:]))


def _graph(function: Any, given: Any) -> Config | None:
    try:
        traced, again = (_traced(function, given) for _ in range(2))
    except Exception:  # whatever a function may raise that takes real tensors only
        return None
    layers = [entry for entry in traced["layers"] if entry["class_name"] != "InputLayer"]
    of_operations = all(
        entry["module"].startswith("keras.src.ops.") or entry["class_name"] in OF_ONE_ARRAY
        for entry in layers
    )
    return traced if of_operations and _unnumbered(traced) == _unnumbered(again) else None


def _traced(function: Any, given: Any) -> Config:
    inputs = keras.tree.map_structure(
        lambda one: keras.Input(batch_shape=one.shape, dtype=one.dtype), given
    )
    outputs = function(inputs)
    model = keras.Model(keras.tree.flatten(inputs), keras.tree.flatten(outputs))
    config: Config = model.get_config()
    return config


def _unnumbered(config: Config) -> str:
    """Write a configuration without the numbers that names get when they are made."""
    return re.sub(r'_\d+"', '"', json.dumps(config, default=str))
