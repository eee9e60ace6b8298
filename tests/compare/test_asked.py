"""Single numbers: right, truncated, wrong with a reason, wrong without one."""

from __future__ import annotations

from typing import Any

import pytest

from compare.cases import load
from compare.cases.casework import built, precision
from compare.errors import BadInput
from compare.submissions.asked import ask

W5 = ("output/kernel", (0, 0))
W1 = ("hidden/kernel", (0, 0))


@pytest.mark.parametrize(
    ("case", "digits", "options", "reason"),
    [
        ("mazur", "0.291027924", {}, "already updated weights"),
        ("mazur", "0.28047144679", {}, "the biases are trained too"),
        pytest.param(
            "mazur",
            "0.0000351085",
            {"after": 10_000},
            "9,999 updates are made, not 10,000",
            marks=pytest.mark.slow,
        ),
        ("mazur", "0.283547133", {"after": 3}, "2 updates are made, not 3"),
        ("mazur", "0.298371109", {}, "0 updates are made, not 1"),
        ("mazur", "0.317832959", {"weight": W5}, "twice as large"),
        ("mazur", "0.441083520", {"weight": W5}, "uphill"),
        ("hand_vs_keras", "0.19926", {"weight": W5}, "½ (y − o)² is differentiated"),
        ("study_hours", "0.4154", {"weight": ("score/kernel", (0, 0))}, "averaged, not added up"),
        ("single_neuron", "0.356456666267", {}, "the biases are not updated"),
        (
            "mazur",
            "0.180085176",
            {"weight": W5},
            "the derivative of the activation is missing",
        ),
        ("mazur", "0.149791685", {"weight": W1}, "the derivative is taken at the activation"),
        ("mazur", "0.596742218", {"after": 0}, "the loss is doubled"),
        ("study_hours", "0.0162665394775", {"after": 0}, "the loss is the mean squared error"),
        ("xor_bias_trick", "0.49878499", {}, "4 updates are made, not 1: 1 epoch of 4"),
    ],
)
def test_a_wrong_number_has_a_reason(
    case: str, digits: str, options: dict[str, Any], reason: str
) -> None:
    answer = ask(load(case), digits, **options)
    assert not answer.ok
    assert reason in answer.explanations[0], answer.explanations
    assert reason in str(answer)


def test_right_numbers_are_said_to_be_right() -> None:
    assert ask(load("mazur"), "0.291027774").how == "rounded"
    assert ask(load("mazur"), "0.35891647", weight=W5).how == "truncated"


@pytest.mark.slow
def test_a_right_number_after_many_updates() -> None:
    assert ask(load("mazur"), "0.0000351018778", after=10_000).how == "rounded"


def test_a_number_from_nowhere_has_none() -> None:
    answer = ask(load("mazur"), "0.123456")
    assert not answer.ok
    assert answer.explanations == []
    assert "Nothing that was tried gives 0.123456." in str(answer)


@pytest.mark.parametrize(
    ("case", "digits", "options", "message"),
    [
        ("mazur", "many", {}, "A number is needed"),
        ("mazur", "0.5", {"weight": ("nowhere/kernel", (0,))}, "There is no weight"),
        ("mazur", "0.5", {"weight": ("output/kernel", (0,))}, "has the shape (2, 2)"),
        ("mazur", "0.5", {"weight": ("output/kernel", (0, 2))}, "has the shape (2, 2)"),
        ("mazur", "nan", {}, "A number is needed"),
        ("mazur", "1e-400", {}, "A number is needed"),
        ("digits", "0.5", {}, "random order"),
    ],
)
def test_bad_input(case: str, digits: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput) as caught:
        ask(load(case), digits, **options)
    assert message in str(caught.value)


def test_weights_that_keras_draws() -> None:
    """Both halves of the learning_rate case start from Keras's own draw."""
    case = load("learning_rate")
    with precision(case.runs[0].dtype):
        model, _ = built(case.runs[0])
    (first, *_), weight = model.get_weights(), ("hidden/kernel", (0, 0))
    assert ask(case, f"{first[0, 0]:.6f}", after=0, weight=weight).how == "rounded"
