"""The rounding noise is the ruler of every comparison: it has to be neither short nor long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from noisy_numbers import FLUSHED, UNIT, drawn, noisy

from compare.rounding.judge import BOUND
from compare.rounding.noise import Noisy, careful, representation_error
from compare.rounding.plain_ways import PLAIN
from manual.activations import sigmoid, softmax, softplus
from manual.activations.functions import erf, erfc
from manual.arrays import in_single_precision


def adam(w: Any, g: Any, v: Any) -> Any:
    """Take a step of Adam at t = 3, from the float32 hyper-parameters."""
    correction = 1.0 - np.asarray(0.999, np.float32) ** 3
    return w - 0.125 * g * correction**0.5 / (np.sqrt(v * v) + 2.0**-20)


COMPUTATIONS: dict[str, tuple[Callable[..., Any], list[tuple[int, ...]]]] = {
    "matmul of 1": (lambda a, b: a @ b, [(30, 1), (1, 30)]),
    "cos": (lambda a: np.cos(a), [(30, 30)]),
    "sin": (lambda a: np.sin(a * 2.0), [(900,)]),
    "tan": (lambda a: np.tan(np.tanh(a)), [(900,)]),
    "arcsin": (lambda a: np.arcsin(np.tanh(a)), [(900,)]),
    "arccos": (lambda a: np.arccos(np.tanh(a)), [(900,)]),
    "arctan": (lambda a: np.arctan(a * 2.0), [(900,)]),
    "arctan2": (lambda a, b: np.arctan2(a * 2.0, b + 0.1), [(900,), (900,)]),
    "sinh": (lambda a: np.sinh(a * 2.0), [(900,)]),
    "cosh": (lambda a: np.cosh(a * 2.0), [(900,)]),
    "arcsinh": (lambda a: np.arcsinh(a * 2.0), [(900,)]),
    "arccosh": (lambda a: np.arccosh(a * a + 1.5), [(900,)]),
    "arctanh": (lambda a: np.arctanh(np.tanh(a)), [(900,)]),
    "matmul of 2": (lambda a, b: a @ b, [(30, 2), (2, 30)]),
    "matmul of 10": (lambda a, b: a @ b, [(30, 10), (10, 30)]),
    "matmul of 300": (lambda a, b: a @ b, [(30, 300), (300, 30)]),
    "two matmuls": (lambda a, b, c: (a @ b) @ c, [(30, 10), (10, 20), (20, 30)]),
    "matmul of a batch": (lambda a, b: a @ b, [(6, 10, 20), (6, 20, 10)]),
    "attention": (
        lambda q, k, v: softmax(q @ np.moveaxis(k, 1, 2)) @ v,
        [(6, 10, 8), (6, 12, 8), (6, 12, 9)],
    ),
    "sum": (lambda a: a.sum(axis=0), [(50, 900)]),
    "mean of squares": (lambda a: (a * a).mean(axis=0), [(50, 900)]),
    "product and sum": (lambda a, b, c: a * b + c, [(900,), (900,), (900,)]),
    "quotient": (lambda a, b: a / (b * b + 1.0), [(900,), (900,)]),
    "exp": (lambda a: np.exp(a * 3.0), [(900,)]),
    "log": (lambda a: np.log(a * a + 0.5), [(900,)]),
    "tanh": (lambda a, b: np.tanh(a + b), [(900,), (900,)]),
    "square root": (lambda a, b: np.sqrt(a * a + b * b), [(900,), (900,)]),
    "chain": (lambda a, b: np.log(np.sqrt(np.exp(np.tanh(a * b))) + 1.0) / 3.0, [(900,), (900,)]),
    "softmax": (lambda a: softmax(a * 5.0), [(90, 10)]),
    "softplus": (lambda a: softplus(a * 5.0), [(900,)]),
    "sigmoid": (lambda a: sigmoid(a * 5.0), [(900,)]),
    "sigmoid at 30": (lambda a: sigmoid(np.sign(a) * 30.0 + a), [(900,)]),
    "its derivative": (lambda a: sigmoid(a * 5.0) * (1.0 - sigmoid(a * 5.0)), [(900,)]),
    "cancellation": (lambda a: (1.0 + a * 2.0**-10) - 1.0, [(900,)]),
    "loss of two": (lambda a, b, c: ((a @ b - c) ** 2).mean(axis=-1), [(40, 5), (5, 9), (40, 9)]),
    "adam": (adam, [(900,), (900,), (900,)]),
}


def in_noise(name: str, samples: int) -> np.ndarray:
    """Return the errors of NumPy's float32 in units of the noise, over many draws."""
    compute, shapes = COMPUTATIONS[name]
    errors = []
    for seed in range(samples):
        arrays = drawn(seed, *shapes)
        expected = compute(*map(noisy, arrays))
        actual = compute(*arrays)
        assert actual.dtype == np.float32
        errors.append(
            np.ravel((actual - expected.value) / (UNIT["float32"] * expected.noise + FLUSHED))
        )
    return np.concatenate(errors)


