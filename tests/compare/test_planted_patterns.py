"""A finding says which elements disagree: of mistakes planted in a derivation, and in its JSON."""

from __future__ import annotations

import json
from typing import Any

import keras
import numpy as np
import pytest

import manual
from compare import Report, lockstep
from compare.derivations import Derivation
from compare.findings.collecting import Comparison
from compare.findings.patterns import Pattern, only_of_its_layer, pattern_of
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from manual.layers import Dense
from manual.layers.convolution import Convolution
from manual.operations.choices import Where

KERNEL = "input", "unit"


def reported(actual: np.ndarray, axes: tuple[str, ...] = KERNEL) -> Report:
    """Return the report of an array that should be all zeros."""
    expected = Noisy(np.zeros(actual.shape), np.full(actual.shape, 1e-7), unit=2.0**-24)
    pattern = pattern_of(np.abs(actual) * 1e9, 8.0, axes)
    derivation = Derivation("hidden", "dW = xᵀ · dz", "manual/layers/core.py:41")
    verdict, report = judge(actual, expected), Report("wrong", "float32")
    quantity = "weight gradient", "hidden/kernel", "model.fit"
    report.add(1, 1, Comparison(*quantity, derivation, verdict, apart=lambda: pattern))
    return report


def found(actual: np.ndarray, axes: tuple[str, ...] = KERNEL) -> str:
    return str(reported(actual, axes).first)


def test_a_report_holds_the_pattern_as_strict_json() -> None:
    report = reported(np.array([[0.0, 0.0], [np.inf, 1.0]]))
    (told_in_json,) = json.loads(report.to_json(), parse_constant=pytest.fail)["findings"]
    assert told_in_json["pattern"] == {
        "told": "one row (input 1)",
        "wrong": 2,
        "size": 4,
        "map": [[0.0, 0.0], ["inf", 1e9]],
        "rows": "input",
        "columns": "unit",
        "only": "",
    }


def test_a_finding_tells_what_its_worst_element_does_not() -> None:
    row, one = np.zeros((2, 3, 2))
    row[2] = one[2, 1] = 1.0
    lines = found(row).splitlines()
    assert lines[2].startswith("  worst element [2, 0] of 6; bound 8")
    assert lines[3] == "  where: one row (input 2)"
    assert "  only [2, 1] of 6 differs; bound 8" in found(one)
    assert "where:" not in found(one)
    assert "worst element [0, 0] of 6" in found(np.ones((3, 2)))
    assert "where:" not in found(np.ones((3, 2)))
    assert "where:" not in found(np.ones(()), ())


def test_nothing_is_looked_for_while_all_agree() -> None:
    def never() -> Pattern:
        raise AssertionError

    verdict = judge(np.zeros(3), Noisy(np.zeros(3), np.zeros(3), unit=2.0**-24))
    report = Report("fine", "float32")
    here = Derivation("hidden", "", "")
    report.add(1, 1, Comparison("weight", "hidden/bias", "model.fit", here, verdict, apart=never))
    assert report.ok


# ---------------------------------------------------------------------- planted bugs


def first_of(report: Report) -> tuple[str, str, str]:
    """Return what disagrees first, and what is said of which elements do."""
    assert report.first is not None
    assert report.first.pattern is not None
    json.loads(report.to_json(), parse_constant=pytest.fail)
    return report.first.phase, report.first.name, report.first.pattern.told


