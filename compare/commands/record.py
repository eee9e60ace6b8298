"""``python -m compare record`` and ``diff``: a training written down, and compared elsewhere."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from compare.cases import HOMES
from compare.commands.parameters import DATA, DTYPE, JSON, REPORT
from compare.console.command import (
    check_writable,
    command_line,
    errors_for_people,
    load_tensorflow,
    progress_bar,
    stopping_on_ctrl_c,
    write_whole,
)
from compare.printable import echo

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from compare.saved.training import Training


class Steps(click.ParamType):
    """Numbers of steps, as in 1,10,100."""

    name = "steps"

    def convert(self, value: object, param: object, ctx: object) -> frozenset[int]:
        try:
            steps = frozenset(int(one) for one in str(value).split(","))
        except ValueError:
            steps = frozenset()
        if not steps or min(steps) < 1:
            self.fail(f"{value!r} are no numbers of steps, as in 1,10,100, counted from 1.")
        return steps


@click.command()
@click.argument("target", metavar="CASE|PATH.keras")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="A folder to make.")
@DATA
@click.option("--batch-size", type=click.IntRange(1, 2**20), help="Samples; 32 by default.")
@click.option(
    "--steps", type=click.IntRange(min=1), default=3, show_default=True, help="Batches to train on."
)
@click.option("--at", type=Steps(), metavar="1,10,…", help="Only these of the steps; else all.")
@DTYPE
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="For what is drawn.")
@REPORT
def record(
    target: str,
    out: Path,
    data: tuple[Path, ...],
    batch_size: int | None,
    steps: int,
    at: frozenset[int] | None,
    dtype: str | None,
    seed: int | None,
    report_file: Path | None,
) -> None:
    """Train, and write down all that each step computed, with its rounding noise.

    Two such records, from two machines or two versions of Keras, are compared by diff. The data is
    taken in its order. Exit status: 0 when all agrees with the derivation by hand, 1 when anything
    differs from it (the record is written all the same), 2 for bad usage or input.
    """
    if at is not None and max(at) > steps:
        raise click.UsageError(f"--at names step {max(at)}, but --steps is {steps}.")
    if target in HOMES and data:
        raise click.UsageError("A worked example has data of its own: leave out --data.")
    if report_file is not None:
        check_writable(report_file, "--report")
    from compare.console.terminal import Terminal

    console = Terminal(highlight=False)
    with errors_for_people():
        from compare.errors import BadInput
        from compare.records.writing import check_free

        if target not in HOMES and not target.endswith(".keras"):
            raise BadInput(
                f"{target!r} is neither a .keras file nor a worked example. Those are "
                f"{', '.join(HOMES)}."
            )
        check_free(out)
        with progress_bar(console) as update, stopping_on_ctrl_c() as look:
            load_tensorflow(any_backend=True)
            import keras

            from compare.console.printing import print_report
            from compare.findings.report import Report
            from compare.records.elsewhere import written_elsewhere
            from compare.records.taking import written
            from compare.saved.training import of_case, of_saved_model

            training: AbstractContextManager[Training] = (
                of_case(target, batch_size, steps, dtype, seed)
                if target in HOMES
                else of_saved_model(Path(target), data, batch_size or 32, steps, dtype, seed or 0)
            )
            report = Report("", "")

            def show(grown: Report) -> None:
                look()
                update(completed=grown.steps, total=steps, status=grown.status)

            update(description=target[-40:])
            with training as taken:
                on_tensorflow = keras.backend.backend() == "tensorflow"
                write = written if on_tensorflow else written_elsewhere
                film = None
                if report_file is not None and on_tensorflow:
                    from compare.pages.film import Film

                    film = Film(steps)
                    write = partial(written, beside=[film])
                write(taken, report, out, at, seed or 0, show)
    print_report(console, report)
    console.print(f"written: {out}", markup=False, soft_wrap=True)
    if report_file is not None:
        from compare.pages.writing import write_report

        write_report(report_file, report, film, command_line())
    sys.exit(0 if report.ok else 1)


@click.command()
@click.argument("a", type=click.Path(path_type=Path))
@click.argument("b", type=click.Path(path_type=Path))
@JSON
@REPORT
def diff(a: Path, b: Path, json_file: str | None, report_file: Path | None) -> None:
    """Compare two records. Needs neither the model nor TensorFlow.

    Exit status: 0 when they agree within rounding, 1 where they diverge, 2 for bad input.
    """
    if json_file is not None:
        check_writable(Path(json_file))
    if report_file is not None:
        check_writable(report_file, "--report")
    with errors_for_people():
        from compare.records import diff as compared
        from compare.strict_json import as_json

        result = compared(a, b)
    for line in result.lines():
        echo(line)
    if json_file is not None:
        write_whole(Path(json_file), as_json(result.as_dict()))
    if report_file is not None:
        from compare.pages.writing import write_said

        write_said(report_file, f"{a} and {b}", str(result), command_line(), ok=result.ok)
    sys.exit(0 if result.ok else 1)
