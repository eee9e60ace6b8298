"""The page itself: what `contents` says as one HTML file that needs no other."""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from compare.pages.charts import drift, heat_map, loss_curves, matrix
from compare.pages.charts.markup import plain
from compare.pages.words import plain_summary
from compare.rounding.judge import BOUND
from compare.strict_json import finite

STYLES = "page.css", "stage.css", "charts.css"
SCRIPTS = (
    "numbers.js",
    "story.js",
    "drawing.js",
    "network.js",
    "paint.js",
    "boxes.js",
    "details.js",
    "stage.js",
    "page.js",
)
MOST_UNITS = 12
"""Layers with more units than this are drawn as boxes."""


def page(contents: Mapping[str, Any]) -> str:
    """Return the page.

    Nothing in it is loaded from anywhere, and nothing that data says is ever run: names are
    escaped, numbers are embedded as JSON, and the only script allowed is the one written here.

    Parameters
    ----------
    contents : dict
        What `compare.pages.contents.contents` returns, or the same read from JSON.
    """
    shown = finite(contents)
    environment = _environment()
    script = _joined(environment, SCRIPTS)
    return environment.get_template("page.html.j2").render(
        shown=shown,
        title=shown["title"] or "A comparison",
        verdict=verdict(shown),
        summary=plain_summary(shown),
        pictures=[_pictures(chapter) for chapter in shown["chapters"]],
        bound=f"{BOUND:g}",
        styles=_joined(environment, STYLES),
        script=script,
        policy=_policy(script),
    )


def verdict(contents: Mapping[str, Any]) -> str:
    """Return what a page says first: that both halves agree, or where they first differ.

    Examples
    --------
    >>> verdict({"ok": True, "chapters": []})
    'agrees'
    """
    if contents["ok"]:
        return "agrees"
    for chapter in contents["chapters"]:
        for first in chapter["report"]["findings"][:1]:
            what = (
                first["phase"]
                if first["name"] == "total"
                else f"{first['phase']} of {first['name']}"
            )
            return f"differs: first at step {first['step']}, {what}"
    compared = all(chapter["report"]["compared"] for chapter in contents["chapters"])
    return "does not agree" if compared else "nothing was compared"


def is_small(film: Mapping[str, Any]) -> bool:
    """Say whether a network is small enough for all its units and weights to be drawn."""
    weights = film["frames"][0]["quantities"].get("before", {}).values()
    units = [math.prod(block["shape"]) for block in film["blocks"]]
    return max(units) <= MOST_UNITS and all(one["all_of_keras"] is not None for one in weights)


def _pictures(chapter: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chapter's static pictures, and how its network is drawn."""
    heat_maps = [
        _heat_map(finding) if finding.get("pattern") else None
        for finding in chapter["report"]["findings"]
    ]
    film = chapter["film"]
    if not film or not film["frames"]:
        return {"heat_maps": heat_maps, "film": None}
    return {
        "heat_maps": heat_maps,
        "film": film,
        "small": is_small(film),
        "rows": 1 + max(block["row"] for block in film["blocks"]),
        "samples": _samples(film),
        "losses": loss_curves(film["points"]),
        "drift": drift(film["points"], chapter["report"]["drift"]),
        "matrix": matrix(film["columns"], film["blocks"]),
    }


def _heat_map(finding: Mapping[str, Any]) -> Markup:
    pattern = finding["pattern"]
    caption = f"Where {finding['name']} differs: {pattern['told']}."
    return heat_map(pattern, finding["verdict"]["bound"], caption)


def _samples(film: Mapping[str, Any]) -> int:
    """Return how many samples of each batch are there to be chosen from."""
    kept = [
        len(numbers["all_of_keras"])
        for frame in film["frames"]
        for phase in ("input", "activation")
        for numbers in frame["quantities"].get(phase, {}).values()
        if isinstance(numbers["all_of_keras"], list)
    ]
    return min(kept, default=1)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("compare.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else plain(value),
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    environment.filters["script_file"] = _script_file
    environment.filters["number"] = lambda x: f"{x:.10g}" if isinstance(x, float) else x
    return environment


def _joined(environment: Environment, names: tuple[str, ...]) -> Markup:
    """Return files of ours one after the other, as they stand."""

    def sources() -> Iterator[str]:
        assert environment.loader is not None
        for name in names:
            yield environment.loader.get_source(environment, name)[0]

    return Markup("\n".join(sources()))


def _policy(script: str) -> str:
    """Return a Content-Security-Policy that allows this script and nothing else."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _script_file(command: str) -> str:
    """Return a command as a file to be saved, written out in its address."""
    return f"data:text/x-shellscript;charset=utf-8,{quote(f'#!/bin/sh{chr(10)}{command}{chr(10)}')}"
