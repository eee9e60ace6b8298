"""What all tests share: Keras loaded without chatter, and its precision, put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from zlib import crc32

import pytest

import keras_models  # noqa: F401  (loads TensorFlow without its chatter)

# isort: split
import keras


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record", action="store_true", help="keep how far apart the halves were found"
    )


PRECISIONS = ("float32", "float64")
TRAINING = ("lock_step", "in_fit", "through_fit", "occurrences", "several_times")
"""What the names of such tests hold outside of the judge's own."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run trainings in lock-step in one precision, in turn; in the other where all is asked for.

    Each takes seconds, most of them TensorFlow's. Which precision it is, the test's name decides.
    """
    for item in items:
        params = getattr(item, "callspec", None)
        given = params.params if params is not None else {}
        precision = given.get("precision", given.get("dtype"))
        where, name = item.path.parent.name, item.path.stem + item.name
        trains = where == "compare" or any(one in name for one in TRAINING)
        if trains and precision in PRECISIONS:
            case = item.nodeid.replace(precision, "")
            if crc32(case.encode()) % 2 != PRECISIONS.index(precision):
                item.add_marker(pytest.mark.slow)


@pytest.fixture(params=["float32", "float64"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test in each working precision: Keras's floatx and its global dtype policy."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield str(request.param)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
