"""Tries a draft, to see whether the same is found in it."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

from compare.findings.collecting import Comparison
from compare.findings.report import Finding, Report
from compare.reproduction.building import Node, built
from compare.reproduction.draft import Draft
from compare.steps.engine import lockstep
from keras_models.precision import precision


@dataclass(frozen=True)
class Same:
    """What must not change of a finding while it is made smaller.

    Attributes
    ----------
    phase, source : str
    weight : str
        Which of a layer's weights, or of its slots: ``kernel``.
    location : str
        The code that computes it by hand.
    wrong : str
        The side that is wrong.
    cause : str
        Without its numbers: those of a smaller batch are others, and operations are counted on.
    """

    phase: str
    source: str
    weight: str
    location: str
    wrong: str
    cause: str


def same(finding: Finding) -> Same:
    """Return what a finding is recognised by."""
    diagnosis, phase = finding.diagnosis, finding.phase
    of_node = phase in ("activation", "activation gradient")
    causes = diagnosis.causes if diagnosis is not None else ()
    return Same(
        phase,
        finding.source,
        "" if of_node else finding.name.rpartition("/")[-1],
        finding.derivation.location,
        diagnosis.wrong if diagnosis is not None else "",
        re.sub(r"_?\d[\d.,]*", "", causes[0].sentence) if causes else "",
    )


@dataclass(frozen=True)
class Trial:
    """A draft that was trained in lock-step, and what was found.

    Attributes
    ----------
    draft : Draft
    nodes : dict of str to Node
        By their names in a trace.
    report : Report
    """

    draft: Draft
    nodes: dict[str, Node]
    report: Report

    @property
    def finding(self) -> Finding:
        assert self.report.first is not None
        return self.report.first


class _First(Report):
    """Keeps the first disagreement alone: to find the causes of others takes most of the time."""

    def add(self, epoch: int, step: int, comparison: Comparison) -> None:
        if not self.findings:
            super().add(epoch, step, comparison)


def tried(draft: Draft) -> Trial | None:
    """Train a draft's model in lock-step; return it if anything was found.

    Whatever Keras says against a model or its data, it is no smaller form of the finding.
    """
    try:
        trial = compared(draft, _First("", ""))
    except Exception:
        return None
    return trial if trial.report.first is not None else None


def compared(draft: Draft, report: Report | None = None) -> Trial:
    """Train a draft's model in lock-step; ``report`` is filled if it is given."""
    with precision(draft.floatx), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # most of what is tried doesn't work
        it = built(draft)
        draft = it.draft
        report = lockstep(
            it.model,
            alone(draft.x),
            alone(draft.y),
            sample_weight=alone(draft.sample_weight),
            batch_size=draft.batch_size,
            epochs=draft.epochs,
            shuffle=False,
            report=report,
        )
    return Trial(draft, it.nodes, report)


def alone(arrays: tuple[Any, ...]) -> Any:
    """Return a single array as it is, several as a list, and None for none."""
    return (list(arrays) if len(arrays) > 1 else arrays[0]) if arrays else None
