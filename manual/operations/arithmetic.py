"""Sums, products, powers and what else joins two numbers, number by number."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.bias import as_added
from manual.operations.base import Elementwise
from manual.registry import twin_of

LOG_2 = math.log(2.0)


@twin_of("Add")
class Add(Elementwise):
    """A sum; what looks like a bias is added where Keras adds one (``manual.bias``)."""

    derivation = {"forward": "y = x₁ + x₂", "input gradient": "dx₁ = dy, dx₂ = dy"}

    def compute(self, *x: Any) -> tuple[Array, Any]:
        a, b = x
        if not np.ndim(b) or not (np.ndim(b) < np.ndim(a) or b.shape[0] == 1):  # it has a batch
            return super().compute(a, b)
        moved = as_added(b, a.shape)
        y, saved = super().compute(a, moved)
        return y, (*saved, b.shape)

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        y, x, *moved_from = saved
        da, db = super().gradients(dy, (y, x))
        return da, db.reshape(moved_from[0]) if moved_from else db

    def value(self, a: Any, b: Any) -> Array:
        return a + b

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy


@twin_of("Subtract")
class Subtract(Elementwise):
    derivation = {"forward": "y = x₁ − x₂", "input gradient": "dx₁ = dy, dx₂ = −dy"}

    def value(self, a: Any, b: Any) -> Array:
        return a - b

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return -dy


@twin_of("Multiply")
class Multiply(Elementwise):
    derivation = {"forward": "y = x₁ x₂", "input gradient": "dx₁ = dy · x₂, dx₂ = dy · x₁"}

    def value(self, a: Any, b: Any) -> Array:
        return a * b

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy * b

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy * a


@twin_of("TrueDivide")
@twin_of("Divide")
class Divide(Elementwise):
    derivation = {
        "forward": "y = x₁ / x₂",
        "input gradient": "dx₁ = dy / x₂, dx₂ = −dy · x₁ / x₂²",
    }

    def value(self, a: Any, b: Any) -> Array:
        return a / b

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy / b

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy * (-a / b / b)


@twin_of("DivideNoNan")
class DivideNoNan(Elementwise):
    """The quotient, and 0 where the divisor is 0."""

    derivation = {
        "forward": "y = x₁ / x₂, 0 where x₂ = 0",
        "input gradient": "dx₁ = dy / x₂, dx₂ = −dy · x₁ / x₂², both 0 where x₂ = 0",
    }

    def value(self, a: Any, b: Any) -> Array:
        if isinstance(b, (int, float)):
            return a / b if b else a * 0.0
        return np.where(b == 0.0, 0.0, a / np.where(b == 0.0, 1.0, b))

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return self.value(dy, b)

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy * self.value(self.value(-a, b), b)


@twin_of("Power")
class Power(Elementwise):
    """x₁ to the power x₂; the exponent of a base that isn't positive gets no gradient."""

    derivation = {
        "forward": "y = x₁^x₂",
        "input gradient": "dx₁ = dy · x₂ x₁^(x₂ − 1), dx₂ = dy · y log x₁ where x₁ > 0, else 0",
    }

    def value(self, a: Any, b: Any) -> Array:
        return np.power(a, b)

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy * b * np.power(a, b - 1.0)

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        if isinstance(a, (int, float)):
            return dy * y * (math.log(a) if a > 0 else 0.0)
        return np.where(a > 0.0, dy * y * np.log(np.where(a > 0.0, a, 1.0)), 0.0)


@twin_of("Hypot")
class Hypot(Elementwise):
    """The length of (x₁, x₂): the larger one times √(1 + ratio²)."""

    derivation = {
        "forward": "y = √(x₁² + x₂²)",
        "input gradient": "dx₁ = dy · x₁ / y, dx₂ = dy · x₂ / y",
    }

    def value(self, a: Any, b: Any) -> Array:
        large, small = np.maximum(abs(a), abs(b)), np.minimum(abs(a), abs(b))
        ratio = small / np.where(large == 0.0, 1.0, large)
        return large * np.sqrt(1.0 + ratio * ratio)

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy * (a / y)

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy * (b / y)


@twin_of("Arctan2")
class Arctan2(Elementwise):
    numbers_are_float32 = True
    derivation = {
        "forward": "y = the angle of the point (x₂, x₁)",
        "input gradient": "dx₁ = dy · x₂ / (x₁² + x₂²), dx₂ = −dy · x₁ / (x₁² + x₂²)",
    }

    def value(self, a: Any, b: Any) -> Array:
        return np.arctan2(a, b)

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return b * (dy / (a * a + b * b))

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return -a * (dy / (a * a + b * b))


