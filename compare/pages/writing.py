"""Writes pages: of worked examples, of a model, of what else was compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from compare.command import command_line, write_whole
from compare.pages.contents import Chapter, contents
from compare.pages.film import Film
from compare.pages.render import page
from compare.printable import echo
from compare.report import Report

if TYPE_CHECKING:
    from compare.casework import CaseResult


def write_cases(path: Path, results: Sequence[CaseResult]) -> None:
    """Write a page of worked examples, a chapter for each of their lock-steps."""
    chapters = []
    for result in results:
        case, numbers = result.case, result.as_dict()["numbers"]
        of_run = [one.number.run for one in result.numbers]
        for index, (report, film) in enumerate(zip(result.reports, result.witnesses, strict=True)):
            own = [number for number, run in zip(numbers, of_run, strict=True) if run == index]
            chapters.append(Chapter(report, film, case.symbols, case.error, own, case.title))
    names = ", ".join(result.case.name for result in results)
    about = results[0].case.title if len(results) == 1 else f"{len(results)} worked examples"
    _write(path, contents(names, about, command_line(), chapters))


def write_report(path: Path, report: Report, film: Film | None = None) -> None:
    """Write a page of one lock-step, or of what else gave a report."""
    _write(path, contents(report.label, "", command_line(), [Chapter(report, film)]))


def write_said(path: Path, title: str, said: str, *, ok: bool) -> None:
    """Write a page of what was compared without a lock-step: what the command line says."""
    _write(path, contents(title, "", command_line(), [], said=said, ok=ok))


def _write(path: Path, told: dict[str, Any]) -> None:
    write_whole(path, page(told))
    echo(f"written: {path}")
