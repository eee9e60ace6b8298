"""Writes parts of a model as a person would: Keras's classes, and only what isn't their default."""

from __future__ import annotations

import inspect
import json
import math
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from compare.errors import BadInput
from compare.reproduction.draft import Call, Part, Tensor

HOMES = ("layers", "losses", "metrics", "optimizers", "regularizers", "constraints")
NOT_TOLD = ("name", "trainable", "dtype")
"""What a configuration has and only a layer of its own is told."""


class Writer:
    """Writes expressions of Python.

    Parameters
    ----------
    floatx : str
        The dtype that needn't be told.
    functions : mapping of str to callable
        The user's own, by the names that stand for them.

    Attributes
    ----------
    own : dict of str to class or function
        What was met that is none of Keras's, by the names it is written as.
    """

    def __init__(self, floatx: str, functions: Mapping[str, Any]) -> None:
        self.floatx, self.functions = floatx, functions
        self.own: dict[str, Any] = {}

    def value(self, value: Any) -> str:
        """Write a value of a configuration."""
        if isinstance(value, Mapping):
            if "class_name" in value:
                return self._object(value)
            pairs = (f"{json.dumps(key)}: {self.value(one)}" for key, one in value.items())
            return f"{{{', '.join(pairs)}}}"
        if isinstance(value, (list, tuple)):
            inner = ", ".join(map(self.value, value))
            if isinstance(value, list):
                return f"[{inner}]"
            return f"({inner},)" if len(value) == 1 else f"({inner})"
        if isinstance(value, Tensor):
            return value.name
        if isinstance(value, slice):
            return repr(value)
        if isinstance(value, str):
            return self._function(value) if value in self.functions else json.dumps(value)
        if isinstance(value, np.ndarray):
            return f"np.array({numbers(value)})"
        if value is None or value is Ellipsis or isinstance(value, (bool, int, float)):
            return repr(value)
        if isinstance(value, (np.bool_, np.number)):
            return repr(value.item())
        raise BadInput(
            f"A script of Keras and NumPy alone can't hold {type(value).__name__}, which the model "
            "is made with."
        )

    def _object(self, entry: Mapping[str, Any]) -> str:
        """Write an object that Keras has put down as its class and its configuration."""
        if entry["class_name"] == "function":
            return self.value(entry["config"])
        if entry["class_name"] == "DTypePolicy":
            return json.dumps(entry["config"]["name"])
        if entry["class_name"] in ("__numpy__", "__tensor__"):
            return f"np.array({entry['config']['value']})"
        return self.made(class_of(entry), entry["config"])

    def _function(self, name: str) -> str:
        """Write a function of the user's own; a layer of Keras may be used as one."""
        function = self.functions[name]
        if isinstance(function, keras.Layer):
            return self.made(type(function), function.get_config())
        self.own[name] = function
        return name

    def made(self, kind: type, config: Mapping[str, Any], *, name: str = "") -> str:
        """Write how an object is made: what it needs first, then what isn't its default."""
        needed, others = told(kind, config)
        parts = [self.value(value) for value in needed.values()]
        parts += [f"{key}={self.value(value)}" for key, value in others.items()]
        dtype = dtype_of(config)
        if name and dtype not in (None, self.floatx):
            parts.append(f"dtype={json.dumps(dtype)}")
        if name and config.get("trainable") is False:
            parts.append("trainable=False")
        if name:
            parts.append(f"name={json.dumps(name)}")
        return f"{self._named(kind)}({', '.join(parts)})"

    def _named(self, kind: type) -> str:
        for home in HOMES:
            if getattr(getattr(keras, home), kind.__name__, None) is kind:
                return f"keras.{home}.{kind.__name__}"
        schedules = keras.optimizers.schedules
        if getattr(schedules, kind.__name__, None) is kind:
            return f"keras.optimizers.schedules.{kind.__name__}"
        self.own[kind.__name__] = kind
        return kind.__name__

    def operation(self, part: Part, call: Call) -> str:
        """Write the call of an operation."""
        args = [self.value(one) for one in call.args]
        if part.kind.__name__ == "GetItem":
            return f"{args[0]}[{_index(call.args[1])}]"
        signs = {"Add": "+", "Subtract": "-", "Multiply": "*", "TrueDivide": "/", "Matmul": "@"}
        sign = signs.get(part.kind.__name__)
        if sign is not None and len(args) == 2:
            return f"{args[0]} {sign} {args[1]}"
        name = "".join(f"_{c.lower()}" if c.isupper() else c for c in part.kind.__name__)[1:]
        function = getattr(keras.ops, name, None) or getattr(keras.activations, name, None)
        if function is None:
            raise BadInput(_foreign(part.kind.__name__))
        home = "ops" if hasattr(keras.ops, name) else "activations"
        names = inspect.signature(function).parameters
        options = {
            key: value
            for key, value in {**part.config, **call.kwargs}.items()
            if key != "name" and key in names and value != names[key].default
        }
        args += [f"{key}={self.value(value)}" for key, value in options.items()]
        return f"keras.{home}.{name}({', '.join(args)})"


