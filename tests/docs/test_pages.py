"""The code in the documentation runs, and what it says of itself is true."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import keras
import pages
import pytest

import manual.registry
from compare.causes import base as causes
from keras_models.precision import precision


def name_of(page: Path) -> str:
    return str(page.relative_to(pages.ROOT))


every_page = pytest.mark.parametrize("page", pages.PAGES, ids=name_of)
with_code = pytest.mark.parametrize(
    "page",
    [
        page
        for page in pages.PAGES
        if page.name != "CONTRIBUTING.md" and pages.blocks_of(pages.text_of(page))
    ],
    ids=name_of,
)


@pytest.fixture
def patched_at_will(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Put back what pages do to the project: they register twins and causes, and plant faults."""
    causes.load_all()
    hypotheses = {phase: [*known] for phase, known in causes._hypotheses.items()}
    monkeypatch.setattr(causes, "_hypotheses", hypotheses)
    monkeypatch.setattr(manual.registry, "_twins", dict(manual.registry._twins))
    before = {twin: dict(vars(twin)) for twin in manual.registry._twins.values()}
    with precision(keras.config.floatx()):
        yield
    for twin, own in before.items():
        for name, value in own.items():
            if vars(twin)[name] is not value:
                setattr(twin, name, value)


@with_code
@pytest.mark.usefixtures("patched_at_will")
def test_the_code_of_a_page_prints_what_it_promises(page: Path, pytester: pytest.Pytester) -> None:
    names: dict[str, object] = {"__name__": "page"}
    for block in pages.blocks_of(pages.text_of(page)):
        if block.tests:
            pytester.makepyfile(block.code)
            run = pytester.runpytest("-p", "no:xdist", "-p", "no:cacheprovider")
            run.assert_outcomes(passed=block.tests)
            continue
        if block.file is not None:
            written = (pytester.path / block.file).read_text(encoding="utf-8")
            assert pages.without_versions(block.code) == pages.without_versions(written)
            command = [sys.executable, block.file]
            subprocess.run(command, cwd=pytester.path, check=True, capture_output=True)
            continue
        try:
            printed = pages.run(block, names)
        except Exception as error:
            error.add_note(f"in the code at {name_of(page)}:{block.line}")
            raise
        assert pages.broken_promises(block, printed) == [], f"{block.line}: it prints\n{printed}"


@every_page
def test_the_commands_of_a_page_are_accepted(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(pages.ROOT)
    assert pages.wrong_commands(pages.text_of(page)) == []


@every_page
def test_the_options_that_a_page_names_exist(page: Path, pytestconfig: pytest.Config) -> None:
    for option in pages.options_of(pages.text_of(page)) - pages.known_options():
        pytestconfig.getoption(option)


@every_page
def test_the_links_of_a_page_lead_somewhere(page: Path) -> None:
    assert pages.dead_links(page) == []
