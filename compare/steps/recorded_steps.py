"""Which steps a recording checks: those that look like others in which everything agreed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from compare.findings.collecting import Comparison, Trace
from compare.rounding.judge import BOUND
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from compare.steps.epochs import Seen
from compare.steps.recorded_check import GRADIENT_OF_OWN_STEP, Quantity, RecordedCheck
from keras_models.step_record import StepRecord
from manual.network import Network

SAME = 1e-6
"""By so little a recorded distance may differ from the ordinary one, relative to 1 + its size."""


@dataclass
class _Shape:
    """What is known of the steps whose batches have one shape."""

    agreed: int = 0
    checked: int = 0
    recording: RecordedCheck | None = None
    trusted: bool = False
    given_up: bool = False


@dataclass(frozen=True)
class Agreement:
    """A step in which everything agrees.

    Attributes
    ----------
    distances : list of ((phase, name, source), distance)
    seen : Seen
        What metrics look at.
    """

    distances: list[tuple[Quantity, float]]
    seen: Seen


class RecordedSteps:
    """Checks steps by recordings, where these can be relied on.

    A recording is made of a step in which everything agreed, and is trusted once another step has
    given the same distances by itself and by the recording; now and then that is asked again.
    A step that doesn't agree in all its numbers is judged as if there were no recording, so that
    its verdicts, kinks, causes and rulings are what they always are.

    A recording can't hide a mistake that shows at times only (at the third step, say). It is
    noted down what a layer does with its numbers, and Python that looks at one of them can't be
    noted; what depends on anything else, a counter say, is seen in the step that
    the hand-written network takes by itself. No recording stands in for that: its layers
    are run each time, and the gradients, slots, weights and loss that they give are all judged.
    Where only some steps are looked at, no network takes steps by itself.

    Parameters
    ----------
    reference : callable
        Makes a reference for recordings alone: its network is left full of recorded numbers.
    own : manual.Network
        The network that takes each step by itself.
    """

    AT = 2
    """So many steps of one shape come before the one that is recorded: short trainings are over
    before recording would pay."""
    LARGEST = 2**20
    """So many weights are recorded. Of more, it's the numbers that take the time and not the calls,
    and a recording would hold dozens of arrays as long as all of them."""
    EVERY = 100
    """Every so many steps a recording is held against the ordinary check again."""

    def __init__(self, reference: Callable[[], Reference], own: Network) -> None:
        self._make, self.own = reference, own
        self._shapes: dict[Any, _Shape] = {}

    @cached_property
    def reference(self) -> Reference:
        """Made when the first step is recorded: most trainings of a few steps need none."""
        return self._make()

    def agreement(
        self, record: StepRecord, tape: Trace, own_loss: float | None
    ) -> Agreement | None:
        """Return the distances of a step that surely agrees; None if it has to be looked at.

        Without a loss, the hand-written network hasn't taken the step by itself.
        """
        own = None if own_loss is None else self.own
        shape = self._shapes.get((own is None, _shape_of(record)))
        if shape is None or shape.recording is None or not shape.trusted:
            return None
        shape.checked += 1
        if shape.checked % self.EVERY == 0:
            return None
        distances = shape.recording.distances(record, tape, own, own_loss)
        if distances is None or not (distances <= BOUND).all():
            return None
        found = [
            (quantity, distance)
            for quantity, distance in zip(
                shape.recording.quantities, distances.tolist(), strict=True
            )
            if quantity[0] != GRADIENT_OF_OWN_STEP
        ]
        return Agreement(found, _copy(shape.recording.seen))

    def learn(
        self,
        record: StepRecord,
        tape: Trace,
        own_loss: float | None,
        found: Sequence[Comparison],
    ) -> None:
        """Take in what the ordinary check said of a step: record it, or try the recording on it."""
        own = None if own_loss is None else self.own
        shape = self._shapes.setdefault((own is None, _shape_of(record)), _Shape())
        shape.given_up |= self.own.values.size > self.LARGEST
        if shape.given_up or not all(one.verdict.agrees and not one.verdict.kinks for one in found):
            return
        shape.agreed += 1
        step = record, tape, own, own_loss
        if shape.recording is not None:
            shape.trusted = _same(found, shape.recording, shape.recording.distances(*step))
            shape.given_up = not shape.trusted
        elif shape.agreed > self.AT:
            try:
                shape.recording = RecordedCheck(self.reference, *step)
            except Exception:  # whatever it is: the ordinary check got through
                shape.given_up = True
        if shape.given_up:
            shape.recording = None


def _same(
    found: Sequence[Comparison], recording: RecordedCheck, distances: np.ndarray | None
) -> bool:
    """Say whether a recording gives the distances that the ordinary check has found."""
    if distances is None:
        return False
    ordinary = {(one.phase, one.name, one.source): one.verdict.distance for one in found}
    recorded = {
        quantity: distance
        for quantity, distance in zip(recording.quantities, distances.tolist(), strict=True)
        if quantity[0] != GRADIENT_OF_OWN_STEP
    }
    return ordinary.keys() == recorded.keys() and all(
        abs(recorded[quantity] - distance) <= SAME * (1.0 + distance)
        for quantity, distance in ordinary.items()
    )


def _shape_of(record: StepRecord) -> Any:
    batch = record.x, record.y, record.sample_weight
    return tuple(
        tuple(np.shape(one) for one in (part if isinstance(part, (list, tuple)) else [part]))
        for part in batch
    )


def _copy(seen: Seen) -> Seen:
    """Return what the next step leaves alone."""
    copied = {}
    for index, p in seen.values.items():
        copied[index] = Noisy(p.value.copy(), unit=p.unit)
        copied[index].variance = None if p.variance is None else p.variance.copy()
    return Seen(copied, {})
