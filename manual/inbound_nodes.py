"""How Keras writes down, in the configuration of a model, what its layers are called on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from manual.layers import Layer
from manual.registry import NoTwin

Config = Mapping[str, Any]


def ends_of(entry: Any) -> list[tuple[str, int, int]]:
    """Read ``input_layers`` or ``output_layers``: flat where there is one, nested as was given."""
    if isinstance(entry, dict):
        return [end for key in sorted(entry) for end in ends_of(entry[key])]
    if isinstance(entry[0], str):
        return [tuple(entry)]
    return [end for one in entry for end in ends_of(one)]


MASKS = ("mask", "query_mask", "value_mask", "key_mask")
"""Arguments in which Keras hands over the masks that layers make; the twin carries its own."""
NOT_CARRIED = "not_carried"
"""Where in the entry of a call stands which of its masks its inputs can't have brought along, if
somebody put it there."""


@dataclass(frozen=True)
class TensorAt:
    """A tensor in a Keras configuration: which layer made it, in which call, as which output."""

    history: tuple[str, int, int]


def arguments_of(
    inbound_node: Config, part: object
) -> tuple[list[tuple[str, int, int]], dict[str, Any]]:
    """Read what a call was made on: the tensors in order, and what was given by name.

    What a call says of ``training`` is passed over: ``fit`` in Keras tells every layer to train.

    Keras lists the tensors as they were written: one, a structure of them, or several arguments.
    """
    args = [_plain(value) for value in inbound_node["args"] if value is not None]
    if len(args) > 1 and isinstance(part, Layer) and not part.tensor_arguments:
        raise NoTwin(
            f"layer {part.name!r}: it is called with {len(args)} arguments; only the first has a "
            "hand-derived twin."
        )
    given = {
        option: _plain(value)
        for option, value in inbound_node["kwargs"].items()
        if value is not None and value is not False and option not in ("training", *MASKS)
    }
    if isinstance(part, Layer):  # a state of several arrays, given by name
        args += [given.pop(name) for name in part.tensor_arguments if _is_listed(given.get(name))]
    flat = [one for value in args for one in _flat(value)]
    if isinstance(part, Layer) and "initial_state" in part.tensor_arguments:
        stated = len(flat) > 1 or "initial_state" in given
        if stated and inbound_node["kwargs"].get("mask") is not None:
            given["masked"] = True  # Keras hands on a mask beside a state only if it is told to
        if not all(isinstance(one, TensorAt) for one in flat):
            given["initial_state"] = "numbers"
    return [one.history for one in flat if isinstance(one, TensorAt)], given


def masks_of(inbound_node: Config) -> Iterator[tuple[str, int, TensorAt | None]]:
    """Give the masks that a call was made with: in which argument, at which place of a list.

    Keras doesn't say which of them its inputs brought along.
    """
    for option in MASKS:
        value = _plain(inbound_node["kwargs"].get(option))
        listed = value if isinstance(value, list) else [value]
        if all(one is None for one in listed):
            continue
        for place, one in enumerate(listed):
            if one is not None and not isinstance(one, TensorAt):
                raise NoTwin(f"A layer is called with {option}=…, a mask that is no tensor.")
            yield option, place, one


def _is_listed(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, TensorAt) for one in _flat(value))


def _flat(value: Any) -> Iterator[Any]:
    """Give everything in a structure, in the order in which Keras takes a structure apart."""
    if isinstance(value, dict):
        value = [value[key] for key in sorted(value)]
    if isinstance(value, list):
        for one in value:
            yield from _flat(one)
    else:
        yield value


def _plain(value: Any) -> Any:
    """Read a value as Keras writes it in a configuration: tensors, arrays, lists of them."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        return TensorAt(tuple(value["config"]["keras_history"]))
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        return np.array(value["config"]["value"], value["config"]["dtype"])
    if isinstance(value, dict) and "class_name" not in value:
        return {key: _plain(item) for key, item in value.items()}
    return value


def calls_within(value: Any) -> Iterator[tuple[str, int]]:
    """Find the tensors in a configuration: which layer gave each, at which call."""
    if isinstance(value, dict):
        if value.get("class_name") == "__keras_tensor__":
            name, call, _ = value["config"]["keras_history"]
            yield name, call
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from calls_within(item)
