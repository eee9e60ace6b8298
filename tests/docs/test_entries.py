"""The reference has an entry for everything public, each with its derivation."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

import entries
import pages
import pytest

import compare
import keras_models
import manual
from manual import activations, layers, metrics, operations, optimizers, registry
from manual.layers import Layer
from manual.optimizers.base import PROCESSING


@pytest.fixture(autouse=True)
def without_the_twins_of_other_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    own = {k: twin for k, twin in registry._twins.items() if twin.__module__.startswith("manual.")}
    monkeypatch.setattr(registry, "_twins", own)


def filled(page: str) -> str:
    source = [(pages.DOCS / "api" / page).read_text(encoding="utf-8")]
    entries.fill_in(None, page, source)
    return source[0]


def documented(text: str) -> list[Any]:
    """Return what has an entry in a text."""
    found = []
    for name in re.findall(r"^\.\. auto\w+:: ([\w.]+)$", text, re.MULTILINE):
        home, _, own = name.rpartition(".")
        found.append(getattr(import_module(home), own))
    return found


@pytest.mark.parametrize("public", [compare, manual, keras_models])
def test_everything_public_has_an_entry(public: Any) -> None:
    reference = [
        one for page in (pages.DOCS / "api").glob("*.md") for one in documented(filled(page.name))
    ]
    assert [name for name in public.__all__ if getattr(public, name) not in reference] == []
    assert len(reference) == len(set(reference))


@pytest.mark.parametrize(
    ("page", "kinds"),
    [
        ("layers.md", ["layer"]),
        ("activations.md", ["activation"]),
        ("losses.md", ["loss"]),
        ("optimizers.md", ["optimizer"]),
        ("operations.md", ["operation"]),
        ("metrics.md", ["metric"]),
        ("attached.md", ["constraint", "regularizer", "schedule"]),
    ],
)
def test_every_twin_has_an_entry(page: str, kinds: list[str]) -> None:
    registered = {twin for kind in kinds for twin in registry.twins(kind).values()}
    assert set(documented(filled(page))) == registered


def test_an_entry_has_the_formulas_of_its_class() -> None:
    assert list(entries.derivation_of(manual.Dense)) == [
        "",
        ".. container:: derivation",
        "",
        "   :forward: ``z = x W + b``",
        "   :kernel gradient: ``dW = xᵀ · dz``",
        "   :bias gradient: ``db = Σ dz over the samples``",
        "   :input gradient: ``dx = dz · Wᵀ``",
        "",
    ]
    lines = [":Parameters: **units** (*int*) -- How many."]
    entries.describe(None, "class", "manual.Dense", manual.Dense, None, lines)
    assert lines[0] == ":Parameters: **units** (*int*) – How many."
    assert lines[1:] == list(entries.derivation_of(manual.Dense))


@pytest.mark.parametrize(
    ("twin", "formulas"),
    [
        (layers.Conv3D, layers.Conv3D.derivation),
        (layers.ReLU, activations.ReLU.derivation),
        (operations.activations.Tanh, activations.Tanh.derivation),
        (optimizers.Optimizer, PROCESSING),
        (metrics.MeanSquaredError, {"result": "mean of (p − y)²"}),
        (metrics.Metric, {}),
        (Layer, {}),
        (compare.BadInput, {}),
    ],
)
def test_formulas_are_found_wherever_a_class_has_them(twin: type, formulas: Any) -> None:
    assert entries.formulas_of(twin) == formulas


def test_an_optimizer_shows_its_own_rule_alone() -> None:
    assert list(entries.formulas_of(manual.Adam)) == [
        "momentum",
        "velocity",
        "velocity_hat",
        "weight",
    ]


def test_the_navigation_is_made_of_the_links_below_each_heading() -> None:
    text = (
        "# 1\n\n[no](no.md)\n\n## Guides\n\n- [a](a.md)\n- [c](api/c.md)\n\n## More\n\n[d](d.md)\n"
    )
    assert "\n".join(entries.navigation(text)) == (
        "```{toctree}\n:hidden:\n:caption: Guides\n\na\napi/c\n```\n\n"
        "```{toctree}\n:hidden:\n:caption: More\n\nd\n```\n"
    )


def test_every_page_is_in_the_navigation() -> None:
    linked = "\n".join(entries.navigation((pages.DOCS / "index.md").read_text(encoding="utf-8")))
    for page in pages.PAGES:
        if page.is_relative_to(pages.DOCS) and page.name != "index.md":
            assert str(page.relative_to(pages.DOCS).with_suffix("")) in linked.splitlines()
