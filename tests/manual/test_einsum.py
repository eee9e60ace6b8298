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
    a, b = (generator.normal(size=[sizes[axis] for axis in axes]) for axes in arrays.split(","))
    y = einsum(equation, a, b)
    np.testing.assert_allclose(y, np.einsum(equation, a, b), rtol=1e-13, atol=1e-14)
    dy: Any = generator.normal(size=y.shape)
    da, db = einsum_gradients(equation, a, b, dy)
    of_a, of_b = arrays.split(",")
    right = np.einsum(f"{of_y},{of_b}->{of_a}", dy, b)
    np.testing.assert_allclose(da, right, rtol=1e-13, atol=1e-14)
    right = np.einsum(f"{of_a},{of_y}->{of_b}", a, dy)
    np.testing.assert_allclose(db, right, rtol=1e-13, atol=1e-14)
