"""Activation functions and their derivatives, written down once more by hand.

The judge must not explain a fault with the code at fault. All take the pre-activation, and work on
numbers with noise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from manual.activations.functions import ERFC

Function = Callable[[Any], Any]


class Pair(NamedTuple):
    """A function f(z) and its derivative f′(z)."""

    f: Function
    d: Function


def logistic(z: Any) -> Any:
    """Return 1 / (1 + e⁻ᶻ)."""
    e = np.exp(-np.abs(z))
    return np.where(z >= 0.0, 1.0 / (1.0 + e), e / (1.0 + e))


def logistic_slope(z: Any) -> Any:
    """Return the derivative of the logistic function, s (1 − s), with the digits that 1 − s has."""
    s = logistic(z)
    return s * (1.0 - s)


def soft_rectifier(z: Any) -> Any:
    """Return log(1 + eᶻ)."""
    return np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z)))


ROOT_HALF = float(np.float32(math.sqrt(0.5)))
"""1/√2 as TensorFlow has it in gelu."""


def normal_below(z: Any) -> Any:
    """Return the probability of a standard normal number below z."""
    return 0.5 * ERFC(z * -ROOT_HALF)


def bell(z: Any) -> Any:
    """Return the density of a standard normal number."""
    r = z * ROOT_HALF
    return np.exp(-(r * r)) * (ROOT_HALF / math.sqrt(math.pi))


def between(z: Any, low: float, high: float) -> Any:
    """Return 1 strictly between two limits, else 0."""
    return 1.0 * ((z > low) & (z < high))


def cut(z: Any, low: float, high: float) -> Any:
    """Keep z between two limits."""
    return np.minimum(np.maximum(z, low), high)


def e_below(z: Any) -> Any:
    """Return eᶻ where z is negative, else 1."""
    return np.exp(np.minimum(z, 0.0))


# ---------------------------------------------------------------------- with parameters


def elu(alpha: float = 1.0) -> Pair:
    """Return the exponential linear unit."""
    return Pair(
        lambda z: np.where(z > 0.0, z, alpha * (e_below(z) - 1.0)),
        lambda z: np.where(z > 0.0, 1.0, alpha * e_below(z)),
    )


SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772


def selu(right: float = SELU_SCALE, left: float = SELU_SCALE * SELU_ALPHA) -> Pair:
    """Return the scaled exponential linear unit: λ z on the right, λα (eᶻ − 1) on the left."""
    return Pair(
        lambda z: np.where(z > 0.0, right * z, left * (e_below(z) - 1.0)),
        lambda z: np.where(z > 0.0, right, left * e_below(z)),
    )


def celu(alpha: float = 1.0) -> Pair:
    """Return the continuously differentiable exponential linear unit."""
    return Pair(
        lambda z: np.where(z > 0.0, z, alpha * np.expm1(np.minimum(z, 0.0) / alpha)),
        lambda z: np.where(z > 0.0, 1.0, e_below(z / alpha)),
    )


def relu(
    negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Pair:
    """Return the rectifier, leaky, limited and shifted if asked for."""
    top = math.inf if max_value is None else max_value
    return Pair(
        lambda z: np.where(
            z > threshold,
            np.minimum(z, top),
            negative_slope * (np.minimum(z, threshold) - threshold),
        ),
        lambda z: np.where(z > threshold, 1.0 * (z <= top), negative_slope),
    )


def shifted_relu(
    negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Pair:
    """Return a rectifier that begins at 0 where its threshold is, and not at the threshold."""
    whole = relu(negative_slope, max_value)
    return Pair(lambda z: whole.f(z - threshold), lambda z: whole.d(z - threshold))


def unshifted_relu(
    negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0
) -> Pair:
    """Return a rectifier whose left piece passes through 0, wherever the threshold is."""
    right = relu(0.0, max_value, threshold)
    return Pair(
        lambda z: np.where(z > threshold, right.f(z), negative_slope * z),
        lambda z: np.where(z > threshold, right.d(z), negative_slope),
    )


def hard_shrink(threshold: float = 0.5) -> Pair:
    """Return what sets numbers of up to ``threshold`` to 0."""
    return Pair(lambda z: z * (np.abs(z) > threshold), lambda z: 1.0 * (np.abs(z) > threshold))


def soft_shrink(threshold: float = 0.5) -> Pair:
    """Return what moves numbers towards 0 by ``threshold``."""
    return Pair(
        lambda z: np.sign(z) * np.maximum(np.abs(z) - threshold, 0.0),
        lambda z: 1.0 * (np.abs(z) > threshold),
    )


def squareplus(b: float = 4.0) -> Pair:
    """Return the hyperbola in softplus's place."""
    return Pair(
        lambda z: 0.5 * (z + np.sqrt(z * z + b)),
        lambda z: 0.5 + 0.5 * z / np.sqrt(z * z + b),
    )


def threshold_at(threshold: float, default_value: float) -> Pair:
    """Return what replaces numbers of up to ``threshold``."""
    return Pair(
        lambda z: np.where(z > threshold, z, default_value), lambda z: 1.0 * (z > threshold)
    )


