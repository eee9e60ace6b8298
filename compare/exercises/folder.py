"""All exercises of a folder."""

from __future__ import annotations

import difflib
from pathlib import Path

from compare.cases import HOMES
from compare.errors import BadInput
from compare.exercises.exercise import Exercise
from compare.exercises.source import exercises_in

OWN_FOLDER = Path(__file__).parent / "worked"
"""A source for each worked network."""


def exercises(folder: Path = OWN_FOLDER) -> dict[str, Exercise]:
    """Return the exercises of a folder by name, in the order of the worked networks.

    Raises
    ------
    BadInput
        If there are none, or a file is malformed.
    """
    found = [one for path in _files(folder) for one in exercises_in(path)]
    if not found:
        raise BadInput(f"No file of {str(folder)!r} marks a gap or a fault in a training step.")
    places = list(HOMES)
    return {one.name: one for one in sorted(found, key=lambda one: places.index(one.case))}


def _files(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.glob("*.py") if path.is_file())  # no pipe, say
    except OSError as error:  # too long a name, say
        raise BadInput(f"{str(folder)!r} can't be read: {error.strerror}.") from None


def named(name: str, folder: Path = OWN_FOLDER) -> Exercise:
    """Return the exercise of a name, or say which there are."""
    found = exercises(folder)
    if name not in found:
        close = difflib.get_close_matches(name, found, n=1)
        hint = (
            f"Did you mean {close[0]}?"
            if close
            else "`python -m compare exercise list` shows them."
        )
        raise BadInput(f"There is no exercise {name!r}. {hint}")
    return found[name]
