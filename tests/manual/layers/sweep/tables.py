"""A table says which values the options of a layer class take; here it unfolds.

All options with all values would be thousands of layers for one class. What goes wrong nearly
always takes one option, or two of them together; so every two values of any two options meet in
some configuration, which takes a dozen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

import keras
import numpy as np

Shape = tuple[int, ...]
Choice = dict[str, int]
"""Which of its values each option has, by position."""

SHAPES = "shapes"


@dataclass(frozen=True)
class Table:
    """The options of one layer class, each with the values that it takes in the sweep.

    Attributes
    ----------
    name : str
        The class in ``keras.layers``.
    shapes : list
        Shapes of the input, batch axis included and channels last; lists of these where there
        are several inputs.
    options : mapping of str to list
        Of the constructor.
    call : mapping of str to list
        Of the call. A mask is given as what `masks_of` understands.
    never : list of mappings
        What Keras refuses or can't run: options that don't go together, each with the values (by
        themselves or in a list) with which it doesn't. `SHAPES` is an option here as well.
    stops : list of mappings
        With which options a gradient is stopped on its way, so that it isn't the derivative of the
        forward map; written as ``never`` is.
    coarse : list of mappings
        With which options all is computed in float32, whatever the precision, which is too coarse
        for central differences. The map is linear there, so that its way back can be held as a
        transposed map.
    single : list of mappings
        With which options TensorFlow has the operations, or their gradients, in float32 only.
    zero : list of str
        Weights whose gradient is mathematically zero.
    words : int
        Where positive, the inputs are whole numbers from 0 up to this one.
    steps : bool
        Whether the axis after the batch's is time, so that the channels never come before it.
    scale : float
        Of the numbers at which the derivative is checked.
    precisions : sequence of str
        In which TensorFlow has the operations.
    make : callable, optional
        Makes the layer from its options; by default, the class does.
    """

    name: str
    shapes: Sequence[Any]
    options: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    call: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    never: Sequence[Mapping[str, Any]] = ()
    stops: Sequence[Mapping[str, Any]] = ()
    coarse: Sequence[Mapping[str, Any]] = ()
    single: Sequence[Mapping[str, Any]] = ()
    zero: Sequence[str] = ()
    words: int = 0
    steps: bool = False
    scale: float = 0.5
    precisions: Sequence[str] = ("float32", "float64")
    make: Callable[..., Any] | None = None

    @property
    def columns(self) -> dict[str, Sequence[Any]]:
        return {SHAPES: self.shapes, **self.options, **self.call}

    def allows(self, choice: Choice) -> bool:
        """Say whether what is chosen so far can go together."""
        return not any(self.fits(choice, pattern) for pattern in self.never)

    def fits(self, choice: Mapping[str, int], pattern: Mapping[str, Any]) -> bool:
        """Say whether all of a pattern's options are chosen, each with one of its values."""
        return all(
            option in choice and _among(self.columns[option][choice[option]], values)
            for option, values in pattern.items()
        )


def _among(value: Any, values: Any) -> bool:
    return any(value == one for one in values) if isinstance(values, list) else value == values


