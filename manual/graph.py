"""The graph of a network: which layer is called on what, in an order that respects causes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from manual.layers import InputLayer, Layer, Symbol
from manual.registry import NoTwin, keras_name, twin


@dataclass(frozen=True)
class Node:
    """One call of a layer.

    Attributes
    ----------
    name : str
        The name under which its output appears in a trace: the layer's, with
        ``/pre_activation`` where an activation follows, and ``@2`` for the second call.
    layer : Layer
    inputs : tuple of int
        Positions of the nodes whose outputs it takes.
    options : mapping of str to object
        What the call was told besides: ``use_causal_mask``, say.
    """

    name: str
    layer: Layer
    inputs: tuple[int, ...]
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_input(self) -> bool:
        return isinstance(self.layer, InputLayer)


def in_causal_order(outputs: Sequence[Symbol]) -> list[Symbol]:
    """Return every symbol behind the outputs, each after the ones it depends on."""
    order: list[Symbol] = []
    seen: set[int] = set()
    stack = [(symbol, False) for symbol in reversed(outputs)]
    while stack:
        symbol, inputs_done = stack.pop()
        if inputs_done:
            order.append(symbol)
        elif id(symbol) not in seen:
            seen.add(id(symbol))
            stack.append((symbol, True))
            stack.extend((source, False) for source in reversed(symbol.inputs))
    return order


def nodes_of(order: Sequence[Symbol]) -> list[Node]:
    """Name the symbols as a trace does and replace references by positions."""
    position = {id(symbol): place for place, symbol in enumerate(order)}
    applied_to = {id(symbol.inputs[0]) for symbol in order if symbol.is_activation_of_its_input}
    nodes = []
    for symbol in order:
        name = symbol.layer.name + (f"@{symbol.call + 1}" if symbol.call else "")
        if id(symbol) in applied_to:
            name += "/pre_activation"
        inputs = tuple(position[id(source)] for source in symbol.inputs)
        nodes.append(Node(name, symbol.layer, inputs, symbol.options))
    return nodes


def symbols_from_config(
    config: Mapping[str, Any],
) -> tuple[list[Symbol], list[Symbol], list[Layer]]:
    """Rebuild the graph that a Keras model's ``get_config()`` describes.

    Returns
    -------
    inputs, outputs : lists of Symbol
    layers : list of Layer
        In Keras's order, which is the order of its weights.

    Raises
    ------
    NoTwin
        If a layer, or an option of one, has no hand-derived counterpart.
    """
    if "input_layers" in config:
        return _functional(config)
    return _sequential(config)


def _sequential(config: Mapping[str, Any]) -> tuple[list[Symbol], list[Symbol], list[Layer]]:
    layers = [_layer(entry) for entry in config["layers"]]
    if not isinstance(layers[0], InputLayer):
        if not config.get("build_input_shape"):
            raise ValueError(
                f"The model {config['name']!r} doesn't know its input shape yet: "
                "start it with keras.Input(...) or call it once."
            )
        layers.insert(0, InputLayer(batch_shape=config["build_input_shape"], name="input"))
    first = layers[0]
    assert isinstance(first, InputLayer)
    symbol = source = Symbol(first, (), first.shape)
    for layer in layers[1:]:
        symbol = layer(symbol)
    return [source], [symbol], layers


def _functional(config: Mapping[str, Any]) -> tuple[list[Symbol], list[Symbol], list[Layer]]:
    entries = {entry["name"]: entry for entry in config["layers"]}
    layers: dict[str, Layer] = {}
    made: dict[tuple[str, int], Symbol] = {}

    def symbol_at(name: str, call: int) -> Symbol:
        if name not in layers:
            layers[name] = _layer(entries[name])
        layer = layers[name]
        if (name, call) not in made:
            if isinstance(layer, InputLayer):
                made[name, call] = Symbol(layer, (), layer.shape)
            else:
                histories, named = _arguments(entries[name]["inbound_nodes"][call], layer)
                sources = [symbol_at(*history) for history in histories]
                given = {
                    option: symbol_at(*value.history) if isinstance(value, _Tensor) else value
                    for option, value in named.items()
                }
                made[name, call] = layer.apply(*sources, call=call, **given)
        return made[name, call]

    inputs = [symbol_at(*history) for history in _ends(config["input_layers"])]
    outputs = [symbol_at(*history) for history in _ends(config["output_layers"])]
    _check_masks(entries, layers)
    return inputs, outputs, [layers[name] for name in entries if name in layers]


def _check_masks(entries: Mapping[str, Any], layers: Mapping[str, Layer]) -> None:
    """Refuse masks that were made by hand: the twin knows those only that layers make.

    Keras writes down the operations by which a mask is made and carried on. It is a layer's own
    if all that is compared in them is what such a layer takes.
    """
    masked = {
        history
        for name, layer in layers.items()
        if layer.makes_mask
        for node in entries[name]["inbound_nodes"]
        for history in _tensors(node["args"])
    }

    def compared(name: str, call: int) -> Iterator[tuple[str, int]]:
        if name in layers:
            yield name, call
        elif entries[name]["class_name"] not in ("ZerosLike", "OnesLike"):
            for history in _tensors(entries[name]["inbound_nodes"][call]["args"]):
                yield from compared(*history)

    for name in layers:
        for node in entries[name]["inbound_nodes"]:
            given = [node["kwargs"].get(option) for option in MASKS]
            given = [mask for mask in given if mask is not None]
            masks = list(_tensors(given))
            by_layers = bool(masks) and all(masked.issuperset(compared(*one)) for one in masks)
            if given and not by_layers:
                raise NoTwin(
                    f"The layer {name!r} is called with mask=…, a mask that no layer makes, "
                    "which has no hand-derived twin."
                )


def _layer(entry: Mapping[str, Any]) -> Layer:
    name = keras_name(entry)
    layer_class = twin("layer", name, f"the layer {entry['config'].get('name')!r}")
    layer: Layer = layer_class.from_config(entry["config"])  # type: ignore[attr-defined]
    return layer


def _ends(entry: Any) -> list[tuple[str, int]]:
    """Read ``input_layers`` or ``output_layers``, which Keras writes flat when there is one."""
    if isinstance(entry, dict):
        entry = list(entry.values())
    if isinstance(entry[0], str):
        entry = [entry]
    return [(name, call) for name, call, _ in entry]


MASKS = ("mask", "query_mask", "value_mask", "key_mask")
"""Arguments in which Keras hands over the masks that layers make; the twin carries its own."""


@dataclass(frozen=True)
class _Tensor:
    """A tensor in a Keras configuration: the name of the layer that made it, and in which call."""

    history: tuple[str, int]


def _arguments(
    inbound_node: Mapping[str, Any], layer: Layer
) -> tuple[list[tuple[str, int]], dict[str, Any]]:
    """Read what a call was made on: the tensors in order, and what was given by name.

    Keras lists the tensors as they were written: one, a list of them, or several arguments.
    """
    args = [_plain(value) for value in inbound_node["args"] if value is not None]
    if len(args) > 1 and not layer.tensor_arguments:
        raise NoTwin(
            f"layer {layer.name!r}: it is called with {len(args)} arguments; only the first has a "
            "hand-derived twin."
        )
    flat = [one for value in args for one in (value if isinstance(value, list) else [value])]
    given = {
        option: _plain(value)
        for option, value in inbound_node["kwargs"].items()
        if value is not None and value is not False and option not in ("training", *MASKS)
    }
    return [one.history for one in flat if isinstance(one, _Tensor)], given


def _plain(value: Any) -> Any:
    """Read a value as Keras writes it in a configuration: tensors, arrays, lists of them."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        name, call, _ = value["config"]["keras_history"]
        return _Tensor((name, call))
    if isinstance(value, dict) and value.get("class_name") == "__numpy__":
        return np.array(value["config"]["value"], value["config"]["dtype"])
    return value


def _tensors(value: Any) -> Iterator[tuple[str, int]]:
    """Find the tensors in a configuration: which layer gave each, at which call."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, call, _ = value["config"]["keras_history"]
            yield name, call
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _tensors(item)
