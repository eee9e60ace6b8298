"""Who follows a running ``fit``: after every step each number is held against its twin."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from functools import partial
from typing import Any

import keras
import numpy as np

from compare.causes import Facts, Place
from compare.derivations import Derivation, location_of
from compare.errors import BadInput
from compare.findings.collecting import Comparison, Trace, compared
from compare.findings.diagnosis import judged
from compare.findings.report import EpochPair, Report
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from compare.steps.checks import compare_step, is_alike
from compare.steps.epochs import EpochCheck, Seen, samples_in, seen_in
from compare.steps.own_steps import OwnSteps, first_non_finite
from compare.steps.pairing import Pair
from compare.steps.recorded_steps import Agreement, RecordedSteps
from compare.steps.witness import Witness
from compare.trace import PHASES
from compare.twins.metrics import loss_names, twin_metrics
from compare.twins.twin import loss_weights
from keras_models.alone import Alone
from keras_models.step_record import Batch, StepRecord
from keras_models.stepper import Stepper
from manual.activations import Sigmoid
from manual.heads import last_map
from manual.network import Network

OtherWay = Callable[[Mapping[str, Noisy], Noisy, Any], dict[str, Noisy]]
"""Another way of computing the weights' gradients by name, from the weights, x and y."""


class EpochEnd(keras.callbacks.Callback):
    """Tells the lock-step that an epoch is over."""

    def __init__(self, follower: Follower) -> None:
        super().__init__()
        self.follower = follower

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        self.follower.epoch_end(dict(logs or {}))


