"""The report: first things first, nothing lost, nothing that grows without end."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from compare import BadInput, Disagreement, Finding, Report
from compare.derivations import Derivation
from compare.findings.collecting import Comparison
from compare.findings.report import KEPT_FINDINGS, EpochPair
from compare.rounding.judge import Verdict

DERIVATION = Derivation("hidden", "dW = xᵀ · dz", "manual/layers/core.py:41")
AGREES = Verdict(True, 1.5, 8.0, (0,), 1.0, 1.0, 1e-7, 6)
DIFFERS = Verdict(False, 4.1e6, 8.0, (2, 1), 0.01823, 0.5834, 1.4e-7, 6)


def comparison(verdict: Verdict, name: str = "hidden/kernel") -> Comparison:
    return Comparison("weight gradient", name, "model.fit", DERIVATION, verdict)


def strict(text: str) -> Any:
    """Read JSON as its standard has it: without NaN and Infinity."""

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_a_report_of_nothing_is_not_ok() -> None:
    report = Report("empty", "float32")
    assert not report.ok
    assert report.first is None
    assert report.largest is None
    assert report.compared == 0
    with pytest.raises(Disagreement, match=r"^Nothing was compared\.$"):
        report.raise_if_different()


def test_agreement() -> None:
    report = Report("fine", "float32")
    for step in (1, 2, 3):
        report.add(1, step, comparison(replace(AGREES, distance=float(step % 3))))
    assert report.ok
    assert report.first is None
    assert report.compared == 3
    assert report.raise_if_different() is None
    key = ("weight gradient", "hidden/kernel", "model.fit")
    assert report.largest == (key, report.quantities[key])
    assert (report.quantities[key].distance, report.quantities[key].step) == (2.0, 2)


def test_what_could_not_be_judged_is_told() -> None:
    report = Report("chaotic", "float64")
    report.add(1, 1, comparison(AGREES))
    assert report.remarks == []
    for name in ("a/kernel", "b/kernel", "b/kernel"):
        report.add(1, 1, comparison(replace(AGREES, distance=0.0, noise=math.inf), name))
    assert report.ok
    assert report.remarks == [
        "3 of them could not be judged: rounding alone may change them without a bound; "
        "the first is weight gradient · a/kernel (model.fit)"
    ]


def test_the_largest_is_that_of_all_quantities() -> None:
    report = Report("fine", "float32")
    report.add(1, 1, comparison(replace(AGREES, distance=7.0), "output/kernel"))
    report.add(1, 1, comparison(AGREES))
    assert report.largest is not None
    assert report.largest[0][1] == "output/kernel"


def test_the_first_disagreement_stays_the_first() -> None:
    report = Report("wrong", "float32")
    report.add(1, 1, comparison(AGREES, "a"))
    report.add(1, 2, comparison(DIFFERS, "b"))
    report.add(1, 2, comparison(replace(DIFFERS, distance=np.inf), "c"))
    report.add(2, 3, comparison(DIFFERS, "a"))
    assert not report.ok
    assert [(one.epoch, one.step, one.name) for one in report.findings] == [
        (1, 2, "b"),
        (1, 2, "c"),
        (2, 3, "a"),
    ]
    assert report.first is report.findings[0]
    assert report.disagreements == 3
    assert report.compared == 4


def test_details_are_kept_of_a_few_but_all_are_counted() -> None:
    report = Report("wrong", "float32")
    for step in range(1, 1001):
        report.add(1, step, comparison(DIFFERS))
    assert len(report.findings) == KEPT_FINDINGS
    assert [finding.step for finding in report.findings] == list(range(1, KEPT_FINDINGS + 1))
    assert report.disagreements == report.compared == 1000
    (quantity,) = report.quantities.values()
    assert (quantity.compared, quantity.disagreed) == (1000, 1000)


def test_a_finding_says_everything_in_words() -> None:
    finding = Finding(1, 3, "weight gradient", "hidden/kernel", "GradientTape", DERIVATION, DIFFERS)
    text = str(finding)
    lines = text.splitlines()
    assert lines[0].startswith("step 3 · weight gradient · hidden/kernel")
    assert "4.1e+06 × rounding noise" in lines[0]
    for told in ("GradientTape", "0.01823", "0.5834", "[2, 1]", "of 6", "8 ×", "1.4e-07", "0.97"):
        assert told in text
    assert "formula: dW = xᵀ · dz" in text
    assert "manual/layers/core.py:41" in text
    assert (finding.distance, finding.bound, finding.worst_element) == (4.1e6, 8.0, (2, 1))


def test_a_single_number_has_no_index() -> None:
    verdict = replace(DIFFERS, index=(), size=1)
    text = str(Finding(1, 1, "loss", "total", "model.fit", DERIVATION, verdict))
    assert "[]" not in text
    assert "of 1" not in text


def test_raising_shows_the_first_and_counts_the_rest() -> None:
    report = Report("wrong", "float32")
    report.add(1, 2, comparison(DIFFERS, "b"))
    with pytest.raises(Disagreement) as alone:
        report.raise_if_different()
    assert str(alone.value) == str(report.first)
    report.add(1, 2, comparison(DIFFERS, "c"))
    report.add(1, 3, comparison(DIFFERS, "c"))
    with pytest.raises(AssertionError) as several:
        report.raise_if_different()
    assert str(several.value) == f"{report.first}\n(2 more disagreements after it)"


def test_json_is_strict_and_complete() -> None:
    report = Report("wrong", "float64", steps=2, epochs=1, notes=["a note, with ∞"])
    report.add(1, 1, comparison(AGREES, "a"))
    odd = replace(DIFFERS, distance=np.inf, actual=np.nan, expected=-np.inf)
    report.add(1, 2, comparison(odd, "b"))
    report.history.append(EpochPair(1, {"loss": np.nan}, {"loss": 0.5}, np.inf))
    told = strict(report.to_json())
    assert told["label"] == "wrong"
    assert told["dtype"] == "float64"
    assert told["ok"] is False
    assert (told["steps"], told["epochs"]) == (2, 1)
    assert (told["compared"], told["disagreements"]) == (2, 1)
    assert told["notes"] == ["a note, with ∞"]
    (finding,) = told["findings"]
    assert (finding["phase"], finding["name"], finding["step"]) == ("weight gradient", "b", 2)
    assert finding["derivation"]["formula"] == "dW = xᵀ · dz"
    verdict = finding["verdict"]
    assert (verdict["distance"], verdict["actual"], verdict["expected"]) == ("inf", "nan", "-inf")
    assert verdict["index"] == [2, 1]
    (pair,) = told["history"]
    assert (pair["keras"], pair["by_hand"]) == ({"loss": "nan"}, {"loss": 0.5})
    assert [(one["name"], one["disagreed"]) for one in told["quantities"]] == [("a", 0), ("b", 1)]


def test_json_of_a_real_comparison(model_of: Any, random_classes: Any) -> None:
    import keras

    from compare import lockstep

    x, y = random_classes(8, 4, 3)
    model = model_of(4, keras.layers.Dense(3, name="out"), metrics=["accuracy"])
    report = lockstep(model, x, y, batch_size=4, label="ünïcode")
    told = strict(report.to_json())
    assert told["ok"] is True
    assert told["label"] == "ünïcode"
    assert told["compared"] == report.compared == sum(q["compared"] for q in told["quantities"])


def test_errors_are_what_their_callers_expect() -> None:
    assert issubclass(BadInput, ValueError)
    assert issubclass(Disagreement, AssertionError)
