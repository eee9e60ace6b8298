"""Every metric, with all its options and with weights, equals Keras's over two batches."""

from __future__ import annotations

from inspect import signature
from typing import Any

import keras
import numpy as np
import pytest

from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from manual.registry import from_keras

CASES: list[tuple[str, dict[str, Any], str]] = [
    ("Accuracy", {}, "classes as predicted"),
    ("BinaryAccuracy", {"threshold": 0.3}, "binary"),
    ("BinaryAccuracy", {"threshold": 0.6}, "binary"),
    ("CategoricalAccuracy", {}, "hot"),
    ("SparseCategoricalAccuracy", {}, "classes"),
    ("TopKCategoricalAccuracy", {"k": 2}, "hot"),
    ("TopKCategoricalAccuracy", {"k": 3}, "hot"),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, "classes"),
    ("SparseTopKCategoricalAccuracy", {"k": 3}, "classes"),
    ("MeanSquaredError", {}, "real"),
    ("RootMeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "real"),
    ("MeanSquaredLogarithmicError", {}, "real"),
    ("LogCoshError", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("CosineSimilarity", {"axis": 1}, "real"),
    ("Poisson", {}, "binary"),
    ("KLDivergence", {}, "hot"),
    ("Hinge", {}, "binary"),
    ("SquaredHinge", {}, "binary"),
    ("CategoricalHinge", {}, "hot"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "binary"),
    ("BinaryCrossentropy", {"from_logits": True}, "binary"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "hot"),
    ("CategoricalCrossentropy", {"from_logits": True}, "hot"),
    ("SparseCategoricalCrossentropy", {}, "classes"),
    ("SparseCategoricalCrossentropy", {"from_logits": True}, "classes"),
    ("SparseCategoricalCrossentropy", {"ignore_class": 2}, "classes"),
    ("TruePositives", {"thresholds": [0.2, 0.6]}, "binary"),
    ("FalsePositives", {"thresholds": [0.0, 0.5, 1.0]}, "binary"),
    ("TrueNegatives", {}, "binary"),
    ("TrueNegatives", {"thresholds": 0.3}, "binary"),
    ("TruePositives", {}, "binary"),
    ("FalsePositives", {}, "binary"),
    ("FalseNegatives", {}, "binary"),
    ("FalseNegatives", {"thresholds": [0.1, 0.3, 0.9]}, "binary"),
    ("Precision", {"top_k": 2}, "binary"),
    ("Precision", {"thresholds": [0.3, 0.7], "class_id": 1}, "binary"),
    ("Precision", {}, "binary"),
    ("Recall", {}, "binary"),
    ("Recall", {"thresholds": [0.2, 0.8]}, "binary"),
    ("Recall", {"top_k": 2, "class_id": 0}, "binary"),
    ("SensitivityAtSpecificity", {"specificity": 0.6}, "binary"),
    ("SensitivityAtSpecificity", {"specificity": 0.4, "num_thresholds": 9}, "binary"),
    ("SensitivityAtSpecificity", {"specificity": 0.5, "class_id": 1}, "binary"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.5, "class_id": 1}, "binary"),
    ("PrecisionAtRecall", {"recall": 0.55, "num_thresholds": 50}, "binary"),
    ("PrecisionAtRecall", {"recall": 0.55, "class_id": 1}, "binary"),
    ("RecallAtPrecision", {"precision": 0.35, "num_thresholds": 50}, "binary"),
    ("SpecificityAtSensitivity", {"sensitivity": 0.6, "num_thresholds": 10}, "binary"),
    ("PrecisionAtRecall", {"recall": 0.55}, "binary"),
    ("RecallAtPrecision", {"precision": 0.2, "class_id": 2}, "binary"),
    ("AUC", {}, "binary"),
    ("AUC", {"curve": "PR"}, "binary"),
    ("AUC", {"curve": "PR", "summation_method": "minoring", "num_thresholds": 7}, "binary"),
    ("AUC", {"curve": "PRGAIN", "summation_method": "majoring"}, "binary"),
    ("AUC", {"thresholds": [0.3, 0.6]}, "binary"),
    ("AUC", {"multi_label": True, "num_labels": 4}, "binary"),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.5, 0.0]}, "binary"),
    ("AUC", {"label_weights": [1.0, 2.0, 0.5, 0.0]}, "binary"),
    ("AUC", {"from_logits": True, "num_thresholds": 20}, "binary"),
]


def draw(kind: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return 16 targets and predictions; two classes are sure not to lie on a threshold."""
    p = generator.uniform(0.01, 0.99, (16, 4))
    chosen = generator.integers(0, 4, 16)
    if kind == "classes as predicted":
        p = np.round(p * 2.0)
        return np.round(generator.uniform(0.0, 2.0, (16, 4))), p
    if kind == "hot":
        return np.eye(4)[chosen], p
    if kind == "classes":
        return chosen * 1.0, p
    if kind == "binary":
        return generator.integers(0, 2, (16, 4)) * 1.0, p
    return generator.normal(size=(16, 4)), p


def by_hand(metric: Any, y: Any, p: Any, weight: Any) -> Any:
    """Add up two batches of unequal size, and give the result."""
    parts = [
        metric.sums(y[rows], p[rows], sample_weight=None if weight is None else weight[rows])
        for rows in (slice(0, 5), slice(5, 16))
    ]
    return metric.result(*(first + second for first, second in zip(*parts, strict=True)))


def test_every_metric_is_tested_here(registered: Any) -> None:
    functions = {name for name in registered("metric") if name[0].islower()}
    assert {name for name, _, _ in CASES} | functions == set(registered("metric"))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "options", "kind"), CASES)
def test_equals_keras(
    name: str,
    options: dict[str, Any],
    kind: str,
    weighted: bool,
    ruler: Any,
    generator: np.random.Generator,
    found: Any,
) -> None:
    y, p = (array.astype(ruler.precision) for array in draw(kind, generator))
    if name.startswith(("TopK", "SparseTopK")) and ruler.precision == "float64":
        pytest.skip("TensorFlow looks for the largest k in float32 only")
    weight = generator.uniform(0.5, 2.0, 16).astype(ruler.precision) if weighted else None
    theirs = getattr(keras.metrics, name)(**options, dtype=ruler.precision)
    for rows in (slice(0, 5), slice(5, 16)):
        theirs.update_state(y[rows], p[rows], None if weight is None else weight[rows])
    config = {"class_name": name, "config": options}
    metric = from_keras("metric", config)
    with np.errstate(all="ignore"):
        # as a network's outputs: with the noise of one operation; none where they have to be equal
        noise = np.abs(p) * (not kind.endswith("predicted"))
        expected = by_hand(metric, y, Noisy(p, noise, unit=ruler.unit), weight)
        plain = by_hand(metric, y, p, weight)
    actual = np.asarray(theirs.result())
    expected = expected if isinstance(expected, Noisy) else ruler.exact(expected)
    ruler.agrees(actual, expected)
    found.agrees("metric", name, told(name, options), ruler.precision, ruler.largest)
    assert judge(plain, expected).agrees
    assert np.any(actual != 0.0)
    with pytest.raises(AssertionError):
        ruler.agrees(actual + actual.dtype.type(1e-3), expected)


def told(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """Return all options of a metric with their values, also those that aren't given."""
    parameters = signature(getattr(keras.metrics, name)).parameters.values()
    return {one.name: one.default for one in parameters} | options
