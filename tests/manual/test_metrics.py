"""Every metric equals Keras's, over an epoch of unequal batches, ties and thresholds included."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from manual.registry import from_keras

NAMES = [
    "BinaryAccuracy",
    "CategoricalAccuracy",
    "SparseCategoricalAccuracy",
    "MeanSquaredError",
    "MeanAbsoluteError",
]
COUNTED = NAMES[:3]


def draw(name: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return 16 targets and predictions, with ties and with numbers on the threshold."""
    p = generator.choice([0.0, 0.25, 0.5, 0.75, 1.0], (16, 4))
    chosen = generator.integers(0, 4, 16)
    if name == "BinaryAccuracy":
        return generator.integers(0, 2, (16, 4)).astype(float), p
    if name == "SparseCategoricalAccuracy":
        return chosen.astype(float), p
    if name == "CategoricalAccuracy":
        return np.eye(4)[chosen], p
    return generator.normal(size=(16, 4)), generator.normal(size=(16, 4))


def keras_result(name: str, y: np.ndarray, p: np.ndarray, **options: Any) -> np.ndarray:
    """Feed Keras's metric two batches of unequal size."""
    metric = getattr(keras.metrics, name)(**options)
    metric.update_state(y[:5], p[:5])
    metric.update_state(y[5:], p[5:])
    return np.asarray(metric.result())


@pytest.mark.parametrize("name", COUNTED)
def test_counts_equal_keras_exactly(
    name: str, precision: str, generator: np.random.Generator
) -> None:
    """Of 16 samples, so that the mean of the counts has a finite binary expansion."""
    y, p = (array.astype(precision) for array in draw(name, generator))
    values = from_keras("metric", name).values(y, p)
    assert values.shape == (16,)
    assert float(values.mean()) == float(keras_result(name, y, p))
    assert 0.0 < values.mean() < 1.0


@pytest.mark.parametrize("name", ["MeanSquaredError", "MeanAbsoluteError"])
def test_means_equal_keras(name: str, ruler: Any, generator: np.random.Generator) -> None:
    y, p = (array.astype(ruler.precision) for array in draw(name, generator))
    values = from_keras("metric", name).values(ruler.exact(y), ruler.exact(p))
    assert values.shape == (16,)
    total = values[:5].sum() + values[5:].sum()
    ruler.agrees(keras_result(name, y, p), total / 16.0)
    with pytest.raises(AssertionError):
        ruler.agrees(keras_result(name, y, p), total * (1 + 1e-4) / 16.0)


def test_a_class_number_may_have_an_axis_of_its_own(generator: np.random.Generator) -> None:
    y, p = draw("SparseCategoricalAccuracy", generator)
    metric = from_keras("metric", "SparseCategoricalAccuracy")
    np.testing.assert_array_equal(metric.values(y[:, None], p), metric.values(y, p))


@pytest.mark.parametrize("threshold", [0.25, 0.5, 0.6])
def test_the_threshold_itself_is_a_no(threshold: float, precision: str) -> None:
    p = np.array([[0.25], [0.5], [0.6], [0.75]], precision)
    y = np.array([[0.0], [1.0], [0.0], [1.0]], precision)
    config = {"class_name": "BinaryAccuracy", "config": {"threshold": threshold}}
    values = from_keras("metric", config).values(y, p)
    expected = keras.metrics.binary_accuracy(y, p, threshold).numpy()[:, 0]
    np.testing.assert_array_equal(values, expected)
    np.testing.assert_array_equal(values, (p > p.dtype.type(threshold))[:, 0] == (y[:, 0] == 1.0))


def test_of_tied_classes_the_first_counts() -> None:
    p = np.array([[0.4, 0.4, 0.2], [0.4, 0.4, 0.2]])
    metric = from_keras("metric", "SparseCategoricalAccuracy")
    np.testing.assert_array_equal(metric.values(np.array([0, 1]), p), [1.0, 0.0])
    actual = keras.metrics.sparse_categorical_accuracy(np.array([0, 1]), p)
    np.testing.assert_array_equal(actual, [1.0, 0.0])


def test_a_target_between_no_and_yes_is_never_right(precision: str) -> None:
    """[y = [p > threshold]] of y = ½ is 0, whatever p."""
    y = np.array([[0.5], [0.5], [0.2], [0.0]], precision)
    p = np.array([[0.2], [0.8], [0.1], [0.1]], precision)
    expected = keras.metrics.binary_accuracy(y, p).numpy()[:, 0]
    np.testing.assert_array_equal(expected, [0.0, 0.0, 0.0, 1.0])
    np.testing.assert_array_equal(from_keras("metric", "BinaryAccuracy").values(y, p), expected)
