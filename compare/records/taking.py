"""Takes a record of a running lock-step: every quantity of a step, with its reference and noise."""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compare.findings.collecting import FIT, TAPE, Comparison, Trace
from compare.findings.report import Finding, Report
from compare.records.record import Quantity
from compare.records.writing import RecordWriter
from compare.rounding.gathered import Gathered
from compare.rounding.judge import noise_of
from compare.rounding.noise import Noisy, careful
from compare.rounding.reference import Reference
from compare.saved.training import Training
from compare.steps.witness import Together, Witness
from keras_models.step_record import StepRecord
from manual.network import Network

Key = tuple[str, str]


def about(training: Training, seed: int) -> dict[str, Any]:
    """Return what a record says of a training and of what it was done by."""
    model = training.model
    device = [one.device_type for one in tf.config.list_logical_devices()]
    described = json.dumps(model.get_config(), sort_keys=True, default=str)
    return {
        "label": training.label,
        "model": model.name,
        "model_sha256": hashlib.sha256(described.encode()).hexdigest(),
        "weights": model.count_params(),
        "dtype": keras.config.floatx(),
        "seed": seed,
        "made_by": {
            "keras-lockstep": version("keras-lockstep"),
            "keras": keras.__version__,
            "backend": keras.backend.backend(),
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.machine()}",
            "device": "GPU" if "GPU" in device else "CPU",
            "compiled_by_xla": model.jit_compile is True,
        },
    }


def written(
    training: Training,
    report: Report,
    folder: Path,
    steps: Container[int] | None,
    seed: int,
    on_step: Callable[[Report], None] | None = None,
    beside: Sequence[Witness] = (),
) -> None:
    """Train in lock-step, the data in its order, and write a record of it.

    Others may be shown what is compared ``beside`` the record.
    """
    training.shuffle = False
    with RecordWriter(folder, about(training, seed)) as writer:
        taker = Taker(writer, steps)
        training.follow(report, witness=Together(taker, *beside), on_step=on_step)
        taker.finish()


class Taker:
    """Writes down what a lock-step has compared; hand it over as ``witness``.

    Parameters
    ----------
    writer : RecordWriter
    steps : container of int, optional
        Which steps; all by default.
    """

    def __init__(self, writer: RecordWriter, steps: Container[int] | None = None) -> None:
        self.writer, self.steps = writer, steps
        self._last: tuple[int, int, list[Quantity]] | None = None

    def begin(self, report: Report, network: Network) -> None:
        self.report = report

    def wants(self, step: int) -> bool:
        return self.steps is None or step in self.steps

    def passed(self, record: StepRecord, distances: Any, by_hand: float | None) -> None:
        if not self.wants(record.step):
            self.finish()

    def step(
        self, record: StepRecord, tape: Trace, found: Sequence[Comparison], reference: Reference
    ) -> None:
        self.finish()
        if not self.wants(record.step):
            return
        with np.errstate(all="ignore"), careful():
            expected = dict(derived(reference, record, tape))
        distances = {(one.phase, one.name): one.verdict.distance for one in reversed(found)}
        findings = {
            (one.phase, one.name): one for one in self.report.findings if one.step == record.step
        }
        quantities = [
            quantity(key, source, value, expected.get(key), distances.get(key), findings.get(key))
            for key, source, value in computed(reference, record, tape)
        ]
        self._last = record.step, record.epoch, quantities

    def epoch(self, found: Sequence[Comparison]) -> None:
        if self._last is not None:
            self._last[2].extend(_metric(one) for one in found)

    def finish(self) -> None:
        """Write the last step, which an epoch's end may have added to."""
        if self._last is not None:
            self.writer.step(*self._last)
            self._last = None


def computed(
    reference: Reference, record: StepRecord, tape: Trace
) -> Iterator[tuple[Key, str, np.ndarray]]:
    """Give all that Keras computed in a step, and what it began with, in causal order."""
    for what, part in (("x", record.x), ("y", record.y), ("sample_weight", record.sample_weight)):
        several = isinstance(part, (list, tuple))
        for index, array in enumerate(part if several else [part]):
            if array is not None:
                yield ("input", f"{what}[{index}]" if several else what), FIT, np.asarray(array)
    yield ("input", "learning_rate"), FIT, np.asarray(record.learning_rate)
    yield ("input", "iterations"), FIT, np.asarray(record.iterations)
    for name, array in record.before.items():
        yield ("input", name), FIT, array
    for slot, named in record.slots_before.items():
        for name, array in named.items():
            yield ("input", f"{name}/{slot}"), FIT, array
    for name, array in tape.get("draw", {}).items():
        yield ("input", f"{name} drawn"), TAPE, array
    for name, array in tape["activation"].items():
        yield ("activation", name), TAPE, array
    yield ("loss", "total"), FIT, np.asarray(record.loss)
    for name, array in reversed(tape.get("activation gradient", {}).items()):
        yield ("activation gradient", name), TAPE, array
    for name, array in record.gradients.items():
        yield ("weight gradient", name), FIT, array
    for name, array in tape.get("processed gradient", {}).items():
        yield ("processed gradient", name), TAPE, array
    for slot, named in record.slots_after.items():
        for name, array in named.items():
            yield ("optimizer slot", f"{name}/{slot}"), FIT, array
    for name, array in record.after.items():
        yield (_phase(reference, name), name), FIT, array


