"""Arrays that carry their own rounding noise.

The judge runs the hand-written layers on these instead of plain arrays. Beside every number stands
the standard deviation of the rounding error which that number has collected on the way, had the
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
- a constant such as 0.1 is off by what rounding it to the working precision costs;
- where two numbers are compared and lie within `CLOSE` deviations of each other, the outcome
  itself is uncertain, and so is everything that depends on it: kinks raise no false alarms.

Noise is not a bound on what one machine does; it is the ruler with which the judge measures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

CORRECTLY_ROUNDED = 1 / np.sqrt(3)
ELEMENTARY = 2.0
CLOSE = 8.0

Numbers = Any
Rule = Callable[..., tuple[Numbers, Numbers]]


class Noisy(NDArrayOperatorsMixin):
    """Float64 numbers with the rounding noise that each would have in the working precision.

    Parameters
    ----------
    value : array
    noise : array of the same shape, or 0
        Standard deviation of the collected error, in units of ``unit``.
    unit : float
        The unit roundoff of the working precision: 2⁻²⁴ for float32, 2⁻⁵³ for float64.
    """

    __slots__ = ("noise", "unit", "value")

    def __init__(self, value: Any, noise: Any = 0.0, *, unit: float) -> None:
        self.value = np.asarray(value)
        if self.value.dtype.kind == "f":
            self.value = self.value.astype(np.float64, copy=False)
        self.noise = np.asarray(noise, np.float64)
        if self.noise.shape != self.value.shape:
            self.noise = np.broadcast_to(self.noise, self.value.shape).copy()
        self.unit = unit

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
        value, noise = self._parts(other)
        self.value[key] = value
        self.noise[key] = noise

    def __repr__(self) -> str:
        return f"Noisy({self.value!r} ± {self.noise!r} u)"

    def reshape(self, *shape: Any) -> Any:
        return self._structural(lambda array: array.reshape(*shape))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        value = self.value.sum(axis=axis, keepdims=keepdims)
        count = self.size / max(np.size(value), 1)
        inherited = _root_sum_squares(self.noise, axis, keepdims)
        if count > 1:
            terms = _root_sum_squares(self.value, axis, keepdims)
            inherited = np.hypot(inherited, np.sqrt(count / 6) * np.hypot(terms, value))
        return Noisy(value, inherited, unit=self.unit)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        total = self.sum(axis=axis, keepdims=keepdims)
        mean: Noisy = total / (self.size / max(total.size, 1))
        return mean

    def max(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        return Noisy(
            self.value.max(axis=axis, keepdims=keepdims),
            self.noise.max(axis=axis, keepdims=keepdims),
            unit=self.unit,
        )

    def argmax(self, axis: Any = None) -> Numbers:
        return self.value.argmax(axis=axis)

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        rule = _RULES.get(ufunc)
        if rule is None or method != "__call__" or options:
            return NotImplemented
        parts = [self._parts(operand) for operand in inputs]
        with np.errstate(all="ignore"):
            value, noise = rule(self.unit, *(part for pair in parts for part in pair))
        if out is None:
            return Noisy(value, noise, unit=self.unit)
        (target,) = out
        if not isinstance(target, Noisy):
            return NotImplemented
        target.value[...] = value
        target.noise[...] = noise
        return target

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function is np.where:
            return self._where(*args)
        if function in (np.zeros_like, np.ones_like):
            return Noisy(function(self.value), unit=self.unit)
        if function in _STRUCTURAL:
            return self._structural(lambda array: function(array, *args[1:], **kwargs), args[0])
        if function in (np.sum, np.mean, np.max, np.reshape):
            return getattr(args[0], function.__name__)(*args[1:], **kwargs)
        return NotImplemented

    def _where(self, condition: Any, this: Any, other: Any) -> Noisy:
        chosen, doubt = self._parts(condition)
        (a, noise_a), (b, noise_b) = self._parts(this), self._parts(other)
        with np.errstate(all="ignore"):
            noise = np.hypot(np.where(chosen, noise_a, noise_b), _times(doubt, np.abs(a - b)))
        return Noisy(np.where(chosen, a, b), noise, unit=self.unit)

    def _structural(self, function: Callable[[Any], Any], source: Any = None) -> Any:
        """Apply to both parts what only moves numbers around."""
        source = self if source is None else source
        if isinstance(source, (list, tuple)):
            parts = [self._parts(item) for item in source]
            values, noises = [part[0] for part in parts], [part[1] for part in parts]
        else:
            values, noises = source.value, source.noise
        value, noise = function(values), function(noises)
        if isinstance(value, list):
            pairs = zip(value, noise, strict=True)
            return [Noisy(one, its_noise, unit=self.unit) for one, its_noise in pairs]
        return Noisy(value, noise, unit=self.unit)

    def _parts(self, operand: Any) -> tuple[Any, Any]:
        """Split an operand into its numbers and their noise."""
        if isinstance(operand, Noisy):
            return operand.value, operand.noise
        if isinstance(operand, (int, float)) and not isinstance(operand, bool):
            return float(operand), representation_error(float(operand), self.unit)
        array = np.asarray(operand)
        return array, np.zeros(array.shape)


def representation_error(number: float, unit: float) -> float:
    """Return what rounding a constant to the working precision costs, in units of roundoff."""
    if unit <= 2.0**-53 or not np.isfinite(number):
        return 0.0
    mantissa, exponent = math.frexp(number)
    in_last_places = mantissa / unit
    return abs(in_last_places - round(in_last_places)) * 2.0**exponent


# ---------------------------------------------------------------------- rules for operations
# Each takes the unit, then a value and its noise for every operand.


def _times(factor: Numbers, noise: Numbers) -> Numbers:
    """Multiply so that no noise stays no noise, even times infinity."""
    return np.where((noise == 0) | (factor == 0), 0.0, np.abs(factor) * noise)


def _root_sum_squares(array: Numbers, axis: Any, keepdims: bool) -> Numbers:
    """Return √Σx² without overflow."""
    largest = np.max(np.abs(array), initial=0.0)
    if not np.isfinite(largest) or largest == 0:
        return np.abs(array).sum(axis=axis, keepdims=keepdims)
    scaled = array / largest
    return largest * np.sqrt((scaled * scaled).sum(axis=axis, keepdims=keepdims))


def _sum_or_difference(operation: np.ufunc) -> Rule:
    def rule(u: float, a: Any, na: Any, b: Any, nb: Any) -> tuple[Numbers, Numbers]:
        y = operation(a, b)
        return y, np.hypot(np.hypot(na, nb), CORRECTLY_ROUNDED * np.abs(y))

    return rule


def _multiply(u: float, a: Any, na: Any, b: Any, nb: Any) -> tuple[Numbers, Numbers]:
    y = np.multiply(a, b, dtype=np.float64)
    inherited = np.hypot(_times(b, na), _times(a, nb))
    return y, np.hypot(inherited, CORRECTLY_ROUNDED * np.abs(y))


def _divide(u: float, a: Any, na: Any, b: Any, nb: Any) -> tuple[Numbers, Numbers]:
    y = np.divide(a, b)
    inherited = np.hypot(_times(1 / np.asarray(b), na), _times(y / b, nb))
    return y, np.hypot(inherited, CORRECTLY_ROUNDED * np.abs(y))


def _matmul(u: float, a: Any, na: Any, b: Any, nb: Any) -> tuple[Numbers, Numbers]:
    y = a @ b
    k = a.shape[-1]
    noise = np.hypot(_root_sum_products(a, b), y) * np.sqrt(k / 6)
    for p, q in ((a, nb), (na, b)):
        if na.any() if p is na else nb.any():
            noise = np.hypot(noise, _root_sum_products(p, q))
    return y, noise


def _root_sum_products(a: Numbers, b: Numbers) -> Numbers:
    """Return √Σₖ aᵢₖ² bₖⱼ² without overflow on the way."""
    size_a, size_b = _size(a), _size(b)
    root = np.sqrt(np.square(a / size_a) @ np.square(b / size_b))
    return np.where(root == 0, 0.0, root * size_a * size_b)


def _size(array: Numbers) -> float:
    largest = float(np.max(np.abs(array), initial=0.0))
    return largest if 0 < largest < np.inf else 1.0


def _power(u: float, a: Any, na: Any, b: Any, nb: Any) -> tuple[Numbers, Numbers]:
    y = np.power(a, b)
    inherited = _times(b * np.power(a, b - 1.0), na)
    if np.any(b == 0.5):  # √a: near 0 the derivative says nothing, but the error is at most √na
        inherited = np.where(na > a * u, np.minimum(inherited, np.sqrt(na / u)), inherited)
    return y, np.hypot(inherited, ELEMENTARY * np.abs(y))


def _sqrt(u: float, a: Any, na: Any) -> tuple[Numbers, Numbers]:
    y = np.sqrt(a)
    inherited = np.where(na == 0, 0.0, np.minimum(na / (2 * y), np.sqrt(na / u)))
    return y, np.hypot(inherited, CORRECTLY_ROUNDED * y)


def _elementary(function: np.ufunc, derivative: Callable[[Any, Any], Any]) -> Rule:
    def rule(u: float, a: Any, na: Any) -> tuple[Numbers, Numbers]:
        y = function(a)
        return y, np.hypot(_times(derivative(a, y), na), ELEMENTARY * np.abs(y))

    return rule


def _exact(function: np.ufunc) -> Rule:
    """Make the rule of a function that changes no digits, only signs."""
    return lambda u, a, na: (function(a), na)


def _choice(function: np.ufunc) -> Rule:
    """Make the rule of maximum and minimum: the chosen operand's noise, both if close."""

    def rule(u: float, a: Any, na: Any, b: Any, nb: Any) -> tuple[Numbers, Numbers]:
        y = function(a, b)
        close = np.abs(a - b) <= CLOSE * u * np.hypot(na, nb)
        return y, np.where(close, np.hypot(na, nb), np.where(y == a, na, nb))

    return rule


