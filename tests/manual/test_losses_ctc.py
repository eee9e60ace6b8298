"""CTC equals Keras's, the sum over all paths written out, and its own central differences."""

from __future__ import annotations

from itertools import product
from typing import Any

import keras
import numpy as np
import pytest

from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from manual.losses import CTC, alignment


def drawn(generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return labels of different lengths, repeated ones among them, and logits."""
    samples, time, classes, longest = 3, generator.integers(3, 9), generator.integers(3, 6), 3
    y = generator.integers(1, 3, (samples, longest)) * 1.0
    y[1, 2:] = y[2] = 0.0
    y[0] = [1.0, 1.0, 2.0]
    size = generator.choice([0.1, 1.0, 5.0])
    return y, np.float32(generator.normal(size=(samples, time, classes)) * size) * 1.0


def over_all_paths(y: np.ndarray, z: np.ndarray) -> float:
    """Add up the probabilities of all rows of classes that are the labels, without blanks."""
    p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    total = 0.0
    for path in product(range(z.shape[1]), repeat=len(z)):
        kept = [one for place, one in enumerate(path) if place == 0 or path[place - 1] != one]
        if [one for one in kept if one] == [one for one in y if one]:
            total += float(np.prod([p[t, one] for t, one in enumerate(path)]))
    return -np.log(total)


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "none"])
def test_equals_keras(reduction: str, compare_loss: Any, generator: np.random.Generator) -> None:
    for _ in range(4):
        y, z = drawn(generator)
        compare_loss(keras.losses.CTC(reduction=reduction), y, z)
        compare_loss(keras.losses.CTC(reduction=reduction), y, z, np.array([0.5, 0.0, 2.0]), "w")


def test_equals_keras_where_the_steps_are_too_few(
    compare_loss: Any, generator: np.random.Generator
) -> None:
    """TensorFlow has a loss of some 700 there, and a gradient."""
    y = np.array([[1.0, 1.0, 2.0], [2.0, 2.0, 0.0]])
    compare_loss(keras.losses.CTC(reduction="none"), y, generator.normal(size=(2, 2, 3)))
    values, _ = CTC(reduction="none").forward(y, generator.normal(size=(2, 2, 3)))
    assert (values > 600.0).all()


def test_is_the_sum_over_all_paths(generator: np.random.Generator) -> None:
    y, z = np.array([[1.0, 1.0], [1.0, 2.0], [2.0, 0.0]]), generator.normal(size=(3, 5, 3))
    values, _ = CTC(reduction="none").forward(y, z)
    wanted = [over_all_paths(*one) for one in zip(y, z, strict=True)]
    reference, _ = CTC(reduction="none").forward(y, Noisy(z, unit=2.0**-53))
    for one in (values, wanted):  # the noise is that of float32, in which it is computed
        assert judge(one, reference).agrees
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "NEVER", 0.0)  # blanks may be left out between equal labels, too
        wrong, _ = CTC(reduction="none").forward(y, z)
    assert (np.abs(wrong - wanted) > 1e-3).all()


def test_derivative(
    differences: Any, generator: np.random.Generator, monkeypatch: pytest.MonkeyPatch, found: Any
) -> None:
    """In float64, so that central differences are sharp."""
    y, z = drawn(generator)
    for name in ("_surprise", "_slope"):
        monkeypatch.setattr(alignment, name, getattr(alignment, name).__wrapped__)
    loss = CTC()

    def cost(points: list[Noisy]) -> Noisy:
        return loss.forward(y, points[0])[0]

    _, saved = loss.forward(y, differences.exact(z))
    differences.agree(cost, [z], [loss.backward(saved)], [np.ones(z.shape)])
    found.is_derived("loss", "CTC", keras.losses.CTC().get_config())
