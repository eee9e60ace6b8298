"""Writes pages: of worked examples, of a model, of what else was compared."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from compare.console.command import write_whole
from compare.findings.report import Report
from compare.pages.contents import Chapter, contents
from compare.pages.film import Film
from compare.pages.render import page

if TYPE_CHECKING:
    from compare.cases.casework import CaseResult


def write_cases(
    path: Path, results: Sequence[CaseResult], command: str, *, interrupted: bool = False
) -> None:
    """Write a page of worked examples, a chapter for each of their lock-steps."""
    chapters = []
    for result in results:
        numbers = result.as_dict()["numbers"]
        of_run = [one.number.run for one in result.numbers]
        for index, (report, film) in enumerate(zip(result.reports, result.witnesses, strict=False)):
            own = [number for number, run in zip(numbers, of_run, strict=True) if run == index]
            chapters.append(Chapter(report, film, own, result.case.title))
    names = ", ".join(result.case.name for result in results)
    about = results[0].case.title if len(results) == 1 else f"{len(results)} worked examples"
    write_whole(path, page(contents(names, about, command, chapters, interrupted=interrupted)))


def write_report(
    path: Path, report: Report, film: Film | None, command: str, *, interrupted: bool = False
) -> None:
    """Write a page of one lock-step, or of what else gave a report."""
    chapters = [Chapter(report, film)]
    write_whole(path, page(contents(report.label, "", command, chapters, interrupted=interrupted)))


def write_said(path: Path, title: str, said: str, command: str, *, ok: bool) -> None:
    """Write a page of what was compared without a lock-step: what the command line says."""
    write_whole(path, page(contents(title, "", command, [], said=said, ok=ok)))