@pytest.mark.parametrize("name", COMPUTATIONS)
def test_float32_is_as_far_off_as_the_noise_says(name: str) -> None:
    """The noise claims to be a standard deviation: error/noise has the root mean square 1 or less.

    Less, because the spacing of floating-point numbers is up to twice as fine as u|y|, which halves
    what the rules say at most, and because an elementary function is granted 2u|y| where a good
    library rounds almost correctly, with u|y|/√3: both together leave 1/4√3 = 0.14. More where
    errors from one source add up in step, which the rules take for independent: √2 for two.
    """
    relative = in_noise(name, samples=20)
    assert np.all(np.isfinite(relative))
    assert np.abs(relative).max() <= BOUND
    assert 1 / (4 * np.sqrt(3)) < np.sqrt(np.mean(relative**2)) < np.sqrt(2)


@pytest.mark.parametrize("name", COMPUTATIONS)
@pytest.mark.parametrize("precision", UNIT)
def test_values_are_those_of_float64_numpy(name: str, precision: str) -> None:
    compute, shapes = COMPUTATIONS[name]
    arrays = [array.astype(np.float64) for array in drawn(0, *shapes)]
    expected = compute(*arrays)
    actual = compute(*(noisy(array, UNIT[precision]) for array in arrays))
    assert actual.value.dtype == np.float64
    np.testing.assert_array_equal(actual.value, expected)


# ---------------------------------------------------------------------- each rule


def test_given_numbers_are_exact() -> None:
    assert np.all(noisy([1.0, 2.0]).noise == 0)


def test_a_correctly_rounded_operation_is_uniform_within_half_a_unit() -> None:
    """An error uniform in ±u|y| has the standard deviation u|y|/√3."""
    for y in (noisy([3.0]) + noisy([4.0]), noisy([3.5]) * 2.0, noisy([14.0]) / 2.0):
        np.testing.assert_array_max_ulp(y.noise, np.array([7.0 / np.sqrt(3)]), maxulp=2)


def test_an_error_passes_through_the_derivative() -> None:
    x = Noisy(np.array([0.5]), np.array([10.0]), unit=UNIT["float32"])
    y = np.exp(x)
    own = 2.0 * np.exp(0.5)
    np.testing.assert_array_max_ulp(
        y.noise, np.array([np.hypot(own, 10.0 * np.exp(0.5))]), maxulp=4
    )


def test_cancellation_keeps_the_noise_of_its_operands() -> None:
    one_and_a_bit = noisy([1.0]) + 2.0**-20
    difference = one_and_a_bit - 1.0
    assert difference.value == 2.0**-20
    assert difference.noise >= one_and_a_bit.noise
    assert difference.noise / difference.value > 2.0**19


def test_a_sum_is_judged_by_its_terms() -> None:
    total = noisy([1e6, -1e6, 1.0]).sum()
    assert total.value == 1.0
    assert total.noise >= 1e6


