"""Every worked case agrees in both precisions, and what is known about it is checked for real."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import manual.networks
from compare.cases import HOMES, load
from compare.cases.base import Case, Goal, Number, Settings, loss, reproduces
from compare.cases.casework import CaseResult, run_case

WHOLE = (
    "mazur",
    "study_hours",
    "four_layer",
    "single_neuron",
    "three_inputs",
    "linear_regression",
    "hand_vs_keras",
)


def assert_the_halves_agree(result: CaseResult, case: Case) -> None:
    """In every quantity there is, from every source there is."""
    for report, run in zip(result.reports, case.runs, strict=True):
        assert report.ok, str(report.first)
        phases = {phase for phase, _, _ in report.quantities}
        assert phases >= {"input", "loss", "activation", "weight gradient", "weight", "metric"}
        assert ("optimizer slot" in phases) == (run.optimizer == "Adam")
        sources = {source for _, _, source in report.quantities}
        assert sources == {"GradientTape", "model.fit", "manual.Network", *run.other_ways}


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        (name, dtype)
        for name in HOMES
        for dtype in ("float32", "float64")
        if name not in WHOLE or dtype != load(name).runs[0].dtype
    ],
)
def test_the_halves_agree(name: str, dtype: str) -> None:
    """For a few steps: every network, in the precisions in which it isn't run as a whole below."""
    case = load(name)
    networks = {(run.network, str(run.options)): run for run in case.runs}
    case = dataclasses.replace(case, runs=tuple(networks.values()))
    result = run_case(case, Settings(dtype=dtype, steps=6))
    assert_the_halves_agree(result, case)
    assert {report.dtype for report in result.reports} == {dtype}


@pytest.mark.parametrize("name", WHOLE)
def test_every_number_is_as_it_should_be(name: str) -> None:
    case = load(name)
    result = run_case(case)
    assert_the_halves_agree(result, case)
    assert result.ok, [one for one in result.numbers if one.status == "missed"]
    assert len(result.numbers) == len([number for number in case.numbers if not number.long])
    for one in result.numbers:
        assert (one.status == "wrong in print") == (one.number.right is not None)
    if name == "three_inputs":
        assert result.reports[0].steps == 117


def test_what_is_wrong_in_print() -> None:
    wrong = {
        (name, number.digits)
        for name in HOMES
        for number in load(name).numbers
        if number.right is not None
    }
    assert wrong == {
        ("mazur", "0.291027924"),
        ("mazur", "0.0000351085"),
        ("mazur", "0.015912196"),
        ("mazur", "0.984065734"),
        ("study_hours", "7.5"),
        ("study_hours", "1.000553084"),
        ("study_hours", "1.79832"),
        ("study_hours", "0.8579443067"),
        ("hand_vs_keras", "0.19926"),
    }


def test_overshooting_ends_where_both_halves_burst() -> None:
    result = run_case(load("learning_rate"))
    assert result.ok
    down, good, up = result.reports
    assert down.history[-1].keras["loss"] < down.history[0].keras["loss"]
    assert good.history[-1].keras["loss"] < down.history[-1].keras["loss"]
    (note,) = up.notes
    assert note.startswith(f"both halves became non-finite at step {up.steps}, first ")


def test_inputs_of_very_different_sizes_keep_the_network_from_learning() -> None:
    raw, standardised = run_case(load("normalization")).reports
    assert raw.history[-1].keras["accuracy"] < 0.5
    assert standardised.history[-1].keras["accuracy"] > 0.95


def test_the_digits_are_recognised_in_both_halves() -> None:
    case = load("digits")
    case = dataclasses.replace(case, runs=case.runs[:1])
    result = run_case(case)
    (goal,) = result.goals
    assert goal.reached
    assert min(goal.keras, goal.by_hand) >= 0.96
    assert result.ok


