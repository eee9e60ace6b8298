"""Sums as products with ones are NumPy's sums, and as noisy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from compare.rounding.noise import Noisy, careful
from manual import sums

SUMS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "all": (sums.over_all, lambda x: x.sum()),
    "last": (sums.over_last, lambda x: x.sum(axis=-1, keepdims=True)),
    "rows": (sums.over_rows, lambda x: x.sum(axis=tuple(range(x.ndim - 1)))),
    "the last of axes": (
        lambda x: sums.over(x, [-1]),
        lambda x: x.sum(axis=x.ndim - 1, keepdims=True),
    ),
    "all axes but the last": (
        lambda x: sums.over(x, range(x.ndim - 1)),
        lambda x: x.sum(axis=tuple(range(x.ndim - 1)), keepdims=True),
    ),
    "the first axis": (
        lambda x: sums.over(x, [0]),
        lambda x: x.sum(axis=0, keepdims=True),
    ),
}


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4), (4, 2, 3, 5), (1, 1), (5, 1), (1, 5)])
@pytest.mark.parametrize("which", SUMS)
def test_sums_are_numpys(which: str, shape: Sequence[int], generator: np.random.Generator) -> None:
    made, expected = SUMS[which]
    x = generator.integers(-99, 100, size=shape).astype(np.float32)  # nothing is rounded
    for order in permutations(range(x.ndim)):
        apart = np.repeat(np.transpose(x, order), 2, axis=0)[::2]  # lies so, and in pieces
        for lying in (np.ascontiguousarray(apart), apart):
            turned = np.transpose(lying, np.argsort(order))
            result = made(turned)
            assert result.dtype == np.float32
            np.testing.assert_array_equal(result, expected(x))


@pytest.mark.parametrize("which", ["all", "last", "rows"])
def test_they_carry_the_noise_of_sums(which: str, generator: np.random.Generator) -> None:
    made, expected = SUMS[which]
    # Of whole numbers squares, products and sums are exact, and so are roots of their squares.
    value, noise = (generator.integers(1, 100, (6, 7)).astype(float) for _ in range(2))
    x = Noisy(value, noise, unit=2.0**-24)
    np.testing.assert_array_equal(made(x).noise, expected(x).noise)
    with careful():
        # Terms too small to be held are known of products alone: they come to some 2⁻¹⁰² units,
        # which vanish beside all others.
        np.testing.assert_array_equal(made(x).noise, expected(x).noise)
