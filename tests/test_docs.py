"""The code in the documentation runs, and what it says of itself is true."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import manual.registry

DOCS = Path(__file__).parents[1] / "docs"


@pytest.mark.parametrize("page", ["custom_layers.md"])
def test_the_code_of_a_page_runs(page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual.registry, "_twins", dict(manual.registry._twins))
    text = (DOCS / page).read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 4
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, page, "exec"), names)