@dataclass(frozen=True)
class Configuration:
    """One layer of the sweep, and what it is called on."""

    table: Table
    choice: Mapping[str, int]

    def chosen(self, names: Any) -> dict[str, Any]:
        return {name: self.table.columns[name][self.choice[name]] for name in names}

    def make(self) -> Any:
        make = self.table.make or getattr(keras.layers, self.table.name)
        return make(**self.chosen(self.table.options))

    def _is_among(self, patterns: Sequence[Mapping[str, Any]]) -> bool:
        return any(self.table.fits(self.choice, pattern) for pattern in patterns)

    @property
    def told(self) -> tuple[str, str, dict[str, Any]]:
        """What it is in a record: its kind, its class and its options."""
        names = [name for name in self.table.columns if name != SHAPES]
        return "layer", self.table.name, self.chosen(names)

    @property
    def stops_gradients(self) -> bool:
        return self._is_among(self.table.stops)

    @property
    def is_coarse(self) -> bool:
        return self._is_among(self.table.coarse)

    @property
    def precisions(self) -> list[str]:
        """In which TensorFlow has the operations."""
        single = self._is_among(self.table.single)
        return [one for one in self.table.precisions if one == "float32" or not single]

    @property
    def shapes(self) -> list[Shape]:
        """The shapes of the inputs, with the channels where the layer wants them."""
        given = self.table.shapes[self.choice[SHAPES]]
        shapes = given if isinstance(given, list) else [given]
        if self.chosen(self.table.options).get("data_format") == "channels_first":
            first = 1 + self.table.steps
            shapes = [(*one[:first], one[-1], *one[first:-1]) for one in shapes]
        return [tuple(shape) for shape in shapes]

    def inputs(self, generator: np.random.Generator, precision: str) -> list[np.ndarray]:
        if self.table.words:
            drawn = [generator.integers(0, self.table.words, shape) for shape in self.shapes]
        else:
            drawn = [generator.normal(size=shape) for shape in self.shapes]
        return [x.astype(precision) for x in drawn]

    def call_options(self, generator: np.random.Generator) -> dict[str, Any]:
        return {
            name: masks_of(value, self.shapes, generator)
            if name in ("mask", "attention_mask")
            else value
            for name, value in self.chosen(self.table.call).items()
            if value is not None
        }

    def __str__(self) -> str:
        given = self.chosen(self.table.columns)
        shown = [f"{name}={value}" for name, value in given.items() if name != SHAPES]
        return f"{self.table.name}({', '.join(shown)}) on {given[SHAPES]}".replace("'", "")


def masks_of(value: Any, shapes: Sequence[Shape], generator: np.random.Generator) -> Any:
    """Draw masks: by whether each input has one, or of the attention from all to all.

    In a list of several there is one for each input, or None. Each sample's first step counts, for
    what is left of none is not a number.
    """
    if value in ("each sample's", "everyone's"):
        (batch, *queries, _), (_, *keys, _) = shapes[:2]
        sizes = (*queries, *keys) if value == "everyone's" else (batch, *queries, *keys)
        return generator.uniform(size=sizes) < 0.7
    if value == "numbers":
        return generator.uniform(size=shapes[0]) < 0.7
    if not isinstance(value, (list, str)) and value is not True:
        return value

    def drawn(shape: Shape) -> np.ndarray:
        mask = generator.uniform(size=shape[:2]) < 0.6
        mask[:, 0] = True
        return mask

    if value is True:
        return drawn(shapes[0])
    return [drawn(shape) if has else None for has, shape in zip(value, shapes, strict=True)]


def configurations(table: Table) -> Iterator[Configuration]:
    """Unfold a table: any two values of any two options meet, unless they don't go together."""
    columns = table.columns
    singles = [{name: place} for name, values in columns.items() for place in range(len(values))]
    pairs = [{**one, **other} for one, other in combinations(singles, 2) if {*one} != {*other}]
    left = [pair for pair in (pairs or singles) if table.allows(pair)]
    while left:
        choice = _completed(table, dict(left[0]), left)
        before = len(left)
        left = [pair for pair in left if not pair.items() <= choice.items()]
        assert len(left) < before
        if len(choice) == len(columns):
            yield Configuration(table, choice)


def _completed(table: Table, choice: Choice, left: Sequence[Choice]) -> Choice:
    """Choose the other options' values so that many pairs meet which haven't yet."""
    for name, values in table.columns.items():
        if name in choice:
            continue
        fitting = [
            {**choice, name: place}
            for place in range(len(values))
            if table.allows({**choice, name: place})
        ]
        if not fitting:
            return choice  # what remains open can't be chosen any more
        choice = max(fitting, key=lambda one: sum(pair.items() <= one.items() for pair in left))
    return choice