def test_representation_error() -> None:
    """0.5 is a float32; 0.1 is not, and rounding it costs at most half a unit in the last place."""
    assert representation_error(0.5, UNIT["float32"]) == 0.0
    assert representation_error(3.0, UNIT["float32"]) == 0.0
    actual = abs(float(np.float32(0.1)) - 0.1)
    error = representation_error(0.1, UNIT["float32"]) * UNIT["float32"]
    np.testing.assert_array_max_ulp(np.float64(error), np.float64(actual), maxulp=2**29)
    assert 0 < error <= UNIT["float32"] * 0.125
    assert representation_error(0.1, UNIT["float64"]) == 0.0
    inexact, exact = noisy([1.0]) * 0.1, noisy([1.0]) * 0.125
    assert inexact.noise / inexact.value > exact.noise / exact.value


@pytest.mark.parametrize(
    "move",
    [
        lambda a: a.T,
        lambda a: a[1:],
        lambda a: a[..., None],
        lambda a: a.reshape(-1),
        lambda a: a.reshape(3, 2),
        lambda a: np.transpose(a),
        lambda a: np.ravel(a),
        lambda a: np.moveaxis(a, 0, -1),
        lambda a: np.expand_dims(a, 0),
        lambda a: np.repeat(a, 3, axis=1),
        lambda a: np.pad(a, ((1, 0), (0, 2))),
        lambda a: np.concatenate([a, a], axis=1),
        lambda a: np.split(a, [1], axis=1)[1],
        lambda a: np.stack([a, a], axis=1),
        lambda a: -a,
    ],
)
def test_what_only_moves_numbers_keeps_their_noise(move: Callable[[Any], Any]) -> None:
    value = np.arange(6.0).reshape(2, 3)
    noise = value + 10.0
    moved = move(Noisy(value, noise, unit=UNIT["float32"]))
    np.testing.assert_array_equal(moved.value, move(value))
    np.testing.assert_array_max_ulp(moved.noise, np.abs(move(noise)), maxulp=1)


def test_assignment_and_in_place_operations() -> None:
    x = noisy(np.zeros((2, 2)))
    x[0] = Noisy(np.ones(2), np.full(2, 3.0), unit=x.unit)
    np.testing.assert_array_equal(x.value, [[1, 1], [0, 0]])
    np.testing.assert_array_equal(x.noise, [[3, 3], [0, 0]])
    x[...] = 0.5
    np.testing.assert_array_equal(x.noise, np.zeros((2, 2)))

    same = x
    x += noisy(np.ones((2, 2)))
    np.testing.assert_array_equal(x.value, np.full((2, 2), 1.5))
    np.testing.assert_array_max_ulp(x.noise, np.full((2, 2), 1.5 / np.sqrt(3)), maxulp=2)
    assert same is x

    largest = np.maximum(x, 2.0, out=x)
    assert largest is x
    np.testing.assert_array_equal(x.value, np.full((2, 2), 2.0))


def test_rows_that_are_added_at_one_index_make_one_sum() -> None:
    table, rows = noisy(np.zeros((3, 2))), noisy(drawn(4, (5, 2))[0])
    np.add.at(table, np.array([2, 0, 2, 2, 0]), rows)
    apart = [rows[[1, 4]].sum(axis=0), rows[[0, 2, 3]].sum(axis=0)]
    for index, alone in zip((0, 2), apart, strict=True):
        added = noisy(np.zeros(2)) + alone
        np.testing.assert_array_equal(table[index].value, added.value)
        np.testing.assert_array_equal(table[index].noise, added.noise)
    np.testing.assert_array_equal(table[1].value, [0.0, 0.0])
    np.testing.assert_array_equal(table[1].noise, [0.0, 0.0])


def test_only_exact_numbers_can_be_indices() -> None:
    indices = noisy([2.0, 0.0]).astype(np.intp)
    assert isinstance(indices, np.ndarray)
    np.testing.assert_array_equal(indices, [2, 0])
    with pytest.raises(TypeError, match="can't be an index"):
        (noisy([2.0]) * noisy([0.3])).astype(np.intp)
    kept = Noisy(np.array([3]), unit=UNIT["float32"]).astype(np.float32)
    assert (kept.dtype, kept.value[0]) == (np.dtype("float64"), 3.0)