class Follower:
    """Follows a running ``fit`` step by step.

    Parameters
    ----------
    pair : Pair
    report : Report
        To be filled.
    stepper : Stepper, optional
        One that was already made of the model.
    batch_size : int
        Of a full batch, if it is known beforehand.
    other_ways : mapping of str to callable, optional
        Further ways of computing the weights' gradients.
    sampled : bool
        Whether only some steps are told of. Then nothing is said of what takes all of them: the
        metrics of an epoch, and how far the two trainings drift apart.
    phases : container of str
        What is compared.
    may_stop : bool
        Whether training is stopped where nothing can be compared any more.
    """

    def __init__(
        self,
        pair: Pair,
        report: Report,
        *,
        stepper: Stepper | None = None,
        batch_size: int = 0,
        other_ways: Mapping[str, OtherWay] | None = None,
        sampled: bool = False,
        phases: Container[str] = PHASES,
        may_stop: bool = True,
    ) -> None:
        self.model, self.ends, self.report = pair.model, pair.ends, report
        self.network = pair.network
        self.sampled, self.phases, self.may_stop = sampled, phases, may_stop
        self.own = OwnSteps(pair.network)
        report.drift = None if sampled else self.own.drift
        fused = self.model.jit_compile is True
        self.reference = Reference(pair.network, fused=fused)
        to_record = partial(Reference, pair.network, fused=fused)
        self.recorded = RecordedSteps(to_record, self.own.single)
        self.stepper = Stepper(pair.graph) if stepper is None else stepper
        self.beside = self.stepper if pair.graph is pair.model else None
        self.alone = Alone(self.stepper.model)
        self.loss_weights = loss_weights(pair.graph)
        self.batch_size = batch_size
        self.other_ways = other_ways or {}
        self.epoch = EpochCheck(self.reference)
        self.begun = False
        self.steps: int | None = None
        self.look: Callable[[Batch], None] | None = None
        self.look_held_out: Callable[[Batch], None] | None = None
        self.on_step: Callable[[Report], None] | None = None
        self.witness: Witness | None = None
        self.manual_total = 0.0
        self.last: StepRecord | None = None
        self.kept_draws: dict[str, np.ndarray] = {}

    def show_to(self, witness: Witness | None) -> None:
        """Have somebody see what is compared from now on."""
        self.witness = witness
        if witness is not None:
            witness.begin(self.report, self.network)

    def step(self, given: StepRecord) -> None:
        """Compare one step, then let the hand-written half take it on its own."""
        self.begun = True
        batch = given.x, given.y, given.sample_weight
        looked_at(self.look, f"The batch of step {given.step}", batch)
        record = self.ends.record(given)
        if self.last is None:
            self._start(record)
        elif self.last.step + 1 < record.step:
            self.last = None
        tape = self.stepper.step(
            given.before,
            given.slots_before,
            given.iterations,
            given.learning_rate,
            given.x,
            given.y,
            given.sample_weight,
            seeds=given.seeds,
            beside=given.beside,
        )
        self._keep_draws(tape)
        self._reset(record)
        if self.last is None:
            check_logits(self.reference.network, self.stepper.logits_known)
        seen, comparisons, agreement = self._compared(record, tape)
        with np.errstate(all="ignore"):
            comparisons += self._other_ways(record)
            if not self.sampled:
                self.own.note(record, comparisons)
        self._report(record.epoch, record.step, comparisons)
        self._show(record, tape, comparisons, agreement)
        if not self.sampled:
            self._add_to_epoch(record, seen)
        self.report.steps, self.report.epochs = self.report.steps + 1, record.epoch
        self.last = record
        if self.on_step is not None:
            self.on_step(self.report)
        if self.may_stop and self._both_burst(record):
            where = first_non_finite(tape, record)
            self.report.notes.append(
                f"both halves became non-finite at step {record.step}, first {where}"
            )
            self.model.stop_training = True
        if record.step == self.steps:
            self.model.stop_training = True

    def _show(
        self,
        record: StepRecord,
        tape: Trace,
        found: Sequence[Comparison],
        agreement: Agreement | None,
    ) -> None:
        if self.witness is None:
            return
        distances = [((one.phase, one.name, one.source), one.verdict.distance) for one in found]
        if agreement is None:
            self.witness.step(record, tape, found, self.reference)
        else:
            distances += agreement.distances
        self.witness.passed(record, distances, None if self.sampled else self.manual_loss)

    def _compared(
        self, record: StepRecord, tape: Trace
    ) -> tuple[Seen, list[Comparison], Agreement | None]:
        """Compare a step; return what metrics look at of it, and what is still to be reported.

        The third is what a recording says, if it could say it all.

        Where only some steps are looked at, the hand-written half needn't take them by itself, and
        what ``fit`` did needn't be derived again if it is the very thing that the tape saw.
        """
        alike = self.sampled and is_alike(record, tape)
        own_loss = None
        if not alike:
            if self.sampled:
                self.own.join(record)
            with np.errstate(all="ignore"):
                own_loss, self.manual_loss = self.own.step(record, tape.get("draw", {}))
        agreement = None
        if self.witness is None or not self.witness.wants(record.step):
            agreement = self.recorded.agreement(record, tape, own_loss)
        if agreement is not None:
            wanted = (one for one in agreement.distances if one[0][0] in self.phases)
            self.report.agree(record.step, wanted)
            return agreement.seen, [], agreement
        comparisons, run = compare_step(
            self.reference,
            record,
            tape,
            batch_size=self.batch_size,
            previous=self.last,
            own=None if alike else self.own.single,
            own_loss=own_loss,
            alone=self.alone,
            loss_weights=self.loss_weights,
            alike=alike,
        )
        self.recorded.learn(record, tape, own_loss, comparisons)
        seen = Seen({}, {}) if run is None else seen_in(self.reference.network, run)
        return seen, comparisons, None

    def _report(self, epoch: int, step: int, comparisons: Sequence[Comparison]) -> None:
        for comparison in comparisons:
            if comparison.phase in self.phases:
                self.report.add(epoch, step, comparison)

    def _add_to_epoch(self, record: StepRecord, seen: Seen) -> None:
        """Add a step to what is printed at the end of its epoch."""
        if not self.epoch.metrics_known:
            twins, without = twin_metrics(self.model)
            losses = loss_names(self.model, self.ends.outputs)
            if len(set(losses)) < len(losses):  # of one output, judged twice
                without, losses = [*losses, *without], []
            if losses and self.model.jit_compile:  # how they are weighed depends on what is traced
                without, losses = [*losses, *without], []
            self.epoch.know_metrics(twins, losses, by_size=self.model.run_eagerly)
            if without:
                told = ", ".join(without)
                self.report.notes.append(f"metrics without a twin, passed over: {told}")
        samples = samples_in((record.x, record.y, record.sample_weight))
        self.batch_size = max(self.batch_size, samples)
        self.epoch.batch(record, seen, samples)
        self.manual_total += self.manual_loss * samples

    def validation(self, batches: list[Batch]) -> None:
        """Take in the batches of a validation, which Keras has just evaluated."""
        for number, batch in enumerate(batches, 1):
            looked_at(self.look_held_out, f"Batch {number} of the validation", batch)
        self.epoch.held_out = [self.ends.laid_out(*batch) for batch in batches]

    def epoch_end(self, logs: dict[str, float]) -> None:
        """Compare what ``fit`` prints, and note how far the two trainings have drifted apart."""
        if self.last is None:
            raise BadInput("The data gave no batch.")
        if not self.epoch.samples:  # the data ran out before
            return
        found = self.epoch.end(self.last, logs)
        self._report(self.last.epoch, self.last.step, found)
        if self.witness is not None:
            self.witness.epoch(found)
        by_hand = {"loss": self.manual_total / max(self.epoch.samples, 1)}
        if self.epoch.held_out:
            with np.errstate(all="ignore"):
                by_hand.update(self.epoch.evaluate(self.own.free))
        numbers = {name: float(value) for name, value in logs.items() if np.ndim(value) == 0}
        drift = self.own.drift.now
        self.report.history.append(EpochPair(self.last.epoch, numbers, by_hand, drift))
        self.manual_total = 0.0
        self.epoch.begin()

    def _start(self, record: StepRecord) -> None:
        """Compare the initial weights, and take over what the optimizer already remembers."""
        if record.step > 1:
            return
        first_slots = [] if record.iterations else self._first_slots(record)
        self.own.start(record)
        here = Derivation("the initial weights", "w₀, the same on both sides", "manual/networks.py")
        weights = [
            compared(
                self.own.free,
                ("input", name, "model.fit"),
                here,
                record.before[name],
                self.reference.exact(parameter.value),
            )
            for name, parameter in self.own.free.parameters.items()
        ]
        self._report(record.epoch, 0, [*weights, *first_slots])

    def _reset(self, record: StepRecord) -> None:
        """Let the half on its own forget what layers carry, if somebody has had Keras forget it."""
        if self.last is not None:
            for name, parameter in self.own.free.parameters.items():
                if parameter.is_state and "/rnn_state/" in name and not record.before[name].any():
                    parameter.value[...] = 0.0

    def _keep_draws(self, tape: dict[str, dict[str, np.ndarray]]) -> None:
        """Add what cells have drawn at an earlier step, and keep: in Keras, if it runs eagerly."""
        calls = {node.call for node in self.reference.network.nodes if node.layer.keeps_draws}
        drawn = tape.get("draw", {})
        own = {key: one for key, one in drawn.items() if key.rpartition("/")[0] in calls}
        self.kept_draws.update(own)
        if self.kept_draws:
            tape["draw"] = {**self.kept_draws, **drawn}

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
                inputs = {"w_first": self.reference.exact(record.before.get(tensor.name, 0.0))}
                place = Place("optimizer slot", name, expected, optimizer, inputs, facts)
                diagnose = partial(judged, place, actual, None)
                key = "optimizer slot", name, "model.fit"
                found.append(compared(network, key, by, actual, expected, diagnose))
        return found

    def _other_ways(self, record: StepRecord) -> list[Comparison]:
        found, exact = [], self.reference.exact
        for way, gradients in self.other_ways.items():
            weights = {name: exact(array) for name, array in record.before.items()}
            expected = gradients(weights, exact(record.x), record.y)
            about = (gradients.__doc__ or way).strip().splitlines()[0]
            by = Derivation(way, about, location_of(gradients))
            for name, one in expected.items():
                key, actual = ("weight gradient", name, way), record.gradients[name]
                found.append(compared(self.reference.network, key, by, actual, one))
        return found

    def _both_burst(self, record: StepRecord) -> bool:
        keras_half = all(np.isfinite(array).all() for array in record.after.values())
        by_hand = bool(np.isfinite(self.own.free.values).all())
        return not keras_half and not by_hand


def check_logits(network: Network, known: Sequence[bool]) -> None:
    """Refuse an output whose loss Keras takes from logits that only it can know of."""
    for head in network.heads:
        layer = last_map(head.output, network.nodes).layer
        hidden = head.reads == head.output and layer.last_activation is None and known[head.place]
        if hidden and head.loss.reads_logits_of(Sigmoid()):
            raise BadInput(
                f"Keras takes the loss of the output {network.nodes[head.output].name!r} from "
                f"what goes into the last softmax or sigmoid within {layer}: make that a layer "
                "of its own."
            )


def looked_at(look: Callable[[Batch], None] | None, which: str, batch: Batch) -> None:
    """Look at a batch, if somebody does; say which it is where something is wrong with it."""
    if look is not None:
        try:
            look(batch)
        except BadInput as error:
            raise BadInput(f"{which}: {error}") from None
