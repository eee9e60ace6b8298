"""How rounding errors come about, and how they pass through an operation.

A rule takes the unit roundoff, then a value and its variance for every operand, and gives the value
and the variance of the result; variances are in units of the roundoff squared, and None stands for
numbers that are exact. `compare.rounding.noise` says what they rest on.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from compare.rounding.working_precision import (
    CAREFUL,
    LARGEST,
    RESOLVED,
    SMALLEST,
    UNIT_ROUNDOFF,
    Numbers,
    Variance,
    added,
    may_overflow,
    of_ordered_sums,
)
from manual.activations.functions import ERF, ERFC, erf, erfc

CORRECTLY_ROUNDED = 1 / 3
ELEMENTARY = 4.0
"""Variances of one operation's own rounding, in units of (u y)²."""
CLOSE = 8.0

Rule = Callable[..., tuple[Numbers, Variance]]


def _passed(variance: Variance, derivative: Numbers) -> Variance:
    """Pass an operand's variance through the operation's derivative."""
    return None if variance is None else variance * np.square(derivative)


def _rounded(y: Numbers, own: float = CORRECTLY_ROUNDED) -> Variance:
    return own * np.square(y)


def _of_counts(a: Any, b: Any) -> bool:
    """Say whether all arrays hold a yes or no, or class numbers: no result that is whole rounds."""
    arrays = [one for one in (a, b) if np.ndim(one)]
    return bool(arrays) and all(one.dtype.kind in "bi" for one in arrays)


