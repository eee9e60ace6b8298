"""What Keras can't write down, or read back, of a model that it trains all the same.

Of functions of the user's own, an activation, a penalty, an initializer, it writes down a name, or
some bytes, or nothing. For a while they go by names that are known here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
from keras.src.saving.serialization_lib import SerializableDict

KINDS = ("activation", "regularizer", "constraint", "initializer")
"""What an option is, by the end of its name."""


@dataclass(frozen=True)
class Own:
    """A function of the user's own.

    Attributes
    ----------
    function : callable
    layer : keras.Layer
        Whose it is.
    option : str
        What it is to it: ``kernel_regularizer``.
    """

    function: Callable[..., Any]
    layer: Any
    option: str

    @property
    def kind(self) -> str:
        return next(kind for kind in KINDS if self.option.endswith(kind))

    @property
    def map(self) -> Callable[..., Any]:
        """What it does: that of a layer is its call, without what surrounds one."""
        return self.function.call if isinstance(self.function, keras.Layer) else self.function

    @property
    def name(self) -> str:
        """The name by which Keras would have saved it."""
        known = getattr(self.function, "__name__", type(self.function).__name__)
        return known if known == "<lambda>" else str(_registered(self.function, known))

    def takes(self) -> tuple[tuple[int | None, ...], str] | None:
        """Return the shape and dtype of what it is called on; None if that isn't known."""
        layer, kind = self.layer, self.kind
        if kind in ("regularizer", "constraint") and not self.option.startswith("activity"):
            weight = getattr(layer, self.option.removesuffix(f"_{kind}"), None)
            return None if weight is None else (tuple(weight.shape), weight.dtype)
        if layer._inbound_nodes and not hasattr(layer, "cell"):
            output = layer._inbound_nodes[0].output_tensors[0]
            return tuple(output.shape), output.dtype
        units = getattr(layer, "units", None)
        return None if units is None else ((None, units), layer.compute_dtype)


def _registered(function: Any, otherwise: str) -> str:
    try:
        return str(keras.saving.get_registered_name(function))
    except AttributeError:
        return otherwise


@contextmanager
def named(model: keras.Model) -> Iterator[dict[str, Own]]:
    """Let Keras save the user's own functions by names; give them by these names."""
    found: dict[str, Own] = {}
    undo: list[tuple[Any, str, Any]] = []
    try:
        for layer in _all_layers(model):
            if type(layer).__module__.startswith("keras.") and _has_forgotten(layer):
                undo.append((layer, "_auto_config", None))
                vars(layer)["_auto_config"] = SerializableDict()
            for option, value in list(vars(layer).items()):
                if option.endswith(KINDS) and _is_own(value, layer):
                    name = f"own_function_{len(found)}"
                    found[name] = Own(value, layer, option)
                    undo.append((layer, option, value))
                    vars(layer)[option] = _standing_in_for(value, name)
        yield found
    finally:
        for layer, option, value in undo:
            vars(layer)[option] = value


def _all_layers(layer: Any) -> Iterator[Any]:
    """Yield a layer and all those within it; operations may be among these."""
    yield layer
    for part in list(layer._layers):
        if isinstance(part, keras.Layer):
            yield from _all_layers(part)


def _has_forgotten(layer: Any) -> bool:
    """Say whether a layer without options of its own was given an object for one that all have.

    Keras then refuses to write it down, although it would know how to.
    """
    return getattr(layer, "_auto_config", None) is None


def _is_own(value: Any, layer: Any) -> bool:
    """Say whether it is a function that Keras can't read back, or a layer that is used as one."""
    if isinstance(value, keras.Layer):
        plain = not (value.variables or value._call_has_training_arg or value.activity_regularizer)
        return plain and value.dtype_policy.name == layer.dtype_policy.name
    if not callable(value):
        return False
    if hasattr(value, "get_config"):
        return False  # an object, which is registered, or isn't
    try:
        written = keras.activations.serialize(value)
        return not isinstance(written, str) or keras.activations.get(written) is not value
    except (TypeError, ValueError):  # it has no name
        return True


def _standing_in_for(function: Callable[..., Any], name: str) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    called.__name__ = called.__qualname__ = name
    return called
