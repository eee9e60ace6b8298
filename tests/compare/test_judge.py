"""The verdict on one quantity."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compare.rounding.judge import BOUND, judge
from compare.rounding.noise import Noisy

UNIT = {"float32": 2.0**-24, "float64": 2.0**-53}


def reference(value: Any, noise: Any = None, precision: str = "float32") -> Noisy:
    return Noisy(np.array(value, np.float64), noise, unit=UNIT[precision])


@pytest.mark.parametrize("precision", UNIT)
def test_without_noise_only_equality_agrees(precision: str) -> None:
    exact = reference([1.0, -2.5, 0.0], precision=precision)
    agreeing = judge(np.array([1.0, -2.5, 0.0], precision), exact)
    assert agreeing.agrees
    assert agreeing.distance == 0.0
    for change in (np.nextafter, lambda x, to: x * 2):
        off = np.array([1.0, -2.5, 0.0], precision)
        off[1] = change(off[1], off[1] * 2)
        verdict = judge(off, exact)
        assert not verdict.agrees
        assert verdict.index == (1,)


def test_the_bound_is_in_units_of_the_noise() -> None:
    """With a noise of 10 u, 8 noises are 80 u away; the last step over it is too far."""
    expected = reference([1.0], [10.0])
    inside, outside = 1 + 79 * 2.0**-24, 1 + 81 * 2.0**-24
    assert judge(np.array([inside]), expected).agrees
    assert not judge(np.array([outside]), expected).agrees
    verdict = judge(np.array([1 + 20 * 2.0**-24]), expected)
    assert verdict.distance == pytest.approx(2.0, rel=2.0**-40)
    assert verdict.bound == BOUND
    assert verdict.noise == pytest.approx(10 * 2.0**-24, rel=2.0**-40)


def test_the_worst_element_is_named() -> None:
    value = np.arange(12.0).reshape(3, 4) + 1
    actual = value.copy()
    actual[0, 1] += 1e-3
    actual[2, 3] -= 1e-2
    verdict = judge(actual, reference(value, np.ones((3, 4))))
    assert not verdict.agrees
    assert verdict.index == (2, 3)
    assert (verdict.actual, verdict.expected) == (12.0 - 1e-2, 12.0)
    assert verdict.size == 12


def test_worst_is_what_is_furthest_in_noise_not_in_size() -> None:
    verdict = judge(np.array([1.5, 1000.5]), reference([1.0, 1000.0], [1.0, 1000.0]))
    assert verdict.index == (0,)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_not_finite_on_one_side_never_agrees(odd: float) -> None:
    for actual, expected in (([1.0, odd], [1.0, 2.0]), ([1.0, 2.0], [1.0, odd])):
        verdict = judge(np.array(actual), reference(expected, [1.0, 1.0]))
        assert not verdict.agrees
        assert verdict.distance == np.inf
        assert verdict.index == (1,)


@pytest.mark.parametrize("theirs", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("ours", [np.nan, np.inf, -np.inf])
def test_not_finite_on_both_sides_agrees(theirs: float, ours: float) -> None:
    """∞ − ∞ depends on the order of operations."""
    verdict = judge(np.array([1.0, theirs]), reference([1.0, ours], [1.0, 1.0]))
    assert verdict.agrees
    assert verdict.distance == 0.0


def test_a_finite_fault_shows_beside_infinities() -> None:
    verdict = judge(np.array([np.nan, 1.5]), reference([np.inf, 1.0], [1.0, 1.0]))
    assert not verdict.agrees
    assert verdict.index == (1,)


def test_beyond_the_range_of_float32_is_infinite() -> None:
    assert judge(np.array([np.inf], np.float32), reference([1e39])).agrees
    assert judge(np.array([-np.inf], np.float32), reference([-1e39])).agrees
    assert not judge(np.array([np.inf]), reference([1e39], precision="float64")).agrees
    assert not judge(np.array([np.inf], np.float32), reference([3e38])).agrees


def test_a_sum_that_should_be_zero_is_judged_by_its_terms() -> None:
    terms = reference([0.1, 0.2, -0.3])
    total = terms.sum()
    assert judge(np.float32(0.1) + np.float32(0.2) - np.float32(0.3), total).agrees
    assert not judge(np.float32(1e-5), total).agrees


def test_below_the_smallest_normal_float32_counts_as_zero() -> None:
    assert judge(np.float32(0.0), reference(1e-39)).agrees
    assert not judge(np.float32(0.0), reference(1e-35)).agrees


def test_tolerance_that_would_have_passed() -> None:
    verdict = judge(np.array([1.25]), reference([1.0], [1.0]))
    assert verdict.tolerance == 0.25
    assert judge(np.array([3.0]), reference([3.0])).tolerance == 0.0
    assert judge(np.array([1.0]), reference([0.0])).tolerance == np.inf


def test_the_noise_of_the_reference_itself_counts_too() -> None:
    """In float64 the reference is no better than what it judges: √2 times the noise."""
    verdict = judge(np.array([1.0]), reference([1.0], [1.0], precision="float64"))
    assert verdict.noise == pytest.approx(np.sqrt(2) * 2.0**-53, rel=2.0**-40)


def test_shapes_must_be_equal() -> None:
    with pytest.raises(ValueError, match=r"\(2,\).*\(2, 1\)"):
        judge(np.zeros(2), reference(np.zeros((2, 1))))


def test_nothing_agrees_with_nothing() -> None:
    verdict = judge(np.zeros((0, 3)), reference(np.zeros((0, 3))))
    assert verdict.agrees
    assert verdict.size == 0


def test_whole_numbers_and_single_numbers_are_judged_like_others() -> None:
    assert judge(3, reference(3.0)).agrees
    assert judge(np.int64(3), reference(3.0)).agrees
    assert judge(True, reference(1.0)).agrees
    assert not judge(4, reference(3.0)).agrees
    assert judge(4, reference(3.0)).index == ()
