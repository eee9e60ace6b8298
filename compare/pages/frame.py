"""All numbers of one step, as Keras has them and as they are by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compare.findings.collecting import FIT, TAPE, Comparison, Trace
from compare.rounding.noise import Noisy
from keras_models.step_record import StepRecord

MOST_SAMPLES = 3
"""Of a batch, so many samples are kept."""
MOST_NUMBERS = 64
"""An array with more numbers than this is told by the one that is furthest off."""
OF_SAMPLES = "input", "activation", "activation gradient"


@dataclass
class Numbers:
    """A quantity of a step.

    Attributes
    ----------
    shape : tuple of int
        Of all of it, samples included.
    index : tuple of int
        Of the number that is furthest off; the largest where nothing was compared.
    keras, by_hand : float
        This number.
    distance : float or None
        How far off it is, in units of rounding noise; None if it isn't compared.
    agrees : bool
    all_of_keras, all_by_hand : list or None
        All numbers (of the first samples), nested as the array is; None if they are too many.
    """

    shape: tuple[int, ...]
    index: tuple[int, ...]
    keras: float
    by_hand: float
    distance: float | None = None
    agrees: bool = True
    all_of_keras: list[Any] | None = None
    all_by_hand: list[Any] | None = None


@dataclass
class Frame:
    """One training step.

    Attributes
    ----------
    step, epoch, samples : int
    learning_rate : float
    quantities : dict of phase to name to Numbers
        In causal order. ``"before"`` and ``"weight"`` are the weights before the step and after.
    explained : dict of str to str
        Of every weight and unit of a small network, its chain rule with this step's numbers.
    """

    step: int
    epoch: int
    samples: int
    learning_rate: float
    quantities: dict[str, dict[str, Numbers]] = field(default_factory=dict)
    explained: dict[str, str] = field(default_factory=dict)


def frame_of(
    record: StepRecord,
    tape: Trace,
    found: Sequence[Comparison],
    by_hand: Mapping[tuple[str, str], Any],
) -> Frame:
    """Return a step's numbers.

    Parameters
    ----------
    record, tape : StepRecord, Trace
        What ``fit`` did, and what the tape saw.
    found : sequence of Comparison
        What was compared of it.
    by_hand : mapping of (phase, name) to array
        The step derived by hand from the same weights and batch.
    """
    frame = Frame(record.step, record.epoch, _samples(record), record.rate)
    told: dict[tuple[str, str], Comparison] = {}
    for one in found:
        key = one.phase, one.name
        if one.source in (FIT, TAPE) and (key not in told or _rank(one) > _rank(told[key])):
            told[key] = one
    for phase, name, keras in _keras(record, tape):
        expected = by_hand.get((phase, name))
        other = expected.value if isinstance(expected, Noisy) else None
        if phase in ("input", "before"):
            other = keras
        if other is None or np.shape(other) != np.shape(keras) or not np.size(keras):
            continue
        numbers = _numbers(phase, np.asarray(keras), np.asarray(other), told.get((phase, name)))
        frame.quantities.setdefault(phase, {})[name] = numbers
    return frame


def _rank(one: Comparison) -> tuple[bool, bool]:
    """Say what is told rather: what disagrees, and what ``fit`` itself has computed."""
    return not one.verdict.agrees, one.source == FIT


def _samples(record: StepRecord) -> int:
    first = record.x[0] if isinstance(record.x, (list, tuple)) else record.x
    return len(first)


def _keras(record: StepRecord, tape: Trace) -> Any:
    """Give what Keras computed, in causal order."""
    for name, part in (("x", record.x), ("y", record.y)):
        several = isinstance(part, (list, tuple))
        for index, array in enumerate(part if several else [part]):
            yield "input", f"{name}[{index}]" if several else name, array
    for name, array in record.before.items():
        yield "before", name, array
    for phase in ("activation", "loss", "activation gradient"):
        for name, array in tape.get(phase, {}).items():
            yield phase, name, array
    for name, array in record.gradients.items():
        yield "weight gradient", name, array
    for name, array in tape.get("processed gradient", {}).items():
        yield "processed gradient", name, array
    for slot, named in record.slots_after.items():
        for name, array in named.items():
            yield "optimizer slot", f"{name}/{slot}", array
    for name, array in record.after.items():
        yield "weight", name, array


def _numbers(phase: str, keras: Any, by_hand: Any, compared: Comparison | None) -> Numbers:
    if compared is None or compared.verdict.size != keras.size:
        largest = int(np.nan_to_num(np.abs(keras.astype(np.float64)), nan=np.inf).argmax())
        index = tuple(int(i) for i in np.unravel_index(largest, keras.shape))
        here = float(keras[index]), float(by_hand[index])
        numbers = Numbers(keras.shape, index, *here)
    else:
        verdict = compared.verdict
        here = verdict.actual, verdict.expected
        numbers = Numbers(keras.shape, verdict.index, *here, verdict.distance, verdict.agrees)
    few = slice(MOST_SAMPLES) if phase in OF_SAMPLES and keras.ndim else ...
    if keras[few].size <= MOST_NUMBERS:
        numbers.all_of_keras = np.asarray(keras[few], np.float64).tolist()
        numbers.all_by_hand = np.asarray(by_hand[few], np.float64).tolist()
    return numbers
