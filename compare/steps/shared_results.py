"""A tape on which nothing is computed twice.

The check of a step computes much of it several times: each map alone, and within the whole step;
each update from Keras's two gradients and by the network itself. Squares of weights, the way up
from the data, and what depends on the step count alone are then the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.recorded import NotRecordable, Recorded
from manual.recording import Tape


class SharingTape(Tape):
    """Hands out the result of an operation again where it is made again, of the same numbers.

    A result can't be kept just in case: its buffer would be lost to others. So the same thing is
    recorded on two tapes, and the first tells the second what will come again.

    Parameters
    ----------
    again : dict of int to int, optional
        The `again` of the first tape.

    Attributes
    ----------
    again : dict of int to int
        The operations that are made again, by their number on the tape, and the number of the last
        that is the same.
    """

    def __init__(self, again: dict[int, int] | None = None) -> None:
        super().__init__()
        self._known = again or {}
        self.again: dict[int, int] = {}
        self._operation = count()
        self._names: dict[int, int] = {}
        """What lies in the array of each key: under one name, the same numbers."""
        self._named: dict[Hashable, int] = {}
        self._starts: dict[int, int] = {}
        self._first: dict[int, int] = {}
        self._kept: dict[int, Recorded] = {}
        self._shared: set[int] = set()
        self._constants: list[Any] = []

    def lasting_array(self, array: Array, **options: Any) -> Recorded:
        return self._placed(super().lasting_array(array, **options))

    def room_for(self, like: Array) -> Recorded:
        return self._placed(super().room_for(like))

    def result(
        self, function: Callable[..., Any], operands: Sequence[Any], like: Array, *after: Any
    ) -> Recorded:
        operation, name = next(self._operation), self._name(function, *operands, *after)
        first = self._first.setdefault(name, operation)
        if first != operation:
            self.again[first] = operation
        found = self._kept.get(name)
        if found is not None:
            if self._known[first] == operation:
                del self._kept[name]
            self._shared.add(found.held.key)
            return found
        made = super().result(function, operands, like, *after)
        self._names[made.held.key] = name
        if operation in self._known:
            self._kept[name] = made
        return made

    def note(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        operands: Sequence[Any],
        target: Recorded,
        result: int | None = None,
    ) -> None:
        key = target.held.key
        if key in self._shared:
            raise NotRecordable("A number is changed that somebody else has, too.")
        if self._names[key] in self._kept:
            self._kept = {name: one for name, one in self._kept.items() if one.held.key != key}
        self._names[key] = self._name("changed", len(self.calls))
        if result == 0 and len(operands) == 1 and arguments[0].size == target.size:  # a copy
            self._names[key] = self._name(function, operands[0], target.shape, target.dtype)
        super().note(function, arguments, operands, target, result)

    def computed_anew(self, function: Callable[..., Array], *operands: Any) -> Recorded:
        made = super().computed_anew(function, *operands)
        self._names[made.held.key] = self._name("computed", len(self.calls))
        return made

    def _placed(self, made: Recorded) -> Recorded:
        key = made.held.key
        self._starts[key] = made.value.__array_interface__["data"][0]
        self._names[key] = self._name("array", key)
        return made

    def _name(self, *parts: Any) -> int:
        """Return the number under which something made of these parts is known."""
        return self._named.setdefault(tuple(map(self._part, parts)), len(self._named))

    def _part(self, part: Any) -> Hashable:
        if isinstance(part, Recorded):
            key, place = part.held.key, part.value.__array_interface__
            offset = place["data"][0] - self._starts[key]
            return self._names[key], offset, part.shape, part.value.strides, place["typestr"]
        if isinstance(part, np.ndarray):
            if part.ndim == 0:
                return part.dtype.str, part.tobytes()
            self._constants.append(part)  # for as long as it is there, no other has its place
            return "constant", id(part)
        return type(part), part if isinstance(part, Hashable) else id(part)
