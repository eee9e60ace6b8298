"""Products along named axes are NumPy's, and their gradients follow from exchanging names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from manual.einsum import einsum, einsum_gradients

EQUATIONS = [
    "ab,bc->ac",
    "ab,bc->ca",
    "btd,dnh->btnh",
    "btnh,nhd->btd",
    "btnh,bsnh->bnts",
    "bnts,bsnh->btnh",
    "abc,bcd->dab",
    "ab,ab->a",
    "ab,ab->ba",
    "a,b->ba",
    "ab,ab->",
]


@pytest.mark.parametrize("equation", EQUATIONS)
def test_equals_numpys(equation: str, generator: np.random.Generator) -> None:
    sizes = dict(zip("abcdnhts", (2, 3, 4, 5, 2, 3, 4, 5), strict=True))
    arrays, of_y = equation.split("->")
    of_a, of_b = arrays.split(",")

    def whole(shape: Any) -> Any:
        """Draw whole numbers: in their sums nothing is rounded."""
        return generator.integers(-99, 100, size=shape).astype(np.float64)

    a, b = (whole([sizes[axis] for axis in axes]) for axes in (of_a, of_b))
    y = einsum(equation, a, b)
    np.testing.assert_array_equal(y, np.einsum(equation, a, b))
    dy = whole(y.shape)
    da, db = einsum_gradients(equation, a, b, dy)
    np.testing.assert_array_equal(da, np.einsum(f"{of_y},{of_b}->{of_a}", dy, b))
    np.testing.assert_array_equal(db, np.einsum(f"{of_a},{of_y}->{of_b}", a, dy))
