"""What is compared at the end of an epoch: the loss and the metrics that ``fit`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np

from compare.causes import Cause, Facts, Place, diagnose
from compare.causes.inference import changing
from compare.causes.metrics import right_values
from compare.collecting import Comparison
from compare.diagnosis import TOLD, Diagnosis, judged
from compare.judge import judge
from compare.noise import Noisy, careful
from compare.referee import BY_HAND
from compare.reference import Derivation, Reference, location_of
from keras_models.recorder import StepRecord
from manual.heads import as_target
from manual.layers import Layer
from manual.network import Network, Pass
from manual.randomness import Draws

NO_SUM_OVERFLOWS = 1e15
"""While a loss is below this, no square or sum on the way to a metric leaves float32's range."""


class _Mean:
    """A running mean, added up batch by batch as Keras does, with its rounding noise."""

    def __init__(self) -> None:
        self.totals: list[Any] = []
        self.count = 0.0
        self.made_of: list[tuple[Any, Any, Any]] = []
        """Targets, predictions, and by hand the values of the samples, batch by batch."""

    def add(self, total: Noisy, count: float) -> None:
        self.totals.append(total.reshape(1))
        self.count += count

    @property
    def result(self) -> Noisy:
        mean: Noisy = np.concatenate(self.totals).sum() / self.count
        return mean


