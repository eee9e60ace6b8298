"""A summary in plain words, of real comparisons and of what they may be like."""

from __future__ import annotations

import copy
from typing import Any

import keras
import numpy as np
import pytest
from planting import run

import manual
from compare import Report, check_gradients
from compare.pages.words import plain_summary, summary

TRAINED = (
    "The same network was trained twice, side by side: by Keras, and by formulas worked out "
    "by hand."
)
AGREE = "They agree everywhere: no difference is larger than rounding explains."
NUDGED = "A third opinion (how the loss changes when these numbers are nudged)"


def told(report: Report | dict[str, Any], **options: Any) -> list[str]:
    found = report if isinstance(report, dict) else report.as_dict()
    sentences = summary([found], **options)
    assert 2 <= len(sentences) <= 5
    return sentences


def half_of_tanh(self: Any, da: Any, z: Any, a: Any) -> Any:
    return da * (1 - a**2) * 0.5


@pytest.fixture
def wrong(small: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return what is told of a wrong derivative by hand."""
    monkeypatch.setattr(manual.activations.Tanh, "backward", half_of_tanh)
    return run(small()).as_dict()


def test_agreement(small: Any) -> None:
    report = run(small())
    compared = f"In 3 steps, their numbers were compared {report.compared:,} times."
    assert told(report) == [f"{TRAINED} {compared}", AGREE]
    page = {"chapters": [{"report": report.as_dict()}]}
    assert plain_summary(page) == told(report)
    assert plain_summary({**page, "interrupted": True})[-1] == (
        "Left open: the comparison was stopped before its end."
    )


def test_published_numbers(small: Any) -> None:
    report = run(small()).as_dict()
    numbers = [{"status": one} for one in ("reproduced", "wrong in print", "missed", "truncated")]
    page = {"ok": False, "chapters": [{"report": report, "numbers": numbers}]}
    assert plain_summary(page)[1:] == [
        AGREE,
        "But 1 published number did not come out as it should.",
        "1 published number is wrong in print.",
    ]


@pytest.mark.parametrize(("ok", "verdict"), [(True, "It agrees"), (False, "It does not agree")])
def test_what_is_compared_without_training(ok: bool, verdict: str) -> None:
    _, told = plain_summary({"ok": ok, "said": "agree: …", "chapters": []})
    assert told == f"{verdict}: what was found stands below, in the words of the command line."


def test_wrong_by_hand(wrong: dict[str, Any]) -> None:
    _, verdict, side, why = told(wrong)
    count, first = wrong["disagreements"], wrong["findings"][0]["verdict"]
    assert verdict == (
        f"In {count} of these they differ, by more than rounding explains; the first time in "
        "step 1: the gradient at ‘hidden/pre_activation’, which says how its numbers sway the "
        f"loss. Keras has {first['actual']:.10g}; by hand it is {first['expected']:.10g}."
    ).replace("-0", "−0")
    assert side == f"{NUDGED} supports Keras, so that the calculation by hand is wrong."
    cause = wrong["findings"][0]["diagnosis"]["causes"][0]["sentence"]
    assert why.startswith(f"This mistake would give exactly the number that is wrong: {cause}")


def test_wrong_in_keras(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    own = keras.layers.Dense.call

    def call(self: Any, inputs: Any, training: Any = None) -> Any:
        """Give the right numbers, and twice their derivative."""
        x = own(self, inputs, training)
        return 2.0 * x - keras.ops.stop_gradient(x) if self.name == "second" else x

    monkeypatch.setattr(keras.layers.Dense, "call", call)
    _, verdict, side, why = told(run(small()))
    assert "the first time in step 1: the gradient at ‘" in verdict
    assert side == f"{NUDGED} supports the calculation by hand, so that Keras is wrong."
    assert why.startswith("This mistake would give exactly the number that is wrong: ")


def test_put_together_wrongly(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manual.Network, "clear_gradients", lambda self: None)
    _, verdict, side, _ = told(run(small()))
    assert "The training by hand has " in verdict
    assert "; by its own formulas it should be " in verdict
    assert (
        side == "The formulas agree with Keras: the fault is in how they are put together by hand."
    )


@pytest.mark.parametrize(
    ("ruling", "sentence"),
    [
        (
            None,
            "There was nothing to ask for a third opinion: the calculation by hand is taken to be "
            "wrong.",
        ),
        (
            {"supports": "nobody", "why": "the loss is too uneven"},
            "A third opinion could not be had (the loss is too uneven): which side is wrong is not "
            "known for sure.",
        ),
        (
            {"supports": "both"},
            f"{NUDGED} is as near to both sides: which of them is wrong is not known for sure.",
        ),
        ({"supports": "neither"}, f"{NUDGED} supports neither side: both may be wrong."),
    ],
)
def test_how_sure_it_is(wrong: dict[str, Any], ruling: Any, sentence: str) -> None:
    diagnosis = wrong["findings"][0]["diagnosis"]
    diagnosis["ruling"] = ruling and {**diagnosis["ruling"], **ruling}
    diagnosis["causes"] = ()
    _, _, side, why = told(wrong)
    assert side == sentence
    assert why == "Why is not known: no mistake that was tried explains the number."


def test_what_depends_on_all_the_rest(wrong: dict[str, Any]) -> None:
    wrong["findings"][0]["diagnosis"] = None
    assert told(wrong)[2] == (
        "Which side is wrong is not known: this number depends on many others."
    )


def test_nothing_was_compared() -> None:
    assert told(Report("", "float32")) == [
        TRAINED,
        "Nothing was compared, so that nothing is known: this is no agreement.",
    ]


def test_what_is_left_open(small: Any) -> None:
    found = run(small()).as_dict()
    found["steps"], found["unverified"] = 1, ["gate"]
    found["quantities"][0]["undecided"] = 1
    first, verdict, left = told(found, interrupted=True)
    assert "In 1 step, " in first
    assert verdict.startswith("They agree wherever that could be decided: ")
    assert left == (
        "Left open: 1 part of it was computed by Keras alone, and not checked (‘gate’); "
        "one comparison could not be decided, since rounding alone may change such numbers at "
        "will; the comparison was stopped before its end."
    )
    found["unverified"], found["quantities"][1]["undecided"] = [*"abcde"], 1200
    left = told(found)[-1]
    assert (
        "5 parts of it were computed by Keras alone, and not checked (‘a’, ‘b’, ‘c’ and 2 more)"
        in left
    )
    assert "1,201 comparisons could not be decided" in left


def test_several_trainings(
    wrong: dict[str, Any], small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    right = run(small()).as_dict()
    wrong["label"] = "n" * 5000
    first, verdict, *_ = summary([right, wrong])
    count, times = 6, right["compared"] + wrong["compared"]
    assert first == (
        "Each of 2 trainings was run twice, side by side: by Keras, and by formulas worked out by "
        f"hand. In {count} steps, their numbers were compared {times:,} times."
    )
    assert f"the first time in step 1 of ‘{'n' * 60}…’: " in verdict
    nothing = Report("", "float32").as_dict()
    assert summary([right, nothing])[1] == (
        "They agree everywhere, but of 1 training nothing was compared."
    )


def test_numbers_that_are_not_finite(wrong: dict[str, Any]) -> None:
    """As strict JSON has them: in text."""
    found = copy.deepcopy(wrong)
    found["findings"][0]["verdict"].update(actual="nan", expected="-inf")
    assert "Keras has not a number; by hand it is −∞." in told(found)[1]


def test_submitted_numbers(small: Any) -> None:
    model = small()
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(4, 5)), generator.normal(size=(4, 3))
    zeros = [np.zeros(one.shape) for one in model.trainable_weights]
    compared, verdict, side, _ = told(check_gradients(model, x, y, zeros))
    assert compared == (
        "What somebody has computed of a training step, 6 arrays of numbers, "
        "was held against Keras."
    )
    assert verdict.startswith("In all of these they differ")
    assert "Submitted was 0; it should be " in verdict
    assert side == f"{NUDGED} supports Keras, so that what was submitted is wrong."
