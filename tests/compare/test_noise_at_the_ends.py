"""Noise where numbers overflow, are flushed to zero, or round alike."""

from __future__ import annotations

import numpy as np
from noisy_numbers import FLUSHED, UNIT, drawn, noisy

from compare.rounding.judge import BOUND
from compare.rounding.noise import LARGEST, careful
from manual.activations import softmax


def test_what_is_flushed_to_zero_is_noise() -> None:
    """e⁻⁹⁰ is no normal float32. Multiplied by 10⁶ it would be one, but zero stays zero.

    What Keras has here is 0; by hand it is 8·10⁻³⁴. That must be within the noise.
    """
    with careful():
        small = np.exp(noisy([-90.0])) * 1e6
    assert small.value[0] > FLUSHED
    assert small.value[0] <= BOUND * UNIT["float32"] * small.noise[0]


def test_what_is_flushed_to_zero_in_a_product_is_noise() -> None:
    with careful():
        small = (noisy([[1e-20]]) @ noisy([[1e-20]])) * 1e10
    assert small.value[0, 0] <= BOUND * UNIT["float32"] * small.noise[0, 0]


def test_softmax_flushes_twice_as_much() -> None:
    """TensorFlow's softmax gives 0 for what is up to twice the smallest normal float32."""
    with careful():
        a = softmax(noisy([-87.0, 0.0])) * 1e6
    assert FLUSHED < a.value[0] / 1e6 < 2 * FLUSHED
    assert a.value[0] <= BOUND * UNIT["float32"] * a.noise[0]


def test_an_exact_zero_is_no_underflow() -> None:
    x = noisy([0.0, 0.0])
    with careful():
        zeros = (x * 3.0, x + x, x / 7.0, np.tanh(x), x.sum(), x[None] @ x[:, None])
    for zero in zeros:
        assert np.all(zero.value == 0)
        assert np.all(zero.noise == 0)


def test_what_overflows_on_the_way_does_not_come_back() -> None:
    """10³⁸ · 10³ is no float32, and ∞ / 10³ isn't 10³⁸."""
    with careful():
        product = noisy([1e38]) * 1e3 / 1e3
        dot = noisy([[1e30]]) @ noisy([[1e30]]) * 1e-30
        total = noisy([3e38, 3e38]).sum() * 0.25
        in_place = noisy([3e38])
        in_place += 3e38
        in_place *= 0.25
        in_float64 = noisy([1e38], UNIT["float64"]) * 1e3
    assert LARGEST[UNIT["float32"]] < 6e38
    for overflown in (product, dot, total, in_place):
        assert np.all(np.isinf(overflown.value))
    assert np.all(np.isfinite(in_float64.value))


def test_equal_terms_round_alike() -> None:
    """0.1 added up a thousand times in float32 is off by more than a thousand random terms are.

    It is so for a loop that adds one after the other, which is what the noise has to allow for.
    """
    terms = np.full(1000, np.float32(0.1))
    total = np.float32(0)
    for term in terms:
        total += term
    plain = noisy(terms).sum()
    with careful():
        alike = noisy(terms).sum()
        different = noisy(np.linspace(0.05, 0.15, 1000)).sum()
    error = abs(float(total) - float(alike.value))
    assert error > UNIT["float32"] * plain.noise
    assert error <= BOUND * UNIT["float32"] * alike.noise
    assert different.noise < 2 * plain.noise


def test_equal_terms_round_alike_along_several_axes_and_in_a_batch_of_products() -> None:
    """It is the same sum of products, however its axes are arranged."""
    a, b = drawn(3, (4, 6), (4, 6))
    terms = np.repeat(a * b, 5, axis=1)
    with careful():
        expected = noisy(terms.reshape(-1)).sum()
        several = noisy(terms[:, None]).sum(axis=(0, 2))
        product = noisy(np.repeat(a, 5).reshape(1, -1)) @ noisy(np.repeat(b, 5).reshape(-1, 1))
        batch = noisy(np.repeat(a, 5).reshape(1, 1, -1)) @ noisy(np.repeat(b, 5).reshape(1, -1, 1))
    # as many additions as terms, in whatever order; a variance is a sum like any other
    rounded = terms.size * UNIT["float64"]
    assert (np.abs(several.value - expected.value) <= 2 * rounded * np.abs(terms).sum()).all()
    assert (np.abs(several.noise - expected.noise) <= 2 * rounded * expected.noise).all()
    np.testing.assert_array_equal(batch.value[0], product.value)
    np.testing.assert_array_equal(batch.noise[0], product.noise)
    plain = noisy(terms[:, None]).sum(axis=(0, 2))
    assert (several.noise > 1.5 * plain.noise).all()


def test_each_product_of_a_batch_is_looked_at_alone() -> None:
    """Also where one matrix serves the whole batch, or the batch has two axes."""
    a, b, c = drawn(4, (2, 3, 4, 5), (2, 3, 5, 6), (4, 5))
    with careful():
        found = noisy(a) @ noisy(b)
        shared = noisy(c) @ noisy(b)
        for index in np.ndindex(2, 3):
            one = noisy(a[index]) @ noisy(b[index])
            np.testing.assert_array_equal(found.noise[index], one.noise)
            one = noisy(c) @ noisy(b[index])
            np.testing.assert_array_equal(shared.noise[index], one.noise)


def test_tiny_and_huge_numbers_keep_their_noise_in_float64() -> None:
    """Between 2⁻⁵⁰⁰ and 2⁵⁰⁰, where squares are numbers: the noise scales with the numbers."""
    unit = UNIT["float64"]
    for size in (2.0**-249, 2.0**249):
        product = noisy([[size, 1.0]], unit) @ noisy([[size], [0.0]], unit)
        of_ones = noisy([[1.0, 1.0]], unit) @ noisy([[1.0], [0.0]], unit)
        np.testing.assert_array_equal(product.noise, of_ones.noise * size**2)
        total = noisy([size, 3 * size], unit).sum()
        np.testing.assert_array_equal(total.noise, noisy([1.0, 3.0], unit).sum().noise * size)


def test_a_quotient_by_what_may_be_zero_has_no_bound() -> None:
    """As in a centered RMSprop with rho=0: v − ḡ² is nothing but rounding."""
    x = noisy([0.1, 3.0])
    nothing = x * x - np.square(x * np.array([1.0, 0.5]))
    with careful():
        noise = (1.0 / nothing).noise
    assert np.isinf(noise[0]) and np.isfinite(noise[1])
