"""Each way of having fewer and shorter numbers in a draft."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from compare.reproduction.draft import NUMBERS, Draft
from compare.reproduction.edits import Edit

ONE_BY_ONE = 16
"""From so few samples on, each is tried without."""


def fewer(draft: Draft) -> Iterator[Edit]:
    """Offer fewer samples: a half at a time, a quarter …, then each alone."""
    size = draft.samples // 2
    while size:
        for start in range(0, draft.samples, size):
            if size > 1 or draft.samples <= ONE_BY_ONE:
                rows = range(start, start + size)
                yield f"{size} samples fewer", partial(_without_rows, rows=rows, of=draft.samples)
        size //= 2
    yield "smaller batches", _with_smaller_batches


def shorter_numbers(draft: Draft) -> Iterator[Edit]:
    """Offer numbers of one digit, of two, of three, or of four."""
    for digits in (1, 2, 3, 4):
        yield f"{digits} digits", partial(_rounded, digits=digits)
    for name in NUMBERS:
        for digits in (1, 2, 3, 4):
            yield f"{name} of {digits} digits", partial(_rounded, digits=digits, only=name)


def smaller_integers(draft: Draft) -> Iterator[Edit]:
    """Offer smaller whole numbers where the data has them: class numbers, words."""
    for name in ("x", "y"):
        for place, array in enumerate(getattr(draft, name)):
            largest = int(np.max(array, initial=0)) if _is_whole(array) else 0
            for below in sorted({2, largest // 2 + 1} & set(range(1, largest + 1))):
                change = partial(_below, name=name, place=place, below=below)
                yield f"{name} below {below}", change


def _without_rows(draft: Draft, rows: range, of: int) -> Draft | None:
    """Leave samples out, counted from the end: the draft may have fewer than it had."""
    gone = {draft.samples - of + row for row in rows}
    kept = [row for row in range(draft.samples) if row not in gone]
    return draft.with_rows(kept) if 0 < len(kept) < draft.samples else None


def _with_smaller_batches(draft: Draft) -> Draft | None:
    """Halve the batches, of which there are as many as before."""
    size, half = draft.batch_size, draft.batch_size // 2
    if draft.samples <= size or not half:
        return None
    rows = [row for row in range(draft.samples) if row % size < half]
    return replace(draft.with_rows(rows), batch_size=half)


def _is_whole(array: np.ndarray) -> bool:
    return bool(np.isfinite(array).all() and (array == np.round(array)).all())


def _below(draft: Draft, name: str, place: int, below: int) -> Draft | None:
    arrays = list(getattr(draft, name))
    if place >= len(arrays) or not _is_whole(arrays[place]) or np.max(arrays[place]) < below:
        return None
    arrays[place] = arrays[place] % below
    changes: dict[str, Any] = {name: tuple(arrays)}
    return replace(draft, **changes)


def _rounded(draft: Draft, digits: int, only: str = "") -> Draft | None:
    changes: dict[str, Any] = {}
    for name in [only] if only else NUMBERS:
        changes[name] = _to_digits(getattr(draft, name), digits)
    made = replace(draft, **changes)
    return made if made.key != draft.key else None


def _to_digits(given: Any, digits: int) -> Any:
    """Round all arrays to so many digits, each number by its own size."""
    if isinstance(given, dict):
        return {key: _to_digits(one, digits) for key, one in given.items()}
    if isinstance(given, tuple):
        return tuple(_to_digits(one, digits) for one in given)
    if given.dtype.kind != "f" or not given.size:
        return given
    shortened = [float(f"{number:.{digits}g}") for number in given.ravel().tolist()]
    return np.reshape(shortened, given.shape).astype(given.dtype)