def test_the_last_row_of_a_kernel_gradient(
    precision: str, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_its_last_row(self: Dense, dz: Any, x: Any) -> Any:
        gradient = x.T @ dz
        gradient[-1] = gradient[-1] * 0.5
        self.kernel.gradient += gradient
        self.bias.gradient += dz.sum(axis=0)
        return dz @ self.kernel.value.T

    monkeypatch.setattr(Dense, "backward", without_its_last_row)
    x, y = np.random.default_rng(1).normal(size=(8, 5)), np.zeros((8, 3))
    report = lockstep(small(), x, y, batch_size=8)
    assert first_of(report) == ("weight gradient", "hidden/kernel", "one row (input 4)")
    assert "  where: one row (input 4)\n" in str(report.first)
    names = {one.name: one.pattern.told for one in report.findings if one.pattern is not None}
    assert names["second/kernel"] == names["out/kernel"] == "one row (input 3)"


def test_a_bias_alone(precision: str, small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def averaged(self: Dense, dz: Any, x: Any) -> Any:
        self.kernel.gradient += x.T @ dz
        self.bias.gradient += dz.mean(axis=0)
        return dz @ self.kernel.value.T

    monkeypatch.setattr(Dense, "backward", averaged)
    x, y = np.random.default_rng(1).normal(size=(8, 5)), np.zeros((8, 3))
    report = lockstep(small(), x, y, batch_size=8)
    assert first_of(report) == ("weight gradient", "hidden/bias", "every element")
    assert "  where: only the bias, the kernel agrees\n" in str(report.first)
    by_source = {one.source for one in report.findings if one.pattern and one.pattern.only}
    assert by_source == {"GradientTape", "model.fit"}


def test_a_bias_and_its_kernel(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Dense.backward

    def doubled(self: Dense, dz: Any, x: Any) -> Any:
        right(self, 2.0 * dz, x)
        return dz @ self.kernel.value.T

    monkeypatch.setattr(Dense, "backward", doubled)
    x, y = np.random.default_rng(1).normal(size=(8, 5)), np.zeros((8, 3))
    report = lockstep(small(), x, y, batch_size=8)
    assert {one.name for one in report.findings} >= {"hidden/bias", "hidden/kernel"}
    assert all(one.pattern is not None and not one.pattern.only for one in report.findings)


def test_a_border_that_is_padded_otherwise(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge is repeated where zeros belong: it shows in what the outer windows see."""
    right = Convolution.forward

    def repeated(self: Any, x: Any, **options: Any) -> Any:
        wide = np.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
        wide = np.concatenate([wide[:, :, :1], wide, wide[:, :, -1:]], axis=2)
        z, _ = right(self, wide, **options)
        return z[:, 1:-1, 1:-1], right(self, x, **options)[1]

    monkeypatch.setattr(Convolution, "forward", repeated)
    model = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            keras.layers.Conv2D(3, 3, padding="same", name="convolved"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.random.default_rng(0).normal(size=(4, 6, 5, 2)), np.zeros((4, 1))
    assert first_of(lockstep(model, x, y, batch_size=4)) == (
        "activation",
        "convolved",
        "the border: first and last row and column",
    )


def test_a_causal_mask_forgotten_on_the_way_back(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Where, "dx2", lambda self, dy, *others: dy)
    x = keras.Input((4, 3))
    scores = keras.layers.Dot(axes=2, name="scores")([x, keras.layers.Dense(3)(x)])
    earlier = np.tril(np.ones((4, 4), bool))
    weights = keras.layers.Softmax()(keras.ops.where(earlier, scores, -9.0))
    model = keras.Model(x, keras.layers.Dense(1)(keras.layers.Flatten()(weights)))
    model.compile("sgd", "mse", run_eagerly=True)
    data = np.random.default_rng(0).normal(size=(8, 4, 3)), np.ones((8, 1))
    assert first_of(lockstep(model, *data, batch_size=8)) == (
        "activation gradient",
        "scores",
        "above the diagonal",
    )


def test_only_of_its_layer_asks_for_the_same_phase_and_source() -> None:
    x = manual.Input((3,))
    network = manual.Network(x, Dense(2, name="out")(x), dtype="float64")
    fine = Noisy(np.zeros(2), np.full(2, 1e-9), unit=2.0**-53)
    here = Derivation("out", "", "")

    def compared(phase: str, source: str, value: float) -> Comparison:
        return Comparison(phase, "out/kernel", source, here, judge(np.full(2, value), fine))

    bias = "weight gradient", "out/bias", "model.fit"
    wrong, agrees = (compared("weight gradient", "model.fit", value) for value in (1.0, 0.0))
    assert only_of_its_layer([agrees], bias, network) == "only the bias, the kernel agrees"
    assert only_of_its_layer([wrong], bias, network) == ""
    others = [compared("weight", "model.fit", 0.0), compared("weight gradient", "tape", 0.0)]
    assert only_of_its_layer(others, bias, network) == ""
