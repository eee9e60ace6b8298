"""A record of a training on another backend than TensorFlow: JAX, or torch.

Steps are taken eagerly, and looked at through Keras's own interface. The derivation by hand and
its noise come from the same hand-written half as everywhere, so that two backends are compared
as two machines are. Activation gradients can't be seen, nor what is drawn at random.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

from compare.derivations import Derivation
from compare.errors import BadInput
from compare.findings.collecting import Comparison, compared
from compare.findings.report import Report
from compare.records.taking import about, computed, derived, quantity
from compare.records.writing import RecordWriter
from compare.rounding.noise import Noisy, careful
from compare.rounding.reference import Reference
from compare.saved.training import Training
from compare.steps.pairing import Pair
from keras_models.eager_step import DrawsRandomNumbers, EagerStepper
from manual.network import Network

UNSEEN = "activation gradient", "processed gradient", "metric"


def written_elsewhere(
    training: Training,
    report: Report,
    folder: Path,
    steps: Container[int] | None,
    seed: int,
    on_step: Callable[[Report], None] | None = None,
) -> None:
    """Train on the backend that Keras has, the data in its order, and write a record of it.

    Raises
    ------
    BadInput
        If a layer draws random numbers, or what `Pair` raises.
    """
    backend = keras.backend.backend()
    pair = Pair(training.model, (training.x, training.y, training.sample_weight), strict=True)
    pair.introduce(report, training.label)
    report.notes += training.notes
    report.notes.append(f"on {backend}, eagerly: activation gradients are not seen")
    reference, stepper = Reference(pair.network), EagerStepper(training.model)
    of = {**about(training, seed), "unseen": list(UNSEEN)}
    with RecordWriter(folder, of) as writer:
        for x, y, weights in _batches(training):
            try:
                given, activations = stepper.step(x, y, weights)
            except DrawsRandomNumbers:
                raise BadInput(
                    f"A layer of {training.model.name!r} draws random numbers, which can't be "
                    f"read from {backend}: record it without dropout and noise."
                ) from None
            record, tape = pair.ends.record(given), {"activation": activations}
            with np.errstate(all="ignore"), careful():
                expected = dict(derived(reference, record, tape))
            found = []
            for key, _, value in computed(reference, record, tape):
                one = quantity(key, backend, value, expected.get(key))
                if one.deviation is not None:
                    of_step = _comparison(pair.network, key, backend, value, expected[key])
                    report.add(1, record.step, of_step)
                found.append(one)
            if steps is None or record.step in steps:
                writer.step(record.step, 1, found)
            report.steps = record.step
            if on_step is not None:
                on_step(report)


def _comparison(
    network: Network, key: tuple[str, str], backend: str, value: Any, expected: Noisy
) -> Comparison:
    by = Derivation("", "the whole step, from the batch and the weights", "manual/network.py")
    return compared(network, (*key, backend), by, value, expected)


def _batches(training: Training) -> Iterator[tuple[Any, Any, Any]]:
    size = training.batch_size
    for step in range(training.steps):
        start = step % training.batches * size
        part = training.x, training.y, training.sample_weight
        yield keras.tree.map_structure(
            lambda array, at=slice(start, start + size): None if array is None else array[at], part
        )
