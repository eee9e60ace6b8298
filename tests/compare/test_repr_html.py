"""What a notebook shows: well-formed, complete, without script, and only what was found."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from drawings import of_class, parsed, text
from fuzzing import HOSTILE, taken
from planting import run

import compare
import manual
from compare import Report
from compare.derivations import Derivation
from compare.findings.report import EpochPair, Finding, Largest
from compare.pages.charts.markup import plain
from compare.pages.words import summary
from compare.rounding.judge import Verdict

DIFFERS = Verdict(False, 4.1e6, 8.0, (2, 1), 0.01823, 0.5834, 1.4e-7, 6)


class Tags(HTMLParser):
    """Gathers the elements that a browser would see, and their attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)


def shown(one: Any) -> Any:
    return parsed(one._repr_html_())


def badge(tree: Any) -> str:
    (found,) = of_class(tree, "ls-badge")
    return text(found)


def test_a_report_that_agrees(small: Any) -> None:
    report = run(small(), epochs=2)
    tree = shown(report)
    assert badge(tree) == "✓ agrees"
    told = text(tree)
    for sentence in [*summary([report.as_dict()]), f"{report.drift}."]:
        assert sentence in told
    assert report.reproduce.format(step=report.steps) in told
    assert not [*tree.iter("pre")]
    rows = {text(row[0]): row for row in tree.iter("tr")}
    assert [*rows] == ["layer", "hidden", "second", "out", "the loss", "iterations", "the metrics"]
    losses = report.history[-1]
    keras_, by_hand = losses.keras["loss"], losses.by_hand["loss"]
    assert f"After epoch 2: Keras {keras_:.10g}, by hand {by_hand:.10g}." in told


def test_the_table_has_the_largest_distances(small: Any) -> None:
    report = run(small())
    largest: dict[str, float] = {}
    for (phase, name, _), one in report.quantities.items():
        if name.startswith("hidden"):
            largest[phase] = max(largest.get(phase, 0.0), one.distance)
    tree = shown(report)
    head, *rows = tree.iter("tr")
    (hidden,) = (row for row in rows if text(row[0]) == "hidden")
    written = {text(one): text(cell) for one, cell in zip(head, hidden, strict=True) if text(cell)}
    assert written.pop("layer") == "hidden"
    assert {*written} == {*largest}
    for phase, distance in largest.items():
        assert float(written[phase].replace("~", "")) == pytest.approx(distance, abs=0.051), phase


def test_a_report_that_differs(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual.activations.Tanh, "backward", lambda self, da, z, a: da * (1 - a))
    report = run(small())
    tree = shown(report)
    assert badge(tree) == "✗ differs"
    assert [text(one) for one in tree.iter("pre")] == [str(one) for one in report.findings]
    (hidden,) = (row for row in tree.iter("tr") if text(row[0]) == "hidden")
    assert of_class(hidden, "ls-differs")
    assert report._repr_html_().count("<details open") == 1


def test_more_than_is_kept() -> None:
    report = Report("many", "float32", disagreements=1020)
    by = Derivation("hidden", "dW = xᵀ · dz", "x.py:1")
    report.findings = [
        Finding(1, step, "weight gradient", "hidden/kernel", "model.fit", by, DIFFERS)
        for step in range(1, 21)
    ]
    told = text(shown(report))
    assert "what differs after it: 1,019" in told
    assert "of 1,000 more no details were kept" in told


def test_a_report_of_nothing() -> None:
    tree = shown(Report("empty", "float32"))
    assert badge(tree) == "nothing compared"
    assert "Nothing was compared, so that nothing is known" in text(tree)


def test_what_a_submission_shows(small: Any) -> None:
    model = small()
    x, y = np.ones((2, 5)), np.ones((2, 3))
    zeros = [np.zeros(one.shape) for one in model.trainable_weights]
    tree = shown(compare.check_gradients(model, x, y, zeros))
    assert badge(tree) == "✗ differs"
    rows = [text(row[0]) for row in tree.iter("tr")]
    assert rows == ["layer", "out", "second", "hidden"]


