"""Arrays that carry their own rounding noise.

The judge runs the hand-written layers on these instead of plain arrays. Beside every number stands
the variance of the rounding error which that number has collected on the way, had the
same operations been carried out in the working precision: Wilkinson's running error analysis
(*Rounding Errors in Algebraic Processes*, 1963; Higham, *Accuracy and Stability of Numerical
Algorithms*, 2nd ed., section 3.3), with root mean squares in place of worst cases.

The rules, in units of the roundoff u of the working precision:

- a correctly rounded operation adds an error that is uniform in ±u|y|: u|y|/√3;
- an elementary function (exp, tanh, …) comes from a vector library that promises 4 units in the
  last place, 8u at most: 2u|y|, so that 4 ulp are 4 standard deviations;
- errors of the operands pass through the operation's derivative;
- a sum of k terms rounds its k partial sums, whose mean square lies between k/2 times that of the
  terms (random signs) and a third of the squared sum (equal signs): u √(k/6 (Σtᵢ² + y²));
- where terms of a sum are alike, their roundings are too, and g equal errors add up to g, not √g:
  the variance grows by the mean size of such groups (`careful`);
- a constant such as 0.1 is off by what rounding it to the working precision costs;
- where two numbers are compared and lie within `CLOSE` deviations of each other, the outcome
  itself is uncertain, and so is everything that depends on it: kinks raise no false alarms.

Noise is not a bound on what one machine does; it is the ruler with which the judge measures.
Overflow and division by zero are part of what is measured: work on such arrays within
``np.errstate(all="ignore")``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from manual.activations.functions import ERFC, erfc

CORRECTLY_ROUNDED = 1 / 3
ELEMENTARY = 4.0
"""Variances of one operation's own rounding, in units of (u y)²."""
CLOSE = 8.0

SMALLEST = {2.0**-24: 2.0**-126, 2.0**-53: 2.0**-500}
"""Smaller numbers count as zero: TensorFlow flushes what is below the smallest normal float32, and
below 2⁻⁵⁰⁰ the variance of a float64 is no longer a float64."""
LARGEST = {2.0**-24: float(np.finfo(np.float32).max), 2.0**-53: float(np.finfo(np.float64).max)}
"""The largest finite number of each working precision, by its unit roundoff."""

Numbers = Any
Variance = Any
"""An array of variances in units of u²; None stands for numbers that are exact."""
Rule = Callable[..., tuple[Numbers, Variance]]


_careful: ContextVar[bool] = ContextVar("_careful", default=False)


@contextmanager
def careful() -> Iterator[None]:
    """Take rare things into account that cost time at every operation.

    Results beyond the range of the working precision become infinite, or may be flushed to zero,
    as they do there; the terms of sums are searched for equal ones; inherited errors are added up
    as if they all pointed the same way; and two errors are multiplied. Asked for where something
    seems to disagree.
    """
    token = _careful.set(True)
    try:
        yield
    finally:
        _careful.reset(token)


_resolved: ContextVar[bool | None] = ContextVar("_resolved", default=None)


@contextmanager
def resolved(way: bool) -> Iterator[None]:
    """Answer every comparison of equal numbers, or of close ones, with yes, or every one with no.

    At a kink (a ReLU at 0, a tie, a clip edge) either answer gives a derivative of one side; what
    lies between the two is a subgradient. The sign of 0 becomes 1 or −1 likewise. Whether a number
    *is* a given constant, as a mask asks, is no such question.
    """
    token = _resolved.set(way)
    try:
        yield
    finally:
        _resolved.reset(token)


