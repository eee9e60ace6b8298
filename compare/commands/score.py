"""``python -m compare score``: how good the judge is."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import click

from compare.console.command import (
    INTERRUPTED,
    check_writable,
    errors_for_people,
    load_tensorflow,
    progress_bar,
    stopping_on_ctrl_c,
    write_whole,
)


@click.command()
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Only this precision.")
@click.option("--only", metavar="TEXT", help="Only planted bugs whose name contains this.")
@click.option(
    "--right-runs",
    type=click.IntRange(min=0),
    help="Networks drawn at random without a bug; 1,000 by default, none with --only.",
)
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    default=lambda: os.cpu_count() or 1,
    show_default="one for each core",
    help="Processes that share the work.",
)
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="Write the outcomes.")
def score(
    dtype: str | None, only: str | None, right_runs: int | None, jobs: int, json_file: str | None
) -> None:
    """Measure the judge: plant every bug of a catalogue and count what it finds and says.

    Takes half an hour or more on two cores. Exit status 0: the score was taken; 1: nothing was
    caught, or a right run raised an alarm.
    """
    if json_file is not None:
        check_writable(Path(json_file))
    from compare.console.terminal import Terminal

    console = Terminal(highlight=False)
    interrupted = False
    with errors_for_people(), progress_bar(console) as update, stopping_on_ctrl_c() as look:
        load_tensorflow()
        from compare.console.printing import print_score
        from compare.errors import BadInput
        from compare.score import Score, catalogue, measure, sensitivity

        bugs = [bug for bug in catalogue() if only is None or only in bug.name]
        if not bugs:
            raise BadInput(f"No planted bug has {only!r} in its name.")
        counted = Score()

        def show(name: str, done: int, total: int) -> None:
            look()
            update(description=name[:40], status=f"{done}/{total}", completed=done, total=total)

        try:
            dtypes = ("float32", "float64") if dtype is None else (dtype,)
            if right_runs is None:
                right_runs = 1000 if only is None else 0
            how: Any = {"right_runs": right_runs, "jobs": jobs, "score": counted}
            measure(bugs, dtypes, progress=show, **how)
            if only is None:
                counted.smallest = [one for dtype in dtypes for one in sensitivity(dtype)]
        except KeyboardInterrupt:
            interrupted = True
    print_score(console, counted)
    if json_file is not None:
        from compare.strict_json import as_json

        write_whole(Path(json_file), as_json(counted.as_dict()))
    if interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(1 if counted.false_alarms or not any(o.caught for o in counted.outcomes) else 0)
