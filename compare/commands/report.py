"""``python -m compare report``: a page to look at."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from compare.cases import HOMES
from compare.commands.model import compared
from compare.commands.parameters import DATA, DTYPE
from compare.commands.running import run_all
from compare.console.command import INTERRUPTED, check_writable, errors_for_people
from compare.printable import echo


@click.command()
@click.argument("target", metavar="CASE|PATH.keras")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="FILE.html"
)
@DATA
@click.option("--batch-size", type=click.IntRange(1, 2**20), help="Samples; 32 of a saved model.")
@click.option(
    "--steps", type=click.IntRange(min=1), help="Batches to train on; 5 of a saved model."
)
@DTYPE
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="For what is drawn.")
def report(target: str, out: Path, data: tuple[Path, ...], **options: Any) -> None:
    """Compare, and write a page about it: one file, to be looked at without a server.

    A worked example is trained as by run, a saved model as by model. Exit status: 0 when all
    agrees, 1 when anything differs (the page is written all the same), 2 for bad usage or input.
    """
    if target in HOMES and data:
        raise click.UsageError("A worked example has data of its own: leave out --data.")
    check_writable(out, "--out")
    with errors_for_people():
        if target in HOMES:
            ok, interrupted = _case(target, out, **options)
        else:
            ok, interrupted = _model(Path(target), out, data, **options)
    echo(f"written: {out}")
    sys.exit(INTERRUPTED if interrupted else 0 if ok else 1)


def _case(name: str, out: Path, **options: Any) -> tuple[bool, bool]:
    from compare.cases.base import Settings

    results, interrupted = run_all((name,), Settings(**options), False, out)
    return all(result.ok for result in results), interrupted


def _model(
    path: Path,
    out: Path,
    data: tuple[Path, ...],
    batch_size: int | None,
    steps: int | None,
    seed: int | None,
    **options: Any,
) -> tuple[bool, bool]:
    from compare.console.terminal import Terminal
    from compare.errors import BadInput

    if path.suffix != ".keras":
        raise BadInput(
            f"{str(path)!r} is neither a .keras file nor a worked example. Those are "
            f"{', '.join(HOMES)}."
        )
    found, interrupted = compared(
        Terminal(highlight=False),
        report_file=out,
        path=path,
        data=data,
        batch_size=batch_size or 32,
        steps=steps or 5,
        seed=seed or 0,
        strict=False,
        **options,
    )
    return found.ok, interrupted
