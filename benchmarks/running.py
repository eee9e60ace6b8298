"""Runs what was planned, row by row, and prints what is known after each."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from benchmarks.agreement import Differs
from benchmarks.contenders import CONTENDERS
from benchmarks.machine import described
from benchmarks.measures import MeasureFailed
from benchmarks.measures.gather import MEASURES
from benchmarks.plan import Planned
from benchmarks.pool import WorkerFailed
from benchmarks.race import Row, race
from benchmarks.results import Results
from benchmarks.tables import print_measures, print_row, print_surroundings, print_targets


def run(
    rows: Sequence[Planned], measures: Sequence[str], rounds: int, full: bool
) -> tuple[Results, Exception | None]:
    """Time everything; return what was measured, and what went wrong if something did.

    An interruption, or a contender that computes something else, ends the run and leaves what was
    measured before it.
    """
    console = Console(highlight=False)
    results = Results(described())
    failure: Exception | None = None
    progress = Progress(
        BarColumn(bar_width=16),
        MofNCompleteColumn(),
        TextColumn("{task.description}"),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    with progress:
        task = progress.add_task("", total=len(rows) + len(measures))

        def say(what: str) -> None:
            progress.update(task, description=what)

        try:
            for planned in rows:
                row = Row(planned.network, planned.optimizer, planned.dtype)
                results.rows.append(row)
                here = [name for name in planned.contenders if CONTENDERS[name].installed]
                for name in planned.contenders:
                    if name not in here:
                        needs = CONTENDERS[name].needs
                        row.absent[name] = f'{needs} isn\'t installed: pip install -e ".[bench]"'
                race(row, here, rounds, say)
                print_row(console, row)
                progress.advance(task)
            for name in measures:
                results.measures[name] = MEASURES[name](full, say)
                print_measures(console, {name: results.measures[name]})
                progress.advance(task)
        except KeyboardInterrupt:
            results.interrupted = True
        except (Differs, WorkerFailed, MeasureFailed) as error:
            failure = error
    if results.interrupted:
        console.print("Interrupted. Measured so far:")
        if results.rows and results.rows[-1].peers:
            print_row(console, results.rows[-1])
    print_targets(console, results)
    console.print()
    print_surroundings(console, results)
    return results, failure
