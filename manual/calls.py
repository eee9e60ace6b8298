"""A recorded training step as a list of calls, and which of them are worth making."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from manual.arrays import Array

Bound = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function and its arguments, ready to be called."""


@dataclass
class Call:
    """One operation, bound to its operands.

    Attributes
    ----------
    function, arguments : callable, tuple
    reads : set of int
        The keys of the arrays that it looks at.
    writes : int or None
        The key of the array that it changes; None for a call that must be made in any case.
    result : int or None
        Which argument it writes all of, without looking at what was there; None if it does look.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    reads: set[int]
    writes: int | None
    result: int | None = None

    @property
    def is_copy(self) -> bool:
        return self.function is put


def put(target: Array, source: Array) -> None:
    """Copy."""
    target[...] = source


def computed_anew(target: Array, function: Callable[..., Array], *arguments: Any) -> None:
    """Copy what a function returns."""
    target[...] = function(*arguments)


def bound(call: Call) -> Bound:
    """Return the function and arguments to call, by the shortest way."""
    if call.is_copy:
        target, source = call.arguments
        return target.__setitem__, (..., source)
    if call.function in (np.maximum, np.minimum):  # which take no third argument
        return partial(call.function, out=call.arguments[-1]), call.arguments[:-1]
    return call.function, call.arguments


def needed(calls: Sequence[Call], lasting: set[int]) -> list[Call]:
    """Leave out what nobody reads: from the last call to the first."""
    read, kept = set(lasting), []
    for call in reversed(calls):
        if call.writes is not None and call.writes not in read:
            continue
        if call.result is not None and call.writes not in lasting:
            read.discard(call.writes)
        read |= call.reads
        kept.append(call)
    return kept[::-1]


def written_in_place(calls: list[Call], lasting: set[int]) -> list[Call]:
    """Let a result that is only copied be written to where the copy would go."""
    uses: dict[int | None, list[int]] = {}
    for index, call in enumerate(calls):
        for key in {*call.reads, call.writes}:
            uses.setdefault(key, []).append(index)
    calls, dropped = list(calls), set()
    for index, call in enumerate(calls):
        sources = call.reads - {call.writes}
        if not call.is_copy or len(sources) != 1:
            continue
        target, source = call.arguments
        (key,) = sources
        first = uses[key][0]
        maker = calls[first]
        only_copied = uses[key] == [first, index] and key not in lasting
        its_own = call.writes in lasting or uses[call.writes][0] < first  # the memory, by then
        untouched = its_own and not any(first < use < index for use in uses[call.writes])
        untouched &= call.writes not in maker.reads or _minds_overlaps(maker.function)
        if only_copied and untouched and maker.result is not None and maker.writes == key:
            place = _place_for(maker, source, target)
            if place is not None:
                arguments = list(maker.arguments)
                arguments[maker.result] = place
                whole = None if call.result is None else maker.result
                reads = maker.reads | (call.reads & {call.writes})
                calls[first] = Call(maker.function, tuple(arguments), reads, call.writes, whole)
                dropped.add(index)
    return [call for index, call in enumerate(calls) if index not in dropped]


def _place_for(maker: Call, source: Array, target: Array) -> Array | None:
    """Return where in the target a call can write what would be copied there; None if it can't."""
    assert maker.result is not None
    made = maker.arguments[maker.result]
    if _holds_the_same(source, made) and _like_each_other(target, made):
        return target.reshape(made.shape)
    ufunc = maker.function
    number_by_number = isinstance(ufunc, np.ufunc) and ufunc.signature is None
    if number_by_number and is_same_place(source, made) and source.dtype == target.dtype:
        return target if source.shape == target.shape else None
    return None


def _minds_overlaps(function: Callable[..., Any]) -> bool:
    """Say whether a function may write where it reads: whether it, or NumPy, reads all before."""
    ufunc = getattr(function, "__self__", function)  # of its reduce, too
    return isinstance(ufunc, np.ufunc) or function in (np.dot, put, computed_anew)


def is_same_place(a: Array, b: Array) -> bool:
    """Say whether two arrays are the same numbers in memory, seen in the same way."""
    return bool(a.__array_interface__ == b.__array_interface__)


def _holds_the_same(view: Array, array: Array) -> bool:
    """Say whether two arrays are the same numbers in the same order."""
    place, other = view.__array_interface__["data"], array.__array_interface__["data"]
    return place == other and view.size == array.size and _like_each_other(view, array)


def _like_each_other(a: Array, b: Array) -> bool:
    return bool(a.dtype == b.dtype and a.flags.c_contiguous and b.flags.c_contiguous)
