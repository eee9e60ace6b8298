"""What is compared at the end of an epoch: the loss and the metrics that ``fit`` prints."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from compare.causes import Cause, Facts, Place, diagnose
from compare.causes.inference import changing
from compare.causes.metrics import right_values
from compare.derivations import Derivation, location_of
from compare.findings.collecting import Comparison, compared
from compare.findings.diagnosis import TOLD, Diagnosis, judged
from compare.findings.referee import BY_HAND, KERAS
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy, careful
from compare.rounding.reference import Reference
from compare.twins.metrics import TwinMetric
from keras_models.step_record import Batch, StepRecord
from manual.backpropagation import Pass
from manual.heads import as_target, of_each
from manual.layers import Activation, Layer
from manual.metrics import Mean
from manual.metrics.base import quotient
from manual.network import Network, one_number
from manual.randomness import Draws

NO_SUM_OVERFLOWS = 1e15
"""While a loss is below this, no square or sum on the way to a metric leaves float32's range."""


@dataclass
class Seen:
    """What metrics look at: what a step computed at the nodes behind the network's outputs.

    Attributes
    ----------
    values : dict of node position to array
    masks : dict of node position to array
        Of the outputs that have one.
    """

    values: dict[int, Noisy]
    masks: dict[int, Any]


def watched(network: Network) -> list[int]:
    """Return the nodes that losses and metrics compute from: outputs, and the logits behind."""
    outputs = list(network.outputs)
    behind = [
        network.nodes[output].inputs[0]
        for output in outputs
        if isinstance(network.nodes[output].layer, Activation)
    ]
    return sorted({*outputs, *behind, *(head.reads for head in network.heads)})


def seen_in(network: Network, run: Pass) -> Seen:
    """Take from a run what metrics look at."""
    masks = {output: run.masks[output] for output in network.outputs}
    return Seen(
        {index: run.values[index] for index in watched(network)},
        {output: mask for output, mask in masks.items() if mask is not None},
    )


class _Sums:
    """Sums that grow batch by batch, as Keras adds them up, with their rounding noise.

    Parameters
    ----------
    result : callable
        Of the sums.
    """

    def __init__(self, result: Callable[..., Noisy]) -> None:
        self.of_sums = result
        self.terms: list[Sequence[Any]] = []
        self.made_of: list[tuple[Any, Any, Any]] = []
        """Targets, predictions, and by hand the values of the samples, batch by batch."""

    @property
    def result(self) -> Noisy:
        sums = (np.stack(list(one)).sum(axis=0) for one in zip(*self.terms, strict=True))
        return self.of_sums(*sums)