class LogSum(Elementwise):
    """The logarithm of a sum of two powers of a base."""

    numbers_are_float32 = True
    log_of_base: float

    def value(self, a: Any, b: Any) -> Array:
        apart = np.exp(-abs(a - b) * self.log_of_base)
        return np.maximum(a, b) + np.log1p(apart) / self.log_of_base

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return np.where(a >= b, dy, 0.0) - self._of_the_smaller(dy, a - b)

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return np.where(a >= b, 0.0, dy) + self._of_the_smaller(dy, a - b)

    def _of_the_smaller(self, dy: Array, apart: Array) -> Array:
        """Return what the smaller of two takes of the gradient; the larger one has the rest."""
        power = np.exp(-abs(apart) * self.log_of_base)
        return dy * (1.0 / (1.0 + power)) * power * np.sign(apart)


@twin_of("Logaddexp")
class Logaddexp(LogSum):
    derivation = {
        "forward": "y = log(e^x₁ + e^x₂) = max(x₁, x₂) + log(1 + e^−|x₁ − x₂|)",
        "input gradient": "dx₁ = dy · σ(x₁ − x₂), dx₂ = dy · σ(x₂ − x₁); the whole of it for x₁ "
        "where both are equal",
    }
    log_of_base = 1.0


@twin_of("Logaddexp2")
class Logaddexp2(LogSum):
    derivation = {
        "forward": "y = log₂(2^x₁ + 2^x₂)",
        "input gradient": "dx₁ = dy / (1 + 2^(x₂ − x₁)), dx₂ = dy / (1 + 2^(x₁ − x₂)); the whole "
        "of it for x₁ where both are equal",
    }
    log_of_base = float(np.float32(LOG_2))  # as Keras has it in float64, too


@twin_of("Mod")
class Mod(Elementwise):
    """What is left of x₁ after as many x₂ as go into it, with the sign of x₂."""

    numbers_are_float32 = True

    derivation = {
        "forward": "y = x₁ − x₂ ⌊x₁ / x₂⌋",
        "input gradient": "dx₁ = dy, dx₂ = −dy · ⌊x₁ / x₂⌋",
    }

    def value(self, a: Any, b: Any) -> Array:
        return a - b * np.floor(a / b)

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return dy

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return -dy * np.floor(a / b)


@twin_of("Fmod")
class Fmod(Mod):
    """What is left of x₁ after as many x₂ as go into it, with the sign of x₁."""

    derivation = {
        "forward": "y = sign x₁ · (|x₁| − |x₂| ⌊|x₁| / |x₂|⌋)",
        "input gradient": "dx₁ = dy, dx₂ = −dy · sign x₁ sign x₂ ⌊|x₁| / |x₂|⌋",
    }

    def value(self, a: Any, b: Any) -> Array:
        rest = super().value(abs(a), abs(b))
        return np.where(a < 0.0, -rest, rest)

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return -dy * np.sign(a * b) * np.floor(abs(a / b))


class Extreme(Elementwise):
    """The wanted of two numbers, which gets the gradient; of equal ones the first does."""

    def is_first(self, a: Any, b: Any) -> Any:
        """Say where the wanted of two is the first one."""
        raise NotImplementedError

    def dx1(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return np.where(self.is_first(a, b), dy, 0.0)

    def dx2(self, dy: Array, y: Array, a: Any, b: Any) -> Array:
        return np.where(self.is_first(a, b), 0.0, dy)


@twin_of("Fmax")
@twin_of("Maximum")
class Maximum(Extreme):
    derivation = {
        "forward": "y = max(x₁, x₂)",
        "input gradient": "dx₁ = dy where x₁ ≥ x₂, else 0; dx₂ = dy − dx₁",
    }

    def value(self, a: Any, b: Any) -> Array:
        return np.maximum(a, b)

    def is_first(self, a: Any, b: Any) -> Any:
        return a >= b


@twin_of("Fmin")
@twin_of("Minimum")
class Minimum(Extreme):
    derivation = {
        "forward": "y = min(x₁, x₂)",
        "input gradient": "dx₁ = dy where x₁ ≤ x₂, else 0; dx₂ = dy − dx₁",
    }

    def value(self, a: Any, b: Any) -> Array:
        return np.minimum(a, b)

    def is_first(self, a: Any, b: Any) -> Any:
        return a <= b
