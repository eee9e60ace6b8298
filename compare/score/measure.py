"""Plants every bug, runs the lock-step, and counts what was found and said."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cache
from typing import Any, Literal

import keras
import numpy as np

from compare.findings.report import Finding, Report
from compare.score.bugs import Bug, catalogue
from compare.score.networks import BATCH
from compare.score.right import right_run
from compare.steps.engine import lockstep
from keras_models.precision import precision

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What the judge said of one planted bug.

    Attributes
    ----------
    bug : Bug
    dtype : str
    first : Finding or None
        None: it was missed.
    failed : str
        Where the patch itself raised an error: which.
    """

    bug: Bug
    dtype: str
    first: Finding | None
    failed: str = ""

    @property
    def caught(self) -> bool:
        return self.first is not None

    @property
    def exact(self) -> bool:
        """Whether the first finding is where and when the bug begins."""
        first, bug = self.first, self.bug
        return (
            first is not None
            and (first.step, first.phase) == (bug.step, bug.phase)
            and (not bug.where or first.name == bug.where)
        )

    @property
    def rank(self) -> int | None:
        """The place of the right cause, from 1; None if it isn't named, or there is none."""
        if self.first is None or self.first.diagnosis is None:
            return None
        for place, cause in enumerate(self.first.diagnosis.causes, start=1):
            if cause.sentence.startswith(self.bug.causes or ("\0",)):
                return place
        return None

    @property
    def silent(self) -> bool:
        """Whether no cause is named: right where there is none."""
        return self.first is None or not (self.first.diagnosis and self.first.diagnosis.causes)


@dataclass(frozen=True)
class Smallest:
    """The smallest relative error that is caught.

    Attributes
    ----------
    what, dtype : str
    error : float
        Relative to the element or tensor that is wrong.
    confirmed : bool
        Whether an error of 1.5 times that was caught, and one of a half was not.
    """

    what: str
    dtype: str
    error: float
    confirmed: bool


@dataclass
class Score:
    """All outcomes, and the runs in which nothing was planted."""

    outcomes: list[Outcome] = field(default_factory=list)
    right_runs: int = 0
    false_alarms: list[str] = field(default_factory=list)
    smallest: list[Smallest] = field(default_factory=list)

    def table(self) -> list[tuple[str, int, int]]:
        """Return what was counted: a label, how many, of how many."""
        caught = [one for one in self.outcomes if one.caught]
        named = [one for one in caught if one.bug.causes]
        without = [one for one in caught if not one.bug.causes]
        return [
            ("caught", len(caught), len(self.outcomes)),
            ("first number exact", sum(one.exact for one in caught), len(caught)),
            ("cause named first", sum(one.rank == 1 for one in named), len(named)),
            ("cause in the first three", sum(one.rank is not None for one in named), len(named)),
            ("no cause named where there is none", sum(o.silent for o in without), len(without)),
            ("false alarms", len(self.false_alarms), self.right_runs),
        ]

    def missed(self) -> Iterator[str]:
        """Say what was not as it should be, a line each."""
        for one in self.outcomes:
            told = one.failed or "nothing"
            if one.first is not None:
                causes = one.first.diagnosis.causes if one.first.diagnosis else ()
                told = f"step {one.first.step}, {one.first.phase}, {one.first.name}"
                told += f": {causes[0].sentence if causes else 'no cause'}"
            good = one.exact and (one.rank == 1 if one.bug.causes else one.silent)
            if not good:
                yield f"{one.bug.name} ({one.dtype}) → {told}"
        yield from (f"false alarm: {alarm}" for alarm in self.false_alarms)

    def as_dict(self) -> dict[str, Any]:
        return {
            "counts": [
                {"what": what, "count": count, "of": of} for what, count, of in self.table()
            ],
            "bugs": [
                {
                    "name": one.bug.name,
                    "dtype": one.dtype,
                    "caught": one.caught,
                    "exact": one.exact,
                    "rank": one.rank,
                }
                for one in self.outcomes
            ],
            "missed": list(self.missed()),
            "smallest": [asdict(one) for one in self.smallest],
        }


