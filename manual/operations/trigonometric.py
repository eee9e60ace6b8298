"""Functions of an angle, of a hyperbola, their inverses, and the error function."""

from __future__ import annotations

import math

import numpy as np

from manual.activations.functions import erf, erfc
from manual.arrays import Array
from manual.operations.base import Elementwise
from manual.registry import twin_of

SLOPE_OF_ERF = 2.0 / math.sqrt(math.pi)


@twin_of("Sin")
class Sin(Elementwise):
    derivation = {"forward": "y = sin x", "input gradient": "dx = dy · cos x"}

    def value(self, x: Array) -> Array:
        return np.sin(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * np.cos(x)


@twin_of("Cos")
class Cos(Elementwise):
    derivation = {"forward": "y = cos x", "input gradient": "dx = −dy · sin x"}

    def value(self, x: Array) -> Array:
        return np.cos(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return -dy * np.sin(x)


@twin_of("Tan")
class Tan(Elementwise):
    derivation = {"forward": "y = tan x", "input gradient": "dx = dy / cos² x"}

    def value(self, x: Array) -> Array:
        return np.tan(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        secant = 1.0 / np.cos(x)
        return dy * (secant * secant)


@twin_of("Arcsin")
class Arcsin(Elementwise):
    derivation = {"forward": "y = arcsin x", "input gradient": "dx = dy / √(1 − x²)"}

    def value(self, x: Array) -> Array:
        return np.arcsin(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (1.0 / np.sqrt(1.0 - x * x))


@twin_of("Arccos")
class Arccos(Elementwise):
    derivation = {"forward": "y = arccos x", "input gradient": "dx = −dy / √(1 − x²)"}

    def value(self, x: Array) -> Array:
        return np.arccos(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return -dy * (1.0 / np.sqrt(1.0 - x * x))


@twin_of("Arctan")
class Arctan(Elementwise):
    derivation = {"forward": "y = arctan x", "input gradient": "dx = dy / (1 + x²)"}

    def value(self, x: Array) -> Array:
        return np.arctan(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (1.0 / (1.0 + x * x))


@twin_of("Sinh")
class Sinh(Elementwise):
    derivation = {"forward": "y = sinh x", "input gradient": "dx = dy · cosh x"}

    def value(self, x: Array) -> Array:
        return np.sinh(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * np.cosh(x)


@twin_of("Cosh")
class Cosh(Elementwise):
    derivation = {"forward": "y = cosh x", "input gradient": "dx = dy · sinh x"}

    def value(self, x: Array) -> Array:
        return np.cosh(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * np.sinh(x)


@twin_of("Arcsinh")
class Arcsinh(Elementwise):
    derivation = {"forward": "y = arsinh x", "input gradient": "dx = dy / cosh y"}

    def value(self, x: Array) -> Array:
        return np.arcsinh(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy / np.cosh(y)


@twin_of("Arccosh")
class Arccosh(Elementwise):
    derivation = {"forward": "y = arcosh x", "input gradient": "dx = dy / sinh y"}

    def value(self, x: Array) -> Array:
        return np.arccosh(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy / np.sinh(y)


@twin_of("Arctanh")
class Arctanh(Elementwise):
    derivation = {"forward": "y = artanh x", "input gradient": "dx = dy / (1 − x²)"}

    def value(self, x: Array) -> Array:
        return np.arctanh(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (1.0 / (1.0 - x * x))


@twin_of("Erf")
class Erf(Elementwise):
    derivation = {
        "forward": "y = erf x = 2/√π ∫ e^(−t²) dt from 0 to x",
        "input gradient": "dx = dy · 2/√π e^(−x²)",
    }

    def value(self, x: Array) -> Array:
        return erf(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (SLOPE_OF_ERF * np.exp(-(x * x)))


@twin_of("Erfc")
class Erfc(Elementwise):
    derivation = {
        "forward": "y = erfc x = 1 − erf x",
        "input gradient": "dx = −dy · 2/√π e^(−x²)",
    }

    def value(self, x: Array) -> Array:
        return erfc(x)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        return dy * (-SLOPE_OF_ERF * np.exp(-(x * x)))


@twin_of("Sinc")
class Sinc(Elementwise):
    """The function of signal processing, sin(πx)/πx; where x = 0 it is 1, with a slope of 0."""

    derivation = {
        "forward": "y = sin(πx) / πx, 1 where x = 0",
        "input gradient": "dx = dy · (cos(πx) − sin(πx) / πx) / x, 0 where x = 0",
    }

    def value(self, x: Array) -> Array:
        t = np.where(x == 0.0, 1.0, x) * math.pi
        return np.where(x == 0.0, 1.0, np.sin(t) / t)

    def dx1(self, dy: Array, y: Array, x: Array) -> Array:
        t = np.where(x == 0.0, 1.0, x) * math.pi
        slope = math.pi * (np.cos(t) / t - np.sin(t) / t / t)
        return np.where(x == 0.0, 0.0, dy * slope)
