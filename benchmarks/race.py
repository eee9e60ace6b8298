"""One row of the benchmark: a network and all its contenders, timed in turn."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.agreement import check
from benchmarks.contenders import HAND
from benchmarks.networks import NETWORKS
from benchmarks.pool import Worker, WorkerFailed, started
from benchmarks.problem import drawn

BURST = 0.25
"""Seconds that a contender trains before the next one's turn, where an epoch is no longer."""
PAUSE = 0.1
"""Seconds between two bursts, in which the last one's threads stop looking for work."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Spread:
    """The median of several measurements, and their quartiles."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, numbers: Sequence[float]) -> Spread:
        if len(numbers) < 2:
            return cls(numbers[0], numbers[0], numbers[0])
        low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
        return cls(median, low, high)


@dataclass
class Row:
    """What was measured of one network with one optimizer in one precision.

    Attributes
    ----------
    network, optimizer, dtype : str
    seconds : dict of str to list of float
        For each contender, the seconds of a step, one number a round.
    peak : dict of str to float
        The most memory that its process held, in MiB.
    about : dict of str to str
    absent : dict of str to str
        Who couldn't take part, and why.
    flops : float
        Of the matrix products of one step, where those were timed.
    """

    network: str
    optimizer: str
    dtype: str
    seconds: dict[str, list[float]] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    about: dict[str, str] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    flops: float | None = None

    @property
    def title(self) -> str:
        return f"{self.network} · {self.optimizer} · {self.dtype}"

    @property
    def peers(self) -> list[str]:
        """Who was timed beside the hand-written half."""
        return [name for name in self.seconds if name != HAND] if HAND in self.seconds else []

    def step(self, contender: str) -> float:
        """Return the median seconds of a step."""
        return statistics.median(self.seconds[contender])

    def ratio(self, peer: str) -> Spread:
        """Return manual ÷ peer: each round by itself, as noise hits both of its bursts alike."""
        pairs = zip(self.seconds[HAND], self.seconds[peer], strict=False)
        return Spread.of([mine / theirs for mine, theirs in pairs])


def race(row: Row, contenders: Sequence[str], rounds: int, say: Say = lambda text: None) -> None:
    """Fill a row: start a worker for each contender, check their losses, time them in turn.

    What was measured before an interruption stays in the row.

    Raises
    ------
    Differs
        If a contender doesn't compute what the others compute.
    WorkerFailed
        If the hand-written half can't be timed.
    """
    architecture = NETWORKS[row.network]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        problem = drawn(architecture, row.optimizer, row.dtype)
        problem.save(path)
        say(f"{row.title}: starting {len(contenders)} processes")
        with started(contenders, path) as outcomes:
            workers: dict[str, Worker] = {}
            for name, outcome in outcomes.items():
                if isinstance(outcome, Worker):
                    workers[name] = outcome
                    row.about[name] = outcome.hello["about"]
                    row.flops = outcome.hello["flops"] or row.flops
                elif name == HAND:
                    raise WorkerFailed(outcome)
                else:
                    row.absent[name] = outcome
            losses = {name: worker.hello["losses"] for name, worker in workers.items()}
            check(problem, {name: one for name, one in losses.items() if one})
            epochs = {}
            for name, worker in workers.items():
                say(f"{row.title}: warming up {name}")
                worker.burst(1)
                epochs[name] = max(1, round(BURST / worker.burst(1)["seconds"]))
            for number in range(rounds):
                for name, worker in workers.items():
                    say(f"{row.title}: round {number + 1}/{rounds}, {name}")
                    time.sleep(PAUSE)
                    told = worker.burst(epochs[name])
                    steps = epochs[name] * architecture.batches
                    row.seconds.setdefault(name, []).append(told["seconds"] / steps)
                    row.peak[name] = told["peak"]
