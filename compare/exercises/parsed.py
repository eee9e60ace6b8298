"""What a file of Python says of itself, without being run."""

from __future__ import annotations

import ast
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from compare.errors import BadInput
from compare.exercises.exercise import FUNCTIONS

NO_PYTHON = (SyntaxError, ValueError, RecursionError, MemoryError)
"""What Python's own parser raises; the last two where brackets or operators nest too deeply."""


@dataclass(frozen=True)
class Gap:
    """A ``...`` that stands where an expression belongs."""

    function: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.text} (line {self.line})"


def read(path: Path) -> str:
    """Return a file's text."""
    try:
        with tokenize.open(path) as file:
            return file.read()
    except (SyntaxError, ValueError, LookupError) as error:  # of its encoding
        raise BadInput(f"{path} can't be run: {error}.") from None
    except OSError as error:
        raise BadInput(f"{path} can't be read: {error.strerror}.") from None


def parsed(path: Path) -> ast.Module:
    """Return a file's syntax tree."""
    try:
        return ast.parse(read(path))
    except NO_PYTHON as error:
        line = getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        what = error.msg if isinstance(error, SyntaxError) else str(error) or "nested too deeply"
        raise BadInput(f"{path}{where} can't be run: {type(error).__name__}: {what}.") from None


def case_of(tree: ast.Module) -> str | None:
    """Return what the line ``CASE = "…"`` of a file names; None if there is none."""
    for one in tree.body:
        if (
            isinstance(one, ast.Assign)
            and [getattr(target, "id", "") for target in one.targets] == ["CASE"]
            and isinstance(one.value, ast.Constant)
            and isinstance(one.value.value, str)
        ):
            return one.value.value
    return None


def functions_of(tree: ast.Module) -> dict[str, ast.FunctionDef]:
    """Return the functions of a file by name."""
    return {one.name: one for one in tree.body if isinstance(one, ast.FunctionDef)}


def is_exercise(tree: ast.Module) -> bool:
    """Say whether a file has any of an exercise's functions."""
    return any(name in FUNCTIONS for name in functions_of(tree))


def open_gaps(tree: ast.Module) -> Iterator[Gap]:
    """Give every statement whose value is still ``...``."""
    for name, function in functions_of(tree).items():
        for one in ast.walk(function):
            value = getattr(one, "value", None)
            if isinstance(value, ast.Constant) and value.value is ... and isinstance(one, ast.stmt):
                yield Gap(name, one.lineno, _left(one))


def _left(statement: ast.stmt) -> str:
    """Return what a gap shall give: the names to the left of it, or ``return``."""
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    if targets[0] is None:
        return "return" if isinstance(statement, ast.Return) else "..."
    return ast.unparse(targets[0]).strip("()")
