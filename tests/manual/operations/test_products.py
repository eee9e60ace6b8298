"""Products, normalizations, attention and convolutions as operations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from manual.registry import NoTwin

Row = tuple[Callable[..., Any], Any]
ONE, TWO, THREE = (3, 4), [(3, 4), (3, 4)], (2, 3, 4)
IMAGE, HEADS = (2, 5, 6, 3), (2, 3, 2, 4)


def fixed(*shape: int) -> np.ndarray:
    """Return constants of the working precision."""
    numbers = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    return numbers.astype(keras.config.floatx())


ROWS: dict[str, Row] = {
    "matmul": (ops.matmul, [(2, 3, 4), (2, 4, 5)]),
    "dot": (lambda a: ops.dot(a, fixed(4, 2)), ONE),
    "tensordot": (
        lambda a: ops.tensordot(a, fixed(3, 4, 2), axes=[[1, 2], [0, 1]]),
        THREE,
    ),
    "einsum": (lambda a, b: ops.einsum("bij,bkj->bik", a, b), [THREE, (2, 5, 4)]),
    "inner": (ops.inner, TWO),
    "outer": (lambda a, b: ops.outer(a[0], b[0]), TWO),
    "vdot": (ops.vdot, TWO),
    "cross": (ops.cross, [(2, 3), (2, 3)]),
    "normalize": (ops.normalize, THREE),
    "layer_normalization": (
        lambda x, g, b: ops.layer_normalization(x, gamma=g[0], beta=b[0]),
        [THREE, (2, 4), (2, 4)],
    ),
    "rms_normalization": (
        lambda x, g: ops.rms_normalization(x, scale=g[0]),
        [THREE, (2, 4)],
    ),
    "batch_normalization": (
        lambda x, g: ops.batch_normalization(
            x, *ops.moments(x, axes=[0, 1]), axis=-1, scale=g[0], offset=g[1]
        ),
        [THREE, (2, 4)],
    ),
    "dot_product_attention": (ops.dot_product_attention, [HEADS, (2, 5, 2, 4), (2, 5, 2, 4)]),
    "max_pool": (lambda x: ops.max_pool(x, 2, padding="same"), IMAGE),
    "average_pool": (lambda x: ops.average_pool(x, 2, padding="same"), IMAGE),
    "conv": (lambda x, k: ops.conv(x, k[0]), [IMAGE, (2, 2, 3, 3, 4)]),
    "depthwise_conv": (lambda x, k: ops.depthwise_conv(x, k[0]), [IMAGE, (2, 2, 2, 3, 2)]),
    "separable_conv": (
        lambda x: ops.separable_conv(x, fixed(2, 2, 3, 2), fixed(1, 1, 6, 4)),
        IMAGE,
    ),
}
MORE: dict[str, Row] = {
    "matmul with a vector": (lambda x: ops.matmul(x, fixed(4)), THREE),
    "matmul from the left": (lambda x: ops.matmul(fixed(5, 3), x), THREE),
    "matmul of other ranks": (lambda x, w: ops.matmul(x, w[0]), [THREE, (2, 4, 5)]),
    "matmul, repeated": (ops.matmul, [(2, 1, 3, 4), (2, 5, 4, 2)]),
    "dot of a matrix and a vector": (lambda a, b: ops.dot(a, b[0]), TWO),
    "tensordot over two axes": (lambda a: ops.tensordot(a, fixed(3, 4, 2), axes=2), THREE),
    "tensordot over one": (lambda a: ops.tensordot(a, fixed(4, 2), axes=1), ONE),
    "an outer product": (lambda a, b: ops.einsum("bi,bj->bij", a, b), [ONE, (3, 2)]),
    "a transposition": (lambda a: ops.einsum("...ij->...ji", a), THREE),
    "a sum": (lambda a: ops.einsum("bij->b", a), THREE),
    "a sum of products": (lambda a, b: ops.einsum("bij,bkj->b", a, b), [THREE, (2, 2, 4)]),
    "scalar products": (lambda a, b: ops.einsum("...i,...i->...", a, b), [THREE, THREE]),
    "three at once": (
        lambda a, b, c: ops.einsum("bi,bij,bj->b", a, b, c),
        [(2, 3), (2, 3, 4), (2, 4)],
    ),
    "no arrow": (lambda a: ops.einsum("ij,jk", a, fixed(3, 4)), (2, 3)),
    "a constant": (lambda a: ops.einsum("bij,jk->bik", a, fixed(4, 2)), THREE),
    "cross along 1": (lambda a, b: ops.cross(a, b, axis=1), [THREE, THREE]),
    "normalize with order 1": (lambda x: ops.normalize(x, axis=1, order=1), THREE),
    "normalize over two axes": (lambda x: ops.normalize(x, axis=(1, 2)), THREE),
    "layer_normalization over two axes": (lambda x: ops.layer_normalization(x, axis=(1, 2)), THREE),
    "layer_normalization without a mean": (
        lambda x: ops.layer_normalization(x, rms_scaling=True),
        THREE,
    ),
    "rms_normalization over two axes": (lambda x: ops.rms_normalization(x, axis=(1, 2)), THREE),
    "batch_normalization of axis 1": (
        lambda x: ops.batch_normalization(x, fixed(3), fixed(3) ** 2, axis=1),
        THREE,
    ),
    "attention to the past": (
        lambda q, k, v: ops.dot_product_attention(q, k, v, is_causal=True, scale=0.3),
        [HEADS, HEADS, HEADS],
    ),
    "attention of grouped heads": (
        ops.dot_product_attention,
        [(2, 3, 4, 4), (2, 5, 2, 4), (2, 5, 2, 4)],
    ),
    "attention with a bias": (
        lambda q, k, v, b: ops.dot_product_attention(q, k, v, bias=b),
        [HEADS, (2, 5, 2, 4), (2, 5, 2, 4), (2, 2, 3, 5)],
    ),
    "attention with a mask": (
        lambda q, k, v: ops.dot_product_attention(q, k, v, mask=np.tri(3, 5, 1)[None, None] > 0),
        [HEADS, (2, 5, 2, 4), (2, 5, 2, 4)],
    ),
    "pooling of a row": (lambda x: ops.max_pool(x, 2) + ops.average_pool(x, 2), (2, 6, 3)),
    "strides": (lambda x: ops.max_pool(x, (2, 3), strides=(1, 2)), IMAGE),
    "conv of a row": (lambda x: ops.conv(x, fixed(2, 3, 4), padding="same"), (2, 5, 3)),
    "conv with strides": (lambda x: ops.conv(x, fixed(2, 3, 3, 4), 2, padding="same"), IMAGE),
    "conv with holes": (lambda x: ops.conv(x, fixed(2, 2, 3, 4), dilation_rate=2), IMAGE),
}


@pytest.mark.parametrize("name", ROWS)
def test_equals_keras(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*ROWS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", MORE)
def test_equals_keras_with_options(name: str, expression_equals_keras: Any) -> None:
    expression_equals_keras(*MORE[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ROWS, *MORE])
def test_derivative_is_that_of_the_forward_map(name: str, expression_derivative: Any) -> None:
    expression_derivative(*{**ROWS, **MORE}[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ROWS, *MORE])
def test_is_replayed(name: str, expression_is_replayed: Any) -> None:
    expression_is_replayed(*{**ROWS, **MORE}[name])


def test_what_has_no_twin_says_so(twin_of_expression: Any) -> None:
    for function, told in (
        (lambda x: ops.einsum("bii->bi", x), "diagonal"),
        (lambda x: ops.moments(x, axes=[1], synchronized=True)[0], "synchronized"),
        (lambda x: ops.cross(x[:, :, :2], x[:, :, :2]), "three numbers"),
    ):
        with pytest.raises(NoTwin, match=told):
            twin_of_expression(function, (2, 4, 4))
