"""What the tests of the judge share: precisions, small models, planted faults."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import keras_models  # noqa: F401  (loads TensorFlow without its chatter)

# isort: split
import keras


@pytest.fixture
def use_precision() -> Iterator[Callable[[str], None]]:
    """Return a function that sets Keras's precision; what was set before comes back afterwards."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()

    def use(dtype: str) -> None:
        keras.config.set_floatx(dtype)
        keras.config.set_dtype_policy(dtype)

    yield use
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    keras.backend.clear_session(free_memory=False)


@pytest.fixture(params=["float32", "float64"])
def precision(request: Any, use_precision: Callable[[str], None]) -> str:
    """Run the test in each working precision."""
    use_precision(request.param)
    return str(request.param)


@pytest.fixture
def random_classes() -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Return a function that draws samples and one-hot classes."""

    def draw(samples: int, inputs: int, classes: int, seed: int = 0) -> tuple[Any, Any]:
        generator = np.random.default_rng(seed)
        x = generator.normal(size=(samples, inputs))
        return x, np.eye(classes)[generator.integers(0, classes, samples)]

    return draw


@pytest.fixture
def model_of() -> Callable[..., keras.Model]:
    """Return a function that builds and compiles a Sequential model with drawn weights.

    The weights, biases included, are drawn from a seeded normal distribution: with biases of zero
    and Keras's own draw, some faults would not show in a first step.
    """

    def build(
        inputs: int,
        *layers: keras.layers.Layer,
        optimizer: Any = "sgd",
        loss: Any = "mse",
        seed: int = 0,
        **options: Any,
    ) -> keras.Model:
        model = keras.Sequential([keras.Input((inputs,)), *layers])
        generator = np.random.default_rng(seed)
        for variable in model.weights:
            variable.assign(generator.normal(scale=0.6, size=variable.shape))
        options.setdefault("run_eagerly", True)
        model.compile(optimizer, loss, **options)
        return model

    return build


@pytest.fixture
def small(model_of: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    """Build three layers, the second of which is square."""

    def build(**options: Any) -> keras.Model:
        return model_of(
            5,
            keras.layers.Dense(4, "tanh", name="hidden", **options.pop("hidden", {})),
            keras.layers.Dense(4, "sigmoid", name="second"),
            keras.layers.Dense(3, name="out"),
            **options,
        )

    return build


@pytest.fixture
def classifier(model_of: Callable[..., keras.Model]) -> Callable[..., keras.Model]:
    def build(**options: Any) -> keras.Model:
        return model_of(
            4,
            keras.layers.Dense(5, "relu", name="hidden"),
            keras.layers.Dense(3, "softmax", name="class"),
            **{"loss": "categorical_crossentropy", **options},
        )

    return build
