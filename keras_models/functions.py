"""The functions inside ``Lambda`` layers: which of Keras's operations they are made of."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import keras
from keras.src import backend
from keras.src.activations import activations

from keras_models import naming

Config = dict[str, Any]

OPERATIONS = ("keras.src.ops.", "keras.src.activations.")
"""Where Keras has its operations: activation functions may have their own."""


def lambdas(model: keras.Model, config: Config) -> Iterator[tuple[Any, Config]]:
    """Yield each ``Lambda`` layer, also of models within, with its part of the configuration."""
    for part, entry in _parts(model, config):
        if isinstance(part, keras.layers.Lambda):
            yield part, entry["config"]


def operations(model: keras.Model, config: Config) -> Iterator[tuple[Any, Config]]:
    """Yield each operation of a model, also of models within, with its entry in a configuration."""
    for part, entry in _parts(model, config):
        if not isinstance(part, keras.Layer):
            yield part, entry


def _parts(model: keras.Model, config: Config) -> Iterator[tuple[Any, Config]]:
    """Yield everything that a model is made of, and what models within are, with its entry."""
    entries = {_name(entry): entry for entry in config["layers"]}
    for part in getattr(model, "_functional", model).operations:
        entry = entries.get(part.name)
        if entry is not None:
            yield part, entry
            if naming.is_graph(part):
                yield from _parts(part, entry["config"])


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
    for layer, entry in _parts(model, config):
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


class Graphs(NamedTuple):
    """What a ``Lambda`` layer's function does, as configurations of models of operations.

    Attributes
    ----------
    function : configuration
    at_inference : configuration, or None
        Where the function asks for ``training``; else it is the same as ``function``.
    mask : configuration, or None
        What makes the mask of the output, of the inputs and their masks.
    takes_mask : bool
        Whether ``function`` has the mask of its input for its last input.
    """

    function: Config
    at_inference: Config | None
    mask: Config | None
    takes_mask: bool


def graphs(layer: Any) -> Graphs | None:
    """Return what the function of a ``Lambda`` layer makes of symbolic tensors.

    None if it isn't made of operations alone: if it calls TensorFlow by itself or layers, or draws
    random numbers; or if the layer has a mask that is a tensor.
    """
    if not layer._inbound_nodes or not (layer.mask is None or callable(layer.mask)):
        return None
    given = layer._inbound_nodes[0].arguments.args[0]
    arriving = _masks_of(given)
    masks = arriving if layer._fn_expects_mask_arg else []

    def call(inputs: Any, mask: Any, training: bool) -> Any:
        options = dict(layer.arguments)
        if layer._fn_expects_mask_arg:
            options["mask"] = mask
        if layer._fn_expects_training_arg:
            options["training"] = training
        return layer.function(inputs, **options)

    wanted = [(partial(call, training=True), masks)]
    if layer._fn_expects_training_arg:
        wanted.append((partial(call, training=False), masks))
    if makes_mask := layer.mask is not None and _gives(layer.mask, given, arriving):
        wanted.append((layer.mask, arriving))
    traced = [graph(function, given, taken) for function, taken in wanted]
    found = [one for one in traced if one is not None]
    if len(found) < len(traced):
        return None
    function = found[0]
    at_inference = found[1] if layer._fn_expects_training_arg else None
    mask = found[-1] if makes_mask else None
    return Graphs(function, at_inference, mask, bool(masks))


def _gives(mask: Any, given: Any, arriving: list[Any]) -> bool:
    """Say whether a function that makes masks makes one: it may be there to give none."""
    try:
        several = len(keras.tree.flatten(given)) > 1
        return mask(given, arriving if several else (arriving or [None])[0]) is not None
    except Exception:  # whatever a function may raise that takes real tensors only
        return True


def _masks_of(given: Any) -> list[Any]:
    masks = [getattr(one, "_keras_mask", None) for one in keras.tree.flatten(given)]
    return [one for one in masks if one is not None]


def graph(function: Any, given: Any, masks: Sequence[Any] = ()) -> Config | None:
    """Return the configuration of the graph that a function makes of symbolic tensors.

    Parameters
    ----------
    function : callable
        Of the tensors, and of the mask of the first, or of all of them.
    given : symbolic tensors, nested as the function takes them
    masks : sequence of symbolic tensor
        What it gets for a mask.

    Returns
    -------
    configuration of a model, or None
        None if the function isn't made of operations alone, each time the same ones.
    """
    try:
        traced, again = (_traced(function, given, masks) for _ in range(2))
    except Exception:  # whatever a function may raise that takes real tensors only
        return None
    layers = [entry for entry in traced["layers"] if entry["class_name"] != "InputLayer"]
    of_operations = all(entry["module"].startswith(OPERATIONS) for entry in layers)
    return traced if of_operations and _unnumbered(traced) == _unnumbered(again) else None


def _traced(function: Any, given: Any, masks: Sequence[Any]) -> Config:
    inputs, masking = keras.tree.map_structure(
        lambda one: keras.Input(batch_shape=one.shape, dtype=one.dtype), (given, list(masks))
    )
    mask = masking if len(keras.tree.flatten(given)) > 1 else (masking or [None])[0]
    with _symbolic_tensors_are_tensors():
        outputs = function(inputs, mask)
    model = keras.Model([*keras.tree.flatten(inputs), *masking], keras.tree.flatten(outputs))
    config: Config = model.get_config()
    return config


@contextmanager
def _symbolic_tensors_are_tensors() -> Iterator[None]:
    """Let activation functions that make a tensor of what they get take a symbolic one as it is."""

    def leaving(convert: Any) -> Any:
        def converted(x: Any, *args: Any, **kwargs: Any) -> Any:
            return x if isinstance(x, keras.KerasTensor) else convert(x, *args, **kwargs)

        return converted

    def mish(x: Any) -> Any:
        return own(x) if not isinstance(x, keras.KerasTensor) else activations.Mish()(x)

    places = (backend, backend.core)
    before, own = [place.convert_to_tensor for place in places], activations.Mish.static_call
    try:
        for place, convert in zip(places, before, strict=True):
            place.convert_to_tensor = leaving(convert)
        activations.Mish.static_call = staticmethod(mish)
        yield
    finally:
        for place, convert in zip(places, before, strict=True):
            place.convert_to_tensor = convert
        activations.Mish.static_call = staticmethod(own)


def _unnumbered(config: Config) -> str:
    """Write a configuration without the numbers that names get when they are made."""
    return re.sub(r'_\d+"', '"', json.dumps(config, default=str))
