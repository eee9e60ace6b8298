"""Operations number by number: equal to Keras, right derivatives, and replayed as recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from keras import ops

Row = tuple[Callable[..., Any], Any, str]
ONE, TWO = (3, 4), [(3, 4), (3, 4)]

UNARY: dict[str, str] = {
    **dict.fromkeys(
        [
            "negative",
            "absolute",
            "square",
            "reciprocal",
            "cbrt",
            "exp",
            "exp2",
            "expm1",
            "sin",
            "cos",
            "arctan",
            "sinh",
            "cosh",
            "arcsinh",
            "erf",
            "sinc",
            "deg2rad",
            "rad2deg",
            "relu",
            "relu6",
            "leaky_relu",
            "elu",
            "selu",
            "celu",
            "gelu",
            "glu",
            "silu",
            "hard_silu",
            "sigmoid",
            "hard_sigmoid",
            "sparse_sigmoid",
            "log_sigmoid",
            "tanh",
            "hard_tanh",
            "tanh_shrink",
            "hard_shrink",
            "soft_shrink",
            "softplus",
            "sparse_plus",
            "squareplus",
            "softsign",
            "softmax",
            "log_softmax",
            "sparsemax",
            "floor",
            "ceil",
            "trunc",
            "round",
            "sign",
            "isnan",
            "isinf",
            "isfinite",
            "logical_not",
            "zeros_like",
            "ones_like",
            "nan_to_num",
            "copy",
        ],
        "near",
    ),
    **dict.fromkeys(["sqrt", "rsqrt", "log", "log1p", "log2", "log10"], "positive"),
    **dict.fromkeys(["tan", "arcsin", "arccos", "arctanh"], "within 1"),
    "arccosh": "above 1",
}
BINARY: dict[str, str] = {
    **dict.fromkeys(
        [
            "add",
            "subtract",
            "multiply",
            "divide",
            "true_divide",
            "divide_no_nan",
            "maximum",
            "minimum",
            "fmax",
            "fmin",
            "hypot",
            "arctan2",
            "logaddexp",
            "logaddexp2",
            "equal",
            "not_equal",
            "greater",
            "greater_equal",
            "less",
            "less_equal",
            "logical_and",
            "logical_or",
            "logical_xor",
            "isclose",
            "heaviside",
        ],
        "near",
    ),
    **dict.fromkeys(["power", "mod", "fmod", "floor_divide"], "positive"),
}
ROWS: dict[str, Row] = {
    **{name: (getattr(ops, name), ONE, domain) for name, domain in UNARY.items()},
    **{name: (getattr(ops, name), TWO, domain) for name, domain in BINARY.items()},
    "clip": (lambda x: ops.clip(x, -0.5, 0.7), ONE, "near"),
    "where": (lambda x: ops.where(x > 0.1, x, 0.3 * x), ONE, "near"),
    "where of numbers": (lambda x: ops.where(x > 0.0, 1.0, 0.1), ONE, "near"),
    "full_like": (lambda x: ops.full_like(x, 2.5), ONE, "near"),
    "threshold": (lambda x: ops.threshold(x, 0.5, 0.1), ONE, "near"),
    "operators": (
        lambda x: (x + 1) * (2 - x) / (x * x + 3) - abs(x) * -x + x**2 - 0.5**x,
        ONE,
        "near",
    ),
}


def before(name: str, constant: Any) -> Callable[..., Any]:
    """Return an operation on a tensor and a constant after it."""
    return lambda x: getattr(ops, name)(x, constant)


def of_the_first(name: str) -> Callable[..., Any]:
    """Return an operation on a batch and a single sample."""
    return lambda a, b: getattr(ops, name)(a, b[0])


CONSTANT = np.array([0.1, 0.2, 0.3, 0.4], "float32")
TAKING_NUMBERS = sorted(set(BINARY) - {"hypot", "heaviside"})  # in which Keras's own specs fail
MORE: dict[str, Row] = {
    **{
        f"{name}, repeated": (getattr(ops, name), [(3, 4), (3, 1)], BINARY[name]) for name in BINARY
    },
    **{
        f"{name}, of other ranks": (
            of_the_first(name),
            [(2, 3, 4), (2, 3, 4)],
            BINARY[name],
        )
        for name in BINARY
    },
    **{f"{name} and a number": (before(name, 0.7), ONE, BINARY[name]) for name in TAKING_NUMBERS},
    **{
        f"a number and {name}": (partial(getattr(ops, name), 1.3), ONE, BINARY[name])
        for name in TAKING_NUMBERS
    },
    **{f"{name} and an array": (before(name, CONSTANT), ONE, BINARY[name]) for name in BINARY},
    "a square": (lambda x: x**2, ONE, "near"),
    "a third power": (lambda x: x**3, ONE, "near"),
    "a root": (lambda x: x**0.5, ONE, "positive"),
    "an inverse": (lambda x: x**-1, ONE, "near"),
    "a power of 2": (lambda x: 2**x, ONE, "near"),
    "a whole divisor": (lambda x: x / 3 + 1 / (x + 4) - x // 2 + x % 2, ONE, "positive"),
    "rounded to a decimal": (lambda x: ops.round(x, 1), ONE, "near"),
    "where of an array": (
        lambda x: ops.where(np.array([True, False, True, False]), x, -x),
        ONE,
        "near",
    ),
    "a leak of another slope": (lambda x: ops.leaky_relu(x, 0.3), ONE, "near"),
    "another alpha": (lambda x: ops.elu(x, 0.5) + ops.celu(x, 0.7), ONE, "near"),
    "an exact gelu": (lambda x: ops.gelu(x, approximate=False), ONE, "near"),
    "another b": (lambda x: ops.squareplus(x, 2), ONE, "near"),
    "softmax along axis 1": (lambda x: ops.softmax(x, axis=1), (2, 3, 4), "near"),
    "glu along axis 1": (lambda x: ops.glu(x, axis=1), (2, 4, 3), "near"),
    "both signs of a remainder": (lambda a, b: ops.fmod(a, -b) + a % b, TWO, "positive"),
}
UNRECORDED = {"erf", "gelu", "an exact gelu"}  # C's error function works on objects


@pytest.mark.parametrize("name", ROWS)
def test_equals_keras(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_equals_keras_with_constants_and_options(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*MORE[name])


@pytest.mark.parametrize("name", ROWS)
def test_derivative_is_that_of_the_forward_map(name: str, expression_derivative: Any) -> None:
    expression_derivative(*ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_derivative_with_constants_and_options(name: str, expression_derivative: Any) -> None:
    expression_derivative(*MORE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ROWS, *MORE])
def test_is_replayed(name: str, expression_is_replayed: Any) -> None:
    if name not in UNRECORDED:
        expression_is_replayed(*{**ROWS, **MORE}[name])


def test_a_tie_gives_the_gradient_to_the_first(gradient_at: Any) -> None:
    ones = np.ones((1, 2))
    for function in (ops.maximum, ops.minimum):
        first, second = gradient_at(function, ones, ones)
        np.testing.assert_array_equal(first, ones)
        np.testing.assert_array_equal(second, 0.0 * ones)


def test_gradients_at_kinks(gradient_at: Any) -> None:
    """TensorFlow lets the gradient of clip pass on both edges, and that of |x| at 0 not at all."""
    (of_clip,) = gradient_at(lambda x: ops.clip(x, -1.0, 1.0), np.array([[-2.0, -1.0, 1.0, 2.0]]))
    np.testing.assert_array_equal(of_clip, [[0.0, 1.0, 1.0, 0.0]])
    (of_size,) = gradient_at(ops.abs, np.array([[-2.0, 0.0, 3.0]]))
    np.testing.assert_array_equal(of_size, [[-1.0, 0.0, 1.0]])
