"""What a comparison found: summaries of everything, details of the first disagreements."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from compare.derivations import Derivation
from compare.errors import Disagreement
from compare.findings.collecting import OWN, Comparison
from compare.findings.diagnosis import SUBMISSION, Diagnosis
from compare.findings.drift import Drift
from compare.findings.patterns import Pattern
from compare.rounding.judge import Verdict
from compare.strict_json import as_json

KEPT_FINDINGS = 20
WIDTH = 80
_WRAPPED = textwrap.TextWrapper(
    WIDTH, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False
)
_OF_A_STEP = "  computed by hand from this step's batch and weights alone"
FROM_THE_DATA = {
    "loss": _OF_A_STEP,
    "weight gradient": _OF_A_STEP,
    "metric": "  computed by hand from the epoch's batches and weights alone",
}
"""What is said of a quantity of ``fit`` that no single map gives."""


@dataclass(frozen=True)
class Finding:
    """One quantity that disagrees.

    Attributes
    ----------
    epoch, step : int
        Counted from 1.
    phase, name : str
        Which quantity.
    source : str
        Which way it was computed: ``"GradientTape"``, ``"model.fit"``, or ``"manual.Network"``
        where the hand-written half is held against the derivation.
    derivation : Derivation
        The layer whose map is at fault, its formula, and where the code stands.
    verdict : Verdict
        Distance, bound, worst element.
    diagnosis : Diagnosis or None
        Which side is wrong and why; None where the number depends on others that differ.
    inputs : float or None
        The largest distance among the numbers that the map took.
    reproduce : str
        How to come here again.
    pattern : Pattern or None
        Which elements disagree, in words and as a small map.
    """

    epoch: int
    step: int
    phase: str
    name: str
    source: str
    derivation: Derivation
    verdict: Verdict
    diagnosis: Diagnosis | None = None
    inputs: float | None = None
    reproduce: str = ""
    pattern: Pattern | None = None

    @property
    def distance(self) -> float:
        return self.verdict.distance

    @property
    def bound(self) -> float:
        return self.verdict.bound

    @property
    def worst_element(self) -> tuple[int, ...]:
        return self.verdict.index

    def __str__(self) -> str:
        verdict, by = self.verdict, self.derivation
        title = f"step {self.step} · {self.phase} · {self.name}"
        outcome = f"DISAGREES, {_short(verdict.distance)} × rounding noise"
        head = [f"{title}   {outcome}"]
        if len(head[0]) > WIDTH:
            head = [title, f"  {outcome}"]
        where = ""
        if verdict.size > 1:
            index = f"{list(verdict.index)} of {verdict.size}"
            alone = self.pattern is not None and self.pattern.wrong == 1
            where = f"only {index} differs; " if alone else f"worst element {index}; "
        submitted = self.source == SUBMISSION
        who, whose = f"{self.source} has", "by hand it is"
        if submitted or self.source == OWN:
            who, whose = "submitted:" if submitted else who, "it should be"
        local = f"  its inputs are Keras's own, so the difference arises in {by.layer!r}"
        if self.inputs is not None and self.inputs <= verdict.bound:
            agree = f"  its inputs agree ({_short(self.inputs)} × noise)"
            local = f"{agree}, so the fault is in {by.layer!r}"
        if self.source == "model.fit":
            local = FROM_THE_DATA.get(self.phase, local)
        if not by.layer:
            local = _OF_A_STEP
        if self.source == OWN:
            local = "  every map agrees by itself: the fault is in how the step is put together"
        which = str(self.pattern or "")
        lines = [
            *head,
            f"  {who} {verdict.actual:.10g}, {whose} {verdict.expected:.10g}",
            f"  {where}bound {verdict.bound:g} × noise, one noise is {verdict.noise:.1e} here",
            *([f"  where: {which}"] if which else []),
            f"  a relative tolerance of {_short(verdict.tolerance)} would have passed",
            *([] if submitted else [local]),
            *(f"  {line}" for line in (self.diagnosis.lines() if self.diagnosis else ())),
            f"  formula: {by.formula}",
            f"  derived in {by.location}",
            *([f"  reproduce: {self.reproduce}"] if self.reproduce else []),
        ]
        return "\n".join(_WRAPPED.fill(line) if len(line) > WIDTH else line for line in lines)


def _short(number: float) -> str:
    return f"{number:.2g}" if number < 1000 else f"{number:.1e}"


@dataclass
class Largest:
    """The largest distance seen for one quantity, and when.

    Attributes
    ----------
    distance : float
    step : int
    compared, disagreed : int
        How often.
    kinks : int
        Elements, over all steps, at which the two sides chose different derivatives of a kink.
    undecided : int
        How often its rounding noise had no bound, so that nothing could be said.
    """

    distance: float = 0.0
    step: int = 0
    compared: int = 0
    disagreed: int = 0
    kinks: int = 0
    undecided: int = 0


@dataclass(frozen=True)
class EpochPair:
    """What both halves say of one epoch, each having trained on its own since the first step."""

    epoch: int
    keras: dict[str, float]
    """What ``fit`` logs."""
    by_hand: dict[str, float]
    """The loss, and what the validation gives."""
    weight_drift: float
    """Largest difference of a weight, relative to the largest weight."""


@dataclass
class Report:
    """The result of a comparison.

    Attributes
    ----------
    label : str
    dtype : str
    reproduce : str
        A command or a call that leads here again, with ``{step}`` where the step belongs.
    steps, epochs : int
        Completed.
    quantities : dict of (phase, name, source) to Largest
        Every quantity that was compared.
    findings : list of Finding
        The first few disagreements in the order in which they arose.
    disagreements : int
        How many there were in all.
    history : list of EpochPair
    drift : Drift or None
        How the two trainings drift apart, each going its own way since the first step.
    unverified : list of str
        Layers without a twin, which Keras itself carried: nothing of theirs was verified.
    notes : list of str
        What the reader should know: metrics passed over, a run that stopped early.
    """

    label: str
    dtype: str
    steps: int = 0
    epochs: int = 0
    quantities: dict[tuple[str, str, str], Largest] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    disagreements: int = 0
    history: list[EpochPair] = field(default_factory=list)
    drift: Drift | None = None
    unverified: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    reproduce: str = ""

    @property
    def ok(self) -> bool:
        """Whether everything that was compared agrees (and something was)."""
        return self.compared > 0 and self.disagreements == 0

    @property
    def first(self) -> Finding | None:
        """The disagreement that comes first in time and, within its step, in causal order."""
        return self.findings[0] if self.findings else None

    @property
    def compared(self) -> int:
        """How many quantities were compared, every step counted."""
        return sum(largest.compared for largest in self.quantities.values())

    @property
    def kinks(self) -> list[str]:
        """Where the two sides chose different derivatives at kinks, a sentence each."""
        return [
            f"{phase} · {name} ({source}): {largest.kinks} elements lie at a kink, where the two "
            "sides chose different derivatives, both of them subgradients"
            for (phase, name, source), largest in self.quantities.items()
            if largest.kinks
        ]

    @property
    def undecided(self) -> list[str]:
        """A sentence about what can't be judged, if there is any."""
        found = {key: one.undecided for key, one in self.quantities.items() if one.undecided}
        if not found:
            return []
        phase, name, source = next(iter(found))
        return [
            f"{sum(found.values()):,} of them could not be judged: rounding alone may change them "
            f"without a bound; the first is {phase} · {name} ({source})"
        ]

    @property
    def remarks(self) -> list[str]:
        """What the reader should know of this comparison, a sentence each."""
        return [*self.notes, *self.kinks, *self.undecided]

    @property
    def status(self) -> str:
        """How the comparison stands, in a few words."""
        differ = f", {self.disagreements:,} differ" if self.disagreements else ""
        open_ = f", {len(self.unverified)} not verified" if self.unverified else ""
        return f"{self.compared:,} compared{differ}{open_}"

    @property
    def largest(self) -> tuple[tuple[str, str, str], Largest] | None:
        """The quantity that came closest to its bound, or went furthest beyond."""
        if not self.quantities:
            return None
        return max(self.quantities.items(), key=lambda item: item[1].distance)

    def add(self, epoch: int, step: int, comparison: Comparison) -> None:
        """Take in one comparison; keep its details only if it is one of the first to disagree."""
        key = (comparison.phase, comparison.name, comparison.source)
        largest = self.quantities.setdefault(key, Largest())
        verdict = comparison.verdict
        largest.compared += 1
        largest.kinks += verdict.kinks
        largest.undecided += not math.isfinite(verdict.noise)
        if verdict.distance >= largest.distance:
            largest.distance, largest.step = verdict.distance, step
        if verdict.agrees:
            return
        largest.disagreed += 1
        self.disagreements += 1
        if len(self.findings) < KEPT_FINDINGS:
            diagnose, apart = comparison.diagnose, comparison.apart
            finding = Finding(
                epoch,
                step,
                *key,
                comparison.derivation,
                verdict,
                diagnosis=None if diagnose is None else diagnose(),
                inputs=comparison.inputs,
                reproduce=self.reproduce.format(step=max(step, 1)),
                pattern=None if apart is None else apart(),
            )
            self.findings.append(finding)

    def agree(self, step: int, distances: Iterable[tuple[tuple[str, str, str], float]]) -> None:
        """Take in a step in which everything agrees: how far each quantity is off."""
        for key, distance in distances:
            largest = self.quantities.setdefault(key, Largest())
            largest.compared += 1
            if distance >= largest.distance:
                largest.distance, largest.step = distance, step

    def raise_if_different(self) -> None:
        """Raise `Disagreement` with the first finding, if there is one.

        Also raises if nothing was compared: a check that checked nothing has not passed.
        """
        if self.first is not None:
            more = self.disagreements - 1
            also = f"\n({more} more disagreements after it)" if more else ""
            raise Disagreement(f"{self.first}{also}")
        if not self.ok:
            raise Disagreement("Nothing was compared.")

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from compare.pages.fragment import of_report

        return of_report(self)

    def to_json(self) -> str:
        """Return everything as JSON text; numbers that are not finite become strings."""
        return as_json(self.as_dict())

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries and lists."""
        return {
            "label": self.label,
            "dtype": self.dtype,
            "ok": self.ok,
            "steps": self.steps,
            "epochs": self.epochs,
            "compared": self.compared,
            "disagreements": self.disagreements,
            "findings": [asdict(finding) for finding in self.findings],
            "history": [asdict(pair) for pair in self.history],
            "drift": None
            if self.drift is None
            else {**asdict(self.drift), "told": str(self.drift)},
            "quantities": [
                {"phase": phase, "name": name, "source": source, **asdict(largest)}
                for (phase, name, source), largest in self.quantities.items()
            ],
            "unverified": self.unverified,
            "kinks": self.kinks,
            "undecided": self.undecided,
            "notes": self.notes,
        }
