"""The page as a file: what it says, what it allows, and what it must not do."""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import Any

import pytest

from compare.pages.render import page, verdict

Make = Callable[[str], Any]
MOST_BYTES = 5_000_000
VOID = {"meta", "link", "input", "br", "img", "hr"}


class Outline(HTMLParser):
    """Which elements a page has, with their attributes and text; and whether each was closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, str] = {}
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts[self.open[-1]] = self.texts.get(self.open[-1], "") + data


def embedded(html: str) -> Any:
    found = re.search(r'<script type="application/json" id="contents">(.*?)</script>', html, re.S)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("name", ["mazur", "bug", "digits", "hostile"])
def test_every_element_is_closed(made: Make, name: str) -> None:
    outline = Outline(made(name).path.read_text("utf-8"))
    assert outline.open == []
    ids = [attributes["id"] for _, attributes in outline.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("name", ["mazur", "bug", "digits"])
def test_the_numbers_are_those_of_the_report(made: Make, name: str) -> None:
    one = made(name)
    told = embedded(one.path.read_text("utf-8"))["chapters"][0]["report"]
    assert told == json.loads(one.report.to_json())


def test_the_only_script_is_the_one_that_the_policy_names(made: Make) -> None:
    html = made("bug").path.read_text("utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", html, re.S)
    assert len(scripts) == 1
    digest = base64.b64encode(hashlib.sha256(scripts[0].encode()).digest()).decode()
    policy = dict(
        part.strip().split(" ", 1)
        for part in html.split('http-equiv="Content-Security-Policy" content="')[1]
        .split('"')[0]
        .replace("&#39;", "'")
        .split(";")
    )
    assert policy["script-src"] == f"'sha256-{digest}'"
    assert policy["default-src"] == "'none'"


@pytest.mark.parametrize("name", ["mazur", "bug", "digits", "hostile"])
def test_nothing_is_loaded_and_it_is_small(made: Make, name: str) -> None:
    html = made(name).path.read_text("utf-8")
    assert len(html.encode()) < MOST_BYTES
    for _, attributes in Outline(html).elements:
        for where in ("src", "href", "srcset", "action", "data"):
            assert re.match(r"data:|#|$", attributes.get(where) or ""), attributes


def test_hostile_names_are_text(made: Make) -> None:
    one = made("hostile")
    outline = Outline(one.path.read_text("utf-8"))
    assert [tag for tag, _ in outline.elements].count("script") == 2
    assert not any(tag in ("img", "b") for tag, _ in outline.elements)
    assert not any(key.startswith("on") for _, given in outline.elements for key in given)
    assert outline.texts["title"].startswith("</title><script>alert(3)</script>")
    names = [
        block["name"]
        for block in embedded(one.path.read_text("utf-8"))["chapters"][0]["film"]["blocks"]
    ]
    assert names[1:-1] == [block.name for block in _blocks(one)][1:-1]
    assert "<script>alert(1)" in names


def _blocks(one: Any) -> Any:
    from types import SimpleNamespace

    return [SimpleNamespace(**block) for block in one.contents["chapters"][0]["film"]["blocks"]]


def test_infinities_and_halves_of_characters_are_written(made: Make) -> None:
    told = copy.deepcopy(made("mazur").contents)
    told["title"] = "\ud800"
    told["chapters"][0]["film"]["points"][0]["keras"] = float("inf")
    html = page(told)
    html.encode("utf-8")
    assert embedded(html)["chapters"][0]["film"]["points"][0]["keras"] == "inf"


def test_what_a_page_says_first(made: Make) -> None:
    assert verdict(made("mazur").contents) == "agrees"
    expected = "differs: first at step 1, weight gradient of output/kernel"
    assert verdict(made("bug").contents) == expected
    nothing = {"report": {"compared": 0, "findings": []}}
    assert verdict({"ok": False, "chapters": [nothing]}) == "nothing was compared"
    assert verdict({"ok": False, "chapters": []}) == "does not agree"


def test_a_report_without_pictures(made: Make) -> None:
    told = copy.deepcopy(made("bug").contents)
    told["chapters"][0]["film"] = None
    html = page(told)
    outline = Outline(html)
    assert not any("data-finding" in given for _, given in outline.elements)
    assert "weight gradient · output/kernel" in outline.texts["pre"]


def test_published_numbers_stand_beside_both_halves(made: Make) -> None:
    told = copy.deepcopy(made("mazur").contents)
    number = {"what": "E", "digits": "0.2984", "printed": True, "why": "a slip"}
    number |= {"keras": 0.29837, "by_hand": 0.29838, "status": "wrong in print"}
    told["chapters"][0]["numbers"] = [number, {**number, "printed": False, "status": "reproduced"}]
    text = re.sub(r"<[^>]+>", " ", page(told).split('class="printed"')[1].split("</table>")[0])
    words = " ".join(text.split())
    assert "E 0.2984 0.29837 0.29838 wrong in print: a slip" in words
    assert words.endswith("E not printed 0.29837 0.29838 reproduced")


def test_several_chapters_have_a_table_of_contents(made: Make) -> None:
    told = copy.deepcopy(made("mazur").contents)
    told["chapters"] *= 2
    links = [given.get("href") for tag, given in Outline(page(told)).elements if tag == "a"]
    assert links[:2] == ["#chapter-1", "#chapter-2"]
    assert Outline(made("mazur").path.read_text("utf-8")).texts.get("nav") is None
