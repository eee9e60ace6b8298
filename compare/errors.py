"""Errors that tell a person what was wrong, where, and what to do."""

from __future__ import annotations

import re
from pathlib import Path


class BadInput(ValueError):
    """Something that was asked for can't be compared; the message is one clear sentence."""


class Disagreement(AssertionError):
    """The two halves differ by more than rounding; the message is the first finding."""


def check_is_file(path: Path) -> None:
    """Refuse a path that is no file's."""
    try:
        there = path.is_file()
    except OSError as error:  # too long a name, say
        raise BadInput(f"{str(path)!r} can't be read: {error.strerror}.") from None
    if not there:
        raise BadInput(f"There is no file {str(path)!r}.")


def check_backend(backend: str) -> None:
    """Refuse another backend than TensorFlow, whose ``GradientTape`` is looked into."""
    if backend != "tensorflow":
        raise BadInput(
            "Keras Lockstep takes its traces with TensorFlow's GradientTape. "
            f"Received: KERAS_BACKEND={backend}. Unset it, or set it to tensorflow."
        )


def in_a_sentence(error: Exception) -> str:
    """Return what Keras's or TensorFlow's error says, of all its lines the one that tells."""
    if isinstance(error, KeyError):
        return f"{error} was looked up, and isn't there."
    text = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    told = [
        line.partition(" Full object config:")[0].strip()
        for line in text.replace("\nException encountered: ", "\n").splitlines()
        if line[:1].strip() and not line.startswith(_AROUND) and not line.rstrip().endswith(":")
    ]
    # Of what went wrong inside a graph, the lines before say where; else the first says what.
    line = (told or [type(error).__name__])[-1 if text.startswith("Graph execution") else 0]
    line = line if len(line) <= LONGEST else line[:LONGEST] + " …"
    return line.rstrip(".") + "."


LONGEST = 400
"""So many characters of a sentence are told: it may quote a whole configuration."""

_AROUND = (
    "Exception encountered",
    "Graph execution error",
    "Detected at",
    'File "',
    "<",
    "Stack",
    "config=",
    "Error when deserializing",
    "[",
)
"""How lines begin that say where in Keras something went wrong."""