def test_the_operands_of_an_in_place_operation_do_not_share_their_noise() -> None:
    x = noisy([1.0, 1.0]) * 3.0
    before = x.noise.copy()
    y = x * 1.0
    y += 5.0
    np.testing.assert_array_equal(x.noise, before)


# ---------------------------------------------------------------------- nothing loses its noise


@pytest.mark.parametrize(
    "unsupported",
    [
        np.sinc,
        np.cumsum,
        np.sort,
        np.ceil,
        np.linalg.norm,
        np.add.reduce,
        lambda a: np.add.outer(a, a),
        lambda a: np.add(a, a, where=np.array([True, False])),
        lambda a: np.add(1.0, a, out=np.zeros(2)),
        lambda a: np.einsum("i,i->", a, a),
        lambda a: np.tensordot(a, a, 1),
        lambda a: np.dot(a, a),
        lambda a: np.tile(a, 2),
    ],
)
def test_functions_without_a_rule_are_refused(unsupported: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError):
        unsupported(noisy([1.0, 2.0]))


@pytest.mark.parametrize(
    "convert", [np.asarray, np.array, float, lambda a: np.zeros(2) + np.asarray(a)]
)
def test_becoming_a_plain_array_is_refused(convert: Callable[[Any], Any]) -> None:
    """A silent conversion would take an array's noise away, or make an array of objects."""
    with pytest.raises(TypeError):
        converted = convert(noisy([1.0, 2.0]))
        if converted.dtype == object:
            raise TypeError("an array of objects still carries its noise")


def test_the_square_of_a_number_that_is_mere_noise() -> None:
    """First order sees no error in 0²; as it is, 8 deviations squared are within 8.

    In products of different numbers that takes a careful look.
    """
    noise = Noisy(np.zeros(3), noise=np.array([1.0, 2.0, 0.0]), unit=2.0**-24)
    off = np.square(8 * noise.noise * noise.unit)
    for squared in (noise * noise, noise**2, np.square(noise)):
        np.testing.assert_array_equal(8 * squared.noise * noise.unit, off)  # powers of two
    assert not (noise * -noise).noise.any()
    with careful():
        np.testing.assert_array_equal(8 * (noise * -noise).noise * noise.unit, off)


def test_a_padding_is_exact_whatever_stands_in_it() -> None:
    x = Noisy(np.array([1.0, 2.0]), np.array([3.0, 4.0]), unit=UNIT["float32"])
    padded = np.pad(x, [(1, 2)], constant_values=-np.inf)
    np.testing.assert_array_equal(padded.value, [-np.inf, 1.0, 2.0, -np.inf, -np.inf])
    np.testing.assert_array_equal(padded.noise, [0.0, 3.0, 4.0, 0.0, 0.0])
    repeated = np.pad(x, [(1, 1)], "edge")
    np.testing.assert_array_equal(repeated.noise, [3.0, 3.0, 4.0, 4.0])
    assert np.pad(noisy([1.0]), [(0, 1)]).variance is None


def test_windows_and_repetitions_take_the_noise_along() -> None:
    x = Noisy(np.array([1.0, 2.0, 3.0]), np.array([4.0, 5.0, 6.0]), unit=UNIT["float32"])
    windows = np.lib.stride_tricks.sliding_window_view(x, 2)
    np.testing.assert_array_equal(windows.value, [[1.0, 2.0], [2.0, 3.0]])
    np.testing.assert_array_equal(windows.noise, [[4.0, 5.0], [5.0, 6.0]])
    np.testing.assert_array_equal(np.repeat(x, 2).noise, [4.0, 4.0, 5.0, 5.0, 6.0, 6.0])


