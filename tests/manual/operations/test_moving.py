"""Operations that move numbers about: equal to Keras, right derivatives, replayed as recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from keras import ops

from manual.registry import NoTwin

Row = tuple[Callable[..., Any], Any]
ONE, THREE = (3, 4), (2, 3, 4)

ROWS: dict[str, Row] = {
    "reshape": (lambda x: ops.reshape(x, (-1, 4, 3)), THREE),
    "ravel": (ops.ravel, ONE),
    "transpose": (lambda x: ops.transpose(x, (0, 2, 1)), THREE),
    "swapaxes": (lambda x: ops.swapaxes(x, 1, -1), THREE),
    "moveaxis": (lambda x: ops.moveaxis(x, (1, 2), (2, 0)), THREE),
    "expand_dims": (lambda x: ops.expand_dims(x, (1, -1)), ONE),
    "squeeze": (lambda x: ops.squeeze(x[:, :1], 1), THREE),
    "broadcast_to": (lambda x: ops.broadcast_to(x[0], (5, 3, 4)), THREE),
    "concatenate": (lambda x: ops.concatenate([x, 2 * x, x], axis=1), THREE),
    "stack": (lambda x: ops.stack([x, 2 * x], axis=1), THREE),
    "hstack": (lambda x: ops.hstack([x, x * 3]), THREE),
    "vstack": (lambda x: ops.vstack([x, x * 3]), ONE),
    "append": (lambda x: ops.append(x, 2 * x, axis=1), ONE),
    "split": (lambda x: ops.split(x, [1, 3], axis=2), THREE),
    "array_split": (lambda x: ops.array_split(x, 3, axis=2), THREE),
    "unstack": (lambda x: ops.unstack(x, axis=1), THREE),
    "tile": (lambda x: ops.tile(x, (1, 2, 1)), THREE),
    "repeat": (lambda x: ops.repeat(x, 2, axis=1), THREE),
    "flip": (lambda x: ops.flip(x, 1), THREE),
    "roll": (lambda x: ops.roll(x, -1, axis=1), THREE),
    "rot90": (lambda x: ops.rot90(x, axes=(1, 2)), THREE),
    "pad": (lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 1))), THREE),
    "getitem": (lambda x: x[:, None, -1, ::2], THREE),
    "take": (lambda x: ops.take(x, [0, 2, 2], axis=1), THREE),
    "take_along_axis": (
        lambda x: ops.take_along_axis(x, ops.expand_dims(ops.argmax(x, axis=2), -1), axis=2),
        THREE,
    ),
    "slice": (lambda x: ops.slice(x, (0, 1, 1), (2, 2, 2)), THREE),
    "tril": (ops.tril, THREE),
    "triu": (ops.triu, THREE),
    "diag": (lambda x: ops.diag(x[0], 1), ONE),
    "diagflat": (ops.diagflat, (2, 2)),
    "diagonal": (lambda x: ops.diagonal(x, 1, axis1=1, axis2=2), THREE),
    "trace": (lambda x: ops.trace(x, axis1=1, axis2=2), THREE),
    "sort": (ops.sort, THREE),
    "argsort": (ops.argsort, THREE),
    "top_k": (lambda x: ops.top_k(x, 2), THREE),
    "depth_to_space": (lambda x: ops.depth_to_space(x, 2), (2, 2, 3, 8)),
    "space_to_depth": (lambda x: ops.space_to_depth(x, 2), (2, 4, 6, 3)),
    "one_hot": (lambda x: ops.one_hot(ops.argmax(x, axis=-1), 5), THREE),
    "cast": (lambda x: ops.cast(x > 0.5, x.dtype) * ops.cast(ops.cast(x, "int32"), x.dtype), ONE),
}
MORE: dict[str, Row] = {
    "reshape to unknown samples": (lambda x: ops.reshape(x, (-1, 6)), THREE),
    "reshape of two samples into one": (lambda x: ops.reshape(x, (-1, 8)), (4, 2)),
    "transpose all": (ops.transpose, THREE),
    "moveaxis of one": (lambda x: ops.moveaxis(x, -1, 1), THREE),
    "squeeze whatever": (lambda x: ops.squeeze(x[:, :1]), THREE),
    "concatenate along -1": (lambda x, y: ops.concatenate([x, y], axis=-1), [(2, 3, 4), (2, 3, 1)]),
    "stack along -1": (lambda x: ops.stack([x, 2 * x, x], axis=-1), THREE),
    "append all": (lambda x: ops.append(x, 2 * x), ONE),
    "split evenly": (lambda x: ops.split(x, 2, axis=2), THREE),
    "the second part alone": (lambda x: ops.split(x, [1, 3], axis=2)[1], THREE),
    "the last slice alone": (lambda x: ops.unstack(x, axis=2)[-1], THREE),
    "tile along the last axis": (lambda x: ops.tile(x, 2), THREE),
    "repeat all": (lambda x: ops.repeat(x, 2), ONE),
    "repeat unevenly": (lambda x: ops.repeat(x, [1, 2, 0], axis=1), THREE),
    "flip all": (ops.flip, THREE),
    "roll all": (lambda x: ops.roll(x, 2), THREE),
    "pad with a number": (lambda x: ops.pad(x, ((0, 0), (1, 2)), constant_values=3.5), ONE),
    "pad with a mirror": (lambda x: ops.pad(x, ((0, 0), (2, 2)), mode="reflect"), ONE),
    "pad symmetrically": (lambda x: ops.pad(x, ((0, 0), (2, 2)), mode="symmetric"), ONE),
    "a column": (lambda x: x[:, 0], ONE),
    "all but the first": (lambda x: x[:, 1:], ONE),
    "every other, of the last axis": (lambda x: x[..., ::2], THREE),
    "backwards": (lambda x: x[:, ::-1], THREE),
    "the first sample": (lambda x: x[0], THREE),
    "take the last": (lambda x: ops.take(x, -1, axis=1), THREE),
    "take of all": (lambda x: ops.take(x, [0, 5]), THREE),
    "take a table": (lambda x: ops.take(x, [[0, 1], [2, 0]], axis=2), THREE),
    "below the diagonal": (lambda x: ops.tril(x, -1), THREE),
    "above the diagonal": (lambda x: ops.triu(x, 1), THREE),
    "diagonal of a matrix": (lambda x: ops.diag(x, -1), (4, 4)),
    "sort along 1": (lambda x: ops.sort(x, axis=1), THREE),
    "the largest alone": (lambda x: ops.top_k(x, 3)[0], THREE),
    "depth_to_space, channels first": (
        lambda x: ops.depth_to_space(x, 2, data_format="channels_first"),
        (2, 8, 2, 3),
    ),
    "one_hot along 1": (lambda x: ops.one_hot(ops.argmax(x, axis=-1), 4, axis=1), THREE),
    "a yes or no": (lambda x: ops.cast(x, "bool"), ONE),
}
UNRECORDED = ("take_along_axis", "sort", "argsort", "top_k", "the largest")  # places are computed


@pytest.mark.parametrize("name", ROWS)
def test_equals_keras(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_equals_keras_with_options(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*MORE[name])


@pytest.mark.parametrize("name", ROWS)
def test_derivative_is_that_of_the_forward_map(name: str, expression_derivative: Any) -> None:
    expression_derivative(*ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_derivative_with_options(name: str, expression_derivative: Any) -> None:
    expression_derivative(*MORE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ROWS, *MORE])
def test_is_replayed(name: str, expression_is_replayed: Any) -> None:
    if not name.startswith(UNRECORDED):
        expression_is_replayed(*{**ROWS, **MORE}[name])


def test_a_number_gets_the_gradients_of_all_its_copies(gradient_at: Any) -> None:
    x = np.array([[1.0, 2.0, 3.0]])
    (dx,) = gradient_at(lambda x: ops.take(x, [2, 0, 2, 2], axis=1), x)
    np.testing.assert_array_equal(dx, [[1.0, 0.0, 3.0]])


def test_nothing_passes_where_the_gradient_is_stopped(gradient_at: Any) -> None:
    x = np.array([[2.0, -3.0]])
    (dx,) = gradient_at(lambda x: x * ops.stop_gradient(x), x)
    np.testing.assert_array_equal(dx, x)


def test_what_has_no_twin_says_so(twin_of_expression: Any) -> None:
    for function, told in (
        (lambda x: ops.cast(x, "float16"), "float16"),
        (lambda x: ops.top_k(x, 2, sorted=False), "sorted"),
        (lambda x: ops.fft((x, x))[0], "FFT"),
    ):
        with pytest.raises(NoTwin, match=told):
            twin_of_expression(function, ONE)
