"""The score itself: bugs are planted and taken out again, and what is counted is what was found."""

from __future__ import annotations

import numpy as np
import pytest

from compare.score import Score, catalogue, measure, sensitivity
from compare.score.measure import Outcome
from manual.layers import Dense

BUGS = {bug.name: bug for bug in catalogue()}
SAMPLE = [
    "tanh: 1 − a for the derivative",
    "Dense second: dW transposed",
    "Dense last: dx kernel not transposed",
    "categorical_crossentropy: softmax twice",
    "mse: the last batch averaged as a full one",
    "Adam: ε stands inside the root",
    "batch normalization (sequences): dx no mean",
    "batch normalization (normalized): moving_variance unbiased",
    "dropout: dx another draw",
    "dropout or noise at inference: Dropout",
    "trap, last: off by less than 1e-5",
]


def test_the_catalogue_is_large_and_its_names_are_its_own() -> None:
    assert len(BUGS) == len(catalogue()) >= 200


def test_every_bug_stands_in_for_what_its_class_defines() -> None:
    assert [name for name, bug in BUGS.items() if bug.method not in vars(bug.owner)] == []


def test_a_bug_is_taken_out_again() -> None:
    right = Dense.backward
    with BUGS["Dense second: dW transposed"].planted():
        assert Dense.backward is not right
    assert Dense.backward is right


@pytest.mark.parametrize("name", SAMPLE)
def test_bugs_are_found_and_explained(name: str) -> None:
    score = measure([BUGS[name]], ["float64"])
    assert score.table()[0] == ("caught", 1, 1)
    assert list(score.missed()) == []
    assert score.right_runs == 1


def test_a_patch_that_changes_nothing_is_missed_and_named() -> None:
    """A check that can't fail is a defect: here it fails."""
    bug = BUGS["Dense second: dW transposed"]
    harmless = type(bug)(**{**vars(bug), "function": Dense.backward, "name": "harmless"})
    score = measure([harmless], ["float64"])
    assert score.table()[0] == ("caught", 0, 1)
    assert list(score.missed()) == ["harmless (float64) → nothing"]


def test_a_wrong_place_and_a_wrong_cause_are_counted() -> None:
    bug = BUGS["Dense second: dW transposed"]
    first = measure([bug], ["float64"]).outcomes[0].first
    elsewhere = type(bug)(**{**vars(bug), "where": "last/kernel", "causes": ("something else",)})
    score = Score(outcomes=[Outcome(elsewhere, "float64", first)])
    counts = {what: (count, of) for what, count, of in score.table()}
    assert counts["first number exact"] == (0, 1)
    assert counts["cause in the first three"] == (0, 1)


@pytest.mark.parametrize(
    ("dtype", "last_place"),
    [pytest.param("float32", 2.0**-23, marks=pytest.mark.slow), ("float64", 2.0**-52)],
)
def test_a_few_last_places_are_enough_to_be_caught(dtype: str, last_place: float) -> None:
    for one in sensitivity(dtype):
        assert one.confirmed, one
        assert last_place < one.error < 16 * last_place, one


@pytest.mark.slow
def test_the_whole_catalogue() -> None:
    score = measure(list(BUGS.values()))
    shares = {what: count / of for what, count, of in score.table()}
    assert shares["caught"] >= 0.99
    assert shares["first number exact"] >= 0.98
    assert shares["cause named first"] >= 0.85
    assert shares["cause in the first three"] >= 0.95
    assert shares["false alarms"] == 0
    assert np.isfinite(list(shares.values())).all()