def _sum_or_difference(operation: np.ufunc) -> Rule:
    def rule(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
        y = operation(a, b)
        if _of_counts(a, b) and (y == np.floor(y)).all():
            return y, added(va, vb)
        return y, added(_rounded(y), va, vb)

    return rule


def _multiply(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = np.multiply(a, b, dtype=np.float64)
    if _of_counts(a, b) and (y == np.floor(y)).all():
        return y, added(_passed(va, b), _passed(vb, a))
    together = _second_order(u, va, vb, of_square=a is b)
    return y, added(_rounded(y), _passed(va, b), _passed(vb, a), together)


def _second_order(u: float, va: Any, vb: Any, *, of_square: bool = False) -> Variance:
    """Return what two errors make together: it counts where a number is mere noise, as 0² is.

    If neither is off by more than `CLOSE` deviations, their product is not by more than as many
    times `CLOSE` times the product of the deviations. Squares don't leave it to careful checks:
    Adam squares such a gradient, that of a bias before a normalization, at every step.
    """
    if va is None or vb is None or not (of_square or CAREFUL.get()):
        return None
    return np.square(CLOSE * u) * va * vb


def _divide(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = np.divide(a, b)
    passed = None if va is None else va / np.square(b)
    variance = added(_rounded(y), passed, None if vb is None else _passed(vb, y / b))
    if vb is not None and u > UNIT_ROUNDOFF["float64"] and CAREFUL.get():
        # Of a divisor that may be 0 in the working precision the quotient has no bound.
        variance = np.where(np.square(b) <= np.square(CLOSE * u) * vb, np.inf, variance)
    return y, variance


def _matmul(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = a @ b
    a2, b2 = np.square(a), np.square(b)
    variance = (a2 @ b2 + np.square(y)) * (a.shape[-1] / 6)
    if CAREFUL.get():
        variance = _of_products(u, a, b, y, variance)
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


def _of_products(u: float, a: Any, b: Any, y: Any, variance: Any) -> Numbers:
    """Return the variance of each sum's own rounding in a matrix product; see `of_ordered_sums`."""
    if b.ndim > 2:  # a matrix product for each place in the batch
        batch = y.shape[:-2]
        several = [
            np.broadcast_to(matrix, (*batch, *matrix.shape[-2:])).reshape(-1, *matrix.shape[-2:])
            for matrix in (a, b, y, variance)
        ]
        found = [_of_products(u, *each) for each in zip(*several, strict=True)]
        return np.reshape(found, y.shape)
    rows = zip(*(one.reshape(-1, one.shape[-1]) for one in (a, y, variance)), strict=True)
    found = [of_ordered_sums(row[:, None] * b, sums, own, u) for row, sums, own in rows]
    return np.reshape(found, y.shape)


def _square(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
    y = np.square(a)
    return y, added(_rounded(y), _passed(va, 2.0 * a), _second_order(u, va, va, of_square=True))


def _power(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = np.power(a, b)
    squared = isinstance(b, float) and b == 2.0
    together = _second_order(u, va, va, of_square=True) if squared else None
    of_base = None if va is None else _passed(va, b * np.power(a, b - 1.0))
    # 0 to a power stays 0, whatever the power
    of_exponent = None if vb is None else _passed(vb, np.where(a == 0, 0.0, y * np.log(a)))
    return y, added(_rounded(y, ELEMENTARY), of_base, of_exponent, together)


def _arctan2(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    y = np.arctan2(a, b)
    squared = np.square(a) + np.square(b)
    return y, added(_rounded(y, ELEMENTARY), _passed(va, b / squared), _passed(vb, a / squared))


def _sqrt(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
    y = np.sqrt(a)
    if va is None:
        return y, _rounded(y)
    # Near 0 the derivative 1/2√a says nothing, but √a can't be off by more than √(a's error).
    passed = np.where(va == 0, 0.0, np.minimum(va / (4 * np.abs(a)), np.sqrt(va) / u))
    return y, added(_rounded(y), passed)


def _elementary(function: Callable[[Any], Any], derivative: Callable[[Any, Any], Any]) -> Rule:
    def rule(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
        y = function(a)
        passed = None if va is None else _passed(va, derivative(a, y))
        return y, added(_rounded(y, ELEMENTARY), passed)

    return rule


def _exact(function: np.ufunc) -> Rule:
    """Make the rule of a function that changes no digits, only signs."""
    return lambda u, a, va: (function(a), va)


def close_together(u: float, a: Any, va: Any, b: Any, vb: Any) -> Any:
    """Say where two numbers lie within their noise of each other; None if both are exact.

    Of noise without a bound nothing is outside.
    """
    both = added(va, vb)
    if both is None:
        return None
    apart = np.subtract(a, b, dtype=np.float64)
    return (both != 0) & ~(np.square(apart) > np.square(CLOSE * u) * both)


def _choice(function: np.ufunc) -> Rule:
    """Make the rule of maximum and minimum: the chosen operand's noise, both if close."""

    def rule(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
        y = function(a, b)
        close = close_together(u, a, va, b, vb)
        if close is None:
            return y, None
        va, vb = (0.0 if variance is None else variance for variance in (va, vb))
        return y, np.where(close, va + vb, np.where(y == a, va, vb))

    return rule


def _comparison(function: np.ufunc) -> Rule:
    """Make the rule of a yes or no: uncertain by 1 where the operands are close."""
    asks_for_a_constant = function in (np.equal, np.not_equal)

    def rule(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
        close, way = close_together(u, a, va, b, vb), RESOLVED.get()
        if way is not None and not (asks_for_a_constant and np.ndim(b) == 0):
            at_kink = np.equal(a, b) if close is None else np.equal(a, b) | close
            return np.where(at_kink, way, function(a, b)), None
        return function(a, b), None if close is None else np.where(close, 1 / u**2, 0.0)

    return rule


def _whole(function: np.ufunc) -> Rule:
    """Make the rule of rounding to whole numbers: uncertain by 1 where one is near."""

    def rule(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
        close = close_together(u, a, va, np.round(a), None)
        return function(a), None if close is None else np.where(close, 1 / u**2, 0.0)

    return rule


def _nearest(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
    """Round to the nearest whole number: uncertain by 1 halfway between two."""
    close = close_together(u, a, va, np.floor(a) + 0.5, None)
    return np.rint(a), None if close is None else np.where(close, 1 / u**2, 0.0)


def _floor_divide(u: float, a: Any, va: Any, b: Any, vb: Any) -> tuple[Numbers, Variance]:
    """Divide down to a whole number: without doubt if both operands are exact."""
    quotient, variance = _divide(u, a, va, b, vb)
    if va is None and vb is None:
        return np.floor_divide(a, b), None
    return _whole(np.floor)(u, quotient, variance)


def _logical(function: np.ufunc) -> Rule:
    return lambda u, a, va, b, vb: (function(a, b), added(va, vb))


def _sign(u: float, a: Any, va: Any) -> tuple[Numbers, Variance]:
    close, way = close_together(u, a, va, 0.0, None), RESOLVED.get()
    if way is not None:
        at_kink = np.equal(a, 0.0) if close is None else np.equal(a, 0.0) | close
        return np.where(at_kink, 1.0 if way else -1.0, np.sign(a)), None
    return np.sign(a), None if close is None else np.where(close, 1 / u**2, 0.0)


RULES: dict[np.ufunc, Rule] = {
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
    np.sin: _elementary(np.sin, lambda a, y: np.cos(a)),
    np.cos: _elementary(np.cos, lambda a, y: np.sin(a)),
    np.tan: _elementary(np.tan, lambda a, y: 1 + y * y),
    np.arcsin: _elementary(np.arcsin, lambda a, y: 1 / np.sqrt(1 - a * a)),
    np.arccos: _elementary(np.arccos, lambda a, y: 1 / np.sqrt(1 - a * a)),
    np.arctan: _elementary(np.arctan, lambda a, y: 1 / (1 + a * a)),
    np.arctan2: _arctan2,
    np.sinh: _elementary(np.sinh, lambda a, y: np.cosh(a)),
    np.cosh: _elementary(np.cosh, lambda a, y: np.sinh(a)),
    np.arcsinh: _elementary(np.arcsinh, lambda a, y: 1 / np.cosh(y)),
    np.arccosh: _elementary(np.arccosh, lambda a, y: 1 / np.sinh(y)),
    np.arctanh: _elementary(np.arctanh, lambda a, y: 1 / (1 - a * a)),
    np.floor: _whole(np.floor),
    np.rint: _nearest,
    np.floor_divide: _floor_divide,
    ERF: _elementary(erf, lambda a, y: np.exp(-a * a) * (2 / math.sqrt(math.pi))),
    ERFC: _elementary(erfc, lambda a, y: np.exp(-a * a) * (2 / math.sqrt(math.pi))),
    np.maximum: _choice(np.maximum),
    np.minimum: _choice(np.minimum),
    np.greater: _comparison(np.greater),
    np.greater_equal: _comparison(np.greater_equal),
    np.less: _comparison(np.less),
    np.less_equal: _comparison(np.less_equal),
    np.equal: _comparison(np.equal),
    np.not_equal: _comparison(np.not_equal),
    np.isfinite: lambda unit, a, va: (np.abs(a) <= LARGEST[unit], None),
    np.logical_not: _exact(np.logical_not),
    np.logical_and: _logical(np.logical_and),
    np.bitwise_and: _logical(np.bitwise_and),
    np.bitwise_or: _logical(np.bitwise_or),
}
