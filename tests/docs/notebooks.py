"""A notebook of the documentation: run anew, and held against the outputs that it shows."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from copy import deepcopy
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from pages import DOCS, ROOT

TUTORIAL = DOCS / "tutorial.ipynb"

NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:e[+-]\d+)?")
ROUNDING = re.compile(r"[\d.]+(?:e[+-]\d+)?(?= × (?:rounding )?noise)|(?<=residual )[\d.e+-]+")
"""How far something is off by rounding: another machine rounds otherwise."""
RULER = re.compile(r"bound (\d+) × noise, one noise is (\S+) here")


def read(path: Path) -> Any:
    """Return a notebook, and refuse what isn't one in the format that it says."""
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    return notebook


def executed(notebook: Any, folder: Path, may_fail: Collection[str] = ()) -> Any:
    """Return a copy with the outputs of a fresh kernel, which imports this checkout.

    Parameters
    ----------
    notebook : notebook
    folder : Path
        Where the kernel works, and keeps its profile: what the user has set up for his own
        sessions must not count.
    may_fail : names of cells
        The others run on if one of these fails.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If any other cell fails.
    """
    fresh = deepcopy(notebook)
    for cell in fresh.cells:
        if cell.id in may_fail:
            cell.metadata.tags = ["raises-exception"]
    client = NotebookClient(
        fresh,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        coalesce_streams=True,  # else it is chance where the output of a cell is cut in two
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute(env={**os.environ, "PYTHONPATH": str(ROOT), "IPYTHONDIR": str(folder)})
    fresh.metadata.language_info = {"name": "python"}  # its version differs between machines
    return fresh


def only(notebook: Any, names: Collection[str]) -> Any:
    """Return a copy of which only the cells with these names are left."""
    part = deepcopy(notebook)
    part.cells = [cell for cell in part.cells if cell.id in names]
    return part


def replaced(notebook: Any, name: str, old: str, new: str) -> Any:
    """Return a copy in which a piece of one cell is another."""
    changed = deepcopy(notebook)
    (cell,) = (one for one in changed.cells if one.id == name)
    assert cell.source.count(old) == 1, f"{name} has no single {old!r}"
    cell.source = cell.source.replace(old, new)
    return changed


def outputs(notebook: Any) -> Iterator[tuple[str, Any]]:
    """Give each output, with the name of its cell."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield cell.id, output


def printed(notebook: Any) -> str:
    """Return all that its cells print."""
    return "".join(output.text for _, output in outputs(notebook) if "text" in output)


def stands_in(text: str, number: str) -> bool:
    """Say whether a text has a number, in as many digits or in more."""
    decimals = len(number.partition(".")[2])
    found = (one for one in NUMBER.findall(text) if len(one.partition(".")[2]) >= decimals)
    return any(f"{Decimal(one):.{decimals}f}" == number for one in found)


def differences(shown: Any, found: Any) -> list[str]:
    """Return where the outputs of two runs differ by more than rounding, a line each.

    What is printed is compared, and of a result in which forms it is shown.
    """
    wrong = []
    for before, now in zip(shown.cells, found.cells, strict=True):
        pair = [[_told(one) for one in cell.get("outputs", ())] for cell in (before, now)]
        if [kind for kind, _ in pair[0]] != [kind for kind, _ in pair[1]]:
            wrong.append(f"{before.id}: shows {pair[0]}, gives {pair[1]}")
            continue
        for (_, old), (_, new) in zip(*pair, strict=True):
            if not _alike(old, new):
                wrong.append(f"{before.id} shows\n{old}and prints\n{new}")
    return wrong


def _told(output: Any) -> tuple[str, str]:
    if output.output_type == "stream":
        return output.name, output.text
    return " ".join((output.output_type, *sorted(output.get("data", ())))), ""


def _alike(shown: str, found: str) -> bool:
    """Say whether two texts are the same, but for the last digit of a number that was rounded.

    A number that is exact to more digits than are printed may be rounded up in one place and down
    in another: one unit of its last digit. A finding is about float32, and prints its own ruler.
    """
    ruler = RULER.search(shown)
    rounding = Decimal(ruler[1]) * Decimal(ruler[2]) if ruler else Decimal(0)
    shown, found = (ROUNDING.sub("", text) for text in (shown, found))
    if NUMBER.sub("", shown) != NUMBER.sub("", found):
        return False
    pairs = zip(NUMBER.findall(shown), NUMBER.findall(found), strict=True)
    return all(_near(Decimal(one), Decimal(other), rounding) for one, other in pairs)


def _near(one: Decimal, other: Decimal, rounding: Decimal) -> bool:
    exponents = [int(number.as_tuple().exponent) for number in (one, other)]
    if exponents == [0, 0]:
        return one == other
    return abs(one - other) <= max(Decimal(1).scaleb(max(exponents)), rounding)
