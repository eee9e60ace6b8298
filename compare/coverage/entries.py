"""Each class of Keras beside its twin, option by option."""

from __future__ import annotations

import inspect
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import manual
from compare.coverage.public import PLURALS, family, left_out, options, public
from compare.coverage.record import swept
from manual.layers import Layer
from manual.operations.activations import Applied
from manual.registry import constructor_options, twins

ROOT = Path(manual.__file__).parent.parent


@dataclass(frozen=True)
class Option:
    """An option of a constructor of Keras.

    Attributes
    ----------
    understood : bool
        Whether the twin takes it; else it is refused, unless it is switched off.
    values : int
        How many values it took in the last sweep, held against Keras.
    derived : int
        Of how many of them the derivative was held against central differences.
    """

    name: str
    understood: bool
    values: int
    derived: int


@dataclass(frozen=True)
class Entry:
    """A class of Keras, or an activation function, and its twin.

    Attributes
    ----------
    kind, family, name : str
        A family is what Keras groups its layers in; other kinds are one each.
    twin, line : str and int
        The file of the twin, from the root of the package, and the line; "" and 0 without one.
    options : tuple of Option
    left_out : str
        Why it isn't asked for: no gradient passes it.
    configurations, derivatives : int
        How many were held against Keras, and how many derivatives against central differences.
    float32, float64 : float or None
        The largest distance from Keras found in it, in standard deviations of the rounding noise.
    """

    kind: str
    family: str
    name: str
    twin: str
    line: int
    options: tuple[Option, ...]
    left_out: str
    configurations: int
    derivatives: int
    float32: float | None
    float64: float | None

    @property
    def group(self) -> str:
        """The title it stands under."""
        plural = PLURALS[self.kind].split(".")[-1]
        return f"{plural}: {self.family}" if self.family else plural

    @property
    def missing(self) -> list[str]:
        """The options that the twin would refuse."""
        return [one.name for one in self.options if not one.understood]

    @property
    def held(self) -> list[Option]:
        """The options of which several values were held against Keras."""
        return [one for one in self.options if one.understood and one.values > 1]

    @property
    def not_held(self) -> list[str]:
        """The options that it takes, and that had one value only in the sweep, or none."""
        if not self.configurations:
            return []
        return [one.name for one in self.options if one.understood and one.values < 2]

    @property
    def derives(self) -> bool:
        """Whether it has a derivative that could be held against central differences."""
        return self.kind not in ("optimizer", "schedule", "constraint", "metric")

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def coverage() -> list[Entry]:
    """Return an entry for each class of the installed Keras, by kind, family and name."""
    record = swept()
    found = []
    for kind in PLURALS:
        registered, held = twins(kind), record.get(kind, {})
        entries = [
            _entry(kind, name, one, registered.get(name), held.get(name, {}))
            for name, one in public(kind)
        ]
        found += sorted(entries, key=lambda entry: entry.group)
    return found


def _entry(kind: str, name: str, one: Any, twin: type | None, record: dict[str, Any]) -> Entry:
    taken: set[str] = set() if twin is None else _taken(twin)
    values = record.get("options", {})
    file, line = ("", 0) if twin is None else _place(twin)
    largest = record.get("largest", {})
    return Entry(
        kind,
        family(kind, one),
        name,
        file,
        line,
        tuple(
            Option(
                option,
                option in taken,
                values.get(option, {}).get("values", 0),
                values.get(option, {}).get("derived", 0),
            )
            for option in options(one)
        ),
        left_out(kind, one, has_twin=twin is not None),
        record.get("configurations", 0),
        record.get("derivatives", 0),
        largest.get("float32"),
        largest.get("float64"),
    )


def _taken(twin: Any) -> set[str]:
    """Return the options that a twin takes: by its constructor, or as all of its kind do."""
    if issubclass(twin, Applied):
        return constructor_options(twin.makes)
    taken = constructor_options(twin) | getattr(twin, "reads", set())
    if issubclass(twin, Layer):
        taken.add("activity_regularizer")
    return taken


def _place(twin: type) -> tuple[str, int]:
    source = Path(inspect.getsourcefile(twin) or "")
    inside = source.is_relative_to(ROOT)  # a user's own lies elsewhere
    where = source.relative_to(ROOT).as_posix() if inside else source.name
    return where, inspect.getsourcelines(twin)[1]