def _foreign(name: str) -> str:
    return (
        f"{name!r} is none of Keras's own, so that a script of Keras and NumPy alone can't hold it."
    )


def check_all_of_keras(writer: Writer) -> None:
    """Refuse what only who has the user's own classes and functions could run."""
    for name, one in writer.own.items():
        raise BadInput(_foreign(getattr(one, "__name__", name)))


def class_of(entry: Mapping[str, Any]) -> Any:
    """Return the class that an entry of a configuration is of."""
    registered = entry.get("registered_name")
    found = keras.saving.get_registered_object(registered) if registered else None
    for home in (*(getattr(keras, home) for home in HOMES), keras.optimizers.schedules):
        found = found or getattr(home, entry["class_name"], None)
    if found is None:
        raise BadInput(_foreign(entry["class_name"]))
    return found


def dtype_of(config: Mapping[str, Any]) -> str | None:
    """Return the name of a layer's dtype policy."""
    dtype = config.get("dtype")
    return dtype["config"]["name"] if isinstance(dtype, Mapping) else dtype


def told(kind: type, config: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Split a configuration into what a class needs, and what else isn't its default."""
    parameters = inspect.signature(kind).parameters
    given = {key: value for key, value in config.items() if key not in NOT_TOLD}
    needed = {
        name: given.pop(name)
        for name, one in parameters.items()
        if one.default is one.empty and name in given
    }
    shares = [given[name] for name in ("dropout", "recurrent_dropout") if name in given]
    if shares and not any(shares):
        given.pop("seed", None)  # nothing is drawn
    written = {key: repr(one) for key, one in _defaults(kind, needed).items()}
    return needed, {key: one for key, one in given.items() if written.get(key) != repr(one)}


def _defaults(kind: Any, needed: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of what is made with nothing but what it needs."""
    try:
        made = kind.from_config(dict(needed))
        config = {**getattr(made, "_fn_kwargs", {}), **made.get_config()}
    except Exception:  # whatever a class says that wants more
        return {}
    learning_rate = config.get("learning_rate")
    if isinstance(learning_rate, float):
        config["learning_rate"] = float(str(np.float32(learning_rate)))
    return config


def numbers(array: Any) -> str:
    """Write an array as nested lists, each number as short as its dtype allows."""
    array = np.asarray(array)
    if array.ndim:
        return f"[{', '.join(map(numbers, array))}]"
    if array.dtype.kind == "f":
        return number(float(str(array[()])))
    return str(array[()])


def number(value: float) -> str:
    """Write a number that may be none."""
    return repr(value) if math.isfinite(value) else f'float("{value}")'


def _index(index: Any) -> str:
    if isinstance(index, tuple):
        return ", ".join(map(_index, index))
    if isinstance(index, slice):
        ends = ["" if one is None else str(one) for one in (index.start, index.stop)]
        return ":".join([*ends, *([str(index.step)] if index.step else [])])
    return "..." if index is Ellipsis else repr(index)
