"""The twins of what ``fit`` prints of an epoch: metrics, and the losses of several outputs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from keras_models.losses import loss_config
from manual.metrics import Metric, OfLoss, OfReducedLoss
from manual.registry import NoTwin, from_keras, keras_name


@dataclass(frozen=True)
class TwinMetric:
    """The twin of a metric, and where it looks.

    Attributes
    ----------
    metric : manual.metrics.Metric
    place : int
        At which of the outputs.
    weighted : bool
        Whether sample weights count in it.
    """

    metric: Metric
    place: int = 0
    weighted: bool = False


def twin_metrics(model: keras.Model) -> tuple[dict[str, TwinMetric], list[str]]:
    """Return the twins of the metrics that ``fit`` prints, and the names of those without one."""
    twins: dict[str, TwinMetric] = {}
    without: list[str] = []
    compiled = model._compile_metrics
    if not getattr(compiled, "built", False):
        return twins, without
    found = [
        (one, place, weighted)
        for weighted, lists in (
            (False, compiled._flat_metrics),
            (True, compiled._flat_weighted_metrics),
        )
        for place, of_output in enumerate(lists)
        for one in (of_output.metrics if of_output else ())
    ]
    names = list(compiled.result())
    if len(names) != len(found):  # two of one name
        return twins, names
    for name, (metric, place, weighted) in zip(names, found, strict=True):
        try:
            twins[name] = TwinMetric(_twin_metric(metric), place, weighted)
        except NoTwin:
            without.append(name)
    return twins, without


def _twin_metric(metric: Any) -> Metric:
    """Build the twin of one metric: of a class, or of a mean of what a function or a loss gives."""
    options = {**getattr(metric, "_fn_kwargs", {}), **metric.get_config()}
    options = {key: value for key, value in options.items() if key not in ("fn", "name", "dtype")}
    if type(metric) is not keras.metrics.MeanMetricWrapper:
        name = type(metric).__name__
        if not type(metric).__module__.startswith("keras."):
            raise NoTwin(f"The metric {name!r} is none of Keras's.")
        return from_keras("metric", {"class_name": name, "config": _plain(options)})  # type: ignore[no-any-return]
    function = metric._fn
    if isinstance(function, keras.losses.Loss):
        return OfReducedLoss(from_keras("loss", loss_config(function)))
    name = keras_name(keras.metrics.serialize(function))
    try:
        return from_keras("metric", {"class_name": name, "config": _plain(options)})  # type: ignore[no-any-return]
    except NoTwin:
        return OfLoss(from_keras("loss", {"class_name": name, "config": options}))


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Return options with plain numbers for tensors."""
    return {
        key: value.numpy().tolist() if hasattr(value, "numpy") else value
        for key, value in options.items()
    }


def loss_names(model: keras.Model, outputs: Sequence[str]) -> list[str]:
    """Return under which names ``fit`` prints the losses of several outputs, in their order.

    Keras has them in the order in which the losses were given.
    """
    compiled = model._compile_loss
    metrics = getattr(compiled, "metrics", [])
    if not metrics:
        return []
    ends = [one.path[-1] for one in compiled._flat_losses]
    places = [outputs.index(end) if isinstance(end, str) else end for end in ends]
    pairs = sorted(zip(places, metrics, strict=True), key=lambda pair: pair[0])
    return [metric.name for _, metric in pairs]
