"""``python -m compare coverage``: what of Keras has a twin."""

from __future__ import annotations

from pathlib import Path

import click

from compare.console.command import check_writable, errors_for_people, load_tensorflow, write_whole
from compare.printable import echo


@click.command()
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
        from compare.console.terminal import Terminal
        from compare.coverage import coverage as covered
        from compare.coverage import is_open, print_coverage, write_page
        from compare.strict_json import as_json

        entries = covered()
    if out is not None:
        echo(f"written: {write_page(Path(out), entries)}")
    if json_file is not None:
        shown = [one.as_dict() for one in entries if not missing or is_open(one)]
        text = as_json({"entries": shown})
        click.echo(text) if json_file == "-" else write_whole(Path(json_file), text)
    if out is None and json_file is None:
        print_coverage(Terminal(highlight=False), entries, missing=missing)