def derived(reference: Reference, record: StepRecord, tape: Trace) -> Iterator[tuple[Key, Noisy]]:
    """Derive the whole step by hand from its weights and batch, with the rounding noise of it all.

    Each map takes what the one before it gave, not Keras's: so the noise is what two machines may
    differ by.
    """
    reference.load(record.before, record.slots_before)
    drawn: Mapping[str, Any] = tape.get("draw", {})
    run, loss = reference.whole(record.x, record.y, record.sample_weight, drawn)
    yield ("loss", "total"), loss
    nodes = reference.network.nodes
    for node, value, gradient in zip(nodes, run.values, run.gradients, strict=True):
        if node.is_input:
            continue
        if isinstance(value, Noisy):
            yield ("activation", node.name), value
        if isinstance(gradient, Noisy):
            yield ("activation gradient", node.name), gradient
    gradients = reference.gradients()
    for name, gradient in gradients.items():
        if isinstance(gradient, Gathered) and name not in record.rows:
            gradients[name] = gradient.summed()  # only TensorFlow has the rows of a table
        yield ("weight gradient", name), gradients[name]
    weights = reference.updated_from(record.before, run.saved)
    when = record.iterations, record.learning_rate
    update = reference.update(weights, gradients, record.slots_before, *when)
    shapes = {name: np.shape(array) for name, array in record.before.items()}
    if update.processed is not None:
        for name, one in _apart(update.processed, update.names, shapes):
            yield ("processed gradient", name), one
    for slot, (owners, flat) in update.slots.items():
        of_slot = {name: np.shape(array) for name, array in record.slots_after[slot].items()}
        for name, one in _apart(flat, owners, of_slot):
            yield ("optimizer slot", f"{name}/{slot}"), one
    for name, one in _apart(update.weights, update.names, shapes):
        yield ("weight", name), one
    for name, state in reference.states(run.saved).items():
        yield ("state", name), state
    for name, parameter in reference.network.parameters.items():
        if name not in update.names and not parameter.is_state:
            yield ("weight", name), reference.exact(record.before[name])


def _phase(reference: Reference, name: str) -> str:
    return "state" if reference.network.parameters[name].is_state else "weight"


def _apart(
    flat: Noisy, names: Sequence[str], shapes: Mapping[str, tuple[int, ...]]
) -> Iterator[tuple[str, Noisy]]:
    """Give the named arrays that lie one after the other in a flat one."""
    start = 0
    for name in names:
        stop = start + int(np.prod(shapes[name], dtype=int))
        yield name, flat[start:stop].reshape(shapes[name])
        start = stop


def quantity(
    key: Key,
    source: str,
    value: np.ndarray,
    expected: Noisy | None,
    distance: float | None = None,
    finding: Finding | None = None,
) -> Quantity:
    """Return what a record holds of a number, given what it should be."""
    if expected is None or expected.shape != np.shape(value):
        return Quantity(*key, source, value)
    kind = value.dtype if value.dtype.kind == "f" else np.float64
    with np.errstate(all="ignore"):
        deviation = (value.astype(np.float64) - expected.value).astype(kind)
        noise = np.broadcast_to(noise_of(expected), value.shape).astype(kind)
    told = "" if finding is None else str(finding)
    finite = None if distance is None or not np.isfinite(distance) else distance
    return Quantity(*key, source, value, deviation, noise, finite, told)


def _metric(one: Comparison) -> Quantity:
    verdict = one.verdict
    numbers = verdict.actual, verdict.actual - verdict.expected, verdict.noise
    value, deviation, noise = map(np.asarray, numbers)
    distance = verdict.distance if np.isfinite(verdict.distance) else None
    return Quantity(one.phase, one.name, one.source, value, deviation, noise, distance)
