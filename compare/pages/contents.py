"""Everything that a page shows, as plain dictionaries and lists: what it embeds as JSON."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from compare.pages.film import Film
from compare.report import Report

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
    settings : dict of str to object
        How it was trained, in the reader's words.
    symbols : dict of str to str
        A tutorial's own names of weights and units.
    error : str
        The letter of what is differentiated.
    """

    report: Report
    film: Film | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    symbols: Mapping[str, str] = field(default_factory=dict)
    error: str = "E"


def contents(title: str, about: str, command: str, chapters: Sequence[Chapter]) -> dict[str, Any]:
    """Return what a page shows.

    Parameters
    ----------
    title, about : str
        Whose page it is, and a sentence about it.
    command : str
        What makes it again; empty if no command does.
    chapters : sequence of Chapter
    """
    return {
        "schema": SCHEMA,
        "title": title,
        "about": about,
        "command": command,
        "ok": all(chapter.report.ok for chapter in chapters),
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
        "settings": dict(chapter.settings),
        "symbols": dict(chapter.symbols),
        "error": chapter.error,
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
