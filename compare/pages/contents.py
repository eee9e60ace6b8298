"""Everything that a page shows, as plain dictionaries and lists: what it embeds as JSON."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from compare.findings.report import Report

if TYPE_CHECKING:
    from compare.pages.film import Film

SCHEMA = 1
"""The version of what `contents` returns."""


@dataclass
class Chapter:
    """One lock-step of a page.

    Attributes
    ----------
    report : Report
    film : Film or None
        None where only the report is left.
    numbers : list of dict
        Published numbers, and what both halves say to them.
    about : str
        A sentence about what is trained.
    """

    report: Report
    film: Film | None = None
    numbers: Sequence[Mapping[str, Any]] = ()
    about: str = ""


def contents(
    title: str,
    about: str,
    command: str,
    chapters: Sequence[Chapter],
    *,
    said: str = "",
    ok: bool = True,
    interrupted: bool = False,
) -> dict[str, Any]:
    """Return what a page shows.

    Parameters
    ----------
    title, about : str
        Whose page it is, and a sentence about it.
    command : str
        What makes it again; empty if no command does.
    chapters : sequence of Chapter
    said : str
        What the command line says, where it compares without a lock-step.
    ok : bool
        Whether all agrees beside the chapters.
    interrupted : bool
        Whether somebody stopped it.
    """
    return {
        "schema": SCHEMA,
        "title": title,
        "about": about,
        "command": command,
        "ok": ok and all(chapter.report.ok for chapter in chapters),
        "interrupted": interrupted,
        "said": said,
        "versions": versions(),
        "chapters": [_chapter(one) for one in chapters],
    }


def versions() -> dict[str, str]:
    """Return what the numbers were made by."""
    made_by = {name: version(name) for name in ("keras-lockstep", "keras", "tensorflow", "numpy")}
    return {
        **made_by,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
    }


def _chapter(chapter: Chapter) -> dict[str, Any]:
    report, film = chapter.report, chapter.film
    told: dict[str, Any] = {
        "label": report.label,
        "about": chapter.about,
        "settings": _settings(report, film),
        "symbols": {} if film is None else dict(film.names.symbols),
        "error": "E" if film is None else film.names.error,
        "numbers": [dict(number) for number in chapter.numbers],
        "report": report.as_dict(),
        "messages": [str(finding) for finding in report.findings],
        "film": None,
    }
    if film is not None and film.network is not None:
        optimizer = film.network.optimizer
        told["film"] = {
            "blocks": [asdict(block) for block in film.blocks],
            "optimizer": {
                "name": type(optimizer).__name__,
                "formulas": dict(optimizer.derivation) if optimizer is not None else {},
            },
            "frames": [asdict(frame) for frame in film.frames],
            "columns": [asdict(column) for column in film.columns],
            "points": [asdict(point) for point in film.points],
        }
    return told


def _settings(report: Report, film: Film | None) -> dict[str, str]:
    """Return how it was trained, in the reader's words."""
    epochs = f"{report.epochs:,} epoch{'s' * (report.epochs != 1)}"
    told = {"steps": f"{report.steps:,} in {epochs}", "precision": report.dtype}
    if film is not None and film.network is not None and film.frames:
        frame, network = film.frames[0], film.network
        told["samples in a batch"] = f"{frame.samples:,}"
        told["loss"] = ", ".join(type(head.loss).__name__ for head in network.heads)
        told["optimizer"] = type(network.optimizer).__name__
        told["learning rate"] = f"{frame.learning_rate:g}"
        told["weights"] = f"{network.values.size:,}"
    return told
