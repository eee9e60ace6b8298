"""What the command line prints: the epochs, what is known of a case, and the summary."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from compare.cases.casework import CaseResult

if TYPE_CHECKING:
    from compare.findings.report import Finding, Report
    from compare.score import Score

SHORT = {
    "input": "start",
    "activation": "a",
    "loss": "E",
    "activation gradient": "da",
    "weight gradient": "dW",
    "processed gradient": "g",
    "optimizer slot": "slot",
    "weight": "w",
    "state": "state",
    "metric": "metric",
}


class Lines:
    """A text stream that prints through a console, above its progress display."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def write(self, text: str) -> None:
        self.console.print(text, end="", markup=False, highlight=False, soft_wrap=True)

    def flush(self) -> None:
        """Nothing is held back."""


def print_report(console: Console, report: Report) -> None:
    """Print what a run found beyond its losses: its verdict, or the finding, and its notes."""
    drift = "" if report.drift is None or not report.drift.steps else str(report.drift)
    if report.ok:
        verdict = f"agrees: {report.compared:,} quantities compared"
        say(console, f"{verdict}; {drift}" if drift else verdict)
    elif drift:
        say(console, drift)
    for note in report.remarks:
        say(console, note)
    if report.first is not None:
        print_finding(console, report.first)
        if report.disagreements > 1:
            say(console, f"{report.disagreements - 1} more quantities disagree after it")


def print_numbers(console: Console, result: CaseResult) -> None:
    """Print what became of a case's published numbers and goals, and its lesson."""
    for number in result.numbers:
        if number.status == "wrong in print":
            say(
                console,
                f"wrong in print: {number.number.what} is {number.number.right}, not "
                f"{number.number.digits}: {number.number.why}",
            )
        elif number.status == "missed":
            expected = number.number.right or number.number.digits
            say(
                console,
                f"NOT REPRODUCED: {number.number.what} should be {expected}; Keras gives "
                f"{number.keras:.12g}, by hand it is {number.by_hand:.12g}",
                style="red",
            )
    for goal in result.goals:
        word = "reached" if goal.reached else "NOT REACHED"
        say(
            console,
            f"{word}: {goal.goal.what} of at least {goal.goal.at_least:g}; Keras {goal.keras:.4f}, "
            f"by hand {goal.by_hand:.4f}",
            style=None if goal.reached else "red",
        )
    if result.case.lesson:
        say(console, result.case.lesson)


LOOKS = {
    "cause:": "bold yellow",
    "referee:": "cyan",
    "formula:": "green",
    "derived in": "green",
    "reproduce:": "dim",
}
"""How the lines of a finding look on a terminal, by how they begin; the first ones are bold red."""


def print_finding(console: Console, finding: Finding) -> None:
    """Print a finding: in colour on a terminal, plain in a pipe, the same words in both."""
    look = "bold red"
    for number, line in enumerate(str(finding).splitlines()):
        start = line.strip()
        if number and line.startswith("  ") and not line.startswith("    "):
            look = next((LOOKS[word] for word in LOOKS if start.startswith(word)), "")
            look = "bold red" if start.startswith("DISAGREES") else look
        console.print(line, style=look or None, markup=False, highlight=False, soft_wrap=True)


def print_score(console: Console, score: Score) -> None:
    """Print what was counted, and everything that was not as it should be."""
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("")
    table.add_column("count", justify="right")
    table.add_column("of", justify="right")
    table.add_column("share", justify="right")
    for what, count, of in score.table():
        table.add_row(what, f"{count:,}", f"{of:,}", f"{count / of:.1%}" if of else "–")
    console.print(table)
    for one in score.smallest:
        sure = "" if one.confirmed else " (not confirmed)"
        console.print(f"smallest error caught in {one.what}, {one.dtype}: {one.error:.1e}{sure}")
    lines = list(score.missed())
    if lines:
        console.print("Not as it should be:")
    for line in lines:
        say(console, line)


def say(console: Console, text: str, style: str | None = None) -> None:
    """Print a sentence, wrapped to the width and indented."""
    wrapped = textwrap.fill(
        text, width=min(console.width, 80), initial_indent="  ", subsequent_indent="    "
    )
    console.print(wrapped, style=style, markup=False, highlight=False)


def summary(results: Sequence[CaseResult]) -> Table:
    """Return one row for each case."""
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False)
    table.add_column("case", no_wrap=True)
    table.add_column("steps", justify="right", no_wrap=True)
    table.add_column("compared", justify="right", no_wrap=True)
    table.add_column("largest", justify="right", no_wrap=True)
    table.add_column("where", no_wrap=True, overflow="ellipsis", max_width=23)
    table.add_column("numbers", justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    for result in results:
        worst = max(
            (report.largest for report in result.reports if report.largest is not None),
            key=lambda found: found[1].distance,
            default=None,
        )
        distance, where = "–", ""
        if worst is not None:
            (phase, name, _), largest = worst
            distance, where = f"{largest.distance:.2g}×", f"{SHORT[phase]} {name}"
        table.add_row(
            result.case.name,
            f"{sum(report.steps for report in result.reports):,}",
            f"{sum(report.compared for report in result.reports):,}",
            distance,
            where,
            _numbers(result),
            "[green]agrees[/]" if result.ok else "[bold red]DIFFERS[/]",
        )
    return table


def _numbers(result: CaseResult) -> str:
    """Count the numbers that both halves reproduce, and those that are wrong in print."""
    if not result.numbers:
        return "–"
    wrong = sum(number.status == "wrong in print" for number in result.numbers)
    missed = sum(number.status == "missed" for number in result.numbers)
    good = len(result.numbers) - wrong - missed
    return f"{good} / {wrong}" + (f" / {missed}!" if missed else "")


LEGEND = (
    "largest: in standard deviations of the rounding noise, up to 8 agree; where: a activation, "
    "E loss, da and dW gradients, w weight; numbers: reproduced / wrong in print."
)
