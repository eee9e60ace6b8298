"""What a comparison found, for readers who know neither Keras nor calculus."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from compare.pages.charts.numbers import number, plural, told

KERAS, BY_HAND, SUBMITTED = "Keras", "the calculation by hand", "what was submitted"
_SIDES = {"Keras": KERAS, "the hand derivation": BY_HAND, "submission": SUBMITTED}
"""The sides of a diagnosis, by what it calls them."""
_EVIDENCE = {
    "a central difference of the loss": "how the loss changes when these numbers are nudged",
    "Keras's own map, alone in float64": "Keras's own layer, run alone and with more digits",
}
_OWN = "manual.Network"
_LONGEST = 60
"""So much of a name is told."""
_WHAT = {
    "input": "a number that training starts with, {}",
    "activation": "a number that comes out of the layer {}",
    "loss": "the loss, which says how far off the network's answers are",
    "activation gradient": "the gradient at {}, which says how its numbers sway the loss",
    "weight gradient": "the gradient of {}, which says how these weights are to change",
    "processed gradient": "the gradient of {} after it was limited",
    "optimizer slot": "what the training rule remembers, {}",
    "weight": "the new value of the weights {}",
    "state": "a running average, {}",
    "metric": "the score {} of an epoch",
}


def plain_summary(contents: Mapping[str, Any]) -> list[str]:
    """Return two to five sentences about what a page shows.

    Parameters
    ----------
    contents : mapping
        As `compare.pages.contents.contents` returns it.
    """
    if not contents["chapters"]:
        agrees = "agrees" if contents["ok"] else "does not agree"
        return [
            "Something was compared without training a network side by side.",
            f"It {agrees}: what was found stands below, in the words of the command line.",
        ]
    reports = [chapter["report"] for chapter in contents["chapters"]]
    sentences = summary(reports, interrupted=contents.get("interrupted", False))
    if not any(one["findings"] for one in reports):
        sentences[2:2] = _in_print(contents["chapters"])
    return sentences


def summary(reports: Sequence[Mapping[str, Any]], interrupted: bool = False) -> list[str]:
    """Return two to five sentences about reports, as `Report.as_dict` gives them."""
    sentences = [_compared(reports), _verdict(reports)]
    finding = next((one["findings"][0] for one in reports if one["findings"]), None)
    if finding is not None:
        sentences += [_side(finding), _why(finding)]
    left = [*_left_open(reports)]
    if interrupted:
        left.append("the comparison was stopped before its end")
    if left:
        sentences.append(f"Left open: {'; '.join(left)}.")
    return sentences


def _in_print(chapters: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Say which published numbers are not as they should be."""
    found = [number["status"] for chapter in chapters for number in chapter.get("numbers", ())]
    missed, wrong = found.count("missed"), found.count("wrong in print")
    if missed:
        yield f"But {plural(missed, 'published number')} did not come out as it should."
    if wrong:
        are = "is" if wrong == 1 else "are"
        yield f"{plural(wrong, 'published number')} {are} wrong in print."


def _compared(reports: Sequence[Mapping[str, Any]]) -> str:
    count, steps = (sum(one[what] for one in reports) for what in ("compared", "steps"))
    if any(q["source"] == "submission" for one in reports for q in one["quantities"]):
        arrays = f"{plural(count, 'array')} of numbers"
        return f"What somebody has computed of a training step, {arrays}, was held against Keras."
    what = "The same network was trained"
    if len(reports) > 1:
        what = f"Each of {len(reports)} trainings was run"
    trained = f"{what} twice, side by side: by Keras, and by formulas worked out by hand."
    if not count:
        return trained
    times = "once" if count == 1 else f"{count:,} times"
    return f"{trained} In {plural(steps, 'step')}, their numbers were compared {times}."


