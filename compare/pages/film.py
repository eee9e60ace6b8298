"""What a page shows of a lock-step, taken down while it runs, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import numpy as np

from compare.console.command import InputError, write_whole
from compare.errors import BadInput
from compare.explain import Names, chains, is_written_out, step_by_hand
from compare.findings.collecting import Comparison, Trace
from compare.findings.report import Report
from compare.pages.blocks import Block, blocks_of
from compare.pages.contents import Chapter, contents
from compare.pages.frame import Frame, frame_of
from compare.pages.owners import owner_of
from compare.pages.render import page
from compare.records.taking import derived
from compare.rounding.judge import BOUND
from compare.rounding.noise import careful
from compare.rounding.reference import Reference
from keras_models.step_record import StepRecord
from manual.network import Network

Key = tuple[str, str, str]
"""Phase, name and source."""

FIRST, GROWTH = 10, 1.5
"""So many steps are kept whole from the first on; then each that is so many times later."""
MOST_COLUMNS = 120
"""When a matrix would have more columns, each two that stand side by side become one."""
MOST_POINTS = 600
"""When curves would have more points, every second one is left out."""


@dataclass
class Column:
    """The largest distance of each block in one step, or in several that follow each other.

    Attributes
    ----------
    first, last : int
        The steps.
    worst : dict of str to (distance, quantity)
    """

    first: int
    last: int
    worst: dict[str, tuple[float, str]] = field(default_factory=dict)

    def add(self, block: str, distance: float, quantity: str) -> None:
        """Keep the larger distance."""
        if block not in self.worst or not distance <= self.worst[block][0]:
            self.worst[block] = distance, quantity

    def merged(self, later: Column) -> Column:
        """Return this column and a later one as one."""
        both = Column(self.first, later.last, dict(self.worst))
        for block, (distance, quantity) in later.worst.items():
            both.add(block, distance, quantity)
        return both


@dataclass
class Point:
    """Where both trainings stand after a step.

    Attributes
    ----------
    step : int
    keras, by_hand : float
        The losses of its batch, each training having gone its own way since the first step.
    drift : float
        Largest difference of a weight, relative to the largest weight.
    low, high : float
        What rounding alone makes of it: each step's largest noise of a weight, added up as
        independent errors are (the root of the sum of squares), and as errors that all point the
        same way, each as large as the bound allows.
    """

    step: int
    keras: float
    by_hand: float
    drift: float
    low: float
    high: float


class Film:
    """Takes down what a page shows of a lock-step; hand it over as ``witness``.

    All numbers are kept of the first steps, of some later ones (further and further apart), of the
    first that disagrees, and of the last; of the others, how far each quantity was off. Handed to
    another lock-step, it begins anew.

    Parameters
    ----------
    last : int, optional
        The number of the last step, where it is known: it is kept whole, too.
    names : Names, optional
        What a tutorial calls weights and units.

    Attributes
    ----------
    report : Report
        Of the lock-step.
    network : manual.Network or None
        The hand-written half; None before the first step.
    blocks : list of Block
        What it is drawn as, the loss last.
    frames : list of Frame
        The steps that are kept whole, in their order.
    columns : list of Column
    points : list of Point

    Examples
    --------
    >>> film = compare.Film()  # doctest: +SKIP
    >>> compare.lockstep(model, x, y, witness=film)  # doctest: +SKIP
    >>> film.write("report.html")  # doctest: +SKIP
    """

    def __init__(self, last: int | None = None, names: Names | None = None) -> None:
        self.last, self.names = last, names or Names()
        self.report = Report("", "")
        self.network: Network | None = None
        self._clear()

    def _clear(self) -> None:
        self.blocks: list[Block] = []
        self.frames: list[Frame] = []
        self.columns: list[Column] = []
        self.points: list[Point] = []
        self._owners: dict[str, str | None] = {}
        self._next = FIRST
        self._disagreed = self._written_out = False
        self._per_column = self._per_point = 1
        self._noise = self._squares = self._sum = 0.0

    def to_html(self) -> str:
        """Return the page: one file that needs nothing else."""
        return page(contents(self.report.label, "", "", [Chapter(self.report, self)]))

    def write(self, path: Path | str) -> None:
        """Write the page to a file, whole or not at all.

        Raises
        ------
        BadInput
            If the system refuses.
        """
        try:
            write_whole(Path(path), self.to_html())
        except InputError as error:  # the command line's own
            raise BadInput(str(error)) from None

    def _repr_html_(self) -> str:
        """Show the page in a notebook, in a frame of its own."""
        told = escape(self.to_html())
        style = "width: 100%; height: 48rem; border: 0"
        title = escape(f"lock-step: {self.report.label}")
        return f'<iframe srcdoc="{told}" style="{style}" title="{title}"></iframe>'

    # ------------------------------------------------------------------ what the lock-step tells

    def begin(self, report: Report, network: Network) -> None:
        self._clear()
        self.report, self.network = report, network
        self._written_out = is_written_out(network)

    def wants(self, step: int) -> bool:
        return step <= FIRST or step >= self._next or step == self.last

    def step(
        self, record: StepRecord, tape: Trace, found: Sequence[Comparison], reference: Reference
    ) -> None:
        assert self.network is not None
        disagrees = not all(one.verdict.agrees for one in found)
        if self.wants(record.step) or (disagrees and not self._disagreed):
            with np.errstate(all="ignore"), careful():
                by_hand = dict(derived(reference, record, tape))
            if not self.blocks:
                self.blocks = blocks_of(self.network, record, by_hand)
            frame = frame_of(record, tape, found, by_hand)
            if self._written_out:
                frame.explained = chains(step_by_hand(self.network, record, tape), self.names)
            self.frames.append(frame)
            if record.step >= self._next:
                self._next = math.ceil(record.step * GROWTH)
        self._disagreed |= disagrees
        self._noise = _noise_of_weights(record, found) or self._noise

    def passed(
        self, record: StepRecord, distances: Iterable[tuple[Key, float]], by_hand: float | None
    ) -> None:
        column = Column(record.step, record.step)
        for (phase, name, source), distance in distances:
            block = self._owner(phase, name)
            if block is not None:
                column.add(block, distance, f"{phase} · {name} ({source})")
        self._add_column(column)
        drift = self.report.drift
        if drift is None or by_hand is None:  # of chosen steps: nobody trains by hand in between
            return
        self._squares += 2 * self._noise**2  # both trainings round
        self._sum += 2 * BOUND * self._noise
        self._add_point(
            Point(
                record.step,
                float(np.mean(record.loss)),
                by_hand,
                drift.now,
                math.sqrt(self._squares),
                self._sum,
            )
        )

    def epoch(self, found: Sequence[Comparison]) -> None:
        """Take in nothing: the metrics of an epoch are in the report."""

    # ------------------------------------------------------------------ bounded memory

    def _add_column(self, column: Column) -> None:
        last = self.columns[-1] if self.columns else None
        if last is not None and last.last - last.first + 1 < self._per_column:
            self.columns[-1] = last.merged(column)
            return
        self.columns.append(column)
        if len(self.columns) > MOST_COLUMNS:
            self._per_column *= 2
            pairs = zip(self.columns[::2], self.columns[1::2], strict=False)
            odd = self.columns[len(self.columns) // 2 * 2 :]
            self.columns = [*(one.merged(other) for one, other in pairs), *odd]

    def _add_point(self, point: Point) -> None:
        """Keep the last point always, and of the others each so many'th."""
        if len(self.points) > 1 and (self.points[-1].step - 1) % self._per_point:
            self.points.pop()
        self.points.append(point)
        if len(self.points) > MOST_POINTS:
            self._per_point *= 2
            self.points = [
                one for one in self.points[:-1] if (one.step - 1) % self._per_point == 0
            ] + self.points[-1:]

    def _owner(self, phase: str, name: str) -> str | None:
        """Return the block that a quantity belongs to."""
        if phase == "loss":
            return self.blocks[-1].name
        if name not in self._owners:
            self._owners[name] = owner_of(name, [block.name for block in self.blocks])
        return self._owners[name]


def _noise_of_weights(record: StepRecord, found: Sequence[Comparison]) -> float:
    """Return the largest noise that a step leaves in a weight, relative to the largest weight."""
    noise = [one.verdict.noise for one in found if one.phase == "weight"]
    largest = max((float(np.abs(w).max(initial=0.0)) for w in record.after.values()), default=0.0)
    finite = [one for one in noise if math.isfinite(one)]
    return max(finite) / largest if finite and largest > 0.0 else 0.0