def test_the_error_function_carries_its_argument_s_noise() -> None:
    z = Noisy(np.array([-1.0, 0.5]), np.ones(2), unit=UNIT["float64"])
    made = erfc(z)
    np.testing.assert_array_max_ulp(made.value, np.array([1.842700792949715, 0.4795001221869535]))
    slope = 2 / np.sqrt(np.pi) * np.exp(-np.square(z.value))
    # two squares, a sum, a root; in the slope an exponential, a square, a product, a quotient
    np.testing.assert_array_max_ulp(made.noise, np.hypot(2 * made.value, slope), maxulp=8)


def test_rounding_to_the_nearest_is_in_doubt_halfway_between_two() -> None:
    """Of 2.5 ± 3u it can be 2 or 3; 2.4 is 2, and a number without noise is what it is."""
    x = Noisy(np.array([2.5, 2.4, -0.5]), np.array([3.0, 3.0, 0.0]), unit=UNIT["float32"])
    rounded = np.rint(x)
    np.testing.assert_array_equal(rounded.value, [2.0, 2.0, -0.0])
    np.testing.assert_array_equal(rounded.noise * UNIT["float32"], [1.0, 0.0, 0.0])
    assert np.rint(noisy([0.5])).variance is None


def test_an_index_without_doubt_may_come_of_noisy_numbers() -> None:
    """A class number is exact as soon as the largest number is far from the next."""
    sure = Noisy(np.array([[1.0, 2.0]]), np.ones((1, 2)), unit=UNIT["float32"]).argmax(axis=-1)
    assert sure.variance is not None
    np.testing.assert_array_equal(sure.astype(np.intp), [1])
    close = Noisy(np.array([[2.0, 2.0]]), np.ones((1, 2)), unit=UNIT["float32"]).argmax(axis=-1)
    with pytest.raises(TypeError, match="can't be an index"):
        close.astype(np.intp)


def test_the_error_function_itself() -> None:
    z = Noisy(np.array([0.0, 0.5]), np.ones(2), unit=UNIT["float64"])
    made = erf(z)
    np.testing.assert_array_max_ulp(made.value, np.array([0.0, 0.5204998778130465]))
    slope = 2 / np.sqrt(np.pi) * np.exp(-np.square(z.value))
    np.testing.assert_array_max_ulp(made.noise, np.hypot(2 * made.value, slope), maxulp=8)


def test_a_power_s_exponent_is_rounded_too() -> None:
    """1.7 is no float32; 2 and 0.5 are."""
    base = noisy([0.25, 0.0])
    with np.errstate(all="ignore"):
        odd, even = base**1.7, base**0.5
    of_exponent = odd.value[0] * np.log(4.0) * representation_error(1.7, UNIT["float32"])
    wanted = np.array([np.hypot(2 * odd.value[0], of_exponent), 0.0])
    np.testing.assert_array_max_ulp(odd.noise, wanted, maxulp=4)  # two squares, a sum, a root
    np.testing.assert_array_equal(even.noise, [1.0, 0.0])


def test_sorting_moves_the_noise_along() -> None:
    z = Noisy(np.array([[2.0, 1.0, 3.0]]), np.array([[0.1, 0.2, 0.3]]), unit=UNIT["float32"])
    sorted_z = np.take_along_axis(z, np.argsort(z, axis=-1), axis=-1)
    np.testing.assert_array_equal(sorted_z.value, [[1.0, 2.0, 3.0]])
    np.testing.assert_array_max_ulp(
        sorted_z.noise, np.array([[0.2, 0.1, 0.3]])
    )  # the root of a square


def test_a_careful_sum_over_two_axes() -> None:
    """Ten equal terms round alike, whichever axes they lie on."""
    terms = np.full((2, 5, 3), 0.1)
    with careful():
        both = noisy(terms).sum(axis=(0, 1))
        one = noisy(terms.reshape(10, 3)).sum(axis=0)
    np.testing.assert_array_equal(both.noise, one.noise)


