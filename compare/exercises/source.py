"""An exercise's source: one right training step, whose comments mark its gaps and faults.

    dnet_h = dout_h * out_h * (1 - out_h)  # gap: (1, 2)
    # fault: dnet_h = dout_h  # the derivative of the activation is missing

A line that ends with ``# gap`` is a gap in the exercise ``NAME_gaps``; what follows a colon stays
as its comment. Each ``# fault:`` below a line is an exercise of its own, ``NAME_fault_1`` and so
on, in which it stands in that line's place; its comment says what is wrong. A fault of more than
one line goes on in comments that are indented as far. So a source is at once the solution, which
``python -m compare check`` finds right, and all exercises made of it.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from compare.cases import HOMES
from compare.errors import BadInput
from compare.exercises.exercise import FILL, FIND, FUNCTIONS, Exercise
from compare.exercises.parsed import NO_PYTHON, case_of, functions_of, parsed, read

_GAP = re.compile(r"gap(?:: *(.*))?")
_FAULT = re.compile(r" *# fault: *(\S.*)")
_MORE = re.compile(r" *#        ( *\S.*)")
_MARK = re.compile(r"# *(gap|fault)\b", re.IGNORECASE)


@dataclass
class _Line:
    """A line of a right step, and what may stand in its place."""

    number: int
    code: str
    comment: str
    gap: bool = False
    faults: list[list[str]] = field(default_factory=list)

    @property
    def indent(self) -> str:
        return self.code[: len(self.code) - len(self.code.lstrip())]

    def right(self) -> str:
        return _commented(self.code, self.comment)

    def opened(self) -> str:
        """Return the line with ``...`` for what belongs there."""
        left = self.code.partition(" = ")[0]
        returns = self.code.lstrip().startswith("return")
        return _commented(f"{self.indent}return ..." if returns else f"{left} = ...", self.comment)

    def faulty(self, fault: list[str]) -> str:
        """Return a fault in the line's place."""
        *before, last = [self.indent + _parted(line)[0] for line in fault]
        return "\n".join([*before, _commented(last, self.comment)])


def exercises_in(path: Path) -> list[Exercise]:
    """Return what a file is the source of; nothing if no gap and no fault is marked in it.

    Raises
    ------
    BadInput
        If something is marked that can't be an exercise.
    """
    text = read(path)
    if not _MARK.search(text):
        return []
    tree = parsed(path)
    case, (title, about) = _case(path, tree), _docstring(path, tree)
    lines = list(_lines(path, tree, text))
    missing = [name for name in FUNCTIONS if name not in functions_of(tree)]
    if missing:
        raise BadInput(
            f"{path.name} has no function {missing[0]!r}: a training step is made of "
            f"{', '.join(FUNCTIONS)}."
        )
    right = [line.right() for line in lines]
    gaps: list[Exercise] = []
    faults: list[Exercise] = []
    if any(line.gap for line in lines):
        code = "\n".join(line.opened() if line.gap else line.right() for line in lines)
        gaps.append(Exercise(f"{path.stem}_gaps", FILL, case, title, about, code))
    for place, line in enumerate(lines):
        for fault in line.faults:
            code = "\n".join([*right[:place], line.faulty(fault), *right[place + 1 :]])
            _check_fault(path, line, code, "\n".join(right))
            name, planted = f"{path.stem}_fault_{len(faults) + 1}", _parted(fault[0])[1]
            faults.append(Exercise(name, FIND, case, title, about, code, planted))
    return gaps + faults


def _lines(path: Path, tree: ast.Module, text: str) -> Iterator[_Line]:
    """Give the lines below the docstring, each with its marks."""
    first = tree.body[0].end_lineno or 0
    within = {
        number
        for name, function in functions_of(tree).items()
        if name in FUNCTIONS
        for number in range(function.lineno, (function.end_lineno or 0) + 1)
    }
    line: _Line | None = None
    for number, whole in enumerate(text.splitlines()[first:], first + 1):
        fault, more = _FAULT.fullmatch(whole), _MORE.fullmatch(whole)
        if fault is not None:
            if line is None or not line.code.strip():
                raise BadInput(f"{path.name}, line {number}: a fault stands below a line of code.")
            line.faults.append([fault[1]])
            continue
        if more is not None and line is not None and line.faults:
            line.faults[-1].append(more[1])
            continue
        if line is not None:
            yield line
        code, comment = _parted(whole)
        gap = _GAP.fullmatch(comment)
        if gap is not None and (number not in within or not _can_be_open(code)):
            raise BadInput(
                f"{path.name}, line {number}: a gap is a whole assignment or return on one line "
                f"of {', '.join(FUNCTIONS[:-1])} or {FUNCTIONS[-1]}."
            )
        if gap is None and _MARK.search(whole):
            raise BadInput(
                f"{path.name}, line {number}: a mark is written `# gap`, `# gap: comment` or "
                f"`# fault: code`. Received: {whole.strip()}"
            )
        line = _Line(number, code, comment if gap is None else gap[1] or "", gap is not None)
    if line is not None:
        yield line


def _can_be_open(code: str) -> bool:
    try:
        (statement,) = ast.parse(code.strip()).body
    except NO_PYTHON:
        return False
    if isinstance(statement, ast.Assign):
        return len(statement.targets) == 1
    return isinstance(statement, ast.Return)


def _check_fault(path: Path, line: _Line, faulty: str, right: str) -> None:
    """Refuse a fault that is no Python, or none at all."""
    try:
        same = ast.dump(ast.parse(faulty)) == ast.dump(ast.parse(right))
    except NO_PYTHON as error:
        what = error.msg if isinstance(error, SyntaxError) else error
        raise BadInput(
            f"{path.name}, below line {line.number}: the fault is no Python: {what}."
        ) from None
    if same:
        raise BadInput(f"{path.name}, below line {line.number}: the fault is the right line.")


def _case(path: Path, tree: ast.Module) -> str:
    case = case_of(tree)
    if case not in HOMES:
        received = "no such line" if case is None else repr(case)
        raise BadInput(
            f'{path.name} needs a line CASE = "…" with one of {", ".join(HOMES)}. '
            f"Received: {received}."
        )
    return str(case)


def _docstring(path: Path, tree: ast.Module) -> tuple[str, str]:
    title, _, about = (ast.get_docstring(tree) or "").partition("\n")
    if not title:
        raise BadInput(f"{path.name} has to begin with a docstring: its first line is the title.")
    return title, about.strip()


def _parted(line: str) -> tuple[str, str]:
    """Part a line of code from its comment."""
    code, _, comment = line.partition("  # ")
    return code.rstrip(), comment.strip()


def _commented(code: str, comment: str) -> str:
    return f"{code}  # {comment}" if comment else code
