"""The lock-step: both halves train, and after every step each number is held against its twin."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from compare.carried import carried_by_keras, try_out
from compare.causes import Facts, Place
from compare.checks import compare_step
from compare.collecting import Comparison
from compare.data import check_fit, check_inputs, check_lengths, checked_arrays
from compare.diagnosis import judged
from compare.drift import OwnSteps, first_non_finite
from compare.epochs import EpochCheck, seen_in
from compare.errors import BadInput
from compare.judge import judge
from compare.noise import Noisy
from compare.recorded_steps import RecordedSteps
from compare.reference import Derivation, Reference, location_of
from compare.report import EpochPair, Report
from compare.twins import (
    array_dtype,
    check_same_weights,
    loss_names,
    loss_weights,
    model_config,
    policy_name,
    twin_metrics,
    twin_network,
)
from keras_models.alone import Alone
from keras_models.recorder import Recorder, StepRecord
from keras_models.stepper import Stepper
from manual.network import Network

OtherWay = Callable[[Mapping[str, Noisy], Noisy, Any], dict[str, Noisy]]
"""Another way of computing the weights' gradients by name, from the weights, x and y."""


def lockstep(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    batch_size: int = 32,
    epochs: int = 1,
    steps: int | None = None,
    sample_weight: Any = None,
    class_weight: Mapping[int, float] | None = None,
    shuffle: bool = True,
    validation_data: tuple[Any, ...] | None = None,
    validation_split: float = 0.0,
    strict: bool = False,
    network: Network | None = None,
    stepper: Stepper | None = None,
    other_ways: Mapping[str, OtherWay] | None = None,
    callbacks: Sequence[keras.callbacks.Callback] | None = None,
    on_step: Callable[[Report], None] | None = None,
    label: str | None = None,
    report: Report | None = None,
) -> Report:
    """Train a Keras model and its hand-written twin in lock-step, and compare every step.

    The model is trained by its own ``fit``, exactly as it would be alone. What each batch did is
    taken from inside the running ``fit``; a ``GradientTape`` step on a copy adds every activation
    and activation gradient. Each map of the hand-written half is then run on Keras's own inputs.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, compiled. It is trained.
    x, y : array, or list of arrays for several inputs or outputs
    batch_size, epochs : int
    steps : int, optional
        Stop after this many batches.
    sample_weight : array, optional
    class_weight : mapping of class to float, optional
        As in ``fit``, which makes a weight for each sample of it.
    shuffle : bool
        As in ``fit``.
    validation_data : (x, y) or (x, y, sample_weight), optional
    validation_split : float
        The last part of the data, kept for validation, as in ``fit``.
    strict : bool
        Refuse layers that have no twin. Else Keras itself carries them, everything around them is
        verified, and the report says which they were.
    network : manual.Network, optional
        A network written by hand, with its own weights, instead of the twin that is built from
        the model's configuration.
    stepper : keras_models.Stepper, optional
        One that was already made of this model, to spare making another.
    other_ways : mapping of str to callable, optional
        Further ways of computing the weights' gradients, each compared at every step.
    callbacks : sequence of keras.callbacks.Callback, optional
        Handed to ``fit`` after the comparison's own.
    on_step : callable, optional
        Called with the growing report after every step.
    label : str, optional
        What the report is called; the model's name by default.
    report : Report, optional
        One to fill, so that it can be read after an interruption.

    Returns
    -------
    Report
        With ``.ok``, ``.findings``, ``.first``, ``.raise_if_different()`` and ``.to_json()``.

    Raises
    ------
    BadInput
        If the model, its settings or the data can't be compared, in one sentence.

    Examples
    --------
    >>> report = compare.lockstep(model, x, y, batch_size=32, epochs=2)  # doctest: +SKIP
    >>> report.raise_if_different()  # doctest: +SKIP
    """
    model_config(model)
    dtype = array_dtype(model)
    if epochs < 1 or (steps is not None and steps < 1):
        name, value = ("epochs", epochs) if epochs < 1 else ("steps", steps)
        raise BadInput(f"{name} must be at least 1. Received: {value}.")
    xs, ys = checked_arrays("x", x, dtype), checked_arrays("y", y, dtype)
    named = {"x": xs, "y": ys}
    if class_weight and (sample_weight is not None or len(ys) > 1):
        raise BadInput("class_weight needs a single output, and no sample_weight beside it.")
    if sample_weight is not None:
        named["sample_weight"] = checked_arrays("sample_weight", sample_weight, dtype)
    held_out: dict[str, list[np.ndarray]] = {}
    if validation_data is not None:
        if not isinstance(validation_data, (list, tuple)) or len(validation_data) not in (2, 3):
            raise BadInput("validation_data must be (x, y), or (x, y, sample_weight).")
        for name, part in zip(("x", "y", "sample_weight"), validation_data, strict=False):
            held_out[name] = checked_arrays(f"validation {name}", part, dtype)
        check_lengths({f"validation {name}": parts for name, parts in held_out.items()}, 1)
    elif validation_split:
        samples = check_lengths(named, 1)
        kept = math.floor(samples * (1.0 - validation_split))
        if not 0 < kept < samples:
            raise BadInput(
                f"validation_split must leave samples on both sides of the {samples} there are. "
                f"Received: {validation_split}."
            )
        held_out = {name: [part[kept:] for part in parts] for name, parts in named.items()}
        named = {name: [part[:kept] for part in parts] for name, parts in named.items()}
    check_lengths(named, batch_size)
    if network is None:
        check_inputs(model, named["x"])
        otherwise = None if strict else carried_by_keras(model)
        shapes = [array.shape[1:] for array in xs] if len(xs) == len(model.inputs) else None
        network = twin_network(model, otherwise, shapes, named["y"])
    check_same_weights(network, model)
    if network.dtype != dtype:
        raise BadInput(
            f"The network computes in {network.dtype} and the model in {dtype}: build both in one."
        )
    check_fit(network, model, named["x"], named["y"], named.get("sample_weight"))
    carried = try_out(network, named["x"])
    if held_out:
        check_fit(network, model, held_out["x"], held_out["y"], held_out.get("sample_weight"))

    report = Report("", dtype) if report is None else report
    report.label, report.dtype = label or model.name, policy_name(model)
    for layer in carried:
        report.unverified.append(layer.name)
        report.notes.append(f"not independently verified: {layer}, carried by Keras itself")
    if not report.reproduce:
        once = "" if shuffle else ", shuffle=False"
        report.reproduce = (
            f"compare.lockstep(model, x, y, batch_size={batch_size}{once}, steps={{step}})"
        )
    stepper = Stepper(model) if stepper is None else stepper
    follower = _Lockstep(model, network, stepper, report, batch_size, held_out, other_ways or {})
    follower.steps, follower.on_step = steps, on_step
    recorder = Recorder(follower.step)
    targets = _one if len(network.outputs) == 1 else list  # some outputs may have no loss, and no y
    held_out_data = tuple(
        targets(parts) if name == "y" else _one(parts) for name, parts in held_out.items()
    )
    try:
        model.fit(
            _one(named["x"]),
            targets(named["y"]),
            sample_weight=_one(named["sample_weight"]) if sample_weight is not None else None,
            class_weight=dict(class_weight) if class_weight else None,
            batch_size=batch_size,
            epochs=epochs,
            shuffle=shuffle,
            validation_data=held_out_data or None,
            verbose=0,
            callbacks=[recorder, _EpochEnd(follower), *(callbacks or [])],
        )
    finally:
        recorder.restore()
    return report


