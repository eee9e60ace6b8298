"""``python -m compare exercise``: a training step with gaps, or with a fault to be found."""

from __future__ import annotations

import shlex
import textwrap
from pathlib import Path

import click

from compare.console.command import check_writable, errors_for_people, write_whole
from compare.printable import echo


@click.command()
@click.argument("name", default="list", metavar="[list|NAME]")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where to write it, a folder or a new file; NAME.py by default.",
)
@click.option(
    "--exercises",
    "folder",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Take a teacher's exercises instead of the package's own.",
)
def exercise(name: str, out: Path | None, folder: Path | None) -> None:
    """Write an exercise to a file: find the fault, or fill the gaps.

    It is a training step of a worked example in plain NumPy. `python -m compare check FILE` says
    whether it is right, and --hint 1 to --hint 5 more and more about why it isn't.
    """
    from compare.exercises import OWN_FOLDER, named

    with errors_for_people():
        if name == "list":
            _print_list(folder)
            return
        file = _free(Path(f"{name}.py") if out is None else out, name)
        check_writable(file, "--out")
        chosen = named(name, folder or OWN_FOLDER)
        write_whole(file, chosen.written(file.name))
    task = chosen.kind.capitalize()
    echo(f"written: {file}\n{task}, then ask: python -m compare check {shlex.quote(str(file))}")


def _free(out: Path, name: str) -> Path:
    """Return the file to write, in a folder if that is what is given; refuse one that is there."""
    from compare.errors import BadInput

    try:
        file = out / f"{name}.py" if out.is_dir() else out
        if file.exists():
            raise BadInput(f"{file} is there already: move it, or name another file with --out.")
    except OSError as error:  # too long a name, say
        raise BadInput(f"{str(out)!r} can't be written: {error.strerror}.") from None
    return file


def _print_list(folder: Path | None) -> None:
    """Print a line for each exercise."""
    from compare.exercises import OWN_FOLDER, exercises

    found = exercises(folder or OWN_FOLDER).values()
    width = max(len(one.name) for one in found)
    for one in found:
        start = f"{one.name:<{width}}  {one.kind:<14}  "
        echo(start + textwrap.shorten(one.title, max(80 - len(start), 10), placeholder=" …"))
