"""The command line: a thin face on `compare.lockstep`. TensorFlow loads when a case runs."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Any

import click

from compare.cases import HOMES, load
from compare.command import (
    INTERRUPTED,
    check_writable,
    errors_for_people,
    load_tensorflow,
    stopping_on_ctrl_c,
    write_whole,
)
from compare.running import run_all, write_results


class CaseName(click.ParamType):
    """One of the worked examples, with a suggestion for a misspelt one."""

    name = "case"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value in HOMES:
            return str(value)
        close = difflib.get_close_matches(value, HOMES, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        self.fail(f"there is no case {value!r}.{hint} The cases: {', '.join(HOMES)}.", param, ctx)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="keras-lockstep", message="%(version)s")
@click.pass_context
def main(context: click.Context) -> None:
    """Train each network twice, in Keras and by hand, and compare every step.

    Without a command, every worked example is trained and compared. Exit status: 0 when all
    agree, 1 when anything differs, 2 for bad usage or input.
    """
    if context.invoked_subcommand is None:
        context.invoke(run, cases=tuple(HOMES))


@main.command("list")
def list_cases() -> None:
    """Show the worked examples, a line each."""
    for name in HOMES:
        click.echo(f"{name:<18} {load(name).title}")


@main.command()
@click.argument("cases", nargs=-1, required=True, type=CaseName())
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the data.")
@click.option("--steps", type=click.IntRange(min=1), help="Stop after this many batches.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Samples in a batch.")
@click.option("--optimizer", type=click.Choice(["SGD", "Adam", "RMSprop"], case_sensitive=False))
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True))
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Working precision.")
@click.option("--seed", type=click.IntRange(min=0, max=2**32 - 1), help="For Keras's own draws.")
@click.option("--full", is_flag=True, help="Go to the tutorial's full length; takes minutes.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="Write the report.")
def run(
    cases: tuple[str, ...], full: bool = False, json_file: str | None = None, **options: Any
) -> None:
    """Run one or more worked examples.

    The published numbers are checked where the case keeps its own settings.
    """
    if json_file is not None:
        check_writable(Path(json_file))
    with errors_for_people():
        from compare.cases.base import Settings

        results, interrupted = run_all(cases, Settings(**options), full)
    if json_file is not None:
        write_results(Path(json_file), results, interrupted)
    if interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(0 if all(result.ok for result in results) else 1)


@main.command()
@click.argument("case", type=CaseName())
@click.option("--step", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--weight", help="One weight: hidden/kernel[0,1], or the tutorial's own symbol.")
@click.option("--dtype", type=click.Choice(["float32", "float64"]), help="Working precision.")
def explain(case: str, step: int, weight: str | None, dtype: str | None) -> None:
    """Write out a step: forward pass, chain rule, old → new weight.

    Every number is shown twice, by hand and from Keras.
    """
    from rich.console import Console

    with errors_for_people(), Console(stderr=True).status(f"training {case} up to step {step}"):
        load_tensorflow()
        from compare.cases.base import Settings
        from compare.explain import explain as explained

        text = explained(load(case), step=step, weight=weight, settings=Settings(dtype=dtype))
    click.echo(text)


@main.command()
@click.argument("submission", required=False, metavar="[FILE.py[:FUNCTION]]")
@click.option("--case", required=True, type=CaseName(), help="The example it belongs to.")
@click.option(
    "--returns",
    type=click.Choice(["gradients", "weights"]),
    help="What the function returns; gradients by default.",
)
@click.option("--after", "--step", "after", type=click.IntRange(min=0), help="Updates made before.")
@click.option("--loss", metavar="NUMBER", help="Ask about a loss, as you have it written down.")
@click.option("--weight", metavar="NAME=NUMBER", help="Ask about a weight: w5=0.3589.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False), help="Write the report.")
def check(
    submission: str | None,
    case: str,
    returns: str | None,
    after: int | None,
    loss: str | None,
    weight: str | None,
    json_file: str | None,
) -> None:
    """Check your own backward pass, or a single number.

    FUNCTION(weights, x, y) gets the weights in Keras's order and the example's first batch, and
    returns an array for each weight. It is your own code and runs in this process. Without a file,
    --loss or --weight asks about one number. Exit status: 0 right, 1 wrong, 2 bad input.
    """
    if sum(asked is not None for asked in (submission, loss, weight)) != 1:
        raise click.UsageError("Give a file with a function, or --loss, or --weight: one of them.")
    if submission is not None and after is not None:
        raise click.UsageError("--after goes with --loss or --weight.")
    if submission is None and returns is not None:
        raise click.UsageError("--returns goes with a file.")
    if json_file is not None:
        check_writable(Path(json_file))
    from rich.console import Console

    with errors_for_people(), Console(stderr=True).status("checking"):
        load_tensorflow()
        from compare.submissions.handed_in import check_file, check_number

        if submission is not None:
            result: Any = check_file(load(case), submission, returns or "gradients")
        else:
            result = check_number(load(case), after, loss, weight)
    result.print(Console(highlight=False))
    if json_file is not None:
        write_whole(Path(json_file), result.to_json())
    sys.exit(0 if result.ok else 1)


@main.command()
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
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    console = Console(highlight=False)
    columns = TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn()
    progress = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
    interrupted = False
    with errors_for_people(), progress, stopping_on_ctrl_c() as look:
        task = progress.add_task("loading TensorFlow", total=None)
        load_tensorflow()
        from compare.console import print_score
        from compare.errors import BadInput
        from compare.score import Score, catalogue, measure, sensitivity

        bugs = [bug for bug in catalogue() if only is None or only in bug.name]
        if not bugs:
            raise BadInput(f"No planted bug has {only!r} in its name.")
        counted = Score()

        def show(name: str, done: int, total: int) -> None:
            look()
            progress.update(task, description=name[:40], completed=done, total=total)

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
        from compare.report import as_json

        write_whole(Path(json_file), as_json(counted.as_dict()))
    if interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(1 if counted.false_alarms or not any(o.caught for o in counted.outcomes) else 0)


@main.command()
@click.option("--missing", is_flag=True, help="Only what has no twin, or refuses an option.")
@click.option(
    "--json",
    "json_file",
    is_flag=False,
    flag_value="-",
    type=click.Path(dir_okay=False, allow_dash=True),
    metavar="[FILE]",
    help="Print it as JSON instead of tables, or write it to a file.",
)
@click.option(
    "--out",
    type=click.Path(exists=True, file_okay=False, writable=True),
    metavar="FOLDER",
    help="Write the page coverage.md to this folder.",
)
def coverage(missing: bool, json_file: str | None, out: str | None) -> None:
    """Show what of the installed Keras has a twin, and with which options.

    Beside each class: where its twin is, and how the last sweep over its options came out.
    """
    if json_file not in (None, "-"):
        check_writable(Path(str(json_file)))
    with errors_for_people():
        load_tensorflow()
        from rich.console import Console

        from compare.coverage import coverage as covered
        from compare.coverage import is_open, print_coverage, write_page
        from compare.report import as_json

        entries = covered()
    if out is not None:
        click.echo(f"written: {write_page(Path(out), entries)}")
    if json_file is not None:
        shown = [one.as_dict() for one in entries if not missing or is_open(one)]
        text = as_json({"entries": shown})
        click.echo(text) if json_file == "-" else write_whole(Path(json_file), text)
    if out is None and json_file is None:
        print_coverage(Console(highlight=False), entries, missing=missing)