def _verdict(reports: Sequence[Mapping[str, Any]]) -> str:
    count, differ = (sum(one[what] for one in reports) for what in ("compared", "disagreements"))
    if not count:
        return "Nothing was compared, so that nothing is known: this is no agreement."
    if not differ:
        where = "wherever that could be decided" if _undecided(reports) else "everywhere"
        if empty := sum(not one["compared"] for one in reports):
            return f"They agree {where}, but of {plural(empty, 'training')} nothing was compared."
        return f"They agree {where}: no difference is larger than rounding explains."
    differs = "They differ" if count == 1 else f"In {differ:,} of these they differ"
    differs = "In all of these they differ" if 1 < count == differ else differs
    found = [(one, finding) for one in reports for finding in one["findings"]]
    if not found:
        return f"{differs}, by more than rounding explains."
    report, finding = found[0]
    where = f" of {_named(report['label'])}" if len(reports) > 1 else ""
    what = _WHAT.get(finding["phase"], "{}").format(_named(finding["name"]))
    return (
        f"{differs}, by more than rounding explains; the first time in step {finding['step']}"
        f"{where}: {what}. {_numbers(finding)}"
    )


def _numbers(finding: Mapping[str, Any]) -> str:
    actual, expected = (told(number(finding["verdict"][one])) for one in ("actual", "expected"))
    if finding["source"] == "submission":
        return f"Submitted was {actual}; it should be {expected}."
    if finding["source"] == _OWN:
        return f"The training by hand has {actual}; by its own formulas it should be {expected}."
    return f"Keras has {actual}; by hand it is {expected}."


def _side(finding: Mapping[str, Any]) -> str:
    """Say which side is wrong, and how sure that is."""
    diagnosis = finding["diagnosis"]
    if finding["source"] == _OWN:
        return "The formulas agree with Keras: the fault is in how they are put together by hand."
    if diagnosis is None:
        return "Which side is wrong is not known: this number depends on many others."
    wrong, ruling = _SIDES[diagnosis["wrong"]], diagnosis["ruling"]
    if ruling is None:
        if wrong == SUBMITTED:
            return f"The right ones are Keras's, so that {wrong} is wrong."
        return f"There was nothing to ask for a third opinion: {wrong} is taken to be wrong."
    if ruling["supports"] == "nobody":
        return (
            f"A third opinion could not be had ({ruling['why']}): "
            "which side is wrong is not known for sure."
        )
    evidence = _EVIDENCE.get(ruling["evidence"], ruling["evidence"])
    opinion = f"A third opinion ({evidence})"
    if ruling["supports"] == "both":
        return f"{opinion} is as near to both sides: which of them is wrong is not known for sure."
    if ruling["supports"] == "neither":
        return f"{opinion} supports neither side: both may be wrong."
    supported = _SIDES.get(ruling["supports"], ruling["supports"])
    return f"{opinion} supports {supported}, so that {wrong} is wrong."


def _why(finding: Mapping[str, Any]) -> str:
    diagnosis = finding["diagnosis"]
    if diagnosis is None or not diagnosis["causes"]:
        return "Why is not known: no mistake that was tried explains the number."
    best, *others = (cause["sentence"] for cause in diagnosis["causes"])
    also = f"; so would this: {others[0]}" if others else ""
    return f"This mistake would give exactly the number that is wrong: {best}{also}."


def _left_open(reports: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    unverified = list(dict.fromkeys(name for one in reports for name in one["unverified"]))
    if unverified:
        are = "was" if len(unverified) == 1 else "were"
        names = ", ".join(map(_named, unverified[:3]))
        more = f" and {len(unverified) - 3} more" if len(unverified) > 3 else ""
        parts = plural(len(unverified), "part")
        yield f"{parts} of it {are} computed by Keras alone, and not checked ({names}{more})"
    if undecided := _undecided(reports):
        them = "one comparison" if undecided == 1 else f"{undecided:,} comparisons"
        yield f"{them} could not be decided, since rounding alone may change such numbers at will"


def _undecided(reports: Sequence[Mapping[str, Any]]) -> int:
    return sum(one["undecided"] for report in reports for one in report["quantities"])


def _named(name: str) -> str:
    return f"‘{name if len(name) <= _LONGEST else name[:_LONGEST] + '…'}’"
