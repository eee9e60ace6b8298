"""The tutorial runs, gives the outputs that it shows, and stops at a wrong formula.

After a change of it, or of what it prints, ``python -m pytest -n 0 --record
tests/docs/test_tutorial.py`` keeps its new outputs.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from notebooks import (
    TUTORIAL,
    differences,
    executed,
    only,
    outputs,
    printed,
    read,
    replaced,
    stands_in,
)
from pages import ROOT, text_of

from compare.cases import load

SLIPS = [
    ("neuron-forward", "E = (0.5 * (t - p) ** 2).sum()", "E = ((t - p) ** 2).sum()"),
    ("line-gradient", "(2 * (x @ W - t) * x).mean(", "(2 * (x @ W - t) * x).sum("),
    ("mazur-keras", '"E": "0.298371109"', '"E": "0.298371108"'),
    ("deep-loops", "dz = da * a[layer] * (1 - a[layer])", "dz = da * a[layer]"),
    ("batch-sum", "x.T @ dh", "x.T @ dh / len(x)"),
    ("softmax-cross-entropy", "(p - t) / len(t)", "(p - t) * p * (1 - p) / len(t)"),
    ("momentum", "w = w + v", "w = w + v - 0.1 * g"),
    ("digits-train", "(1 - 0.999**k) ** 0.5", "(1 - 0.999**k)"),
]
"""A wrong formula, or a wrong number in print, by the cell in which it stands."""
STOPPING = {"digits-train": "digits-race"}
"""Which cell stops at it, if it isn't the same."""
NEEDED = ["setup", "helpers", "mazur-forward", "digits-data", "digits-gradients"]
MOST_BYTES = 300_000


@pytest.fixture
def tutorial() -> Any:
    return read(TUTORIAL)


def test_it_gives_the_outputs_that_it_shows(
    tutorial: Any, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    fresh = executed(tutorial, tmp_path)
    assert [(cell, one.text) for cell, one in outputs(fresh) if one.get("name") == "stderr"] == []
    if pytestconfig.getoption("--record"):
        nbformat.write(fresh, TUTORIAL)
        return
    wrong = differences(tutorial, fresh)
    assert wrong == [], "\n".join(["--record keeps the new outputs", *wrong])


def test_it_stops_at_a_wrong_formula(tutorial: Any, tmp_path: Path) -> None:
    planted = tutorial
    for slip in SLIPS:
        planted = replaced(planted, *slip)
    changed = [cell for cell, *_ in SLIPS]
    stopping = [STOPPING.get(cell, cell) for cell in changed]
    fresh = executed(only(planted, {*NEEDED, *changed, *stopping}), tmp_path, may_fail=stopping)
    failed = {cell: one.ename for cell, one in outputs(fresh) if one.output_type == "error"}
    assert failed == dict.fromkeys(stopping, "AssertionError") | {"digits-race": "Disagreement"}


@pytest.mark.parametrize("case", ["single_neuron", "mazur"])
def test_what_an_example_prints_stands_in_it_and_what_is_right_is_computed(
    case: str, tutorial: Any
) -> None:
    computed = re.sub(r"published: \S+", "", printed(tutorial))
    quoted = text_of(TUTORIAL) + printed(tutorial)
    published = [number for number in load(case).numbers if number.printed]
    assert [one.digits for one in published if one.digits not in quoted] == []
    right = [one.right or one.digits for one in published]
    assert [number for number in right if not stands_in(computed, number)] == []
    assert not stands_in(computed, "0.291027925")


def test_it_is_small_and_has_nothing_of_one_machine(tutorial: Any) -> None:
    written = TUTORIAL.read_text(encoding="utf-8")
    assert len(written.encode()) < MOST_BYTES
    assert (tutorial.nbformat, tutorial.nbformat_minor) == (4, 5)
    assert [
        word for word in (str(ROOT), "/tmp/", "/home/", "site-packages") if word in written
    ] == []
    assert set(tutorial.metadata) == {"kernelspec", "language_info"}
    assert [cell.id for cell in tutorial.cells if cell.metadata] == []  # times would stand there
    for number, cell in enumerate((one for one in tutorial.cells if one.cell_type == "code"), 1):
        assert cell.execution_count == number


@pytest.mark.parametrize(
    ("old", "new", "is_alike"),
    [
        ("dE/db             0.0927609256  0.0927609256", None, True),
        ("dE/db             0.0927609256", "dE/db             0.0927609257", True),
        ("dE/db             0.0927609256", "dE/db             0.0927609258", False),
        ("dE/db             0.0927609256", "dE/db            -0.0927609256", False),
        ("0.4 × noise", "0.7 × noise", True),
        ("117 updates", "118 updates", False),
        ("submitted: -0.04360266402", "submitted: -0.04360276402", True),
        ("submitted: -0.04360266402", "submitted: -0.04360366402", False),
        ("(residual 3e-07)", "(residual 4e-08)", True),
        ("supports Keras", "supports nobody", False),
    ],
)
def test_outputs_may_differ_by_rounding_alone(
    old: str, new: str | None, is_alike: bool, tutorial: Any
) -> None:
    assert old in printed(tutorial)
    other = nbformat.from_dict(tutorial)
    for _, output in outputs(other):
        if "text" in output and new is not None:
            output.text = output.text.replace(old, new)
    assert (differences(tutorial, other) == []) is is_alike


def test_an_output_that_is_missing_or_shown_otherwise_is_a_difference(tutorial: Any) -> None:
    silent = nbformat.from_dict(tutorial)
    talking = nbformat.from_dict(tutorial)
    for cell in silent.cells:
        if cell.id == "momentum":
            cell.outputs = []
    for cell, output in outputs(talking):
        if cell == "mazur-report":
            output.data["text/latex"] = "$E$"
    for other, cell in ((silent, "momentum"), (talking, "mazur-report")):
        (difference,) = differences(tutorial, other)
        assert difference.startswith(cell)
