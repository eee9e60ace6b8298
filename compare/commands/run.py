"""``python -m compare run`` and ``list``: the worked examples."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from compare.cases import HOMES, load
from compare.commands.parameters import DTYPE, JSON, REPORT, REPRODUCE, CaseName
from compare.commands.running import reproduce_first, run_all, write_results
from compare.console.command import INTERRUPTED, check_writable, errors_for_people
from compare.printable import echo


@click.command("list")
def list_cases() -> None:
    """Show the worked examples, a line each."""
    for name in HOMES:
        echo(f"{name:<18} {load(name).title}")


@click.command()
@click.argument("cases", nargs=-1, required=True, type=CaseName())
@click.option("--epochs", type=click.IntRange(min=1), help="Passes over the data.")
@click.option("--steps", type=click.IntRange(min=1), help="Stop after this many batches.")
@click.option("--batch-size", type=click.IntRange(min=1), help="Samples in a batch.")
@click.option("--optimizer", type=click.Choice(["SGD", "Adam", "RMSprop"], case_sensitive=False))
@click.option("--learning-rate", type=click.FloatRange(min=0, min_open=True))
@DTYPE
@click.option("--seed", type=click.IntRange(min=0, max=2**32 - 1), help="For Keras's own draws.")
@click.option("--full", is_flag=True, help="Go to the tutorial's full length; takes minutes.")
@JSON
@REPRODUCE
@REPORT
def run(
    cases: tuple[str, ...],
    full: bool = False,
    json_file: str | None = None,
    reproduce_file: str | None = None,
    report_file: Path | None = None,
    **options: Any,
) -> None:
    """Run one or more worked examples.

    The published numbers are checked where the case keeps its own settings.
    """
    if json_file is not None:
        check_writable(Path(json_file))
    if reproduce_file is not None:
        check_writable(Path(reproduce_file), "--reproduce")
    if report_file is not None:
        check_writable(report_file, "--report")
    with errors_for_people():
        from compare.cases.base import Settings

        settings = Settings(**options)
        results, interrupted = run_all(cases, settings, full, report_file)
    if json_file is not None:
        write_results(Path(json_file), results, interrupted)
    if interrupted:
        sys.exit(INTERRUPTED)
    if reproduce_file is not None:
        with errors_for_people():
            reproduce_first(Path(reproduce_file), results, settings)
    sys.exit(0 if all(result.ok for result in results) else 1)
