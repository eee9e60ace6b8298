"""Makes the pages that the first page of the site shows: of comparisons run when it is built.

The comment ``<!-- reports -->`` becomes a frame for each.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any

from compare.cases import load
from compare.cases.base import Settings
from compare.cases.casework import run_case
from compare.explain import Names
from compare.pages.film import Film
from compare.pages.writing import write_cases
from manual.layers import Dense

FOLDER = "reports"
SHOWN = {
    "mazur": "A network of two layers, one step after another: Keras and the formulas agree.",
    "study_hours": "A mistake, planted by hand: the sum over the batch is not divided by its size.",
}
"""Of each worked example, what is to be seen."""


def setup(app: Any) -> dict[str, Any]:
    """Let Sphinx ask for what is added."""
    app.connect("source-read", fill_in)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True}


def fill_in(app: Any, page: str, source: list[str]) -> None:
    """Put frames where a page has the comment, before it is parsed."""
    source[0] = source[0].replace("<!-- reports -->", "\n".join(frames()))


def frames() -> Iterator[str]:
    """Give a sentence, a frame and a link for each report."""
    for name, sentence in SHOWN.items():
        file = f"{FOLDER}/{name}.html"
        yield from ("```{raw} html", f'<figure class="report"><figcaption>{sentence}')
        yield f'<a href="{file}">On a page of its own</a></figcaption>'
        yield f'<iframe src="{file}" title="{sentence}"></iframe></figure>'
        yield from ("```", "")


def write(app: Any, error: Exception | None) -> None:
    """Run the comparisons and write their pages beside those of the site."""
    if error is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir) / FOLDER
    folder.mkdir(exist_ok=True)
    for name in SHOWN:
        case = load(name)
        with planted() if name == "study_hours" else nullcontext():
            result = run_case(
                case, Settings(steps=6), witness=partial(Film, names=Names.of_case(case, 1))
            )
        command = f"python -m compare report {name} --steps 6 --out {name}.html"
        write_cases(folder / f"{name}.html", [result], command)


@contextmanager
def planted() -> Iterator[None]:
    """Forget, for a while, that a gradient is of the mean over the batch."""
    right = Dense.backward

    def wrong(self: Any, dz: Any, x: Any) -> Any:
        if self.name == "score":
            self.kernel.gradient += (x.T @ dz) * (len(x) - 1.0)
        return right(self, dz, x)

    Dense.backward = wrong  # type: ignore[method-assign]
    try:
        yield
    finally:
        Dense.backward = right  # type: ignore[method-assign]
