"""What an operation is called with: tensors and constants, in any structure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from manual.registry import NoTwin


@dataclass(frozen=True)
class Slot:
    """Where one of the tensors belongs among the arguments of an operation."""

    place: int


@dataclass(frozen=True)
class Arguments:
    """The arguments of a call, with a `Slot` in place of each tensor.

    Attributes
    ----------
    positional, named : as in the call
    shapes : sequence of shapes
        Those of the tensors; None stands for the size of the batch, wherever that is.

    Examples
    --------
    >>> given = Arguments((Slot(0), 2.0), {})
    >>> given.filled(["x"])
    (('x', 2.0), {})
    """

    positional: tuple[Any, ...]
    named: Mapping[str, Any]
    shapes: Sequence[Sequence[int | None]] = ()

    def filled(self, tensors: Sequence[Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments with the tensors in their places."""
        put = _in_place(tensors)
        return put(self.positional), {name: put(one) for name, one in self.named.items()}


def _in_place(tensors: Sequence[Any]) -> Callable[[Any], Any]:
    def put(value: Any) -> Any:
        if isinstance(value, Slot):
            return tensors[value.place]
        if isinstance(value, (list, tuple)):
            return type(value)(put(one) for one in value)
        return value

    return put


def slots_in(value: Any) -> list[int]:
    """Return the places of the tensors in an argument, in their order."""
    if isinstance(value, Slot):
        return [value.place]
    if isinstance(value, (list, tuple)):
        return [place for one in value for place in slots_in(one)]
    return []


def narrow_precision(value: Any) -> str | None:
    """Return in which narrow precision a call's tensors come, if they do: it computes in that."""
    if isinstance(value, Mapping):
        if value.get("class_name") == "__keras_tensor__":
            dtype = str(value["config"]["dtype"])
            return dtype if dtype in ("float16", "bfloat16") else None
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(narrow_precision, value)), None)
    return None


def read_call(
    inbound_node: Mapping[str, Any], operation: str
) -> tuple[list[tuple[str, int, int]], Arguments]:
    """Read a call in a Keras configuration: which tensors it takes, and as which arguments.

    Returns
    -------
    histories : list of (layer, call, output)
        Where each of the tensors comes from, once for each time that it is taken.
    arguments : Arguments
    """
    histories: list[tuple[str, int, int]] = []
    shapes: list[Sequence[int | None]] = []

    def plain(value: Any) -> Any:
        if isinstance(value, (list, tuple)):
            return tuple(plain(one) for one in value)
        if not isinstance(value, Mapping):
            return value
        kind, config = value.get("class_name"), value.get("config", {})
        if kind == "__keras_tensor__":
            histories.append(tuple(config["keras_history"]))
            shapes.append(config["shape"])
            return Slot(len(histories) - 1)
        if kind in ("__numpy__", "__tensor__"):
            return np.array(config["value"], config["dtype"])
        if kind == "__slice__":
            return slice(*(plain(config[end]) for end in ("start", "stop", "step")))
        if kind == "__ellipsis__":
            return ...
        raise NoTwin(f"The operation {operation!r} is called with {value!r}, which has no twin.")

    given = Arguments(
        plain(inbound_node["args"]),
        {name: plain(value) for name, value in sorted(inbound_node["kwargs"].items())},
        shapes,
    )
    return histories, given
