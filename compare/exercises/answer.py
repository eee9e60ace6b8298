"""What a learner is told of an attempt: right or not, what is open, and the hints asked for."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from rich.console import Console

from compare.exercises.attempt import Attempt
from compare.exercises.exercise import FUNCTIONS
from compare.exercises.hints import LEVELS, hints, listed


@dataclass(frozen=True)
class Answer:
    """What is said about an attempt.

    Attributes
    ----------
    attempt : Attempt
    hints : sequence of (str, str)
        Those that were asked for, each with what it is about.
    """

    attempt: Attempt
    hints: Sequence[tuple[str, str]] = ()

    @property
    def ok(self) -> bool:
        return self.attempt.ok

    def print(self, console: Console) -> None:
        """Print the lines."""
        for line in self.lines():
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    def write_page(self, path: Path, command: str) -> None:
        """Write them as a page to look at, made by a command."""
        from compare.pages.writing import write_said

        write_said(path, self.attempt.file, "\n".join(self.lines()), command, ok=self.ok)

    def to_json(self) -> str:
        """Return the same as JSON: what wasn't asked for isn't in it."""
        attempt = self.attempt
        told: dict[str, Any] = {
            "case": attempt.case.name,
            "ok": self.ok,
            "open": [{"function": one.function, "line": one.line} for one in attempt.gaps],
            "hints": dict(self.hints),
        }
        return json.dumps(told, indent=2, ensure_ascii=False)

    def lines(self) -> Iterator[str]:
        """Give what is said, in lines of at most 80 columns."""
        attempt = self.attempt
        if self.ok:
            yield f"Right: {listed(FUNCTIONS)}, to within rounding."
            return
        for function in attempt.open:
            gaps = ", ".join(str(gap) for gap in attempt.gaps if gap.function == function)
            yield from _folded(f"Still open in {function}: {gaps}.")
        if attempt.wrong:
            yield "What is filled in isn't right yet." if attempt.gaps else "Not right yet."
        elif attempt.right:
            yield f"Right so far: {listed(attempt.right)}."
        for number, (about, hint) in enumerate(self.hints, 1):
            yield from _folded(f"hint {number}, {about}: {hint}")
        if len(self.hints) < len(LEVELS):
            command = f"python -m compare check {shlex.quote(attempt.file)}"
            told = f"{command} --hint {len(self.hints) + 1}"
            yield f"For {'more' if self.hints else 'a hint'}: {told}"


def answered(attempt: Attempt, level: int = 0) -> Answer:
    """Return an answer with so many hints, from 0 to 5."""
    return Answer(attempt, tuple(islice(hints(attempt), level)))


def _folded(text: str) -> list[str]:
    return textwrap.wrap(text, 80, subsequent_indent="  ")
