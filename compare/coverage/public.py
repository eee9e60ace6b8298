"""What the installed Keras has of each kind, and the options that its constructors take."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

PLURALS = {
    "layer": "layers",
    "operation": "ops",
    "activation": "activations",
    "loss": "losses",
    "optimizer": "optimizers",
    "schedule": "optimizers.schedules",
    "regularizer": "regularizers",
    "constraint": "constraints",
    "metric": "metrics",
}
"""Where in Keras each kind is public. The registry names the kinds in the same way."""

HOW_NOT_WHAT = {
    *("name", "dtype", "autocast", "seed", "trainable"),
    *("weights", "batch_size", "sparse", "ragged", "input_tensor", "optional"),
    *("use_cudnn", "flash_attention", "implementation"),
    *("lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size"),
    *("bounding_box_format",),
}
"""Options that say where numbers come from or how they are kept, and not what becomes of them."""


def public(kind: str) -> Iterator[tuple[str, Any]]:
    """Give every class (or activation function) of a kind, under the name in a configuration.

    A class that others only derive from is none. An operation is the class that a public function
    puts into a model's graph, which it names in its code.
    """
    if kind == "operation":
        yield from _operations()
        return
    place: Any = keras
    for part in PLURALS[kind].split("."):
        place = getattr(place, part)
    found: dict[Any, str] = {}
    for name, one in vars(place).items():
        if kind == "activation":
            wanted = (
                inspect.isfunction(one) and next(iter(inspect.signature(one).parameters)) == "x"
            )
        else:
            wanted = inspect.isclass(one) and base_of(kind) in one.__mro__[1:]
        if wanted and (one not in found or name == one.__name__):
            found[one] = name
    yield from sorted(((name, one) for one, name in found.items()), key=lambda pair: pair[0])


def _operations() -> Iterator[tuple[str, Any]]:
    found = {
        one.__name__: one
        for function in vars(keras.ops).values()
        if inspect.isfunction(function)
        for name in function.__code__.co_names
        if inspect.isclass(one := function.__globals__.get(name))
        and issubclass(one, keras.Operation)
    }
    yield from sorted(found.items())


def base_of(kind: str) -> type:
    """Return the class that all of a kind derive from."""
    bases: dict[str, type] = {
        "layer": layers.Layer,
        "loss": keras.losses.Loss,
        "optimizer": keras.optimizers.Optimizer,
        "schedule": keras.optimizers.schedules.LearningRateSchedule,
        "regularizer": keras.regularizers.Regularizer,
        "constraint": keras.constraints.Constraint,
        "metric": keras.metrics.Metric,
    }
    return bases[kind]


def family(kind: str, one: Any) -> str:
    """Return the group that Keras keeps a layer or an operation in; others are one group each."""
    module = one.__module__.split(".")
    if kind == "operation":
        return str(module[-1])
    return module[3] if kind == "layer" and module[:3] == ["keras", "src", "layers"] else ""


def left_out(kind: str, one: Any, *, has_twin: bool = False) -> str:
    """Say why a class isn't on the path of a gradient; nothing where it is.

    The rule for layers: what has no map of its own, what another framework computes, and what
    prepares data before a network sees them, unless it has a twin.
    """
    if kind != "layer":
        return ""
    if one.call is layers.Layer.call or len(inspect.signature(one.call).parameters) == 1:
        return "has no map of its own"
    if not family(kind, one):
        return "computed by another framework"
    if family(kind, one) == "preprocessing" and not has_twin:
        return "prepares data before they reach a network"
    return ""


def options(one: Any) -> list[str]:
    """Return the options of a constructor (or a function) that change what is computed.

    Those of the classes that it derives from count as far as it hands them on; what these demand
    and it doesn't take, it fills in itself.
    """
    if inspect.isfunction(one):
        return list(inspect.signature(one).parameters)[1:]
    found: list[str] = []
    for ancestor in one.__mro__:
        init = vars(ancestor).get("__init__")
        if init is None or ancestor is object:
            continue
        parameters = list(inspect.signature(init).parameters.values())[1:]
        found += [
            each.name
            for each in parameters
            if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)
            and (ancestor is one or each.default is not each.empty)
            and each.name not in found
        ]
        if not any(each.kind is each.VAR_KEYWORD for each in parameters):
            break
    wanted = [
        name for name in found if name not in HOW_NOT_WHAT and not name.endswith("_initializer")
    ]
    if not issubclass(one, (layers.Layer, keras.optimizers.Optimizer)):
        return wanted
    written = _written(one)
    return [name for name in wanted if name in written]


def _written(one: type) -> set[str]:
    """Return what a layer or an optimizer writes in its configuration: all that a twin can know.

    What it takes and doesn't write changes nothing. Of one that can't be made without options:
    every name that is spelled out where it is written.
    """
    found = {"activity_regularizer"} if issubclass(one, layers.Layer) else set()
    try:
        return {*one().get_config(), *found}
    except (TypeError, ValueError):
        for ancestor in one.__mro__:
            if writes := vars(ancestor).get("get_config"):
                found |= set(_names_in(writes.__code__.co_consts))
                if "super" not in writes.__code__.co_names:
                    break
        return found


def _names_in(constants: Any) -> Iterator[str]:
    for one in constants:
        if isinstance(one, tuple):
            yield from _names_in(one)
        elif isinstance(one, str):
            yield one
