"""Sums in parts, and how arrays lie in memory."""

from __future__ import annotations

import numpy as np

from compare.rounding.noise import Noisy
from manual.arrays import lying_as, summed_products

UNIT = 2.0**-24


def test_products_are_summed() -> None:
    a, b = np.arange(12.0).reshape(2, 2, 3), np.arange(6.0).reshape(2, 3, 1)
    np.testing.assert_array_equal(summed_products(a, b), [[91.0], [136.0]])


def test_what_is_summed_in_parts_has_the_noise_of_the_whole_sum() -> None:
    draw = np.random.default_rng(0)  # of whole numbers, whose products and sums are exact
    a, b = (draw.integers(-99, 100, size).astype(float) for size in ((50, 2, 3), (50, 3, 4)))
    whole = Noisy(np.moveaxis(a, 0, 1).reshape(2, -1), unit=UNIT) @ b.reshape(-1, 4)
    for one, other in ((Noisy(a, unit=UNIT), Noisy(b, unit=UNIT)), (a, Noisy(b, unit=UNIT))):
        found = summed_products(one, other)
        np.testing.assert_array_equal(found.noise, whole.noise)
        np.testing.assert_array_equal(found.value, (a @ b).sum(axis=0))
    parts = (Noisy(a, unit=UNIT) @ b).sum(axis=0)
    assert (parts.noise < found.noise).all()


def test_an_array_is_laid_as_another() -> None:
    like = np.zeros((4, 2, 3)).transpose(2, 0, 1)
    array = np.arange(24, dtype=np.float32).reshape(3, 4, 2)
    laid = lying_as(array, like)
    np.testing.assert_array_equal(laid, array)
    assert laid.transpose(1, 2, 0).flags.c_contiguous
    assert laid.dtype == np.float32
    assert lying_as(laid, like) is laid
