"""Coverage as a table in a terminal, and as a page of the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from compare.console.command import write_whole
from compare.console.printing import say
from compare.coverage.entries import Entry

PAGE = "coverage.md"
ASKED_FOR = (
    "twin: below manual/; options: those that change what is computed, understood / all; tape: "
    "understood ones of which several values were held against Keras in the last sweeps; diffs: "
    "of these, the ones whose derivative was held against central differences; max: largest "
    "distance from Keras, in standard deviations of the rounding noise, up to 8 agree."
)


def print_coverage(console: Console, entries: Sequence[Entry], *, missing: bool = False) -> None:
    """Print a table for each group, what is missing, and the sum."""
    asked = [entry for entry in entries if not entry.left_out]
    for title, group in groupby(asked, lambda entry: entry.group):
        table = Table(box=None, padding=(0, 1, 0, 0), title_justify="left")
        table.add_column(title.removeprefix("layers: "), overflow="fold")
        table.add_column("twin", overflow="fold")
        for column in ("options", "tape", "diffs", "max"):
            table.add_column(column, justify="right")
        shown = [entry for entry in group if not missing or is_open(entry)]
        for entry in shown:
            where = f"{entry.twin.removeprefix('manual/')}:{entry.line}"
            table.add_row(entry.name, where if entry.twin else "[red]none[/]", *_counts(entry))
        if shown:
            console.print(table)
            console.print()
    for line in _open(asked):
        say(console, line)
    for line in _single(asked):
        say(console, f"{line[0].upper()}{line[1:]}, in one value only")
    say(console, ASKED_FOR)
    console.print(_sum(entries))


def is_open(entry: Entry) -> bool:
    """Say whether something that is asked for has no twin."""
    return not entry.left_out and (not entry.twin or bool(entry.missing))


def _counts(entry: Entry) -> tuple[str, str, str, str]:
    """Return options, options held in both ways, and distances, as they stand in a table."""
    understood = f"{sum(one.understood for one in entry.options)}/{len(entry.options)}"
    if not entry.configurations:
        return understood if entry.twin else "–", "–", "–", "–"
    derived = str(sum(one.derived > 1 for one in entry.held)) if entry.derives else "–"
    return understood, str(len(entry.held)), derived, _largest([entry])


def _largest(entries: Sequence[Entry]) -> str:
    found = [one for entry in entries for one in (entry.float32, entry.float64) if one is not None]
    return f"{max(found):.1f}×" if found else "–"


def _open(asked: Sequence[Entry]) -> Iterator[str]:
    """Say what has no twin, and which options of what has one are refused."""
    refusing: dict[tuple[str, ...], list[str]] = {}
    for title, group in groupby(asked, lambda entry: entry.group):
        found = list(group)
        without = [entry.name for entry in found if not entry.twin]
        if without:
            yield f"{title} without a twin: {', '.join(without)}"
        for entry in found:
            if entry.twin and entry.missing:
                refusing.setdefault(tuple(entry.missing), []).append(entry.name)
    for options, names in refusing.items():
        verb = "refuses" if len(names) == 1 else "refuse"
        yield f"{', '.join(names)} {verb} {', '.join(options)}"


def _single(asked: Sequence[Entry]) -> Iterator[str]:
    """Say which options had one value only in the sweeps, or none, of what was held at all."""
    for title, group in groupby(asked, lambda entry: entry.group):
        found = [f"{one.name} ({', '.join(one.not_held)})" for one in group if one.not_held]
        if found:
            yield f"{title}: {', '.join(found)}"


def _sum(entries: Sequence[Entry]) -> str:
    asked = [entry for entry in entries if not entry.left_out]
    with_twin = sum(bool(entry.twin) for entry in asked)
    swept = sum(entry.configurations for entry in asked)
    return f"{with_twin} of {len(asked)} have a twin; {swept:,} configurations held"


def as_page(entries: Sequence[Entry]) -> str:
    """Return the page, which names files but no lines: those move."""
    lines = [
        "# What of Keras has a twin",
        "",
        "Written by `python -m compare coverage --out docs`; the command itself shows lines as "
        "well.",
        "",
        "What Keras has is read from the Keras that is installed, what has a twin from the "
        "registry, and what agrees from the record of the last sweeps. In that of layers every "
        "two values of any two options of a layer meet: `tests/manual/layers/test_sweep.py`. There "
        "each is held against `GradientTape` (output, gradients of inputs and weights, state), in "
        "float32 through a `tf.function` and in float64 eagerly, and its derivative against "
        "central differences; `test_sweep_attached.py` holds what is attached to weights and "
        "outputs. Everything else is held in the tables of its own tests in `tests/manual/`, which "
        "keep what they find by the same `--record`.",
        "",
        "*Options* are those that change what is computed: understood / all. *Held* are the "
        "understood ones of which several values were held against Keras; in italics those whose "
        "derivative wasn't held against central differences with several of them. What has no "
        "derivative has none there: an optimizer's step, a schedule, a constraint, a metric. "
        "*Largest* is the largest distance from Keras, in either precision, in standard deviations "
        "of the rounding noise: up to 8 agree.",
        "",
        f"{_sum(entries)}.",
        "",
    ]
    lines += _by_group(entries)
    asked = [entry for entry in entries if not entry.left_out]
    for title, group in groupby(asked, lambda entry: entry.group):
        lines += [f"## {title.capitalize()}", ""]
        lines += ["| | twin | options | held | largest |", "|---|---|---:|---|---:|"]
        for entry in group:
            where = f"`{entry.twin}`" if entry.twin else "none"
            understood, *_, largest = _counts(entry)
            lines.append(f"| {entry.name} | {where} | {understood} | {_held(entry)} | {largest} |")
        lines.append("")
    lines += ["## What is missing", "", *(f"- {line}" for line in _open(asked)), ""]
    lines += ["## What was held with one value only", "", "Or not at all, though it is understood:"]
    lines += ["", *(f"- {line}" for line in _single(asked)), ""]
    lines += ["## What is not asked for", "", "No gradient passes these:", ""]
    out = sorted((entry for entry in entries if entry.left_out), key=lambda one: one.left_out)
    for reason, group in groupby(out, lambda entry: entry.left_out):
        lines.append(f"- {reason}: {', '.join(entry.name for entry in group)}")
    return "\n".join(lines)


def _held(entry: Entry) -> str:
    """Return the names of the options that were held, in italics where only against Keras."""
    if not entry.configurations:
        return "–"
    plain = [not entry.derives or one.derived > 1 for one in entry.held]
    names = [one.name for one in entry.held]
    return ", ".join(
        name if is_plain else f"*{name}*" for name, is_plain in zip(names, plain, strict=True)
    )


def _by_group(entries: Sequence[Entry]) -> list[str]:
    """Sum up each group in a line."""
    lines = ["| | classes | with a twin | configurations | largest |", "|---|---:|---:|---:|---:|"]
    asked = [entry for entry in entries if not entry.left_out]
    for title, found in groupby(asked, lambda entry: entry.group):
        group = list(found)
        configurations = sum(entry.configurations for entry in group)
        with_twin = sum(bool(entry.twin) for entry in group)
        lines.append(
            f"| {title} | {len(group)} | {with_twin} | {configurations or '–'} | "
            f"{_largest(group)} |"
        )
    return [*lines, ""]


def write_page(folder: Path, entries: Sequence[Entry]) -> Path:
    """Write the page to a folder and return its path."""
    path = folder / PAGE
    write_whole(path, as_page(entries))
    return path
