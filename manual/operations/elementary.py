"""Powers, exponentials and logarithms of one number."""

from __future__ import annotations

import math

import numpy as np

from manual.arrays import Array
from manual.operations.base import Elementwise
from manual.registry import twin_of

LOG_2, LOG_10 = math.log(2.0), math.log(10.0)


@twin_of("Negative")
class Negative(Elementwise):
    derivation = {"forward": "y = −x", "input gradient": "dx = −dy"}

    def value(self, x: Array) -> Array:
        return -x

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return -dy


@twin_of("Fabs")
@twin_of("Abs")
@twin_of("Absolute")
class Absolute(Elementwise):
    derivation = {"forward": "y = |x|", "input gradient": "dx = dy · sign x, 0 where x = 0"}

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * np.sign(x)


@twin_of("Square")
class Square(Elementwise):
    derivation = {"forward": "y = x²", "input gradient": "dx = 2 x dy"}

    def value(self, x: Array) -> Array:
        return x * x

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (2.0 * x)


@twin_of("Sqrt")
class Sqrt(Elementwise):
    derivation = {"forward": "y = √x", "input gradient": "dx = dy / 2y"}

    def value(self, x: Array) -> Array:
        return np.sqrt(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * 0.5 / y


@twin_of("Rsqrt")
class Rsqrt(Elementwise):
    derivation = {"forward": "y = 1 / √x", "input gradient": "dx = −½ dy · y³"}

    def value(self, x: Array) -> Array:
        return 1.0 / np.sqrt(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return -0.5 * dy * (y * y * y)


@twin_of("Reciprocal")
class Reciprocal(Elementwise):
    derivation = {"forward": "y = 1 / x", "input gradient": "dx = −dy · y²"}

    def value(self, x: Array) -> Array:
        return 1.0 / x

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return -dy * y * y


@twin_of("Cbrt")
class Cbrt(Elementwise):
    """The third root, of either sign; where x = 0 the gradient is not a number, as in Keras."""

    derivation = {"forward": "y = sign x · |x|^⅓", "input gradient": "dx = ⅓ dy |x|^−⅔"}

    def value(self, x: Array) -> Array:
        return np.sign(x) * np.power(np.abs(x), 1.0 / 3.0)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        sign = np.sign(x)
        return dy * sign * (1.0 / 3.0) * np.power(np.abs(x), 1.0 / 3.0 - 1.0) * sign


@twin_of("Exp")
class Exp(Elementwise):
    derivation = {"forward": "y = eˣ", "input gradient": "dx = dy · y"}

    def value(self, x: Array) -> Array:
        return np.exp(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * y


@twin_of("Exp2")
class Exp2(Elementwise):
    derivation = {"forward": "y = 2ˣ", "input gradient": "dx = dy · y log 2"}

    def value(self, x: Array) -> Array:
        return np.power(2.0, x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * y * LOG_2


@twin_of("Expm1")
class Expm1(Elementwise):
    derivation = {"forward": "y = eˣ − 1", "input gradient": "dx = dy · eˣ"}

    def value(self, x: Array) -> Array:
        return np.expm1(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * np.exp(x)


@twin_of("Log")
class Log(Elementwise):
    derivation = {"forward": "y = log x", "input gradient": "dx = dy / x"}

    def value(self, x: Array) -> Array:
        return np.log(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (1.0 / x)


@twin_of("Log1p")
class Log1p(Elementwise):
    derivation = {"forward": "y = log(1 + x)", "input gradient": "dx = dy / (1 + x)"}

    def value(self, x: Array) -> Array:
        return np.log1p(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (1.0 / (1.0 + x))


class LogToABase(Elementwise):
    """The logarithm to a base: log x / log b."""

    log_of_base: float

    def value(self, x: Array) -> Array:
        return np.log(x) / self.log_of_base

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy / self.log_of_base * (1.0 / x)


@twin_of("Log2")
class Log2(LogToABase):
    derivation = {"forward": "y = log x / log 2", "input gradient": "dx = dy / (x log 2)"}
    log_of_base = LOG_2


@twin_of("Log10")
class Log10(LogToABase):
    derivation = {"forward": "y = log x / log 10", "input gradient": "dx = dy / (x log 10)"}
    log_of_base = LOG_10


class Multiple(Elementwise):
    """A number times a constant."""

    factor: float

    def value(self, x: Array) -> Array:
        return x * self.factor

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * self.factor


@twin_of("Deg2rad")
class Deg2rad(Multiple):
    derivation = {"forward": "y = x π / 180", "input gradient": "dx = dy π / 180"}
    factor = math.pi / 180.0


@twin_of("Rad2deg")
class Rad2deg(Multiple):
    derivation = {"forward": "y = x 180 / π", "input gradient": "dx = dy 180 / π"}
    factor = 180.0 / math.pi