@pytest.mark.parametrize("as_product", [False, True])
def test_a_careful_sum_takes_its_partial_sums_as_they_come(as_product: bool) -> None:
    """Samples of either sign, a row after the other, as a bias's gradient adds them up.

    The root mean square of what float32 loses, over many draws, is what the noise says. Without
    care the partial sums are taken for smaller than they are.
    """
    draw, ones = np.random.default_rng(0), Noisy(np.ones((1, 512)), unit=2.0**-24)
    signs = np.repeat([1.0, 1.0, -1.0, -1.0], 128)[:, None]
    terms = signs * draw.uniform(0.5, 1.5, size=(512, 300)).astype(np.float32).astype(np.float64)
    lost = np.cumsum(terms.astype(np.float32), axis=0)[-1] - terms.sum(axis=0)

    def noise() -> np.ndarray:
        exact = Noisy(terms, unit=2.0**-24)
        total = (ones @ exact).reshape(300) if as_product else exact.sum(axis=0)
        return total.noise * 2.0**-24

    plain = np.sqrt(np.mean(np.square(lost / noise())))
    with careful():
        taken = np.sqrt(np.mean(np.square(lost / noise())))
    assert plain > 4.0
    assert 0.5 < taken < 2.0


def test_a_yes_or_no_is_as_uncertain_as_those_it_is_made_of() -> None:
    unit = 2.0**-24
    near = Noisy(np.array([0.0, 5.0]), np.array([4.0, 4.0]), unit=unit) > 0.0
    sure = np.array([True, False])
    for either in (near | sure, sure | near):
        np.testing.assert_array_equal(either.value, [True, True])
        np.testing.assert_array_equal(either.noise > 0.0, [True, False])


def test_counting_does_not_round() -> None:
    """A yes as the number 1, and a class number plus 1, are exact: so an accuracy can be wrong."""
    p = Noisy(np.array([[0.2, 0.7, 0.4], [0.1, 0.3, 0.9]]), np.ones((2, 3)), unit=2.0**-24)
    right = (1.0 * (p > 0.5)) == np.array([[0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    assert not right.noise.any()
    assert right.mean(axis=-1).value.tolist() == [2 / 3, 2 / 3]
    counted = p.argmax(axis=-1) + 1 == np.array([2, 2])
    assert counted.value.tolist() == [True, False]
    assert not counted.noise.any()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_logistic_function_is_the_same_either_way(dtype: str) -> None:
    """An exponential within 4 units in the last place, a sum, a quotient: 10 u on each side."""
    sizes = np.geomspace(1e-3, 2000.0, 500)
    z = np.concatenate([-sizes, [0.0, np.inf, -np.inf], sizes]).astype(dtype)
    with np.errstate(under="ignore"):
        own, plain = sigmoid(z), PLAIN[sigmoid](z)
    assert own.dtype == dtype
    bound = 20 * UNIT[dtype] * plain + np.finfo(dtype).tiny
    assert (np.abs(own - plain) <= bound).all()
    noisy = sigmoid(Noisy(z.astype("float64"), noise=np.ones(z.shape), unit=UNIT[dtype]))
    assert np.isfinite(noisy.noise[np.isfinite(z)]).all()


def test_whole_numbers_are_added_without_rounding() -> None:
    numbers = Noisy(np.array([[True, False, True]]), unit=2.0**-24)
    assert numbers.sum(axis=-1).variance is None
    assert numbers.sum(axis=-1).value.tolist() == [2]


def test_a_function_in_float32_costs_what_float32_does_and_no_more() -> None:
    doubled = in_single_precision(lambda x: x + x)
    value = np.array([0.1, -3.3])  # which float32 has to round
    wide = doubled(Noisy(value, unit=2.0**-53))
    narrow = doubled(Noisy(value, unit=2.0**-24))
    assert wide.unit == 2.0**-53
    # rounded once on the way in (twice the same error), once by the sum: u y (1/3 + 1/3)½
    np.testing.assert_array_less(wide.noise * 2.0**-53, np.abs(2 * value) * 2.0**-24)
    np.testing.assert_array_less(narrow.noise, wide.noise * 2.0**-29)
    np.testing.assert_array_equal(wide.value, 2 * value)
    plain = doubled(value)
    assert plain.dtype == np.float64
    np.testing.assert_array_equal(plain, 2 * value.astype(np.float32))
