"""Arrays that write down what is done with them, so that it can be done again without asking.

The layers are written to be read. Running them costs what Python costs: a method found, a view made
and an array allocated for every operation, thousands of times over for batches that look alike. So
`Network.fit` runs them once on `Recorded` arrays, which carry out each operation and note it on a
`Tape`: the NumPy function, where its operands lie and where its result belongs. The `Program` that
comes of it is a straight line of calls with nothing left to decide, and training replays it.

What that buys needs no help from a layer:

- results lie in buffers that are used again as soon as nobody holds the array any more: Python's
  own reference counts say when that is;
- reshaping, transposing and slicing happen once, since the buffers stay where they are;
- what nobody reads is never computed: the gradient at the first layer's input, say;
- a weight's first gradient is written to its place, not added to zeros that were put there before.

A number that Python itself has to look at (``if``, ``float``) can't be written down, and neither
can a function that isn't listed here: both raise `NotRecordable`, and the layers are run as they
stand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.calls import Bound, Call, bound, computed_anew, needed, put, written_in_place
from manual.recorded import Recorded, plain, plain_within, recorded_within


class Held:
    """Keeps a buffer from being used again for as long as somebody can still see the array.

    Attributes
    ----------
    key : int
        Tells this use of the buffer from the ones before and after.
    """

    __slots__ = ("key", "raw", "spare")

    def __init__(self, key: int, raw: Array = None, spare: list[Array] | None = None) -> None:
        self.key, self.raw, self.spare = key, raw, spare

    def __del__(self) -> None:
        if self.spare is not None:
            self.spare.append(self.raw)


class Tape:
    """Where recorded arrays note what is done with them, and the buffers that they lie in."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.lasting: set[int] = set()
        self.unwritten: set[int] = set()
        self._spare: dict[int, list[Array]] = {}
        self._keys = 0

    def lasting_array(
        self, array: Array, *, holds_zeros: bool = False, wanted: bool = True
    ) -> Recorded:
        """Record an array that outlives the step: a weight, a gradient, a batch.

        With ``holds_zeros`` nobody need put them there: the first array that is added is written.
        What isn't ``wanted`` after the step need not be computed.
        """
        held = self._new_held()
        if wanted:
            self.lasting.add(held.key)
        if holds_zeros:
            self.unwritten.add(held.key)
        return Recorded(self, array, held)

    def drawn(self, draw: Callable[[], Array]) -> Recorded:
        """Record random numbers, to be drawn anew in every step."""
        made = self.room_for(draw())
        self.calls.append(Call(computed_anew, (made.value, draw), set(), None))
        return made

    def result(
        self, function: Callable[..., Any], operands: Sequence[Any], like: Array, *after: Any
    ) -> Recorded:
        """Note a call that takes operands, then the place of its result, then what is ``after``.

        ``like`` is that result, as NumPy has just computed it.
        """
        made = self.room_for(like)
        arguments = (*map(plain, operands), made.value, *after)
        self.note(function, arguments, operands, made, len(operands))
        return made

    def copied(self, source: Recorded, like: Array) -> Recorded:
        """Note that numbers are put in another order; ``like`` has them, row by row."""
        made = self.room_for(np.array(like, order="C"))
        self.note(put, (made.value.reshape(source.shape), source.value), [source], made, 0)
        return made

    def computed_anew(self, function: Callable[..., Array], *operands: Any) -> Recorded:
        """Note a call that has no place for its result: it is copied to one."""
        values = plain_within(operands)
        made = self.room_for(function(*values))
        arguments = (made.value, function, *values)
        self.note(computed_anew, arguments, recorded_within(operands), made, 0)
        return made

    def changed(
        self, function: Callable[..., Any], arguments: Sequence[Any], target: Recorded
    ) -> None:
        """Carry out, and note, a call that changes an array in place."""
        self.unwritten.discard(target.held.key)
        values = plain_within(tuple(arguments))
        function(*values)
        self.note(function, values, [*recorded_within(arguments), target], target)

    def put(self, target: Recorded, part: Array, source: Recorded) -> None:
        """Copy to a part of an array, or to all of it."""
        self.unwritten.discard(target.held.key)
        part[...] = source.value
        raw = target.held.raw
        whole = raw is not None and part.nbytes == raw.nbytes
        read = [source] if whole else [source, target]
        self.note(put, (part, source.value), read, target, 0 if whole else None)

    def added(self, target: Recorded, term: Any) -> None:
        """Add in place; to zeros that nobody has put there, write."""
        if target.held.key in self.unwritten and np.shape(term) == target.shape:
            self.unwritten.discard(target.held.key)
            target.value[...] = plain(term)
            self.note(put, (target.value, plain(term)), [term], target, 0)
        else:
            self.changed(np.add, (target, term, target), target)

    def note(
        self,
        function: Callable[..., Any],
        arguments: tuple[Any, ...],
        operands: Sequence[Any],
        target: Recorded,
        result: int | None = None,
    ) -> None:
        """Note a call that reads the operands and writes to the target."""
        reads = {one.held.key for one in operands if isinstance(one, Recorded)}
        self.calls.append(Call(function, arguments, reads, target.held.key, result))

    def _new_held(self, *buffer: Any) -> Held:
        self._keys += 1
        return Held(self._keys, *buffer)

    def room_for(self, like: Array) -> Recorded:
        """Return a recorded copy of an array, in a buffer that is free."""
        spare = self._spare.setdefault(like.nbytes, [])
        raw = spare.pop() if spare else np.empty(like.nbytes, np.uint8)
        order = sorted(range(like.ndim), key=lambda axis: -like.strides[axis])
        turned = raw.view(like.dtype).reshape([like.shape[axis] for axis in order])
        array = turned.transpose(np.argsort(order))  # as it lies: sums depend on the order
        array[...] = like
        return Recorded(self, array, self._new_held(raw, spare))

    def program(self) -> list[Bound]:
        """Return the calls that are worth making."""
        calls = written_in_place(needed(self.calls, self.lasting), self.lasting)
        return [bound(call) for call in calls]