def gelu(approximate: bool = False) -> Pair:
    """Return z times a normal number's chance to be below z, or its approximation."""
    return FUNCTIONS["gelu's tanh approximation" if approximate else "gelu"]


ROOT_2_OVER_PI = math.sqrt(2.0 / math.pi)
CUBIC = float(np.float32(0.044715))


def gelu_inner(z: Any) -> Any:
    """Return the argument of tanh in the approximation of gelu."""
    return ROOT_2_OVER_PI * (z + CUBIC * (z * z * z))


def gelu_inner_slope(z: Any) -> Any:
    """Return its derivative."""
    return ROOT_2_OVER_PI * (1.0 + 3.0 * CUBIC * (z * z))


# ---------------------------------------------------------------------- gates: f(z) = z g(z)

GATES: dict[str, Pair] = {
    "silu": Pair(logistic, logistic_slope),
    "hard_silu": Pair(
        lambda z: cut(z + 3.0, 0.0, 6.0) / 6.0, lambda z: between(z + 3.0, 0.0, 6.0) / 6.0
    ),
    "gelu": Pair(normal_below, bell),
    "gelu's tanh approximation": Pair(
        lambda z: 0.5 + 0.5 * np.tanh(gelu_inner(z)),
        lambda z: (
            0.5 * (1.0 - np.tanh(gelu_inner(z)) * np.tanh(gelu_inner(z))) * gelu_inner_slope(z)
        ),
    ),
    "mish": Pair(
        lambda z: np.tanh(soft_rectifier(z)),
        lambda z: (1.0 - np.tanh(soft_rectifier(z)) * np.tanh(soft_rectifier(z))) * logistic(z),
    ),
}
"""The gate g and g′."""


def gated(gate: Pair) -> Pair:
    """Return z g(z), by the product rule."""
    return Pair(lambda z: z * gate.f(z), lambda z: gate.f(z) + z * gate.d(z))


FUNCTIONS: dict[str, Pair] = {
    "sigmoid": Pair(logistic, logistic_slope),
    "tanh": Pair(np.tanh, lambda z: 1.0 - np.tanh(z) * np.tanh(z)),
    "relu": relu(),
    "elu": elu(),
    "softplus": Pair(soft_rectifier, logistic),
    "leaky_relu": relu(float(np.float32(0.2))),
    "relu6": Pair(lambda z: cut(z, 0.0, 6.0), lambda z: between(z, 0.0, 6.0)),
    "selu": selu(),
    **{name: gated(gate) for name, gate in GATES.items()},
    "z σ(1.702 z), the sigmoid's approximation of gelu": gated(
        Pair(lambda z: logistic(1.702 * z), lambda z: 1.702 * logistic_slope(1.702 * z))
    ),
    "LeCun's tanh, 1.7159 tanh(2z/3)": Pair(
        lambda z: 1.7159 * np.tanh(z * (2.0 / 3.0)),
        lambda z: (
            (1.7159 * 2.0 / 3.0) * (1.0 - np.tanh(z * (2.0 / 3.0)) * np.tanh(z * (2.0 / 3.0)))
        ),
    ),
    "exponential": Pair(np.exp, np.exp),
    "celu": celu(),
    "softsign": Pair(
        lambda z: z / (1.0 + np.abs(z)),
        lambda z: 1.0 / ((1.0 + np.abs(z)) * (1.0 + np.abs(z))),
    ),
    "hard_sigmoid": Pair(
        lambda z: cut(z + 3.0, 0.0, 6.0) / 6.0, lambda z: between(z + 3.0, 0.0, 6.0) / 6.0
    ),
    "Keras 2's hard sigmoid, 0.2 z + 0.5": Pair(
        lambda z: cut(0.2 * z + 0.5, 0.0, 1.0), lambda z: 0.2 * between(z, -2.5, 2.5)
    ),
    "sparse_sigmoid": Pair(
        lambda z: cut(0.5 * (z + 1.0), 0.0, 1.0), lambda z: 0.5 * between(z, -1.0, 1.0)
    ),
    "hard_tanh": Pair(lambda z: cut(z, -1.0, 1.0), lambda z: between(z, -1.0, 1.0)),
    "log_sigmoid": Pair(lambda z: -soft_rectifier(-z), lambda z: logistic(-z)),
    "squareplus": squareplus(),
    "sparse_plus": Pair(
        lambda z: np.where(z < 1.0, 0.25 * cut(z + 1.0, 0.0, 2.0) * cut(z + 1.0, 0.0, 2.0), z),
        lambda z: 0.5 * cut(z + 1.0, 0.0, 2.0),
    ),
    "tanh_shrink": Pair(lambda z: z - np.tanh(z), lambda z: np.tanh(z) * np.tanh(z)),
    "hard_shrink": hard_shrink(),
    "soft_shrink": soft_shrink(),
}
"""Every function that looks at one number at a time, with its usual parameters."""

MAKERS: dict[str, Callable[..., Pair]] = {
    "elu": elu,
    "celu": celu,
    "relu": relu,
    "relu6": relu,
    "leaky_relu": relu,
    "hard_shrink": hard_shrink,
    "soft_shrink": soft_shrink,
    "squareplus": squareplus,
    "threshold": threshold_at,
    "gelu": gelu,
}
"""Functions with parameters, by the names that Keras gives these."""
