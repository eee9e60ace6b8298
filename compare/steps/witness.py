"""Who is shown what a lock-step compares."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from compare.findings.collecting import Comparison, Trace
from compare.findings.report import Report
from compare.rounding.reference import Reference
from compare.steps.recorded_check import Quantity
from keras_models.step_record import StepRecord
from manual.network import Network


class Witness(Protocol):
    """Is shown what was compared."""

    def begin(self, report: Report, network: Network) -> None:
        """Take in the report that is going to be filled, and the hand-written half, to look at."""

    def wants(self, step: int) -> bool:
        """Say whether a step is to be shown whole; of others, where all agrees, only distances."""

    def step(
        self, record: StepRecord, tape: Trace, found: Sequence[Comparison], reference: Reference
    ) -> None:
        """Take in a step: what ``fit`` did, what the tape saw, and what was found."""

    def passed(
        self, record: StepRecord, distances: Iterable[tuple[Quantity, float]], by_hand: float | None
    ) -> None:
        """Take in, of every step, how far off each quantity is.

        And the loss of the hand-written half, which has gone its own way since the first step; None
        where only chosen steps are compared, and it has none.
        """

    def epoch(self, found: Sequence[Comparison]) -> None:
        """Take in what ``fit`` prints of an epoch."""


class Together:
    """Several witnesses of one lock-step."""

    def __init__(self, *witnesses: Witness) -> None:
        self.witnesses = witnesses

    def begin(self, report: Report, network: Network) -> None:
        for one in self.witnesses:
            one.begin(report, network)

    def wants(self, step: int) -> bool:
        return any(one.wants(step) for one in self.witnesses)

    def step(self, *shown: Any) -> None:
        for one in self.witnesses:
            one.step(*shown)

    def passed(self, *shown: Any) -> None:
        for one in self.witnesses:
            one.passed(*shown)

    def epoch(self, found: Sequence[Comparison]) -> None:
        for one in self.witnesses:
            one.epoch(found)
