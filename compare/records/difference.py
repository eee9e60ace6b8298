"""Two records compared: no model, no TensorFlow, only what the two runs have written down.

Each side's numbers are held against what its own step gives when it is derived by hand, and the two
deviations against each other: so two trainings that have drifted apart are still compared exactly.
From the same state it is the plain difference of the two.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from compare.errors import BadInput
from compare.records.divergence import WIDTH, Divergence
from compare.records.judging import judge
from compare.records.record import Quantity, Record
from compare.rounding.judge import BOUND

KEPT = 20
GIVEN = "x", "y", "sample_weight", "learning_rate", "iterations"


@dataclass
class Difference:
    """What came of comparing two records.

    Attributes
    ----------
    a, b : Record
    compared, identical : int
        How many quantities there were, every step counted, and in how many of them every bit is
        the same.
    undecided : int
        How many could not be judged: neither side has noise for them, or it has no bound.
    largest : (float, step, phase, name)
        What came closest to the bound, or went furthest beyond.
    divergences : list of Divergence
        The first, in time and in causal order.
    diverging : int
        How many there were in all.
    drift : list of (step, float)
        How far apart the weights were after each step, relative to the largest.
    """

    a: Record
    b: Record
    compared: int = 0
    identical: int = 0
    undecided: int = 0
    largest: tuple[float, int, str, str] = (0.0, 0, "", "")
    divergences: list[Divergence] = field(default_factory=list)
    diverging: int = 0
    drift: list[tuple[int, float]] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the two agree (and something was compared)."""
        return self.compared > 0 and not self.diverging

    @property
    def unseen(self) -> frozenset[str]:
        """Phases that one of the records says nothing of."""
        return self.a.unseen | self.b.unseen

    @property
    def first(self) -> Divergence | None:
        return self.divergences[0] if self.divergences else None

    def add(self, divergence: Divergence) -> None:
        self.diverging += 1
        if len(self.divergences) < KEPT:
            self.divergences.append(divergence)

    def __str__(self) -> str:
        return "\n".join(self.lines())

    def lines(self) -> Iterator[str]:
        """Give what there is to say, line by line."""
        for side, record in zip("AB", (self.a, self.b), strict=True):
            yield textwrap.fill(f"{side}: {described(record)}", WIDTH, subsequent_indent="   ")
        steps = [step for step, _ in self.drift]
        found = f"{self.compared:,} quantities of {len(steps)} step{'s' * (len(steps) != 1)}"
        told = f"{found}, {self.identical:,} of them the same to the last bit"
        if self.undecided:
            told += f", {self.undecided:,} of which could not be judged"
        if self.ok and self.largest[0]:
            distance, step, phase, name = self.largest
            told += f"; the largest difference is {distance:.2g} × noise, bound {BOUND:g}: "
            told += f"step {step} · {phase} · {name}"
        yield textwrap.fill(f"{'agree' if self.ok else 'DIVERGE'}: {told}", WIDTH)
        if self.unseen:
            yield f"not in both of them: {', '.join(sorted(self.unseen))}"
        if steps and self.drift[-1][1]:
            yield f"the weights are {self.drift[-1][1]:.1e} apart after step {steps[-1]}"
        if self.first is not None:
            yield str(self.first)
            if more := self.diverging - 1:
                what = "quantity diverges" if more == 1 else "quantities diverge"
                yield f"{more:,} more {what} after it"

    def _repr_html_(self) -> str:
        """Return what a notebook shows."""
        from compare.pages.fragment import of_difference

        return of_difference(self)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries and lists."""
        return {
            "ok": self.ok,
            "a": self.a.about,
            "b": self.b.about,
            "compared": self.compared,
            "identical": self.identical,
            "undecided": self.undecided,
            "unseen": sorted(self.unseen),
            "largest": dict(zip(("distance", "step", "phase", "name"), self.largest, strict=True)),
            "diverging": self.diverging,
            "divergences": [{**asdict(one), "wrong": one.wrong} for one in self.divergences],
            "drift": [{"step": step, "apart": apart} for step, apart in self.drift],
        }


def diff(a: Record | Path | str, b: Record | Path | str) -> Difference:
    """Compare two records of the same training, step by step, in causal order.

    Raises
    ------
    BadInput
        If one of them can't be read, or they are not of the same training.

    Examples
    --------
    >>> print(diff("cpu/", "gpu/"))  # doctest: +SKIP
    """
    one, other = (side if isinstance(side, Record) else Record(side) for side in (a, b))
    steps = [step for step in one.steps if step in other.steps]
    if not steps:
        raise BadInput(f"The two records have no step in common: {one.steps} and {other.steps}.")
    result = Difference(one, other)
    for step in steps:
        sides = (
            [one for one in side.quantities(step) if one.phase not in result.unseen]
            for side in (one, other)
        )
        _compare_step(result, step, *sides)
    return result


def described(record: Record) -> str:
    """Say in a line what a record is of and what it was made by."""
    by = record.about["made_by"]
    parts = [
        str(record.folder),
        str(record.about.get("label", "")),
        f"Keras {by.get('keras', '?')} on {by.get('backend', '?')}",
        str(record.about.get("dtype", "?")),
        f"{by.get('device', '?')}, {by.get('system', '?')}",
        "XLA" if by.get("compiled_by_xla") else "",
    ]
    return " · ".join(part for part in parts if part)


def _compare_step(result: Difference, step: int, a: list[Quantity], b: list[Quantity]) -> None:
    of_b = {one.key: one for one in b}
    _check_same_training(result, step, a, of_b)
    weights = [one for one in a if one.phase in ("weight", "state")]
    names = {one.name for one in weights}
    before = {one.name: one for one in a if one.phase == "input"}
    inherited = _apart(
        [(before[name], of_b["input", name]) for name in sorted(names & before.keys())]
    )
    given = [one for one in a if one.phase == "input"]
    same_start = all(_same(one.value, of_b[one.key].value) for one in given)
    first = step == result.a.steps[0] == 1
    for one in a:
        other = of_b[one.key]
        if one.phase == "input" and not first and not _is_given(one):
            continue  # what is left of the steps before: `inherited` tells how much it is
        result.compared += 1
        if _same(one.value, other.value):
            result.identical += 1
            if one.value.dtype == other.value.dtype:
                continue
        judged = judge(step, one, other, None if same_start else inherited)
        result.undecided += judged.undecided
        if judged.distance > result.largest[0] and one.phase != "input":
            result.largest = judged.distance, step, *one.key
        if judged.divergence is not None:
            result.add(judged.divergence)
    result.drift.append((step, _apart([(one, of_b[one.key]) for one in weights])))


def _is_given(one: Quantity) -> bool:
    """Say whether a quantity is given to a step, and not what the one before it has left."""
    return one.name.split("[")[0] in GIVEN or one.name.endswith(" drawn")


def _check_same_training(
    result: Difference, step: int, a: list[Quantity], b: dict[tuple[str, str], Quantity]
) -> None:
    """Refuse records of different things."""
    told = f"{str(result.a.folder)!r} and {str(result.b.folder)!r} are not of the same training"
    for one in a:
        other = b.get(one.key)
        if other is None:
            raise BadInput(f"{told}: only the first has {' · '.join(one.key)}, at step {step}.")
        if one.value.shape != other.value.shape:
            raise BadInput(
                f"{told}: {' · '.join(one.key)} has the shape {one.value.shape} in the first and "
                f"{other.value.shape} in the second, at step {step}."
            )
    if more := [key for key in b if key not in {one.key for one in a}]:
        raise BadInput(f"{told}: only the second has {' · '.join(more[0])}, at step {step}.")


def _same(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.array_equal(a, b, equal_nan=True))


def _apart(pairs: list[tuple[Quantity, Quantity]]) -> float:
    """Return the largest difference among pairs, relative to the largest number."""
    gap = largest = 0.0
    for one, other in pairs:
        a, b = one.value.astype(np.float64), other.value.astype(np.float64)
        with np.errstate(all="ignore"):
            gap = max(gap, float(np.abs(a - b).max(initial=0.0)))
            largest = max(largest, float(np.abs(a).max(initial=0.0)))
    return gap / largest if largest else gap
