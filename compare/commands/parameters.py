"""What several commands take."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import click

from compare.cases import HOMES


class CaseName(click.ParamType):
    """One of the worked examples, with a suggestion for a misspelt one."""

    name = "case"

    def convert(self, value: Any, param: Any, ctx: Any) -> str:
        if value in HOMES:
            return str(value)
        close = difflib.get_close_matches(value, HOMES, n=1)
        hint = f" Did you mean {close[0]}?" if close else ""
        self.fail(f"there is no case {value!r}.{hint} The cases: {', '.join(HOMES)}.", param, ctx)


DTYPE = click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), help="Working precision."
)
JSON = click.option(
    "--json", "json_file", type=click.Path(dir_okay=False), help="Write the report."
)
DATA = click.option(
    "--data",
    multiple=True,
    type=click.Path(path_type=Path),
    help="One .npz or .csv file; or two .npy files, x and y, with the option given twice.",
)
REPRODUCE = click.option(
    "--reproduce",
    "reproduce_file",
    type=click.Path(dir_okay=False),
    metavar="FILE.py",
    help="Write the first disagreement, made small, as a script of Keras and NumPy alone.",
)
REPORT = click.option(
    "--report",
    "report_file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE.html",
    help="Write a page to look at: one file, without a server.",
)
