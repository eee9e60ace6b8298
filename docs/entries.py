"""What Sphinx adds to the pages, which on a code host are read as they stand.

Two comments in them are filled in:

- ``<!-- contents -->`` on the first page becomes the navigation: the pages that it links, in that
  order, under its headings;
- ``<!-- twins: layer -->`` becomes an entry for every class that is registered as a twin of that
  kind, file by file. So a new layer needs no line in the documentation.

And below what a class says of itself stands its derivation, quantity by quantity.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from importlib import import_module
from itertools import groupby
from typing import Any

from manual.layers import Activation
from manual.operations.activations import Applied
from manual.optimizers import Optimizer
from manual.optimizers.base import PROCESSING
from manual.registry import twins


def setup(app: Any) -> dict[str, Any]:
    """Let Sphinx ask for what is added."""
    app.connect("source-read", fill_in)
    app.connect("autodoc-process-docstring", describe)
    return {"parallel_read_safe": True}


def fill_in(app: Any, page: str, source: list[str]) -> None:
    """Put entries and navigation where a page has its comments, before it is parsed."""
    text = re.sub(
        r"<!-- twins: ([\w ]+) -->", lambda kinds: "\n".join(entries(kinds[1].split())), source[0]
    )
    source[0] = text.replace("<!-- contents -->", "\n".join(navigation(text)))


def navigation(text: str) -> Iterator[str]:
    """Give a table of contents for each heading of a page: the pages that are linked below it."""
    for part in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        title, *lines = part.splitlines()
        pages = re.findall(r"\]\(([\w/]+)\.(?:md|ipynb)\)", "\n".join(lines))
        yield from ("```{toctree}", ":hidden:", f":caption: {title}", "", *pages, "```", "")


def entries(kinds: Iterable[str]) -> Iterator[str]:
    """Give a heading for each file with classes of these kinds, and an entry for each class."""
    registered = dict.fromkeys(twin for kind in kinds for twin in twins(kind).values())
    for file, found in groupby(sorted(registered, key=_file), key=_file):
        classes = list(found)
        module = classes[0].__module__
        about = (import_module(module).__doc__ or "").partition("\n")[0]
        yield from (f"## `{file}.py`", "", about, "")
        yield from ("```{eval-rst}", *map(entry, classes), "```", "")


def _file(twin: type) -> str:
    return twin.__module__.rpartition(".")[-1]


def entry(twin: type) -> str:
    """Return the directive for a class, by the shortest name under which it can be imported."""
    package = twin.__module__.rpartition(".")[0]
    shown = getattr(import_module(package), twin.__name__, None) is twin
    return f".. autoclass:: {package if shown else twin.__module__}.{twin.__name__}"


def describe(
    app: Any, what: str, name: str, documented: Any, options: Any, lines: list[str]
) -> None:
    """Write the formulas of a class below its description, and dashes where Napoleon means them."""
    lines[:] = [line.replace(" -- ", " – ") for line in lines]
    if what == "class":
        lines.extend(derivation_of(documented))


def derivation_of(twin: type) -> Iterator[str]:
    """Give the formulas of a class, as a list of fields."""
    formulas = formulas_of(twin)
    if formulas:
        yield from ("", ".. container:: derivation", "")
        yield from (f"   :{quantity}: ``{formula}``" for quantity, formula in formulas.items())
        yield ""


def formulas_of(twin: type) -> Mapping[str, str]:
    """Return the derivation of a class, without what all optimizers share."""
    if issubclass(twin, Applied):
        return twin.makes.derivation
    if issubclass(twin, Activation) and twin is not Activation:
        return twin().derivation
    if issubclass(twin, Optimizer):
        return {q: f for q, f in twin.derivation.items() if PROCESSING.get(q) != f} or PROCESSING
    if hasattr(twin, "formula"):
        return {"result": twin.formula}
    return getattr(twin, "derivation", {})
