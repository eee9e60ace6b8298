"""What Keras takes of targets, weights and shapes that one might not expect it to take."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import BadInput, lockstep


def trained(loss: Any, y: Any, shape: tuple[int, ...] = (3,), size: int = 2, **fit: Any) -> Any:
    keras.utils.set_random_seed(4)
    x = keras.Input((*shape[:-1], 2))
    model = keras.Model(x, keras.layers.Dense(shape[-1], "sigmoid", name="out")(x))
    model.compile("sgd", loss)
    inputs = np.random.default_rng(3).normal(size=(len(y), *shape[:-1], 2))
    return lockstep(model, inputs, y, batch_size=size, **fit)


@pytest.mark.parametrize("name", ["BinaryCrossentropy", "BinaryFocalCrossentropy"])
def test_binary_targets_outside_of_0_and_1(name: str, precision: str) -> None:
    y = np.linspace(-1.5, 2.5, 12).reshape(4, 3)
    trained(getattr(keras.losses, name)(), y).raise_if_different()


@pytest.mark.parametrize("name", ["Dice", "Tversky"])
def test_one_value_with_the_weight_of_one_sample(name: str) -> None:
    """Keras traces the loss with an axis of unknown size, which is 1 here."""
    loss = getattr(keras.losses, name)(reduction=None)
    weights = np.array([0.5, 2.0, 1.5])
    trained(loss, np.eye(3), size=1, sample_weight=weights).raise_if_different()


def test_weights_of_samples_where_a_sample_has_several_values(use_precision: Any) -> None:
    """They meet the last axis, as NumPy has it, if the batch is as large; else Keras refuses."""
    use_precision("float64")
    draw = np.random.default_rng(1)
    y, weights = draw.normal(size=(8, 4, 3)), draw.uniform(size=8)
    for size in (4, 1):
        trained("mse", y, (4, 3), size, sample_weight=weights, steps=2).raise_if_different()
    with pytest.raises(BadInput, match=r"needs sample_weight of shape \(8, 4\)"):
        trained("mse", y, (4, 3), 2, sample_weight=weights)


def test_classes_on_another_axis() -> None:
    """Keras's gradient function knows the last axis alone."""
    loss = keras.losses.SparseCategoricalCrossentropy(axis=1)
    with pytest.raises(BadInput, match=r"on the last axis alone\. Received: axis=1"):
        trained(loss, np.zeros((4, 4)), (4, 3))


def test_adafactor_of_vectors_alone(use_precision: Any) -> None:
    """It then remembers no rows and no columns."""
    use_precision("float64")
    x = keras.Input((3,))
    model = keras.Model(x, keras.layers.Dense(2)(x))
    kernels, others = keras.optimizers.SGD(), keras.optimizers.Adafactor()
    several = keras.optimizers.MultiOptimizer(lambda v: kernels if "kernel" in v.path else others)
    model.compile(several, "mse")
    lockstep(model, np.eye(3), np.eye(3)[:, :2], batch_size=2).raise_if_different()