class EpochCheck:
    """Adds up an epoch's loss and metrics by hand and compares them with Keras's logs.

    Parameters
    ----------
    reference : Reference

    Attributes
    ----------
    held_out : list of (x, y, sample_weight)
        The batches of the epoch's validation, as the twin takes them; empty if there was none.
    """

    def __init__(self, reference: Reference) -> None:
        self.reference = reference
        self.network = reference.network
        self.metrics: dict[str, TwinMetric] = {}
        self.losses: list[str] = []
        self.by_size = True
        self.metrics_known = False
        self.begin()

    def know_metrics(
        self,
        metrics: dict[str, TwinMetric],
        losses: Sequence[str] = (),
        *,
        by_size: bool = True,
    ) -> None:
        """Take the twins of Keras's metrics, which Keras itself knows only after a first step.

        Parameters
        ----------
        metrics : dict of str to TwinMetric
        losses : sequence of str
            Under which names it prints the losses of several outputs.
        by_size : bool
            Whether it weighs the batches by their sizes in these. It does where it knows a batch's
            size beforehand: not in a graph.
        """
        self.metrics, self.metrics_known, self.by_size = metrics, True, by_size
        self.losses = list(losses) if len(losses) == len(self.network.heads) else []

    def begin(self) -> None:
        self.samples = 0
        self._means: dict[str, _Sums] = {}
        self.held_out: list[Batch] = []

    def batch(self, record: StepRecord, seen: Seen, samples: int) -> None:
        """Take in one training batch: Keras's loss of it, and the metrics of its outputs."""
        self.samples += samples
        loss = self.reference.exact(record.loss)
        bounded = bool(np.all(np.abs(record.loss) < NO_SUM_OVERFLOWS))
        with np.errstate(all="ignore"), nullcontext() if bounded else careful():
            self._add(self._means, loss, seen, record.y, record.sample_weight, samples)

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
            late = {name for name, twin in self.metrics.items() if twin.metric.read_late}
            means = {**means, **{name: validation[name] for name in late & validation.keys()}}
            means |= {f"val_{name}": mean for name, mean in validation.items()}
        found = []
        for name, mean in means.items():
            if name in logs:
                expected, actual = mean.result, np.asarray(logs[name], np.float64)
                if not isinstance(expected, Noisy):
                    expected = self.reference.exact(expected)
                key, by = ("metric", name, "model.fit"), self._derivation(name)
                told = partial(self._diagnosis, record, name, actual, mean)
                found.append(compared(self.network, key, by, actual, expected, told))
        return found

    def _diagnosis(
        self, record: StepRecord, name: str, actual: np.ndarray, mean: _Sums
    ) -> Diagnosis:
        """Find out whether layers went on as in training, or each sample's value is wrong."""
        facts = Facts(self.samples, self.samples, record.rate)
        if name.removeprefix("val_") in self.losses:
            counted = {"batches_counted": len(mean.terms)}
            place = Place("metric", name, mean.result, None, counted, facts)
            if causes := diagnose(place, actual):
                return Diagnosis(KERAS, tuple(causes[:TOLD]), None)
        samples = self.samples
        if name.startswith("val_"):
            samples = sum(map(samples_in, self.held_out))
            metric = name.removeprefix("val_")
            with np.errstate(all="ignore"):
                others = [
                    (group, self._validation(record, in_training=group[1])[metric].result)
                    for group in changing(self.reference.network.layers)
                ]
            facts = Facts(samples, samples, record.rate)
            around = {"as_in_training": others}
            found = judged(Place("metric", name, mean.result, None, around, facts), actual, None)
            if found.causes:
                return found
        facts = Facts(samples, samples, record.rate)
        return Diagnosis(BY_HAND, tuple(self._of_samples(name, actual, mean, facts)[:TOLD]), None)

    def _of_samples(self, name: str, actual: np.ndarray, mean: _Sums, facts: Facts) -> list[Cause]:
        """Explain the samples' values, if what they should be has the mean that Keras has."""
        twin = self.metrics.get(name.removeprefix("val_"))
        if twin is None or not mean.made_of:
            return []
        metric = twin.metric
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
        draw_alone(network)
        total, found = 0.0, {name: _Sums(one.metric.result) for name, one in self.metrics.items()}
        for batch in self.held_out:
            x, y, weights = batch
            run = network.forward(x)
            network.carry_on(run)
            total += one_number(network.loss(run, y, weights)[0]) * samples_in(batch)
            seen = seen_in(network, run)
            for name, twin in self.metrics.items():
                target, p, options = self._looked_at(twin, seen, y, weights)
                found[name].terms.append(twin.metric.sums(target, p, **options))
        numbers = {"val_loss": total / sum(map(samples_in, self.held_out))}
        results = {f"val_{name}": np.asarray(sums.result) for name, sums in found.items()}
        return numbers | {name: float(one) for name, one in results.items() if one.ndim == 0}

    def _looked_at(
        self, twin: TwinMetric, seen: Seen, y: Any, sample_weight: Any
    ) -> tuple[Any, Any, dict[str, Any]]:
        """Return the targets, the predictions and the options that a metric gets."""
        network, metric = self.network, twin.metric
        output = network.outputs[twin.place]
        layer = network.nodes[output].layer
        fused = isinstance(layer, Activation) and metric.reads_logits_of(layer.function)
        p = seen.values[network.nodes[output].inputs[0] if fused else output]
        targets = list(y) if isinstance(y, (list, tuple)) else [y]
        target = np.asarray(targets[twin.place])
        options: dict[str, Any] = {"logits": fused}
        if metric.takes_mask and output in seen.masks:
            options["mask"] = seen.masks[output]
        if twin.weighted and sample_weight is not None:
            several = isinstance(sample_weight, (list, tuple))
            weights = list(sample_weight) if several else [sample_weight]
            weight = weights[twin.place if len(weights) == len(targets) else 0]
            options["sample_weight"] = np.asarray(weight).astype(p.dtype)
        return target.astype(p.dtype), p, options

    def _derivation(self, name: str) -> Derivation:
        name = name.removeprefix("val_")
        if name in self.metrics:
            metric = self.metrics[name].metric
            where = metric.values if isinstance(metric, Mean) else metric.sums
            return Derivation(name, metric.formula, location_of(where))
        formula = "mean of the batches' losses"
        if name == "loss" or self.by_size:
            formula += ", weighted by their sizes"
        return Derivation(name, formula, location_of(self._add))

    def _add(
        self,
        means: dict[str, _Sums],
        loss: Noisy,
        seen: Seen,
        y: Any,
        sample_weight: Any,
        samples: int,
    ) -> None:
        def add_loss(name: str, value: Any, size: float) -> None:
            mean = value.mean() if value.ndim else value
            means.setdefault(name, _Sums(quotient)).terms.append((mean * size, size))

        add_loss("loss", loss, float(samples))
        if self.losses:
            heads = self.network.heads
            parts = of_each(heads, y), of_each(heads, sample_weight)
            for name, head, target, weight in zip(self.losses, heads, *parts, strict=True):
                p = seen.values[head.reads]
                value, _ = head.loss.forward(
                    as_target(np.asarray(target), p),
                    p,
                    logits=head.from_logits,
                    sample_weight=weight,
                    mask=seen.masks.get(head.output),
                )
                by_size = self.by_size or value.ndim
                add_loss(name, value, float(samples) if by_size else 1.0)
        for name, twin in self.metrics.items():
            target, p, options = self._looked_at(twin, seen, y, sample_weight)
            sums = means.setdefault(name, _Sums(twin.metric.result))
            sums.terms.append(twin.metric.sums(target, p, **options))
            if isinstance(twin.metric, Mean) and options.keys() == {"logits"}:
                values = twin.metric.values(as_target(target, p), p)
                sums.made_of.append((as_target(target, p), _plain(p), _plain(values)))

    def _validation(
        self, record: StepRecord, in_training: Sequence[Layer] = ()
    ) -> dict[str, _Sums]:
        """Evaluate by hand on the validation data, with Keras's weights after the epoch."""
        means: dict[str, _Sums] = {}
        self.reference.load(record.after)
        draw_alone(self.reference.network)
        with as_in_training(in_training):
            self._evaluate(means)
        return means

    def _evaluate(self, means: dict[str, _Sums]) -> None:
        network, exact = self.reference.network, self.reference.exact
        for batch in self.held_out:
            x, y, weights = batch
            run = network.forward([exact(one) for one in (x if isinstance(x, list) else [x])])
            network.carry_on(run)
            loss, _ = network.loss(run, y, weights)
            self._add(means, loss, seen_in(network, run), y, weights, samples_in(batch))


def samples_in(batch: Batch) -> int:
    """Return how many samples there are in a batch."""
    x = batch[0]
    return len(x[0] if isinstance(x, (list, tuple)) else x)


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
