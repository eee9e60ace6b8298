"""What the command line hands in: a file with somebody's function, or one number."""

from __future__ import annotations

import json
import runpy
import sys
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from rich.console import Console

from compare.cases.base import Case
from compare.cases.halves import built
from compare.console.printing import print_finding, say
from compare.errors import BadInput, check_is_file
from compare.explain import weight_place
from compare.findings.report import Report
from compare.submissions.asked import Answer, ask
from compare.submissions.returned import Returns, Step, told
from compare.submissions.submission import check_step
from keras_models.precision import precision


@dataclass(frozen=True)
class Checked:
    """The result of checking something that was handed in, for the command line."""

    result: Report | Answer

    @property
    def ok(self) -> bool:
        return self.result.ok

    def to_json(self) -> str:
        if isinstance(self.result, Report):
            return self.result.to_json()
        return json.dumps({**asdict(self.result), "ok": self.ok}, indent=2, ensure_ascii=False)

    def write_page(self, path: Path, command: str) -> None:
        """Write the same as a page to look at, made by a command."""
        from compare.pages.writing import write_report, write_said

        if isinstance(self.result, Report):
            write_report(path, self.result, None, command)
        else:
            write_said(path, self.result.what, str(self.result), command, ok=self.ok)

    def print(self, console: Console) -> None:
        """Print what was found."""
        report = self.result
        if isinstance(report, Answer):
            console.print(str(report), markup=False, highlight=False, soft_wrap=True)
            return
        if report.first is None:
            console.print(f"All {report.compared} arrays are right, to within rounding.")
        else:
            print_finding(console, report.first)
            wrong = ", ".join(finding.name for finding in report.findings)
            say(console, f"wrong: {wrong}, of {report.compared} arrays")
        for note in report.remarks:
            say(console, note)


def check_file(case: Case, submission: str, returns: str) -> Checked:
    """Judge ``FILE.py:function`` on a case's first batch."""
    step = load_function(submission)
    run = case.runs[0]
    with precision(run.dtype):
        model, _ = built(run)
        x, y = run.x[: run.batch_size], run.y[: run.batch_size]
        return Checked(check_step(model, x, y, step, returns=cast(Returns, returns)))


def check_number(case: Case, after: int | None, loss: str | None, weight: str | None) -> Checked:
    """Judge a loss, or a weight given as ``name=number``."""
    after = 1 if after is None else after
    if loss is not None:
        return Checked(ask(case, loss, after=after))
    name, equals, digits = (weight or "").partition("=")
    if not equals:
        raise BadInput(f"A weight is asked about as w5=0.3589. Received: {weight!r}.")
    return Checked(ask(case, digits, after=after, weight=weight_place(case, name)))


def load_function(submission: str) -> Step:
    """Return the function that ``FILE.py:name`` names; the only one of the file without a name."""
    file, _, name = submission.partition(":")
    functions = defined_in(file)
    if name:
        if name not in functions:
            listed = ", ".join(functions) or "none"
            raise BadInput(f"{file} has no function {name!r}. Its functions: {listed}.")
        return cast(Step, functions[name])
    if len(functions) != 1:
        listed = ", ".join(functions) or "none"
        raise BadInput(f"Say which function of {file} to check, as {file}:name. It has: {listed}.")
    return cast(Step, next(iter(functions.values())))


def defined_in(file: str) -> dict[str, Any]:
    """Run a file; return its functions by name, without those that begin with an underscore."""
    path = Path(file)
    check_is_file(path)
    sys.path.insert(0, str(path.parent))  # as for any script: it may import its neighbours
    try:
        defined = runpy.run_path(str(path))
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() too
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename).name == path.name]
        where = f" (line {own[-1].lineno}: {own[-1].line})" if own else ""
        if isinstance(error, SyntaxError) and error.text:
            where += f": {error.text.strip()}"
        raise BadInput(f"{file} can't be run: {told(error)}{where}") from None
    return {
        key: value
        for key, value in defined.items()
        if callable(value)
        and not key.startswith("_")
        and getattr(getattr(value, "__code__", None), "co_filename", "") == str(path)
    }