def test_xor_is_learnt_with_a_hidden_layer_and_not_without() -> None:
    learnt, not_learnt = (run_case(load(f"xor_{name}")) for name in ("bias_trick", "no_hidden"))
    assert learnt.ok
    assert not_learnt.ok
    predictions = [one for one in learnt.numbers if one.number.what.startswith("XOR of")]
    assert [round(one.keras) for one in predictions] == [0, 1, 1, 0]
    assert [round(one.by_hand) for one in predictions] == [0, 1, 1, 0]
    assert [f"{one.keras:.4f}" for one in not_learnt.numbers] == [
        "0.5161",
        "0.5000",
        "0.4839",
        "0.4678",
    ]


@pytest.mark.slow
def test_the_bias_trick_reaches_97_percent_of_the_test_digits() -> None:
    result = run_case(load("digits_bias_trick"), full=True)
    assert result.ok
    recognised = result.numbers[-1]
    assert recognised.number.long
    assert round(recognised.keras, 2) == 0.97
    assert round(recognised.by_hand, 2) == 0.97


# ---------------------------------------------------------------------- checks that can fail


def neuron(**changes: object) -> Case:
    case = load("single_neuron")
    return dataclasses.replace(case, **{"numbers": (), **changes})  # type: ignore[arg-type]


JUDGED = [
    (Number("E", "0.3564652711", loss), "reproduced"),
    (Number("E", "0.35646527110", loss), "reproduced"),
    (Number("E, cut off", "0.35646527110356", loss), "truncated"),
    (Number("E, cut off, nobody's", "0.35646527110356", loss, printed=False), "missed"),
    (Number("a wrong digit", "0.3564652712", loss), "missed"),
    (Number("rightly called wrong", "0.5", loss, right="0.35647"), "wrong in print"),
    (Number("wrongly called wrong", "0.35647", loss, right="0.35647"), "missed"),
    (Number("wrongly mended", "0.5", loss, right="0.35648"), "missed"),
]


def test_a_number_is_judged_by_its_digits() -> None:
    result = run_case(neuron(numbers=tuple(number for number, _ in JUDGED)), Settings(steps=1))
    for one, (number, status) in zip(result.numbers, JUDGED, strict=True):
        assert (one.number, one.status) == (number, status)
        assert dataclasses.replace(result, numbers=[one]).ok == (status != "missed")


def test_a_goal_out_of_reach_is_not_reached() -> None:
    run = dataclasses.replace(load("single_neuron").runs[0], epochs=2, validation_split=0.0)
    result = run_case(neuron(runs=(run,), goals=(Goal("loss", "loss", 0.9),)))
    assert not result.goals[0].reached
    assert not result.ok


def test_numbers_belong_to_the_case_as_it_is() -> None:
    for settings in (
        Settings(learning_rate=0.2, steps=1),
        Settings(optimizer="Adam", steps=1),
        Settings(dtype="float32", steps=1),
        Settings(seed=3, steps=1),
    ):
        assert run_case(load("single_neuron"), settings).numbers == []


def test_a_wrong_initial_weight_is_found_before_the_first_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    original = manual.networks.single_neuron

    def other_weight(dtype: str) -> manual.Network:
        network = original(dtype)
        network.set_weights([np.array([[0.5], [0.25]]), np.array([1.83])])
        return network

    monkeypatch.setattr(manual.networks, "single_neuron", other_weight)
    result = run_case(neuron(), Settings(steps=1))
    first = result.reports[0].first
    assert first is not None
    assert (first.phase, first.name, first.worst_element) == ("input", "neuron/kernel", (1, 0))
    assert not result.ok


def test_nothing_run_is_nothing_proven() -> None:
    assert not CaseResult(load("single_neuron")).ok


@pytest.mark.parametrize(
    ("digits", "value", "how"),
    [
        ("0.899", 0.8991, "rounded"),
        ("0.899", 0.8995288, "truncated"),
        ("7.5", 3.9, "no"),
        ("-0.25", -0.2500001, "rounded"),
        ("0", 4e-31, "rounded"),
        ("1.0", float("nan"), "no"),
        ("0.0000351085", 3.510854812e-5, "rounded"),
        ("0.0000351085", 3.510187783e-5, "no"),
    ],
)
def test_digits(digits: str, value: float, how: str) -> None:
    assert reproduces(digits, value) == how
