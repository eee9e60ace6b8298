"""Pages of real lock-steps, and a browser that has no network to look at them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from compare import Lockstep, lockstep
from compare.cases import load
from compare.explain import Names
from compare.findings.report import Report
from compare.pages.contents import Chapter, contents
from compare.pages.film import Film
from compare.pages.render import page
from compare.saved.training import of_case
from manual.layers import Dense

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
HOSTILE = ["<script>alert(1)", '"><img src=x onerror=alert(1)>', "\u202egnp.exe", "n" * 150]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    try:
        import playwright  # noqa: F401

        missing = "" if CHROMIUM else "no Chromium is installed"
    except ImportError:
        missing = "Playwright is not installed: pip install keras-lockstep[browser]"
    for item in items:
        if missing and item.get_closest_marker("browser"):
            item.add_marker(pytest.mark.skip(reason=missing))


@dataclass
class Made:
    """A page in a file, and what it was made of."""

    path: Path
    contents: dict[str, Any]
    report: Report


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Return a function that makes a page once."""
    folder = tmp_path_factory.mktemp("pages")
    pages: dict[str, Made] = {}

    def make(name: str) -> Made:
        if name not in pages:
            report, told = MAKERS[name]()
            path = folder / f"{name}.html"
            path.write_text(page(told), encoding="utf-8")
            pages[name] = Made(path, told, report)
        return pages[name]

    return make


def _of_case(name: str, steps: int) -> tuple[Report, dict[str, Any]]:
    case = load(name)
    report = Report("", "", reproduce=f"python -m compare run {name} --steps {{step}}")
    names = Names.of_case(case, steps)
    with of_case(name, None, steps, None, None) as training:
        film = Film(steps, names)
        training.follow(report, witness=film)
    command = f"python -m compare report {name}"
    return report, contents(name, case.title, command, [Chapter(report, film)])


def _with_a_bug(case: str, layer: str, steps: int) -> tuple[Report, dict[str, Any]]:
    """Plant a factor in the weight gradients of a layer."""
    right = Dense.backward

    def backward(self: Dense, dz: Any, saved: Any) -> Any:
        return right(self, dz * 3.0, saved) / 3.0 if self.name == layer else right(self, dz, saved)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dense, "backward", backward)
        return _of_case(case, steps)


def _explained() -> tuple[Report, dict[str, Any]]:
    report, told = _of_case("mazur", 1)
    told["chapters"][0]["film"]["frames"][0]["explained"] = {"output/kernel[0,0]": "a < b & c"}
    return report, told


def _hostile() -> tuple[Report, dict[str, Any]]:
    layers = [keras.layers.Dense(2, "tanh", name=name) for name in HOSTILE]
    model = keras.Sequential([keras.Input((2,)), *layers])
    model.compile("sgd", "mse", run_eagerly=True)  # a graph refuses such names
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(8, 2)), generator.normal(size=(8, 2))
    report = Report("", "", reproduce="echo '</script><script>alert(2)</script>' {step}")
    film = Film(2)
    lockstep(model, x, y, batch_size=4, report=report, witness=film, label="</script>\u2028&")
    title = "</title><script>alert(3)</script>"
    number = {"what": "<b>", "digits": "</td>", "printed": True, "keras": 1.0, "by_hand": 1.0}
    number |= {"why": "<b>", "status": "wrong in print"}
    chapter = Chapter(report, film, [number], "<b>")
    said = "</pre><script>alert(4)</script>"
    return report, contents(title, "<!--", "echo </code>", [chapter], said=said)


def _sampled() -> tuple[Report, dict[str, Any]]:
    """Have each third step of eight compared, in somebody's own ``fit``."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2, "tanh", name="only")])
    model.compile("sgd", "mse", run_eagerly=True)
    film, x = Film(), np.random.default_rng(0).normal(size=(16, 2))
    callback = Lockstep(every=3, on_difference="record", witness=film)
    model.fit(x, x, batch_size=2, verbose=0, callbacks=[callback])
    return callback.report, contents("sampled", "", "", [Chapter(callback.report, film)])


MAKERS: dict[str, Callable[[], tuple[Report, dict[str, Any]]]] = {
    "mazur": lambda: _of_case("mazur", 3),
    "bug": lambda: _with_a_bug("mazur", "output", 3),
    "larger bug": lambda: _with_a_bug("digits", "hidden_2", 2),
    "explained": _explained,
    "digits": lambda: _of_case("digits", 12),
    "hostile": _hostile,
    "sampled": _sampled,
}


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    sandboxed = [] if os.getuid() else ["--no-sandbox"]  # Chromium as root refuses to start with it
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=sandboxed)
        yield chromium
        chromium.close()


@dataclass
class Visit:
    """An open page, and all that went wrong in it."""

    page: Any
    made: Made
    wrong: list[str] = field(default_factory=list)


@pytest.fixture
def visit(browser: Any, made: Callable[[str], Made]) -> Iterator[Callable[..., Visit]]:
    """Return a function that opens a page; an error in it, or a request, fails the test."""
    visits: list[Visit] = []

    def open_page(name: str, width: int = 1280, **options: Any) -> Visit:
        context = browser.new_context(
            viewport={"width": width, "height": 900}, offline=True, accept_downloads=True, **options
        )
        one = Visit(context.new_page(), made(name))
        visits.append(one)
        one.page.on("console", lambda told: one.wrong.append(f"{told.type}: {told.text}"))
        one.page.on("pageerror", lambda error: one.wrong.append(str(error)))
        one.page.on("dialog", lambda dialog: (one.wrong.append("a dialog"), dialog.dismiss()))
        own = one.made.path.as_uri()
        one.page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith((own, "data:", "blob:"))
                else one.wrong.append(request.url)
            ),
        )
        one.page.goto(own)
        return one

    yield open_page
    for one in visits:
        one.page.context.close()
    assert [told for one in visits for told in one.wrong] == []
