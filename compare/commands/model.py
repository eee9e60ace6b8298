"""``python -m compare model``: a saved model against its hand-written twin."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from compare.commands.parameters import DATA, DTYPE, JSON, REPORT, REPRODUCE
from compare.console.command import (
    INTERRUPTED,
    check_writable,
    command_line,
    errors_for_people,
    load_tensorflow,
    progress_bar,
    stopping_on_ctrl_c,
    write_whole,
)

if TYPE_CHECKING:
    from rich.console import Console

    from compare.findings.report import Report


@click.command()
@click.argument("path", type=click.Path(path_type=Path), metavar="PATH.keras")
@DATA
@click.option(
    "--batch-size", type=click.IntRange(1, 2**20), default=32, show_default=True, help="Samples."
)
@click.option(
    "--steps", type=click.IntRange(min=1), default=5, show_default=True, help="Batches to train on."
)
@DTYPE
@click.option(
    "--seed", type=click.IntRange(0, 2**32 - 1), default=0, help="For shuffling and random data."
)
@click.option("--strict", is_flag=True, help="Refuse layers that have no twin.")
@JSON
@click.option("--junit", "junit_file", type=click.Path(dir_okay=False), help="Write JUnit's XML.")
@REPRODUCE
@REPORT
def model(
    json_file: str | None,
    junit_file: str | None,
    reproduce_file: str | None,
    report_file: Path | None,
    **options: Any,
) -> None:
    """Train a saved model and its twin, and compare every step.

    The model has to be compiled. Without --data it is trained on random numbers of the right
    shapes. Exit status: 0 when all agrees, 1 when anything differs, 2 for bad usage or input.
    """
    files = {"--json": json_file, "--junit": junit_file, "--reproduce": reproduce_file}
    for option, file in {**files, "--report": report_file}.items():
        if file is not None:
            check_writable(Path(file), option)
    from compare.console.terminal import Terminal

    console = Terminal(highlight=False)
    with errors_for_people():
        report, interrupted = compared(console, report_file=report_file, **options)
    if json_file is not None:
        write_whole(Path(json_file), report.to_json())
    if junit_file is not None:
        from compare.commands.junit import as_junit

        write_whole(Path(junit_file), as_junit(report))
    if interrupted:
        sys.exit(INTERRUPTED)
    if reproduce_file is not None:
        with errors_for_people():
            _reproduce(Path(reproduce_file), report, **options)
    sys.exit(0 if report.ok else 1)


def _reproduce(file: Path, report: Report, *, strict: bool, **options: Any) -> None:
    """Load and train once more, and write the first disagreement as a script, if there is one."""
    from compare.reproduction.console import reproduce_and_tell, say_nothing_to_reproduce
    from compare.saved.training import of_saved_model

    if report.first is None:
        say_nothing_to_reproduce()
        return
    with of_saved_model(**options) as training:
        reproduce_and_tell(file, training.model, training.x, training.y, **training.options)


def compared(
    console: Console,
    *,
    report_file: Path | None,
    path: Path,
    data: tuple[Path, ...],
    batch_size: int,
    steps: int,
    dtype: str | None,
    seed: int,
    strict: bool,
) -> tuple[Report, bool]:
    """Load, train and compare; on Ctrl-C, return what there is. Write a page if one is wanted."""
    told = ["python -m compare model", shlex.quote(str(path))]
    told += [f"--data {shlex.quote(str(one))}" for one in data]
    told += [f"--dtype {dtype}"] if dtype else []
    told += [f"--seed {seed}"] if seed else []
    told += ["--strict"] if strict else []
    command = " ".join([*told, f"--batch-size {batch_size}"])
    with progress_bar(console) as update, stopping_on_ctrl_c() as look:
        load_tensorflow()
        from compare.console.printing import print_report
        from compare.findings.report import Report
        from compare.saved.training import of_saved_model

        braces = str.maketrans({"{": "{{", "}": "}}"})
        report = Report("", "", reproduce=f"{command.translate(braces)} --steps {{step}}")
        interrupted, film = False, None
        if report_file is not None:
            from compare.pages.film import Film

            film = Film(steps)

        def show(report: Report) -> None:
            look()
            update(completed=report.steps, total=steps, status=report.status)

        update(description=f"loading {path.name}"[:40])
        try:
            with of_saved_model(path, data, batch_size, steps, dtype, seed) as training:
                weights = training.model.count_params()
                console.print(f"{training.label}, {weights:,} weights", markup=False)
                update(description=training.model.name[:40], completed=0, total=steps)
                training.follow(report, strict=strict, on_step=show, witness=film)
        except KeyboardInterrupt:
            interrupted = True
            console.print("Interrupted. Compared so far:")
    print_report(console, report)
    if report_file is not None:
        from compare.pages.writing import write_report

        write_report(report_file, report, film, command_line(), interrupted=interrupted)
    return report, interrupted