class EpochCheck:
    """Adds up an epoch's loss and metrics by hand and compares them with Keras's logs.

    Parameters
    ----------
    reference : Reference
    batch_size : int
        Of the validation.
    held_out : dict of str to list of arrays
        The validation data, ``x`` and ``y``; empty if there is none.
    """

    def __init__(
        self, reference: Reference, batch_size: int, held_out: dict[str, list[np.ndarray]]
    ) -> None:
        self.reference, self.batch_size, self.held_out = reference, batch_size, held_out
        self.metrics: dict[str, Any] = {}
        self.metrics_known = False
        self.begin()

    def know_metrics(self, metrics: dict[str, Any]) -> None:
        """Take the twins of Keras's metrics, which Keras itself knows only after a first step."""
        self.metrics, self.metrics_known = metrics, True

    def begin(self) -> None:
        self.samples = 0
        self._means: dict[str, _Mean] = {}

    def output(self, run: Pass) -> Noisy | None:
        """Return the one output that metrics look at; None where there are several."""
        outputs = self.reference.network.outputs
        return run.values[outputs[0]] if len(outputs) == 1 else None

    def batch(self, record: StepRecord, output: Noisy | None, samples: int) -> None:
        """Take in one training batch: Keras's loss of it, and the metrics of its output."""
        self.samples += samples
        loss = self.reference.exact(record.loss)
        bounded = abs(float(record.loss)) < NO_SUM_OVERFLOWS
        with np.errstate(all="ignore"), nullcontext() if bounded else careful():
            self._add(self._means, loss, output, record.y, samples)

    def end(self, record: StepRecord, logs: dict[str, float]) -> list[Comparison]:
        """Compare everything that Keras logged for the epoch."""
        with np.errstate(all="ignore"):
            found = self._compare(record, logs)
            if not all(one.verdict.agrees for one in found):
                with careful():
                    return self._compare(record, logs)
        return found

    def _compare(self, record: StepRecord, logs: dict[str, float]) -> list[Comparison]:
        means = self._means
        if self.held_out:
            validation = self._validation(record)
            means = {**means, **{f"val_{name}": mean for name, mean in validation.items()}}
        found = []
        for name, mean in means.items():
            if name in logs:
                expected, actual = mean.result, np.asarray(logs[name], np.float64)
                by, verdict = self._derivation(name), judge(actual, expected)
                told = None
                if not verdict.agrees:
                    told = partial(self._diagnosis, record, name, actual, mean)
                found.append(Comparison("metric", name, "model.fit", by, verdict, told))
        return found

    def _diagnosis(
        self, record: StepRecord, name: str, actual: np.ndarray, mean: _Mean
    ) -> Diagnosis:
        """Find out whether layers went on as in training, or each sample's value is wrong."""
        samples = self.samples
        if name.startswith("val_"):
            samples = len(self.held_out["x"][0])
            metric = name.removeprefix("val_")
            with np.errstate(all="ignore"):
                others = [
                    (group, self._validation(record, in_training=group[1])[metric].result)
                    for group in changing(self.reference.network.layers)
                ]
            facts = Facts(samples, samples, record.learning_rate)
            around = {"as_in_training": others}
            found = judged(Place("metric", name, mean.result, None, around, facts), actual, None)
            if found.causes:
                return found
        facts = Facts(samples, samples, record.learning_rate)
        return Diagnosis(BY_HAND, tuple(self._of_samples(name, actual, mean, facts)[:TOLD]), None)

    def _of_samples(self, name: str, actual: np.ndarray, mean: _Mean, facts: Facts) -> list[Cause]:
        """Explain the samples' values, if what they should be has the mean that Keras has."""
        metric = self.metrics.get(name.removeprefix("val_"))
        if metric is None or not mean.made_of:
            return []
        batches = [(y, p) for y, p, _ in mean.made_of]
        wrong = np.concatenate([values for _, _, values in mean.made_of])
        right = right_values(metric, batches)
        if right is None:
            return []
        values = Noisy(right, np.abs(right), unit=self.reference.unit)
        if not judge(actual, Noisy(right.mean(), mean.result.noise, unit=values.unit)).agrees:
            return []
        if right.shape != wrong.shape:  # values of something else than samples
            values = Noisy(np.full(wrong.shape, np.nan), unit=values.unit)
        return diagnose(Place("metric", name, values, metric, {"batches": batches}, facts), wrong)

    def evaluate(self, network: Network) -> dict[str, float]:
        """Return the loss and metrics of a network on the validation data, as plain numbers."""
        xs, ys = self.held_out["x"], self.held_out["y"]
        draw_alone(network)
        run = network.forward(xs)
        numbers = {"val_loss": float(network.loss(run, ys)[0])}
        if len(network.outputs) == 1:
            p = run.values[network.outputs[0]]
            for name, metric in self.metrics.items():
                numbers[f"val_{name}"] = float(metric.values(as_target(ys[0], p), p).mean())
        return numbers

    def _derivation(self, name: str) -> Derivation:
        metric = self.metrics.get(name.removeprefix("val_"))
        if metric is None:
            formula = "mean of the batches' losses, weighted by their sizes"
            return Derivation(name, formula, location_of(self._add))
        return Derivation(name, metric.formula, location_of(metric.values))

    def _add(
        self, means: dict[str, _Mean], loss: Noisy, p: Noisy | None, y: Any, samples: int
    ) -> None:
        means.setdefault("loss", _Mean()).add(loss * float(samples), samples)
        if p is None:
            return
        target = as_target(np.asarray(y), p)
        for name, metric in self.metrics.items():
            values = metric.values(target, p)
            mean = means.setdefault(name, _Mean())
            mean.add(values.sum(), values.size)
            mean.made_of.append((target, _plain(p), _plain(values)))

    def _validation(
        self, record: StepRecord, in_training: Sequence[Layer] = ()
    ) -> dict[str, _Mean]:
        """Evaluate by hand on the validation data, with Keras's weights after the epoch."""
        means: dict[str, _Mean] = {}
        self.reference.load(record.after)
        draw_alone(self.reference.network)
        with as_in_training(in_training):
            self._evaluate(means)
        return means

    def _evaluate(self, means: dict[str, _Mean]) -> None:
        network, xs, ys = self.reference.network, self.held_out["x"], self.held_out["y"]
        for start in range(0, len(xs[0]), self.batch_size):
            rows = slice(start, start + self.batch_size)
            run = network.forward([self.reference.exact(x[rows]) for x in xs])
            y = [part[rows] for part in ys]
            loss, _ = network.loss(run, y)
            self._add(means, loss, self.output(run), y[0], len(y[0]))


def _plain(array: Any) -> np.ndarray:
    """Forget the noise."""
    return np.asarray(getattr(array, "value", array))


def draw_alone(network: Network) -> None:
    """Let layers draw for themselves, and the same each time: at inference none should."""
    for layer in network.layers:
        layer.draws = Draws(seed=0)


@contextmanager
def as_in_training(layers: Sequence[Layer]) -> Iterator[None]:
    """Let some layers behave as in training, whatever they are told."""

    def trained(forward: Callable[..., Any]) -> Callable[..., Any]:
        return lambda x, *, training, **options: forward(x, training=True, **options)

    for layer in layers:
        layer.forward = trained(layer.forward)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward
