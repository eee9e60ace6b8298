"""What all tests share: Keras loaded without chatter, and its precision, put back afterwards."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from zlib import crc32

import pytest

import keras_models  # noqa: F401  (loads TensorFlow without its chatter)

# isort: split
import keras
from tensorflow.python.framework import ops


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record", action="store_true", help="keep what is found: distances, a notebook's outputs"
    )


_tests_run = count()
PRECISIONS = ("float32", "float64")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run what is there in both precisions in one of them, in turn; in the other with ``-m slow``.

    Which one it is, the test's name decides.
    """
    cases: dict[str, dict[str, pytest.Item]] = {}
    for item in items:
        params = getattr(item, "callspec", None)
        given = params.params if params is not None else {}
        precision = given.get("precision", given.get("dtype"))
        if precision in PRECISIONS and item.get_closest_marker("slow") is None:
            cases.setdefault(item.nodeid.replace(precision, ""), {})[precision] = item
    for case, both in cases.items():
        if len(both) == len(PRECISIONS):
            both[PRECISIONS[crc32(case.encode()) % 2]].add_marker(pytest.mark.slow)


@pytest.fixture(autouse=True)
def _graphs_are_freed() -> Iterator[None]:
    """Let go of what TensorFlow never would: each custom gradient keeps the graph it was made in.

    And keep the garbage collector off what stays all the same. With some thousand graphs it would
    take longer to look through them, again and again, than to run the tests.
    """
    yield
    if next(_tests_run) % 50 == 0:
        gc.collect()
        gc.freeze()
    registered = ops.gradient_registry._registry
    for name in [name for name in registered if name.startswith("CustomGradient")]:
        del registered[name]


@contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Set Keras's floatx and its global dtype policy; what was set before comes back afterwards."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)


@pytest.fixture(params=[True, pytest.param(False, marks=pytest.mark.slow)])
def eagerly(request: pytest.FixtureRequest) -> bool:
    """Say how a model is to be compiled: eagerly; with ``-m slow``, in a graph, slow to build."""
    return bool(request.param)


@pytest.fixture(params=PRECISIONS)
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test in each working precision."""
    with computing_in(request.param):
        yield str(request.param)


@pytest.fixture
def float64() -> Iterator[None]:
    """Let Keras compute in float64, layers included."""
    with computing_in("float64"):
        yield
