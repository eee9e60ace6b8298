"""What is seen of an error before its cause is known: its factor, its place, its shape."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import numpy as np

from compare.rounding.judge import judge, may_agree
from compare.rounding.noise import Noisy

MOST = 4
"""So many rows or columns are listed."""


def pattern(theirs: np.ndarray, right: Noisy) -> str:
    """Say in one sentence how wrong numbers differ from the right ones.

    Examples
    --------
    >>> pattern(np.array([2.0, 4.0]), Noisy([1.0, 2.0], unit=2.0**-53))
    'every element is 2 times what it should be'
    """
    with np.errstate(all="ignore"):
        return next(islice(_patterns(np.asarray(theirs, np.float64), right), 1))


def _patterns(theirs: np.ndarray, right: Noisy) -> Iterator[str]:
    """Give what is true of the error, the most telling first."""
    if not theirs.any():
        yield "it is 0 throughout"
    factor = _factor(theirs, right)
    every = "it" if theirs.size == 1 else "every element"
    if factor == -1.0:
        yield f"{every} has the wrong sign"
    if factor is not None:
        yield f"{every} is {factor:.6g} times what it should be"
    square = theirs.ndim == 2 and theirs.shape == theirs.shape[::-1]
    if square and judge(theirs, right.T).agrees:
        yield "it is the transpose of what it should be"
    if theirs.size > 1 and judge(np.sort(theirs, axis=None), _sorted(right)).agrees:
        yield "it has the right numbers, but in other places"
    wrong = ~np.asarray(may_agree(theirs, right))
    if not (wrong | (right.value == 0.0)).all():  # a 0 that is right says nothing
        yield _where(wrong)
    for axis, lines in enumerate(("row", "column")):
        if theirs.ndim == 2 and theirs.shape[1 - axis] > 1 and _by_lines(theirs, right, axis):
            yield f"each {lines} is off by a factor of its own"
    yield _sizes(theirs / right.value)


def _factor(theirs: np.ndarray, right: Noisy) -> float | None:
    """Return the one factor that makes right numbers wrong; None if there is none."""
    place = np.unravel_index(int(np.abs(right.value).argmax()), right.shape)
    if not right.value[place]:
        return None
    factor = float(theirs[place] / right.value[place])
    if not judge(theirs, right * factor).agrees:
        return None
    return -1.0 if judge(theirs, right * -1.0).agrees else factor


def _sorted(right: Noisy) -> Noisy:
    flat: Noisy = right.reshape(-1)
    found: Noisy = flat[np.argsort(flat.value)]
    return found


def _by_lines(theirs: np.ndarray, right: Noisy, axis: int) -> bool:
    """Say whether each row, or each column, has a factor."""
    parts = [(slice(None),) * axis + (i,) for i in range(theirs.shape[axis])]
    return all(
        judge(theirs[part], right[part]).agrees or _factor(theirs[part], right[part]) is not None
        for part in parts
    )


def _where(wrong: np.ndarray) -> str:
    """Say which elements are wrong, the others being right."""
    for axis, line in enumerate(("row [{}, :]", "column [:, {}]")) if wrong.ndim == 2 else ():
        lines: np.ndarray = np.asarray(wrong.any(axis=1 - axis))
        if lines.sum() < len(lines):
            told = ", ".join(line.format(number) for number in np.flatnonzero(lines)[:MOST])
            more = f" and {lines.sum() - MOST} more" if lines.sum() > MOST else ""
            return f"only {told}{more} of {len(lines)} {'is' if lines.sum() == 1 else 'are'} wrong"
    return f"{wrong.sum()} of {wrong.size} elements are wrong, the others are right"


def _sizes(ratios: np.ndarray) -> str:
    """Say how far off the elements are, where nothing else is true of them."""
    known = ratios[np.isfinite(ratios)]
    if not known.size:
        return "every element should be 0"
    low, high = float(known.min()), float(known.max())
    numbers = dict.fromkeys((f"{low:.3g}", f"{high:.3g}"))
    between = f"{' to '.join(numbers)} times what it should be"
    if low > 0:
        size = "too large" if low > 1 else "too small" if high < 1 else "too large or too small"
        return f"every element has the right sign, but is {size}: {between}"
    signs = "some have" if high > 0 else "all have"
    return f"the elements have no factor in common: each is {between}, so {signs} the wrong sign"
