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
- where terms of one sign follow each other, as those of one sample do, the partial sums are larger
  than either: then they are taken as they come, u √(Σ Sₖ² / 3) (`careful`);
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
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from compare.rounding.plain_ways import PLAIN
from compare.rounding.propagation import CLOSE, RULES, close_together
from compare.rounding.working_precision import (
    CAREFUL,
    LARGEST,
    SMALLEST,
    UNIT_ROUNDOFF,
    Numbers,
    Variance,
    added,
    careful,
    may_overflow,
    of_ordered_sums,
    representation_error,
    resolved,
    within_range,
)
from manual.recorded import Recorded

__all__ = ["LARGEST", "SMALLEST", "Noisy", "careful", "representation_error", "resolved"]

SINGLE = UNIT_ROUNDOFF["float32"]


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
        self.value: Numbers = value if isinstance(value, Recorded) else np.asarray(value)
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
        if CAREFUL.get() and value.dtype.kind == "f":
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

    def __int__(self) -> int:
        """Return how many things were counted, of which one or another is within noise."""
        return int(self.value)

    def __getitem__(self, key: Any) -> Any:
        return self._structural(lambda array: array[key])

    def __setitem__(self, key: Any, other: Any) -> None:
        value, variance = self._parts(other)
        self.value[key] = value
        if variance is not None or self.variance is not None:
            if self.variance is None:
                self.variance = np.zeros_like(self.value, dtype=np.float64)
            self.variance[key] = 0.0 if variance is None else variance

    def __repr__(self) -> str:
        return f"Noisy({self.value!r} ± {self.noise!r} u)"

    def astype(self, dtype: Any) -> Any:
        """Return exact whole numbers as plain ones, to be indices; all others are float64."""
        if np.dtype(dtype).kind in "iu":
            if self.variance is not None and self.variance.any():
                raise TypeError("A number with rounding noise can't be an index.")
            return self.value.astype(dtype)
        return self._like(self.value.astype(np.float64), self.variance)

    def in_unit(self, unit: float) -> Noisy:
        """Return these numbers handed over to another precision: as they are, or rounded to it."""
        if unit == self.unit:
            return self
        variance = self.variance
        lost = max(SMALLEST[unit], SMALLEST[self.unit])
        if variance is not None:
            variance = variance * (self.unit / unit) ** 2 + (lost / unit) ** 2
        if unit > self.unit and self.value.dtype.kind == "f":
            places = np.frexp(self.value)[0] / unit
            rounded = np.where(places == np.rint(places), 0.0, np.square(self.value) / 3)
            rounded += np.where(np.abs(self.value) < lost / unit, (lost / unit) ** 2, 0.0)
            variance = added(variance, rounded) if rounded.any() else variance
        value = self.value
        if unit > self.unit and CAREFUL.get():
            value, variance = within_range(value, variance, unit)
        return Noisy(value, None if variance is None else np.sqrt(variance), unit=unit)

    def reshape(self, *shape: Any) -> Any:
        return self._structural(lambda array: array.reshape(*shape))

    def sum(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        value = self.value.sum(axis=axis, keepdims=keepdims)
        terms = self.size / max(value.size, 1)
        variance = self.variance
        if variance is not None:
            variance = variance.sum(axis=axis, keepdims=keepdims)
            if CAREFUL.get():  # the errors of one function may all point the same way
                variance = np.square(np.sqrt(self.variance).sum(axis=axis, keepdims=keepdims))
        if terms > 1 and self.value.dtype.kind == "f":  # whole numbers are added exactly
            squares = np.square(self.value).sum(axis=axis, keepdims=keepdims)
            own = (squares + np.square(value)) * (terms / 6)
            if CAREFUL.get():
                own = self._carefully(axis, value, own)
                sizes = np.abs(self.value).sum(axis=axis, keepdims=keepdims)
                own = np.where(may_overflow(sizes, self.unit), np.inf, own)
            variance = added(variance, own)
        return self._like(value, variance)

    def _carefully(self, axis: Any, value: Numbers, variance: Numbers) -> Numbers:
        """Return the variance of each sum's own rounding, given what it is for terms at random."""
        axes = tuple(range(self.ndim)) if axis is None else axis
        axes = axes if isinstance(axes, tuple) else (axes,)
        terms = np.moveaxis(self.value, axes, range(len(axes)))
        count = math.prod(terms.shape[: len(axes)])
        own = of_ordered_sums(terms.reshape(count, -1), value.ravel(), variance.ravel(), self.unit)
        return own.reshape(value.shape)

    def mean(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        total = self.sum(axis=axis, keepdims=keepdims)
        mean: Noisy = total / float(self.size / max(total.size, 1))
        return mean

    def in_any_way(self, function: Callable[..., Any], *arguments: Any) -> Noisy:
        """Return what a function gives in its own way, with the noise of the plain way."""
        found = function(*(one.value if isinstance(one, Noisy) else one for one in arguments))
        return self._like(found, PLAIN[function](*arguments).variance)

    def in_single_precision(self, function: Callable[..., Any], *arguments: Any) -> Noisy:
        """Return what a function gives that rounds to float32, whatever the working precision."""
        if self.unit >= SINGLE:
            return function(*arguments)  # type: ignore[no-any-return]
        result: Noisy = function(
            *(one.in_unit(SINGLE) if isinstance(one, Noisy) else one for one in arguments)
        )
        return result.in_unit(self.unit)

    def at_least_single(
        self, method: Callable[..., Any], layer: Any, *arguments: Any, **told: Any
    ) -> Any:
        """Return what a layer's method gives that computes in float32 if this is narrower."""
        if self.unit <= SINGLE:
            return method(layer, self, *arguments, **told)
        narrow = [one for one in layer.parameters if getattr(one.value, "unit", 0.0) > SINGLE]
        before = [(one.value, one.gradient) for one in narrow]
        for one in narrow:
            one.value, one.gradient = one.value.in_unit(SINGLE), np.zeros_like(one.gradient)
            one.gradient.unit = SINGLE
        told = {
            name: one.in_unit(SINGLE) if isinstance(one, Noisy) else one
            for name, one in told.items()
        }
        given = method(layer, self.in_unit(SINGLE), *arguments, **told)
        for one, (value, gradient) in zip(narrow, before, strict=True):
            one.value, one.gradient = value, gradient + one.gradient.in_unit(self.unit)
        if isinstance(given, tuple):
            y, saved = given
            return y.in_unit(self.unit), saved
        return given.in_unit(self.unit)

    def max(self, axis: Any = None, keepdims: bool = False) -> Noisy:
        largest = self.value.max(axis=axis, keepdims=True)
        value = largest if keepdims else self.value.max(axis=axis)
        if self.variance is None:
            return self._like(value, None)
        # Only what may be the largest in the working precision lends its noise.
        its = np.where(self.value == largest, self.variance, 0.0).max(axis=axis, keepdims=True)
        near = close_together(self.unit, self.value, self.variance, largest, its)
        candidates = np.where(near | (self.value == largest), self.variance, 0.0)
        return self._like(value, candidates.max(axis=axis, keepdims=keepdims))

    def argmax(self, axis: int = -1) -> Noisy:
        """Return where the largest number is: in doubt where the runner-up is close to it."""
        largest = self.value.argmax(axis=axis)
        if self.variance is None or self.shape[axis] < 2:
            return self._like(largest, None)
        two = np.sort(self.value, axis=axis).take([-2, -1], axis=axis)
        gap = np.diff(two, axis=axis).squeeze(axis)
        noise = CLOSE * self.unit * np.sqrt(2 * self.variance.max(axis=axis))
        doubtful = ~(gap > SMALLEST[self.unit] + noise)  # where the noise is NaN, too
        any_class = np.square(self.shape[axis] / self.unit)
        return self._like(largest, np.where(doubtful, any_class, 0.0))

    # ------------------------------------------------------------------ NumPy's protocols

    def __array_ufunc__(
        self, ufunc: np.ufunc, method: str, *inputs: Any, out: Any = None, **options: Any
    ) -> Any:
        if ufunc is np.add and method == "at":
            return self._add_at(*inputs)
        rule = RULES.get(ufunc)
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
        variance = result.variance
        if variance is not None and (value.shape != target.shape or _is_among(variance, operands)):
            variance = np.broadcast_to(variance, target.shape).copy()
        target.variance = variance
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
            variance = added(variance, doubt * np.square(a - b))
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
        return operand if isinstance(operand, Recorded) else np.asarray(operand), None


def _is_among(array: Any, others: list[Any]) -> bool:
    return any(one is array for one in others)


_STRUCTURAL = {
    np.broadcast_to,
    np.concatenate,
    np.copy,
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
