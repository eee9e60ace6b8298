"""The code in the documentation runs, and what it says of itself is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import manual.registry

DOCS = Path(__file__).parents[1] / "docs"


def code_of(page: str) -> list[str]:
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def test_the_code_about_custom_layers_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual.registry, "_twins", dict(manual.registry._twins))
    blocks = code_of("custom_layers.md")
    assert len(blocks) == 4
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, "custom_layers.md", "exec"), names)


def test_the_code_about_workflows_runs(
    pytester: pytest.Pytester, capsys: pytest.CaptureFixture[str]
) -> None:
    script, test = code_of("workflow.md")
    exec(compile(script, "workflow.md", "exec"), {"__name__": "page"})
    shown = capsys.readouterr().out
    assert "lockstep 2/2  228 quantities compared, all agree" in shown
    assert shown.endswith("True\n")
    pytester.makepyfile(test)
    pytester.runpytest("-p", "no:xdist", "-p", "no:cacheprovider").assert_outcomes(passed=1)
