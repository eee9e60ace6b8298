"""``python -m compare check``: somebody's own backward pass, or a number."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from compare.cases import load
from compare.commands.parameters import JSON, REPORT, CaseName
from compare.console.command import (
    check_writable,
    command_line,
    errors_for_people,
    load_tensorflow,
    write_whole,
)


@click.command()
@click.argument("submission", required=False, metavar="[FILE.py[:FUNCTION]]")
@click.option(
    "--case", type=CaseName(), help='The example it belongs to; else a line CASE = "…" says it.'
)
@click.option(
    "--returns",
    type=click.Choice(["gradients", "weights"]),
    help="What the function returns; gradients by default.",
)
@click.option("--after", "--step", "after", type=click.IntRange(min=0), help="Updates made before.")
@click.option("--loss", metavar="NUMBER", help="Ask about a loss, as you have it written down.")
@click.option("--weight", metavar="NAME=NUMBER", help="Ask about a weight: w5=0.3589.")
@click.option("--hint", type=click.IntRange(1, 5), help="About an exercise: 5 tells all.")
@JSON
@REPORT
def check(
    submission: str | None,
    case: str | None,
    returns: str | None,
    after: int | None,
    loss: str | None,
    weight: str | None,
    hint: int | None,
    json_file: str | None,
    report_file: Path | None,
) -> None:
    """Check your own backward pass, an exercise, or a single number.

    FUNCTION(weights, x, y) gets the weights in Keras's order and the example's first batch, and
    returns an array for each weight. It is your own code and runs in this process. Of an exercise,
    only whether it is right is said, and with --hint a bit more. Without a file, --loss or --weight
    asks about one number. Exit status: 0 right, 1 wrong, 2 bad input.
    """
    if sum(asked is not None for asked in (submission, loss, weight)) != 1:
        raise click.UsageError("Give a file with a function, or --loss, or --weight: one of them.")
    if submission is not None and after is not None:
        raise click.UsageError("--after goes with --loss or --weight.")
    if submission is None and returns is not None:
        raise click.UsageError("--returns goes with a file.")
    is_exercise = False
    if submission is not None:
        with errors_for_people():
            case, is_exercise = _read(submission, case, whole=returns is None)
    if case is None:
        raise click.UsageError("Say which example it belongs to: --case NAME.")
    if hint is not None and not is_exercise:
        raise click.UsageError("--hint goes with a file of `python -m compare exercise`.")
    if json_file is not None:
        check_writable(Path(json_file))
    if report_file is not None:
        check_writable(report_file, "--report")
    from compare.console.terminal import Terminal

    with errors_for_people(), Terminal(stderr=True).status("checking"):
        load_tensorflow()
        from compare.exercises.answer import answered
        from compare.exercises.attempt import attempt
        from compare.submissions.handed_in import check_file, check_number

        result: Any
        if submission is not None and is_exercise:
            result = answered(attempt(load(case), submission), hint or 0)
        elif submission is not None:
            result = check_file(load(case), submission, returns or "gradients")
        else:
            result = check_number(load(case), after, loss, weight)
    result.print(Terminal(highlight=False))
    if json_file is not None:
        write_whole(Path(json_file), result.to_json())
    if report_file is not None:
        result.write_page(report_file, command_line())
    sys.exit(0 if result.ok else 1)


def _read(submission: str, case: str | None, *, whole: bool) -> tuple[str | None, bool]:
    """Return which example a file belongs to, and whether it is an exercise.

    That is one with a line ``CASE = "…"`` and an exercise's functions, if it is asked about as a
    ``whole``.
    """
    from compare.errors import BadInput, check_is_file
    from compare.exercises.parsed import case_of, is_exercise, parsed

    file, colon, _ = submission.partition(":")
    path = Path(file)
    check_is_file(path)
    tree = parsed(path)
    own = case_of(tree)
    if own is None:
        return case, False
    own = CaseName().convert(own, None, None)
    if case not in (None, own):
        raise BadInput(f"{file} is about {own!r}, not {case!r}: leave --case out.")
    return own, whole and not colon and is_exercise(tree)
