"""``python -m compare check``: somebody's own backward pass, or a number."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from compare.cases import load
from compare.command import check_writable, errors_for_people, load_tensorflow, write_whole
from compare.commands.parameters import JSON, CaseName


@click.command()
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
@JSON
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
