"""Which hand-written class is the twin of which Keras object.

``@twin_of("Dense")`` above a class registers it under the name that Keras's own configuration
uses. It is also how users register twins for their own layers.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T", bound=type)

_twins: dict[tuple[str, str], type] = {}

_WITHOUT_MATHEMATICS = {"name", "dtype", "trainable", "autocast"}


class NoTwin(LookupError):
    """Part of a Keras model has no hand-written counterpart (yet)."""


def twin_of(keras_name: str) -> Callable[[T], T]:
    """Register the decorated class as the twin of the Keras object called ``keras_name``.

    The class says with its ``kind`` attribute (inherited from `Layer`, `Loss`, `Optimizer`,
    `Metric`, `manual.activations.ActivationFunction` or `manual.constraints.Constraint`) which
    family the name belongs to: Keras has a loss *and* a metric called ``MeanSquaredError``.

    Parameters
    ----------
    keras_name : str
        The ``class_name`` in Keras's configuration, or ``"Package>Name"`` for an object that was
        registered with ``keras.saving.register_keras_serializable``.
    """

    def register(twin: T) -> T:
        _twins[twin.kind, keras_name] = twin  # type: ignore[attr-defined]
        return twin

    return register


def twin(kind: str, keras_name: str, owner: str = "") -> type:
    """Return the class registered for ``keras_name``.

    Raises
    ------
    NoTwin
        With the name, where it was used (``owner``), and the names that do have a twin.
    """
    try:
        return _twins[kind, keras_name]
    except KeyError:
        known = ", ".join(sorted(name for family, name in _twins if family == kind))
        plural = kind + ("es" if kind.endswith("s") else "s")
        where = f" of {owner}" if owner else ""
        raise NoTwin(
            f"The {kind} {keras_name!r}{where} has no hand-derived twin. "
            f"{plural.capitalize()} that have one: {known}. "
            f'Register yours with @manual.twin_of("{keras_name}").'
        ) from None


def twins(kind: str) -> dict[str, type]:
    """Return all classes of one kind that are registered, by Keras's names."""
    return {name: one for (family, name), one in _twins.items() if family == kind}


def keras_name(config: Any) -> str:
    """Return the name under which Keras serialised an object.

    Keras writes a built-in function or class as a bare string or as a dictionary with
    ``class_name``; a user's own object carries ``registered_name``.
    """
    if isinstance(config, str):
        return config
    registered = config.get("registered_name")
    if registered and ">" in registered:
        return str(registered)
    if config.get("class_name") == "function":
        return str(config["config"])
    return str(config.get("class_name", "lambda"))  # of which Keras writes down the code alone


def from_keras(kind: str, config: Any, owner: str = "") -> Any:
    """Build the twin that a serialised Keras object asks for.

    Options that leave the mathematics alone (initializers, names, dtypes) and options that are
    switched off (``None``, ``False``) are passed over; any other option that the twin's
    constructor doesn't take raises `NoTwin` rather than being silently ignored.
    """
    name = keras_name(config)
    twin_class = twin(kind, name, owner)
    options = config.get("config") if isinstance(config, dict) else None
    if not isinstance(options, dict):
        try:
            return twin_class()
        except TypeError:
            raise NoTwin(
                f"The {kind} {name!r} needs arguments, and {owner or 'it'} is given its name alone."
            ) from None
    return twin_class(**understood(twin_class, options, owner or f"{kind} {name!r}"))


def understood(twin_class: type, options: dict[str, Any], owner: str) -> dict[str, Any]:
    """Keep the options that ``twin_class`` takes; refuse the ones it would have to ignore."""
    taken = constructor_options(twin_class)
    kept = {}
    for option, value in options.items():
        if option in taken:
            kept[option] = value
        elif value is None or value is False or option in _WITHOUT_MATHEMATICS:
            continue
        elif not option.endswith("_initializer"):
            raise NoTwin(f"{owner}: the option {option}={value!r} has no hand-derived twin yet.")
    return kept


def constructor_options(twin_class: type) -> set[str]:
    """Return the keyword names that a constructor takes, or hands on to its ancestors'."""
    names: set[str] = set()
    for ancestor in twin_class.__mro__:
        init = ancestor.__dict__.get("__init__")
        if init is not None and hasattr(init, "__code__"):
            code = init.__code__
            names.update(code.co_varnames[1 : code.co_argcount + code.co_kwonlyargcount])
            if not code.co_flags & inspect.CO_VARKEYWORDS:
                break
    return names