def test_the_map_of_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    by = Derivation("hidden", "dW = xᵀ · dz", "x.py:1")
    report = Report("one", "float32", disagreements=1)
    report.quantities["weight gradient", "hidden/kernel", "model.fit"] = Largest(4e6, 1, 1, 1)
    report.findings = [Finding(1, 1, "weight gradient", "hidden/kernel", "model.fit", by, DIFFERS)]
    told = report.as_dict()
    told["findings"][0]["pattern"] = {
        "told": "one row (input 1)",
        "wrong": 2,
        "size": 4,
        "map": [[0.1, 0.2], [4e6, float("inf")]],
        "rows": "input",
        "columns": "unit",
    }
    monkeypatch.setattr(Report, "as_dict", lambda self: told)
    (heat,) = of_class(shown(report), "ls-heat")
    assert "one row (input 1)" in text(heat)
    assert len([*heat.iter("rect")]) == 4
    assert len(of_class(heat, "ls-cross")) == 2


def test_numbers_that_are_not_finite() -> None:
    report = Report("odd", "float32")
    report.quantities["loss", "total", "model.fit"] = Largest(float("nan"), 1, 1, 1)
    report.history = [
        EpochPair(1, {"loss": 1.0}, {"loss": float("inf")}, 0.0),
        EpochPair(2, {"loss": float("nan")}, {"loss": 1.0}, float("inf")),
    ]
    told = text(shown(report))
    assert "By Keras, the loss is not finite, first at epoch 2." in told
    assert "By hand, the loss is not finite, first at epoch 1." in told


def test_two_records(tmp_path: Path) -> None:
    one = taken(tmp_path / "one", steps=2)
    tree = shown(compare.diff(one, one))
    assert badge(tree) == "✓ agree"
    assert "The weights are 0 apart after step 2." in text(tree)
    keras.utils.set_random_seed(0)
    weights = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5, "tanh", name="hidden")])
    weights.add(keras.layers.Dense(3, "softmax", name="out"))
    weights.compile("adam", "sparse_categorical_crossentropy")
    weights.layers[0].bias.assign([0, 0, 0, 0, 1e-3])
    difference = compare.diff(one, taken(tmp_path / "other", weights, steps=2))
    tree = shown(difference)
    assert badge(tree) == "✗ diverge"
    assert text(next(tree.iter("pre"))) == str(difference.first)


@pytest.mark.parametrize("name", [*HOSTILE, "<script>alert(1)</script>", "</style><b>"], ids=ascii)
def test_hostile_names_are_only_names(name: str) -> None:
    by = Derivation(name, name, name)
    report = Report(name, name, disagreements=1, notes=[name], unverified=[name])
    report.quantities["weight gradient", name, name] = Largest(4e6, 1, 1, 1)
    report.findings = [Finding(1, 1, "weight gradient", name, name, by, DIFFERS, reproduce=name)]
    plainly = Report("", "", disagreements=1, notes=[""], unverified=["w"])
    plainly.quantities["weight gradient", "w", "s"] = Largest(4e6, 1, 1, 1)
    plainly.findings = [Finding(1, 1, "weight gradient", "w", "s", by, DIFFERS, reproduce="w")]
    one, other = Tags(report._repr_html_()), Tags(plainly._repr_html_())
    assert (one.seen, one.attributes) == (other.seen, other.attributes)
    assert "script" not in one.seen
    tree = shown(report)
    assert plain(str(report.findings[0])) == text(next(tree.iter("pre")))


def test_importing_compare_stays_light() -> None:
    code = "import compare, sys; print({'jinja2', 'markupsafe', 'numpy', 'keras'} & {*sys.modules})"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"


def test_pictures_need_no_tensorflow() -> None:
    code = (
        "import sys; from compare.pages import charts, fragment, words; "
        "print({'tensorflow', 'keras'} & {*sys.modules})"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout == "set()\n"