class Noisy(NDArrayOperatorsMixin):
    """Float64 numbers with the rounding noise that each would have in the working precision.

    Parameters
    ----------
    value : array
    noise : array of the same shape, or None
        Standard deviation of the collected error, in units of ``unit``; None for exact numbers.
    unit : float
        The unit roundoff of the working precision: 2⁻²⁴ for float32, 2⁻⁵³ for float64.
    """

    __slots__ = ("unit", "value", "variance")

    def __init__(self, value: Any, noise: Any = None, *, unit: float) -> None:
        self.value = np.asarray(value)
        if self.value.dtype.kind == "f":
            self.value = self.value.astype(np.float64, copy=False)
        self.variance: Variance = None
        if noise is not None:
            self.variance = np.broadcast_to(np.square(noise), self.value.shape).copy()
        self.unit = unit

    @property
    def noise(self) -> Numbers:
        """Standard deviation of each number's error, in units of ``unit``."""
        return np.zeros(self.shape) if self.variance is None else np.sqrt(self.variance)

    def _like(self, value: Numbers, variance: Variance) -> Noisy:
        made: Noisy = object.__new__(Noisy)  # this is called at every operation
        made.value, made.variance, made.unit = value, variance, self.unit
        if _careful.get() and value.dtype.kind == "f":
            made.value, made.variance = within_range(value, variance, self.unit)
        return made

    # ------------------------------------------------------------------ like an array

    shape = property(lambda self: self.value.shape)
    ndim = property(lambda self: self.value.ndim)
    size = property(lambda self: self.value.size)
    dtype = property(lambda self: self.value.dtype)

    @property
    def T(self) -> Any:  # noqa: N802 (NumPy's name)
        return self._structural(np.transpose)

    def __len__(self) -> int:
        return len(self.value)

    def __getitem__(self, key: Any) -> Any:
        return self._structural(lambda array: array[key])

    def __setitem__(self, key: Any, other: Any) -> None:
        value, variance = self._parts(other)
        self.value[key] = value
        if variance is not None or self.variance is not None:
            self.variance = np.zeros(self.shape) if self.variance is None else self.variance
            self.variance[key] = 0.0 if variance is None else variance

    def __repr__(self) -> str:
        return f"Noisy({self.value!r} ± {self.noise!r} u)"

    def astype(self, dtype: Any) -> Any:
        """Return exact whole numbers as plain ones, to be indices; all others are float64."""
        if np.dtype(dtype).kind in "iu":
            if self.variance is not None:
                raise TypeError("A number with rounding noise can't be an index.")
            return self.value.astype(dtype)
        return self._like(self.value.astype(np.float64), self.variance)

    def reshape(self, *shape: Any) -> Any:
        return self._structural(lambda array: array.reshape(*shape))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        value = self.value.sum(axis=axis, keepdims=keepdims)
        terms = self.size / max(value.size, 1)
        variance = self.variance
        if variance is not None:
            variance = variance.sum(axis=axis, keepdims=keepdims)
            if _careful.get():  # the errors of one function may all point the same way
                variance = np.square(np.sqrt(self.variance).sum(axis=axis, keepdims=keepdims))
        if terms > 1:
            squares = np.square(self.value).sum(axis=axis, keepdims=keepdims)
            own = (squares + np.square(value)) * (terms / 6)
            if _careful.get():
                own = own * self._alike(axis, value)
                sizes = np.abs(self.value).sum(axis=axis, keepdims=keepdims)
                own = np.where(may_overflow(sizes, self.unit), np.inf, own)
            variance = _added(variance, own)
        return self._like(value, variance)

    def _alike(self, axis: Any, value: Numbers) -> Numbers:
        """Return the mean size of groups of equal terms, for each sum."""
        if axis is None:
            return mean_group_size(self.value.reshape(-1, 1), value, self.unit).reshape(value.shape)
        axes = axis if isinstance(axis, tuple) else (axis,)
        terms = np.moveaxis(self.value, axes, range(len(axes)))
        count = math.prod(terms.shape[: len(axes)])
        groups = mean_group_size(terms.reshape(count, -1), value, self.unit)
        return groups.reshape(value.shape)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        total = self.sum(axis=axis, keepdims=keepdims)
        mean: Noisy = total / float(self.size / max(total.size, 1))
        return mean

    def max(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        largest = self.value.max(axis=axis, keepdims=True)
        value = largest if keepdims else self.value.max(axis=axis)
        if self.variance is None:
            return self._like(value, None)
        # Only what may be the largest in the working precision lends its noise.
        its = np.where(self.value == largest, self.variance, 0.0).max(axis=axis, keepdims=True)
        near = _close(self.unit, self.value, self.variance, largest, its)
        candidates = np.where(near | (self.value == largest), self.variance, 0.0)
        return self._like(value, candidates.max(axis=axis, keepdims=keepdims))

    def argmax(self, axis: int = -1) -> Noisy:
        """Return where the largest number is: in doubt where the runner-up is close to it."""
        largest = self.value.argmax(axis=axis)
        if self.variance is None or self.shape[axis] < 2:
            return self._like(largest, None)
        two = np.sort(self.value, axis=axis).take([-2, -1], axis=axis)
        gap = np.diff(two, axis=axis).squeeze(axis)
        doubtful = gap <= SMALLEST[self.unit] + CLOSE * self.unit * np.sqrt(
            2 * self.variance.max(axis=axis)
        )
        any_class = np.square(self.shape[axis] / self.unit)
        return self._like(largest, np.where(doubtful, any_class, 0.0))

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if ufunc is np.add and method == "at":
            return self._add_at(*inputs)
        rule = _RULES.get(ufunc)
        if rule is None or method != "__call__" or options:
            return NotImplemented
        operands: list[Any] = []
        for operand in inputs:
            operands += self._parts(operand)
        value, variance = rule(self.unit, *operands)
        if variance is None and value.dtype == bool:
            return value  # a sure yes or no
        if out is None:
            return self._like(value, variance)
        (target,) = out
        if not isinstance(target, Noisy):
            return NotImplemented
        result = self._like(value, variance)
        target.value[...] = result.value
        if result.variance is not None:
            result.variance = np.broadcast_to(result.variance, target.shape).copy()
        target.variance = result.variance
        return target

    @staticmethod
    def _add_at(target: Any, indices: Any, terms: Any) -> None:
        """Add rows to the target's rows of these numbers, all of one number in one sum."""
        for index in np.unique(indices):
            target[index] = target[index] + terms[indices == index].sum(axis=0)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function in (np.shape, np.ndim, np.size):
            return getattr(args[0], function.__name__)
        if function is np.where:
            return self._where(*args)
        if function in (np.zeros_like, np.ones_like):
            return self._like(function(args[0].value), None)
        if function is np.argsort:  # of numbers within noise of each other either may come first
            return np.argsort(args[0].value, *args[1:], **kwargs)
        if function is np.pad:
            return self._pad(*args, **kwargs)
        if function in _STRUCTURAL:
            return self._structural(lambda array: function(array, *args[1:], **kwargs), args[0])
        if function in (np.sum, np.mean, np.max, np.reshape):
            return getattr(args[0], function.__name__)(*args[1:], **kwargs)
        return NotImplemented

    def _where(self, condition: Any, this: Any, other: Any) -> Noisy:
        chosen, doubt = self._parts(condition)
        (a, va), (b, vb) = self._parts(this), self._parts(other)
        variance = None
        if va is not None or vb is not None:
            variance = np.where(chosen, 0.0 if va is None else va, 0.0 if vb is None else vb)
        if doubt is not None:
            variance = _added(variance, doubt * np.square(a - b))
        return self._like(np.where(chosen, a, b), variance)

    def _pad(self, array: Any, widths: Any, mode: Any = "constant", **options: Any) -> Noisy:
        """Surround the numbers: a constant around them is exact, whatever its value."""
        value, variance = np.pad(array.value, widths, mode, **options), array.variance
        return self._like(value, None if variance is None else np.pad(variance, widths, mode))

    def _structural(self, function: Callable[[Any], Any], source: Any = None) -> Any:
        """Apply to both parts what only moves numbers around."""
        source = self if source is None else source
        if isinstance(source, (list, tuple)):
            parts = [self._parts(item) for item in source]
            values, variances = [part[0] for part in parts], None
            if any(variance is not None for _, variance in parts):
                variances = [np.zeros(np.shape(v)) if s is None else s for v, s in parts]
        else:
            values, variances = source.value, source.variance
        value = function(values)
        variance = None if variances is None else function(variances)
        if isinstance(value, list):
            variance = [None] * len(value) if variance is None else variance
            return [self._like(one, its) for one, its in zip(value, variance, strict=True)]
        return self._like(value, variance)

    def _parts(self, operand: Any) -> tuple[Numbers, Variance]:
        """Split an operand into its numbers and their variance."""
        if isinstance(operand, Noisy):
            return operand.value, operand.variance
        if isinstance(operand, (int, float)) and not isinstance(operand, bool):
            error = representation_error(float(operand), self.unit)
            return float(operand), error * error or None
        return np.asarray(operand), None


def representation_error(number: float, unit: float) -> float:
    """Return what rounding a constant to the working precision costs, in units of roundoff."""
    if unit <= 2.0**-53 or not math.isfinite(number):
        return 0.0
    mantissa, exponent = math.frexp(number)
    in_last_places = mantissa / unit
    return abs(in_last_places - round(in_last_places)) * 2.0**exponent


def within_range(value: Numbers, variance: Variance, unit: float) -> tuple[Numbers, Variance]:
    """Let go what the working precision can't hold: too large is infinite, too small may be 0."""
    size, held = np.abs(value), 2 * SMALLEST[unit]  # TensorFlow's eager softmax gives up at 2
    flushed = (size > 0) & (size < held)
    if flushed.any():
        variance = _added(variance, np.where(flushed, (held / unit) ** 2, 0.0))
    return np.where(size > LARGEST[unit], np.copysign(np.inf, value), value), variance


def may_overflow(sizes: Numbers, unit: float) -> Numbers:
    """Say where a partial sum of terms of this total size can leave float32's range.

    (In float64 the reference itself would be infinite.)
    """
    return (sizes > LARGEST[unit]) & (unit > 2.0**-53)


def mean_group_size(terms: Numbers, sums: Numbers, unit: float) -> Numbers:
    """Return how many terms of each column are alike, on average over the terms.

    When t is added to a partial sum, what is rounded away depends on t modulo the sum's last
    place only; so terms that differ by less than that round alike.

    Parameters
    ----------
    terms : array, shape (k, n)
    sums : array of n elements
    unit : float
    """
    k, n = terms.shape
    last_place = np.maximum(unit * np.abs(sums.reshape(n)), np.finfo(np.float64).tiny)
    places = np.sort(np.floor(terms / last_place), axis=0)
    row = np.broadcast_to(np.arange(k)[:, None], (k, n))
    first = np.ones((k, n), bool)
    first[1:] = places[1:] != places[:-1]
    start = np.maximum.accumulate(np.where(first, row, 0), axis=0)
    return (2 * (row - start) + 1).sum(axis=0) / k  # 1 + 3 + 5 + … over a group of g is g²


# ---------------------------------------------------------------------- rules for operations
# Each takes the unit, then a value and its variance for every operand.


def _added(*variances: Variance) -> Variance:
    """Add variances; nothing is exact as soon as one part is not."""
    total = None
    for variance in variances:
        if variance is not None:
            total = variance if total is None else total + variance
    return total


def _passed(variance: Variance, derivative: Numbers) -> Variance:
    """Pass an operand's variance through the operation's derivative."""
    return None if variance is None else variance * np.square(derivative)


def _rounded(y: Numbers, own: float = CORRECTLY_ROUNDED) -> Variance:
    return own * np.square(y)


def _sum_or_difference(operation: np.ufunc) -> Rule:
    def rule(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
        y = operation(a, b)
        return y, _added(_rounded(y), va, vb)

    return rule


def _multiply(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = np.multiply(a, b, dtype=np.float64)
    return y, _added(_rounded(y), _passed(va, b), _passed(vb, a), _second_order(u, va, vb))


def _second_order(u: float, va: Any, vb: Any) -> Variance:
    """Return what two errors make together: it counts where a number is mere noise, as 0² is.

    If neither is off by more than `CLOSE` deviations, their product is not by more than as many
    times `CLOSE` times the product of the deviations.
    """
    if va is None or vb is None or not _careful.get():
        return None
    return np.square(CLOSE * u) * va * vb


def _divide(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = np.divide(a, b)
    passed = None if va is None else va / np.square(b)
    return y, _added(_rounded(y), passed, None if vb is None else _passed(vb, y / b))


def _matmul(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = a @ b
    a2, b2 = np.square(a), np.square(b)
    variance = (a2 @ b2 + np.square(y)) * (a.shape[-1] / 6)
    if _careful.get():
        variance = variance * _alike_in_products(u, a, b, y)
        lost = (SMALLEST[u] / u) ** 2  # by each product that is too small to be held
        variance += np.where(y != 0, a.shape[-1] * lost, 0.0)
        variance = np.where(may_overflow(np.abs(a) @ np.abs(b), u), np.inf, variance)
        # The errors of one function may all point the same way: they add up linearly.
        if va is not None:
            variance += np.square(np.sqrt(va) @ np.abs(b))
        if vb is not None:
            variance += np.square(np.abs(a) @ np.sqrt(vb))
        return y, variance
    if va is not None:
        variance += va @ b2
    if vb is not None:
        variance += a2 @ vb
    return y, variance


def _alike_in_products(u: float, a: Any, b: Any, y: Any) -> Numbers:
    """Return the mean size of groups of equal products, for each sum of a matrix product."""
    if b.ndim > 2:  # a matrix product for each place in the batch
        batch = y.shape[:-2]
        several = [
            np.broadcast_to(matrix, (*batch, *matrix.shape[-2:])).reshape(-1, *matrix.shape[-2:])
            for matrix in (a, b, y)
        ]
        groups = [_alike_in_products(u, *each) for each in zip(*several, strict=True)]
        return np.reshape(groups, y.shape)
    rows, sums = a.reshape(-1, a.shape[-1]), y.reshape(-1, y.shape[-1])
    groups = [
        mean_group_size(row[:, None] * b, its, u) for row, its in zip(rows, sums, strict=True)
    ]
    return np.reshape(groups, y.shape)


def _square(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
    y = np.square(a)
    return y, _added(_rounded(y), _passed(va, 2.0 * a), _second_order(u, va, va))


def _power(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = np.power(a, b)
    together = _second_order(u, va, va) if np.all(b == 2) else None
    of_base = None if va is None else _passed(va, b * np.power(a, b - 1.0))
    # 0 to a power stays 0, whatever the power
    of_exponent = None if vb is None else _passed(vb, np.where(a == 0, 0.0, y * np.log(a)))
    return y, _added(_rounded(y, ELEMENTARY), of_base, of_exponent, together)


def _sqrt(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
    y = np.sqrt(a)
    if va is None:
        return y, _rounded(y)
    # Near 0 the derivative 1/2√a says nothing, but √a can't be off by more than √(a's error).
    passed = np.where(va == 0, 0.0, np.minimum(va / (4 * np.abs(a)), np.sqrt(va) / u))
    return y, _added(_rounded(y), passed)


def _elementary(function: Callable[[Any], Any], derivative: Callable[[Any, Any], Any]) -> Rule:
    def rule(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
        y = function(a)
        passed = None if va is None else _passed(va, derivative(a, y))
        return y, _added(_rounded(y, ELEMENTARY), passed)

    return rule


def _exact(function: np.ufunc) -> Rule:
    """Make the rule of a function that changes no digits, only signs."""
    return lambda u, a, va: (function(a), va)


def _close(u: float, a: Any, va: Any, b: Any, vb: Any) -> Any:
    """Say where two numbers lie within their noise of each other; None if both are exact."""
    both = _added(va, vb)
    if both is None:
        return None
    apart = np.subtract(a, b, dtype=np.float64)
    return (both > 0) & (np.square(apart) <= np.square(CLOSE * u) * both)


def _choice(function: np.ufunc) -> Rule:
    """Make the rule of maximum and minimum: the chosen operand's noise, both if close."""

    def rule(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
        y = function(a, b)
        close = _close(u, a, va, b, vb)
        if close is None:
            return y, None
        va, vb = (0.0 if variance is None else variance for variance in (va, vb))
        return y, np.where(close, va + vb, np.where(y == a, va, vb))

    return rule


def _comparison(function: np.ufunc) -> Rule:
    """Make the rule of a yes or no: uncertain by 1 where the operands are close."""
    asks_for_a_constant = function in (np.equal, np.not_equal)

    def rule(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
        close, way = _close(u, a, va, b, vb), _resolved.get()
        if way is not None and not (asks_for_a_constant and isinstance(b, float)):
            at_kink = np.equal(a, b) if close is None else np.equal(a, b) | close
            return np.where(at_kink, way, function(a, b)), None
        return function(a, b), None if close is None else np.where(close, 1 / u**2, 0.0)

    return rule


def _whole(function: np.ufunc) -> Rule:
    """Make the rule of rounding to whole numbers: uncertain by 1 where one is near."""

    def rule(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
        close = _close(u, a, va, np.round(a), None)
        return function(a), None if close is None else np.where(close, 1 / u**2, 0.0)

    return rule


def _floor_divide(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    """Divide down to a whole number: without doubt if both operands are exact."""
    quotient, variance = _divide(u, a, va, b, vb)
    if va is None and vb is None:
        return np.floor_divide(a, b), None
    return _whole(np.floor)(u, quotient, variance)


def _logical(function: np.ufunc) -> Rule:
    return lambda u, a, va, b, vb: (function(a, b), _added(va, vb))


def _sign(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
    close, way = _close(u, a, va, 0.0, None), _resolved.get()
    if way is not None:
        at_kink = np.equal(a, 0.0) if close is None else np.equal(a, 0.0) | close
        return np.where(at_kink, 1.0 if way else -1.0, np.sign(a)), None
    return np.sign(a), None if close is None else np.where(close, 1 / u**2, 0.0)


_RULES: dict[np.ufunc, Rule] = {
    np.add: _sum_or_difference(np.add),
    np.subtract: _sum_or_difference(np.subtract),
    np.multiply: _multiply,
    np.divide: _divide,
    np.matmul: _matmul,
    np.power: _power,
    np.square: _square,
    np.sqrt: _sqrt,
    np.negative: _exact(np.negative),
    np.abs: _exact(np.abs),
    np.sign: _sign,
    np.exp: _elementary(np.exp, lambda a, y: y),
    np.expm1: _elementary(np.expm1, lambda a, y: y + 1),
    np.log: _elementary(np.log, lambda a, y: 1 / a),
    np.log1p: _elementary(np.log1p, lambda a, y: 1 / (1 + a)),
    np.tanh: _elementary(np.tanh, lambda a, y: 1 - y * y),
    np.cos: _elementary(np.cos, lambda a, y: np.sin(a)),
    np.floor: _whole(np.floor),
    np.floor_divide: _floor_divide,
    ERFC: _elementary(erfc, lambda a, y: np.exp(-a * a) * (2 / math.sqrt(math.pi))),
    np.maximum: _choice(np.maximum),
    np.minimum: _choice(np.minimum),
    np.greater: _comparison(np.greater),
    np.greater_equal: _comparison(np.greater_equal),
    np.less: _comparison(np.less),
    np.less_equal: _comparison(np.less_equal),
    np.equal: _comparison(np.equal),
    np.not_equal: _comparison(np.not_equal),
    np.logical_and: _logical(np.logical_and),
    np.bitwise_and: _logical(np.bitwise_and),
}

_STRUCTURAL = {
    np.concatenate,
    np.expand_dims,
    np.lib.stride_tricks.sliding_window_view,
    np.moveaxis,
    np.ravel,
    np.repeat,
    np.split,
    np.stack,
    np.take_along_axis,
    np.transpose,
}
