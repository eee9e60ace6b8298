"""Runs the cases that a command asks for, with a line about how far they are."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from compare.cases import load
from compare.console.command import (
    command_line,
    load_tensorflow,
    progress_bar,
    stopping_on_ctrl_c,
    write_whole,
)

if TYPE_CHECKING:
    from compare.cases.base import Case, Settings
    from compare.cases.casework import CaseResult
    from compare.pages.film import Film


def run_all(
    names: tuple[str, ...],
    settings: Settings,
    full: bool,
    report_file: Path | None = None,
) -> tuple[list[CaseResult], bool]:
    """Run the cases one after the other; on Ctrl-C, return what there is.

    With ``report_file`` a page of them is written.
    """
    from compare.console.terminal import Terminal

    console = Terminal(highlight=False)
    results: list[CaseResult] = []
    interrupted = False
    try:
        with progress_bar(console) as update, stopping_on_ctrl_c() as look:
            load_tensorflow()
            from compare.cases.casework import CaseResult, run_case
            from compare.console.printing import (
                LEGEND,
                Lines,
                print_numbers,
                print_report,
                say,
                summary,
            )

            chosen = [load(name) for name in names]
            for case in chosen:
                for run in case.runs:
                    settings.applied(run)  # refuse what doesn't fit before anything runs
            for case in chosen:
                name = case.name
                result = CaseResult(case)
                console.print(f"[bold]{name}[/]: {case.title}")

                def show(what: str, done: int, total: int, name: str = name) -> None:
                    look()
                    update(description=name, status=what, completed=done, total=total)

                update(description=name, completed=0, total=None, status="")
                results.append(result)
                run_case(
                    case,
                    settings,
                    full=full,
                    result=result,
                    out=Lines(console),
                    on_report=partial(print_report, console),
                    progress=show,
                    witness=None if report_file is None else _film_of(case),
                )
                print_numbers(console, result)
                console.print()
    except KeyboardInterrupt:
        interrupted = True
    if interrupted:
        console.print("Interrupted. Compared so far:")
    if results:
        console.print(summary(results))
        say(console, LEGEND)
        if report_file is not None:
            from compare.pages.writing import write_cases

            write_cases(report_file, results, command_line(), interrupted=interrupted)
    return results, interrupted


def _film_of(case: Case) -> Callable[[int], Film]:
    """Return what makes a film of a run, in the words of its tutorial."""
    from compare.explain import Names
    from compare.pages.film import Film

    return partial(Film, names=Names.of_case(case, 1))


def reproduce_first(path: Path, results: list[CaseResult], settings: Settings) -> None:
    """Write the first disagreement that the cases gave as a script; say so where there is none."""
    from compare.cases.halves import built
    from compare.reproduction.console import reproduce_and_tell, say_nothing_to_reproduce
    from keras_models.precision import precision

    found = [
        run
        for result in results
        for run, report in zip(result.case.runs, result.reports, strict=True)
        if report.findings
    ]
    if not found:
        say_nothing_to_reproduce()
        return
    run = settings.applied(found[0])
    with precision(run.dtype):
        model = built(run)[0]
        reproduce_and_tell(path, model, run.x, run.y, **run.of_fit, steps=settings.steps)


def write_results(path: Path, results: list[CaseResult], interrupted: bool) -> None:
    """Write what the cases gave, also after an interruption."""
    from compare.strict_json import as_json

    text = as_json(
        {
            "ok": all(result.ok for result in results) and not interrupted,
            "interrupted": interrupted,
            "cases": [result.as_dict() for result in results],
        }
    )
    write_whole(path, text)
