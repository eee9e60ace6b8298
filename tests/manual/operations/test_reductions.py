"""Operations along axes: equal to Keras, right derivatives, and replayed as recorded."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from keras import ops

from manual.registry import NoTwin

Row = tuple[Callable[..., Any], Any]
ONE, THREE = (3, 4), (2, 3, 4)
SEVERAL_AXES = [
    "sum",
    "mean",
    "max",
    "min",
    "amax",
    "amin",
    "prod",
    "var",
    "std",
    "logsumexp",
    "ptp",
    "any",
    "all",
    "median",
]
ONE_AXIS = ["argmax", "argmin"]
WEIGHTS = np.array([0.1, 0.2, 0.3, 0.4], "float32")
NAMES = [name for name in (*SEVERAL_AXES, *ONE_AXIS) if hasattr(ops, name)]

ROWS: dict[str, Row] = {
    **{name: (partial(getattr(ops, name), axis=1), THREE) for name in NAMES},
    "norm": (lambda x: ops.norm(x, axis=-1), THREE),
    "count_nonzero": (lambda x: ops.count_nonzero(ops.relu(x), axis=1), THREE),
    "average": (lambda x: ops.average(x, axis=1, weights=WEIGHTS), ONE),
    "cumsum": (lambda x: ops.cumsum(x, axis=1), THREE),
    "cumprod": (lambda x: ops.cumprod(x, axis=1), THREE),
    "diff": (lambda x: ops.diff(x, n=2, axis=1), (2, 4, 3)),
    "quantile": (lambda x: ops.quantile(x, 0.3, axis=1), THREE),
    "moments": (lambda x: ops.moments(x, axes=[1]), THREE),
    "less the mean of the batch": (lambda x: x - ops.mean(x, axis=0), ONE),
}
MORE: dict[str, Row] = {
    **{
        f"{name} along {axis}{', kept' if kept else ''}": (
            partial(getattr(ops, name), axis=axis, keepdims=kept),
            THREE,
        )
        for name in NAMES
        for axis in (None, 0, 1, -1, (1, 2), (0, 2))
        for kept in (False, True)
        if name in SEVERAL_AXES or not isinstance(axis, tuple)
    },
    **{
        f"norm of order {p}": (partial(ops.norm, ord=p, axis=-1, keepdims=True), THREE)
        for p in (1, 2, 3, 1.5, 0, np.inf, -np.inf)
    },
    "norm of matrices": (lambda x: ops.norm(x, ord="fro", axis=(1, 2)), THREE),
    "norm of all": (lambda x: ops.norm(x), ONE),
    "average of all": (lambda x: ops.average(x), ONE),
    "average by weights that are computed": (
        lambda x, w: ops.average(x, axis=1, weights=ops.exp(w)),
        [ONE, ONE],
    ),
    "cumsum of all": (lambda x: ops.cumsum(x), THREE),
    "cumprod of all": (lambda x: ops.cumprod(x), ONE),
    "cumsum along -1": (lambda x: ops.cumsum(x, axis=-1), THREE),
    "quantile of all": (lambda x: ops.quantile(x, 0.75), ONE),
    "percentile": (lambda x: ops.quantile(x, 0.3, axis=(0, 1), keepdims=True), THREE),
    "moments over two axes": (lambda x: ops.moments(x, axes=[0, 2], keepdims=True), THREE),
    "the variance alone": (lambda x: ops.moments(x, axes=[1])[1], THREE),
}
UNRECORDED = ("median", "quantile", "percentile")  # numbers are sorted


@pytest.mark.parametrize("name", ROWS)
def test_equals_keras(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_equals_keras_along_other_axes(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*MORE[name])


@pytest.mark.parametrize("name", ROWS)
def test_derivative_is_that_of_the_forward_map(name: str, expression_derivative: Any) -> None:
    expression_derivative(*ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_derivative_along_other_axes(name: str, expression_derivative: Any) -> None:
    expression_derivative(*MORE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ROWS, *MORE])
def test_is_replayed(name: str, expression_is_replayed: Any) -> None:
    if not name.startswith(UNRECORDED):
        expression_is_replayed(*{**ROWS, **MORE}[name])


def test_equal_extremes_share_the_gradient(gradient_at: Any) -> None:
    x = np.array([[1.0, 3.0, 3.0, 1.0]])
    (of_max,) = gradient_at(lambda x: ops.max(x, axis=1), x)
    np.testing.assert_array_equal(of_max, [[0.0, 0.5, 0.5, 0.0]])
    (of_min,) = gradient_at(lambda x: ops.min(x, axis=1), x)
    np.testing.assert_array_equal(of_min, [[0.5, 0.0, 0.0, 0.5]])


def test_a_zero_among_the_factors(gradient_at: Any) -> None:
    """The gradient of a product is that of the others; TensorFlow's of a running product is 0."""
    x = np.array([[2.0, 0.0, 3.0]])
    (of_prod,) = gradient_at(lambda x: ops.prod(x, axis=1), x)
    np.testing.assert_array_equal(of_prod, [[0.0, 6.0, 0.0]])
    (of_cumprod,) = gradient_at(lambda x: ops.cumprod(x, axis=1), x)
    np.testing.assert_array_equal(of_cumprod, [[1.0, 0.0, 0.0]])


def test_what_has_no_twin_says_so(twin_of_expression: Any) -> None:
    for function, told in (
        (lambda x: ops.max(x, axis=1, initial=0.0), "initial"),
        (lambda x: ops.norm(x, ord="nuc", axis=(1, 2)), "nuc"),
        (lambda x: ops.quantile(x, 0.5, axis=1, method="lower"), "lower"),
    ):
        with pytest.raises(NoTwin, match=told):
            twin_of_expression(function, THREE)