class _EpochEnd(keras.callbacks.Callback):
    """Tells the lock-step that an epoch is over."""

    def __init__(self, follower: _Lockstep) -> None:
        super().__init__()
        self.follower = follower

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.follower.epoch_end(dict(logs or {}))


class _Lockstep:
    """Follows a running ``fit`` step by step."""

    def __init__(
        self,
        model: keras.Model,
        network: Network,
        stepper: Stepper,
        report: Report,
        batch_size: int,
        held_out: dict[str, list[np.ndarray]],
        other_ways: Mapping[str, OtherWay],
    ) -> None:
        self.model, self.report = model, report
        self.own = OwnSteps(network)
        report.drift = self.own.drift
        fused = model.jit_compile is True
        self.reference = Reference(network, fused=fused)
        self.recorded = RecordedSteps(Reference(network, fused=fused), self.own.single)
        self.stepper = stepper
        self.alone = Alone(stepper.model)
        self.loss_weights = loss_weights(model)
        self.held_out, self.batch_size = held_out, batch_size
        self.other_ways = other_ways
        self.epoch = EpochCheck(self.reference, batch_size, held_out)
        self.steps: int | None = None
        self.on_step: Callable[[Report], None] | None = None
        self.manual_total = 0.0
        self.last: StepRecord | None = None

    def step(self, record: StepRecord) -> None:
        """Compare one step, then let the hand-written half take it on its own."""
        if record.step == 1:
            self._start(record)
        tape = self.stepper.step(
            record.before,
            record.slots_before,
            record.iterations,
            record.learning_rate,
            record.x,
            record.y,
            record.sample_weight,
            seeds=record.seeds,
            tensors=record.tensors,
        )
        with np.errstate(all="ignore"):
            own_loss, self.manual_loss = self.own.step(record, tape.get("draw", {}))
        agreement = self.recorded.agreement(record, tape, own_loss)
        comparisons: list[Comparison] = []
        if agreement is None:
            comparisons, run = compare_step(
                self.reference,
                record,
                tape,
                batch_size=self.batch_size,
                previous=self.last,
                own=self.own.single,
                own_loss=own_loss,
                alone=self.alone,
                loss_weights=self.loss_weights,
            )
            self.recorded.learn(record, tape, own_loss, comparisons)
            seen = seen_in(self.reference.network, run)
        else:
            self.report.agree(record.step, agreement.distances)
            seen = agreement.seen
        with np.errstate(all="ignore"):
            comparisons += self._other_ways(record)
            self.own.note(record, comparisons)
        for comparison in comparisons:
            self.report.add(record.epoch, record.step, comparison)
        if not self.epoch.metrics_known:
            twins, without = twin_metrics(self.model)
            losses = loss_names(self.model)
            if losses and self.model.jit_compile:  # how they are weighed depends on what is traced
                without, losses = [*losses, *without], []
            self.epoch.know_metrics(twins, losses, by_size=self.model.run_eagerly)
            if without:
                told = ", ".join(without)
                self.report.notes.append(f"metrics without a twin, passed over: {told}")
        samples = len(record.x[0] if isinstance(record.x, (list, tuple)) else record.x)
        self.epoch.batch(record, seen, samples)
        self.manual_total += self.manual_loss * samples
        self.report.steps, self.report.epochs = record.step, record.epoch
        self.last = record
        if self.on_step is not None:
            self.on_step(self.report)
        if self._both_burst(record):
            where = first_non_finite(tape, record)
            self.report.notes.append(
                f"both halves became non-finite at step {record.step}, first {where}"
            )
            self.model.stop_training = True
        if record.step == self.steps:
            self.model.stop_training = True

    def epoch_end(self, logs: dict[str, float]) -> None:
        """Compare what ``fit`` prints, and note how far the two trainings have drifted apart."""
        assert self.last is not None
        for comparison in self.epoch.end(self.last, logs):
            self.report.add(self.last.epoch, self.last.step, comparison)
        by_hand = {"loss": self.manual_total / max(self.epoch.samples, 1)}
        if self.held_out:
            with np.errstate(all="ignore"):
                by_hand.update(self.epoch.evaluate(self.own.free))
        numbers = {name: float(value) for name, value in logs.items() if np.ndim(value) == 0}
        drift = self.own.drift.now
        self.report.history.append(EpochPair(self.last.epoch, numbers, by_hand, drift))
        self.manual_total = 0.0
        self.epoch.begin()

    def _start(self, record: StepRecord) -> None:
        """Compare the initial weights, and take over what the optimizer already remembers."""
        first_slots = [] if record.iterations else self._first_slots(record)
        self.own.start(record)
        here = Derivation("the initial weights", "w₀, the same on both sides", "manual/networks.py")
        for name, parameter in self.own.free.parameters.items():
            verdict = judge(record.before[name], self.reference.exact(parameter.value))
            one = Comparison("input", name, "model.fit", here, verdict)
            self.report.add(record.epoch, 0, one)
        for one in first_slots:
            self.report.add(record.epoch, 0, one)

    def _first_slots(self, record: StepRecord) -> list[Comparison]:
        """Compare what the optimizer remembers before it has made an update."""
        network, found = self.own.free, []
        optimizer = network.optimizer
        assert optimizer is not None
        where = location_of(type(optimizer).new_slots)
        by = Derivation("the optimizer's memory", "s₀, the same on both sides", where)
        facts = Facts(1, 1, record.rate)
        for slot, array in network.slots.items():
            for tensor in optimizer.layout(slot, network.tensors):
                name = f"{tensor.name}/{slot}"
                actual = record.slots_before[slot][tensor.name]
                expected = self.reference.exact(array[tensor.place].reshape(tensor.shape))
                verdict = judge(actual, expected)
                inputs = {"w_first": self.reference.exact(record.before.get(tensor.name, 0.0))}
                place = Place("optimizer slot", name, expected, optimizer, inputs, facts)
                diagnose = partial(judged, place, actual, None)
                found.append(Comparison("optimizer slot", name, "model.fit", by, verdict, diagnose))
        return found

    def _other_ways(self, record: StepRecord) -> list[Comparison]:
        found, exact = [], self.reference.exact
        for way, gradients in self.other_ways.items():
            weights = {name: exact(array) for name, array in record.before.items()}
            expected = gradients(weights, exact(record.x), record.y)
            about = (gradients.__doc__ or way).strip().splitlines()[0]
            by = Derivation(way, about, location_of(gradients))
            for name, one in expected.items():
                verdict = judge(record.gradients[name], one)
                found.append(Comparison("weight gradient", name, way, by, verdict))
        return found

    def _both_burst(self, record: StepRecord) -> bool:
        keras_half = all(np.isfinite(array).all() for array in record.after.values())
        by_hand = bool(np.isfinite(self.own.free.values).all())
        return not keras_half and not by_hand


def _one(arrays: list[Any]) -> Any:
    return arrays[0] if len(arrays) == 1 else arrays