def measure(
    bugs: Sequence[Bug],
    dtypes: Sequence[str] = ("float32", "float64"),
    *,
    right_runs: int = 0,
    jobs: int = 1,
    score: Score | None = None,
    progress: Progress | None = None,
) -> Score:
    """Plant each bug in turn, in each precision, and run the network it is planted in without it.

    Parameters
    ----------
    bugs : sequence of Bug
        From the catalogue, where there are several jobs.
    dtypes : sequence of str
    right_runs : int
        How many networks to draw at random beside these.
    jobs : int
        Processes that share the work.
    score : Score, optional
        One to fill, so that it can be read after an interruption.
    progress : callable, optional
        Receives what is going on, how many runs are done, and of how many.
    """
    score = Score() if score is None else score
    by_name = {bug.name: bug for bug in bugs}
    tasks = [*_tasks(bugs, dtypes), *(Task("drawn", number=n) for n in range(right_runs))]
    with _workers(jobs, by_name) as work:
        for done, (task, (told, first)) in enumerate(zip(tasks, work(tasks), strict=True), start=1):
            if task.kind == "planted":
                failed = "" if told == task.bug else told
                score.outcomes.append(Outcome(by_name[task.bug], task.dtype, first, failed))
            else:
                score.right_runs += 1
                if first is not None:
                    score.false_alarms.append(f"{told}: {first}")
            if progress is not None:
                progress(told, done, len(tasks))
    return score


@dataclass(frozen=True)
class Task:
    """One run: a bug planted, its network without it, or a right network drawn at random."""

    kind: Literal["planted", "without", "drawn"]
    bug: str = ""
    dtype: str = ""
    number: int = 0


Result = tuple[str, Finding | None]
"""What was run, and its first finding."""


def _tasks(bugs: Sequence[Bug], dtypes: Sequence[str]) -> Iterator[Task]:
    """Give a run for every bug, and one for every network that bugs are planted in."""
    seen: set[tuple[Any, ...]] = set()
    for dtype in dtypes:
        for bug in bugs:
            if dtype not in bug.dtypes:
                continue
            yield Task("planted", bug.name, dtype)
            compiled = bug.loss, bug.optimizer, bug.options, bug.held_out, bug.weighted
            network = bug.network.__name__, bug.activation, bug.last, compiled, dtype
            if network not in seen:
                seen.add(network)
                yield Task("without", bug.name, dtype)


def _done(task: Task, bugs: Mapping[str, Bug]) -> Result:
    """Do what a task asks for."""
    if task.kind == "drawn":
        told, report = right_run(task.number)
        return told, report.first
    bug = bugs[task.bug]
    with precision(task.dtype):
        if task.kind == "without":
            return f"the network of {bug.name} ({task.dtype})", run(bug, task.dtype).first
        try:
            with bug.planted():
                return bug.name, run(bug, task.dtype).first
        except Exception as error:  # the patch is at fault, and the other bugs want their turn
            return f"{type(error).__name__}: {error}", None


@contextmanager
def _workers(
    jobs: int, bugs: Mapping[str, Bug]
) -> Iterator[Callable[[list[Task]], Iterable[Result]]]:
    """Give what does tasks one after the other, in this process or in several others."""
    if jobs == 1:
        yield lambda tasks: (_done(task, bugs) for task in tasks)
        return
    context = multiprocessing.get_context("spawn")  # TensorFlow can't be forked
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_begin) as pool:
        try:
            yield lambda tasks: pool.map(_done_elsewhere, tasks, chunksize=4)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _begin() -> None:
    """Leave a Ctrl-C to the process that waits for this one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _done_elsewhere(task: Task) -> Result:
    return _done(task, _catalogue())


@cache
def _catalogue() -> dict[str, Bug]:
    return {bug.name: bug for bug in catalogue()}


def run(bug: Bug, dtype: str) -> Report:
    """Train a bug's network for three steps; whether the bug is there is the caller's business."""
    keras.backend.clear_session(free_memory=False)
    keras.utils.set_random_seed(3)
    model, x, y = bug.network(bug)
    optimizer = getattr(keras.optimizers, bug.optimizer)(
        **{"learning_rate": 0.01, **dict(bug.options)}
    )
    loss = bug.loss() if callable(bug.loss) else bug.loss
    model.compile(optimizer, loss, run_eagerly=True, **dict(bug.compiled))
    return lockstep(
        model,
        x,
        y,
        batch_size=BATCH,
        shuffle=False,
        sample_weight=np.linspace(0.5, 2.0, len(x)) if bug.weighted else None,
        validation_data=(x[:BATCH], y[:BATCH]) if bug.held_out else None,
    )
