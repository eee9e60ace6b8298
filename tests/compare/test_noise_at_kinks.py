"""Where a comparison is decided by rounding, its outcome carries noise of its own."""

from __future__ import annotations

import numpy as np
from noisy_numbers import UNIT, noisy

from compare.rounding.noise import Noisy


def test_comparisons_within_the_noise_are_in_doubt() -> None:
    """3 × 0.1 − 0.3 is zero but for rounding; whether it is positive is anybody's guess."""
    z = Noisy(np.array([1e-8, 1.0, -1.0, 0.0]), np.ones(4), unit=UNIT["float32"])
    for compared in (z > 0.0, z >= 0.0, z < 0.0, z == 0.0, np.sign(z)):
        doubtful = compared.noise > 0
        np.testing.assert_array_equal(doubtful, [True, False, False, True])
        assert np.all(compared.noise[doubtful] * z.unit >= 1)


def test_exact_numbers_are_never_in_doubt() -> None:
    z = noisy([0.0, 1e-30, -1e-30])
    np.testing.assert_array_equal(z > 0.0, [False, True, False])
    assert isinstance(z > 0.0, np.ndarray)  # a plain yes or no

    assert type(z > 0.0) is np.ndarray
    np.testing.assert_array_equal(z > 0.0, [False, True, False])


def test_whole_numbers_are_in_doubt_only_near_a_whole_number() -> None:
    third = noisy([1.0, 2.0, 3.0]) / 3.0 * 3.0  # 1, 2 and 3 to within rounding
    assert (np.floor(third).noise * UNIT["float32"] >= 1.0).all()
    apart = noisy([1.0, 2.0, 4.0]) / 3.0
    np.testing.assert_array_equal(np.floor(apart).value, [0.0, 0.0, 1.0])
    assert not np.floor(apart).noise.any()
    exact = np.floor_divide(noisy([3.0, 6.0, 7.0]), 3.0)
    np.testing.assert_array_equal(exact.value, [1.0, 2.0, 2.0])
    assert not exact.noise.any()
    assert (np.floor_divide(third, 1.0).noise * UNIT["float32"] >= 1.0).all()


def test_comparing_two_comparisons() -> None:
    """As an accuracy does: is (p > ½) what was wanted?"""
    p = Noisy(np.array([0.9, 0.5 + 1e-9, 0.1]), np.ones(3), unit=UNIT["float32"])
    right = (p > 0.5) == np.array([True, True, True])
    np.testing.assert_array_equal(right.value, [True, True, False])
    np.testing.assert_array_equal(right.noise > 0, [False, True, False])


def test_a_choice_in_doubt_spreads_as_far_as_the_alternatives() -> None:
    z = Noisy(np.array([1e-9, 1.0]), np.ones(2), unit=UNIT["float32"])
    slope = np.where(z > 0.0, 5.0, -3.0)
    np.testing.assert_array_equal(slope.value, [5.0, 5.0])
    assert slope.noise[0] * z.unit >= 8.0
    assert slope.noise[1] * z.unit < 1e-6


def test_the_larger_of_two_close_numbers_has_the_noise_of_both() -> None:
    a = Noisy(np.array([1.0, 5.0]), np.array([2.0, 2.0]), unit=UNIT["float32"])
    b = Noisy(np.array([1.0 + 1e-9, 1.0]), np.array([3.0, 3.0]), unit=UNIT["float32"])
    larger = np.maximum(a, b)
    np.testing.assert_array_max_ulp(larger.noise, np.array([np.sqrt(13.0), 2.0]), maxulp=2)


def test_the_largest_of_close_numbers_is_in_doubt() -> None:
    p = Noisy(
        np.array([[1.0, 1.0 + 1e-9, 0.0], [1.0, 2.0, 0.0]]),
        np.ones((2, 3)),
        unit=UNIT["float32"],
    )
    largest = p.argmax(axis=-1)
    np.testing.assert_array_equal(largest.value, [1, 1])
    np.testing.assert_array_equal(largest.noise > 0, [True, False])


def test_of_noise_without_a_bound_nothing_is_outside() -> None:
    for noise in (np.inf, np.nan):
        p = Noisy(np.array([[1.0, 2.0]]), np.array([[noise, noise]]), unit=UNIT["float64"])
        assert p.argmax(axis=-1).noise[0] > 0
        assert ((p > 1.5).noise * UNIT["float64"] == 1.0).all()
        assert not np.isfinite(np.maximum(p, 1.5).noise).any()


def test_a_maximum_has_the_noise_of_what_may_be_the_largest() -> None:
    """A masked score, -1e9 say, has noise in proportion, and can't be the largest."""
    p = Noisy([[1.0, 1.0 + 1e-9, -1e9]], [[2.0, 3.0, 1e9]], unit=UNIT["float32"])
    assert p.max(axis=-1).noise == [3.0]
    p = Noisy([[1.0, 1.0 + 1e-3, -1e9]], [[2.0, 1.0, 1e9]], unit=UNIT["float32"])
    assert p.max(axis=-1).noise == [1.0]
    assert p.max().noise == 1.0
    np.testing.assert_array_equal(p.max(axis=-1, keepdims=True).value, [[1.0 + 1e-3]])


def test_the_largest_of_numbers_that_count_as_zero_is_in_doubt() -> None:
    """In float32 all of them are flushed to zero, and the first is as large as the others."""
    p = noisy([[0.0, 1e-60, 1e-50]]) * 1.0
    assert p.argmax(axis=-1).noise[0] > 0
