"""Slips in the metrics that ``fit`` prints: each sample's value, with one decision otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.rounding.noise import Noisy

Values = Callable[[Any, Any, Any], Any]
"""From targets, predictions and the metric's options to one value for each sample."""


def _squared(y: Any, p: Any, o: Any) -> Any:
    return ((p - y) * (p - y)).mean(axis=-1)


def _absolute(y: Any, p: Any, o: Any) -> Any:
    return np.abs(p - y).mean(axis=-1)


def _binary(y: Any, p: Any, o: Any) -> Any:
    return (1.0 * ((p > o.threshold) == (y > 0.5))).mean(axis=-1)


def _categorical(y: Any, p: Any, o: Any) -> Any:
    return 1.0 * (y.argmax(axis=-1) == p.argmax(axis=-1))


def _sparse(y: Any, p: Any, o: Any) -> Any:
    return 1.0 * (y.reshape(p.shape[:-1]) == p.argmax(axis=-1))


DISTANCES: dict[str, Values] = {
    "the differences are squared": _squared,
    "the differences aren't squared": _absolute,
    "the root is taken of each sample's value": lambda y, p, o: np.sqrt(_squared(y, p, o)),
    "the sum over the outputs stands for their mean": lambda y, p, o: np.abs(p - y).sum(axis=-1),
    "the sum over the outputs stands for their mean, of squares": lambda y, p, o: (
        (p - y) * (p - y)
    ).sum(axis=-1),
    "a ½ too many": lambda y, p, o: 0.5 * _squared(y, p, o),
    "the differences keep their sign": lambda y, p, o: (p - y).mean(axis=-1),
}
OF_CLASSES: dict[str, Values] = {
    "the smallest number counts instead of the largest": lambda y, p, o: (
        1.0 * (_wanted(y, p) == p.argmin(axis=-1))
    ),
    "the largest number is looked for along the samples": lambda y, p, o: (
        1.0 * (y.argmax(axis=0) == p.argmax(axis=0)) if y.shape == p.shape else np.zeros(0)
    ),
    "the mistakes are counted": lambda y, p, o: 1.0 * (_wanted(y, p) != p.argmax(axis=-1)),
    "the class numbers are one too small": lambda y, p, o: (
        1.0 * (_wanted(y, p) - 1 == p.argmax(axis=-1))
    ),
    "the class numbers are one too large": lambda y, p, o: (
        1.0 * (_wanted(y, p) + 1 == p.argmax(axis=-1))
    ),
    "each output counts by itself, as in a binary accuracy": lambda y, p, o: (
        1.0 * ((p > 0.5) == (np.arange(p.shape[-1]) == _wanted(y, p)[..., None]))
    ).mean(axis=-1),
}
RIGHT: dict[str, tuple[Values, dict[str, Values]]] = {
    "MeanSquaredError": (_squared, DISTANCES),
    "MeanAbsoluteError": (_absolute, DISTANCES),
    "BinaryAccuracy": (
        _binary,
        {
            "the threshold is 0: right for logits": lambda y, p, o: (
                1.0 * ((p > 0.0) == (y > 0.5))
            ).mean(axis=-1),
            "the threshold is ½": lambda y, p, o: (1.0 * ((p > 0.5) == (y > 0.5))).mean(axis=-1),
            "a sample counts only if all its outputs are right": lambda y, p, o: (
                1.0 * ((p > o.threshold) == (y > 0.5)).all(axis=-1)
            ),
            "no threshold is applied": lambda y, p, o: (1.0 * (p == y)).mean(axis=-1),
            "the mistakes are counted": lambda y, p, o: 1.0 - _binary(y, p, o),
            "the sum over the outputs stands for their mean": lambda y, p, o: (
                _binary(y, p, o) * p.shape[-1]
            ),
        },
    ),
    "CategoricalAccuracy": (_categorical, OF_CLASSES),
    "SparseCategoricalAccuracy": (_sparse, OF_CLASSES),
}
"""What each metric is, and what it is taken for."""


def _wanted(y: Any, p: Any) -> Any:
    return y.argmax(axis=-1) if y.shape == p.shape else y.reshape(p.shape[:-1])


def right_values(metric: Any, batches: Sequence[tuple[Any, Any]]) -> Any:
    """Return each sample's value as it should be; None if the metric isn't known."""
    known = RIGHT.get(type(metric).__name__)
    return None if known is None else np.concatenate([known[0](y, p, metric) for y, p in batches])


@hypothesis("metric")
def another_metric(place: Place) -> Iterator[Candidate]:
    """Propose each sample's value, of the metric that was computed instead."""
    known = RIGHT.get(type(place.map).__name__)
    if known is None or not place.has("batches"):
        return
    for sentence, values in known[1].items():
        value = np.concatenate([values(y, p, place.map) for y, p in place.inputs["batches"]])
        yield Candidate(sentence, Noisy(value, np.abs(value), unit=place.right.unit))


@hypothesis("metric")
def a_step_without_data(place: Place) -> Iterator[Candidate]:
    """Propose a mean over the batches and the step that was begun when there were no more.

    Inside a graph, what doesn't depend on a batch is done before it turns out that there is none.
    """
    if place.has("batches_counted"):
        counted = float(place.inputs["batches_counted"])
        sentence = "the step that found no more data is counted as a batch"
        yield Candidate(sentence, place.right * (counted / (counted + 1.0)), "Σ / (n + 1)")
