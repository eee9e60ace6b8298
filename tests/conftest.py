"""What all tests share: Keras loaded without chatter, and its precision, put back afterwards."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import keras_models  # noqa: F401  (loads TensorFlow without its chatter)

# isort: split
import keras


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record", action="store_true", help="keep how far apart the halves were found"
    )


@pytest.fixture(params=["float32", "float64"])
def precision(request: pytest.FixtureRequest) -> Iterator[str]:
    """Run the test in each working precision: Keras's floatx and its global dtype policy."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(request.param)
    keras.config.set_dtype_policy(request.param)
    yield str(request.param)
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