def _comparison(function: np.ufunc) -> Rule:
    """Make the rule of a yes or no: uncertain by 1 where the operands are close."""

    def rule(u: float, a: Any, na: Any, b: Any, nb: Any) -> tuple[Numbers, Numbers]:
        apart = np.hypot(na, nb)
        doubtful = (apart > 0) & (np.abs(a - b) <= CLOSE * u * apart)
        return function(a, b), np.where(doubtful, 1 / u, 0.0)

    return rule


def _logical(function: np.ufunc) -> Rule:
    return lambda u, a, na, b, nb: (function(a, b), np.maximum(na, nb))


def _sign(u: float, a: Any, na: Any) -> tuple[Numbers, Numbers]:
    doubtful = (na > 0) & (np.abs(a) <= CLOSE * u * na)
    return np.sign(a), np.where(doubtful, 1 / u, 0.0)


_RULES: dict[np.ufunc, Rule] = {
    np.add: _sum_or_difference(np.add),
    np.subtract: _sum_or_difference(np.subtract),
    np.multiply: _multiply,
    np.divide: _divide,
    np.matmul: _matmul,
    np.power: _power,
    np.sqrt: _sqrt,
    np.negative: _exact(np.negative),
    np.abs: _exact(np.abs),
    np.sign: _sign,
    np.exp: _elementary(np.exp, lambda a, y: y),
    np.expm1: _elementary(np.expm1, lambda a, y: y + 1),
    np.log: _elementary(np.log, lambda a, y: 1 / a),
    np.log1p: _elementary(np.log1p, lambda a, y: 1 / (1 + a)),
    np.tanh: _elementary(np.tanh, lambda a, y: 1 - y * y),
    np.maximum: _choice(np.maximum),
    np.minimum: _choice(np.minimum),
    np.greater: _comparison(np.greater),
    np.greater_equal: _comparison(np.greater_equal),
    np.less: _comparison(np.less),
    np.less_equal: _comparison(np.less_equal),
    np.equal: _comparison(np.equal),
    np.logical_and: _logical(np.logical_and),
    np.bitwise_and: _logical(np.bitwise_and),
}

_STRUCTURAL = {np.concatenate, np.moveaxis, np.split, np.transpose, np.ravel, np.expand_dims}
