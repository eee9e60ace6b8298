"""Where losses have kinks, edges and quirks, they have TensorFlow's, to the last bit."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare.rounding.noise import Noisy
from manual.registry import from_keras

LOSSES = {
    "binary": keras.losses.BinaryCrossentropy,
    "categorical": keras.losses.CategoricalCrossentropy,
    "sparse": keras.losses.SparseCategoricalCrossentropy,
}


def test_the_kink_of_the_absolute_error_is_tensorflows(precision: str, on_tape: Any) -> None:
    """The gradient at p = y is 0, and ±1/n exactly beside it."""
    p = np.array([[1.5, np.nextafter(np.ones((), precision), 2), 2.0, -1.0]], precision)
    y = np.array([[1.5, 1.0, 3.0, -1.0]], precision)
    _, (actual,) = on_tape(lambda tensor: keras.losses.MeanAbsoluteError()(y, tensor), [p])
    by_hand = from_keras("loss", "mae")
    gradient = by_hand.backward(by_hand.forward(y, p)[1])
    np.testing.assert_array_equal(gradient, actual)
    np.testing.assert_array_equal(gradient, [[0.0, 0.25, -0.25, 0.0]])


@pytest.mark.parametrize("case", LOSSES)
def test_the_clip_edges_are_tensorflows(case: str, precision: str, on_tape: Any) -> None:
    """On an edge the gradient passes, one step beyond it nothing does; which, bit for bit."""
    low = np.asarray(1e-7, precision)
    high = np.asarray(1.0 - 1e-7, precision)
    points = []
    for edge in (low, high):
        points += [np.nextafter(edge, np.asarray(side, precision)) for side in (0, 1)] + [edge]
    # categorical: each row adds up to 1 exactly, so that the division changes nothing
    p = np.array([[point, np.ones((), precision) - point] for point in points], precision)
    kept = p.sum(axis=-1) == 1.0
    p = p[kept] if case == "categorical" else p
    y = np.zeros(len(p), precision) if case == "sparse" else np.ones_like(p)
    loss = LOSSES[case]()
    _, (actual,) = on_tape(lambda tensor: loss(y, tensor), [p])
    by_hand = from_keras("loss", keras.losses.serialize(loss))
    gradient = by_hand.backward(by_hand.forward(y, p)[1])
    np.testing.assert_array_equal(gradient == 0.0, actual == 0.0)
    if case != "categorical":
        assert (gradient == 0.0).any()
    assert (gradient != 0.0).any()


@pytest.mark.parametrize("total", [0.5, 1.0, 3.0])
def test_the_gradient_at_the_logits_is_softmax_less_y_whatever_y_adds_up_to(
    total: float, compare_loss: Any, differences: Any, smooth_points: Any
) -> None:
    """TensorFlow's choice; the true derivative would have Σy softmax(z) − y."""
    z = smooth_points(3, 4)
    y = np.array([[0.0, 1, 0, 0], [0.25, 0.25, 0.25, 0.25], [0, 0.5, 0, 0.5]]) * total
    loss = keras.losses.CategoricalCrossentropy(from_logits=True, reduction="sum")
    compare_loss(loss, y, z)
    by_hand = from_keras("loss", keras.losses.serialize(loss))

    def forward(points: list[Noisy]) -> Noisy:
        return by_hand.forward(y, points[0])[0]

    _, saved = by_hand.forward(y, differences.exact(z))
    if total == 1.0:
        differences.agree(forward, [z], [by_hand.backward(saved)])
        return
    with pytest.raises(AssertionError, match="gradient 0 is wrong"):
        differences.agree(forward, [z], [by_hand.backward(saved)])
    softmax = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    noise = by_hand.backward(saved).noise
    true = Noisy(total * softmax - y, (1.0 + total) * noise, unit=differences.unit)
    differences.agree(forward, [z], [true])
