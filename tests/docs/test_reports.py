"""The pages that the first page of the site shows."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace

import reports


def test_one_agrees_and_one_has_its_mistake_named(tmp_path: Path) -> None:
    app = SimpleNamespace(outdir=tmp_path, builder=SimpleNamespace(name="html"))
    reports.write(app, None)
    told = {}
    for name in reports.SHOWN:
        page = (tmp_path / "reports" / f"{name}.html").read_text()
        found = re.search(r'<script type="application/json"[^>]*>(.*?)</script>', page, re.S)
        assert found is not None
        told[name] = json.loads(found[1])
        assert f"reports/{name}.html" in "\n".join(reports.frames())
    assert told["mazur"]["ok"]
    first = told["study_hours"]["chapters"][0]["report"]["findings"][0]
    assert (first["step"], first["phase"], first["name"]) == (1, "weight gradient", "score/kernel")
    cause = first["diagnosis"]["causes"][0]
    assert "the batch mean is missing" in str(cause)


def test_nothing_is_written_where_the_site_failed(tmp_path: Path) -> None:
    reports.write(SimpleNamespace(outdir=tmp_path), ValueError())
    assert not [*tmp_path.iterdir()]
