"""The pytest plugin, in projects of somebody else's."""

from __future__ import annotations

import subprocess
import sys
from xml.etree import ElementTree

import pytest

MODEL = """
import keras
import numpy as np
import pytest

def trained():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2, "tanh", name="hidden")])
    model.compile("sgd", "mse")
    draw = np.random.default_rng(0)
    return model, draw.normal(size=(8, 3)), draw.normal(size=(8, 2))

@pytest.fixture
def a_slip(monkeypatch):
    from manual.layers import Dense
    own = Dense.backward
    def doubled(self, dz, saved):
        dx = own(self, dz, saved)
        self.kernel.gradient *= 2.0
        return dx
    monkeypatch.setattr(Dense, "backward", doubled)
"""


def run(pytester: pytest.Pytester, body: str, *options: str) -> pytest.RunResult:
    pytester.makepyfile(MODEL + body)
    return pytester.runpytest("-p", "no:xdist", "-p", "no:cacheprovider", *options)


def test_what_agrees_passes_and_has_a_report(pytester: pytest.Pytester) -> None:
    body = """
def test_it(lockstep):
    report = lockstep(*trained(), batch_size=4).check()
    assert report.ok and report.steps == 2
    assert lockstep(*trained()).report.compared > 20
"""
    run(pytester, body).assert_outcomes(passed=1)


def test_what_differs_fails_with_the_finding_and_no_frames_of_ours(
    pytester: pytest.Pytester,
) -> None:
    body = """
def test_it(lockstep, a_slip):
    lockstep(*trained()).check()
"""
    result = run(pytester, body, "--junit-xml=junit.xml")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*>*lockstep(*trained()).check()",
            "E*Disagreement: step 1 * weight gradient * hidden/kernel *",
            "E *its inputs agree (* so the fault is in 'hidden'",
            "E *(factor 2)*",
            "FAILED *::test_it*",
        ]
    )
    shown = result.stdout.str()
    assert "pytest_plugin.py" not in shown and "report.py" not in shown
    case = ElementTree.parse(pytester.path / "junit.xml").find(".//testcase")
    assert case is not None and case.get("name") == "test_it"
    failure = case.find("failure")
    assert failure is not None
    assert "weight gradient · hidden/kernel" in str(failure.get("message"))


def test_markers_give_defaults_that_a_call_overrides(pytester: pytest.Pytester) -> None:
    body = """
@pytest.mark.lockstep(batch_size=2, epochs=3)
class TestIt:
    @pytest.mark.lockstep(batch_size=4)
    def test_it(self, lockstep):
        assert lockstep(*trained()).check().steps == 2 * 3
        assert lockstep(*trained(), epochs=1).check().steps == 2
"""
    run(pytester, body, "--strict-markers").assert_outcomes(passed=1)


def test_a_precision_for_all_and_afterwards_what_was_before(pytester: pytest.Pytester) -> None:
    body = """
def test_it(lockstep):
    assert lockstep(*trained()).check().dtype == "float64"

def test_without():
    assert trained()[0].weights[0].dtype == "float32"
"""
    run(pytester, body, "--lockstep-dtype=float64").assert_outcomes(passed=2)


def test_a_result_that_nobody_looks_at_fails(pytester: pytest.Pytester) -> None:
    body = """
def test_it(lockstep):
    lockstep(*trained())
"""
    result = run(pytester, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*never looked at the result: call .check() on what it returns."])


def test_what_can_not_be_compared_is_told_in_a_sentence(pytester: pytest.Pytester) -> None:
    body = """
def test_it(lockstep):
    model, x, y = trained()
    lockstep(model, x[:, :2], y).check()
"""
    result = run(pytester, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["E*BadInput: The input * takes samples of shape (3,). Received: (2,)."]
    )
    assert "engine.py" not in result.stdout.str()


def test_it_costs_other_projects_nothing() -> None:
    told = "import compare.pytest_plugin, sys; print('tensorflow' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"
