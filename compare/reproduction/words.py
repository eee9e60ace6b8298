"""What a script says of its finding, in comments."""

from __future__ import annotations

import textwrap

from compare.findings.collecting import OWN
from compare.findings.referee import BY_HAND, KERAS
from compare.findings.report import Finding

WIDTH = 80


def keras_number(finding: Finding) -> float:
    """Return Keras's number: where the hand-written half took the step alone, the right one."""
    verdict = finding.verdict
    return verdict.expected if finding.source == OWN else verdict.actual


def hand_number(finding: Finding) -> float:
    """Return the number by hand."""
    verdict = finding.verdict
    return verdict.actual if finding.source == OWN else verdict.expected


def blame(finding: Finding) -> str:
    """Say which side is wrong, and who says so."""
    diagnosis = finding.diagnosis
    if diagnosis is None:
        return "Keras and the derivation by hand differ"
    who = "Keras" if diagnosis.wrong == KERAS else "the number by hand"
    ruling = diagnosis.ruling
    decided = ruling is not None and ruling.supports in (KERAS, BY_HAND)
    return f"{who} is wrong" if decided else f"{who} is taken to be wrong"


def reasons(finding: Finding) -> list[str]:
    """Say what the cause is, and what the referee; his number is that of all elements together."""
    diagnosis = finding.diagnosis
    if diagnosis is None:
        return []
    told = [f"cause: {cause.sentence}: {cause.formula}".rstrip(": ") for cause in diagnosis.causes]
    ruling = diagnosis.ruling
    if ruling is not None:
        decided = ruling.supports in (KERAS, BY_HAND)
        what = f"{ruling.evidence} supports {ruling.supports}" if decided else str(ruling)
        told = [*told[:1], f"referee: {what}"]
    return told


def comment(text: str) -> list[str]:
    """Wrap a sentence into lines of comment."""
    return textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="#   ")
