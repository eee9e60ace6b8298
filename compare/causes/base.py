"""What a hypothesis sees, what it answers, and how the answers are ranked.

A hypothesis is a small function that looks at one `Place`, where everything is right, and says
which numbers would stand there had a certain slip been made. If they are the numbers that do stand
there, to within rounding, then that slip is the cause. No hypothesis has a parameter to fit, so a
wrong number can't be explained by chance: in float32 one guess in a million would be.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from compare.causes.families import loaded
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy


@dataclass(frozen=True)
class Facts:
    """What is true of the whole step.

    Attributes
    ----------
    samples : int
        In this batch.
    batch_size : int
        Of a full batch; larger than ``samples`` only in a last, small one.
    learning_rate : float
    """

    samples: int
    batch_size: int
    learning_rate: float


@dataclass(frozen=True)
class Place:
    """Where a number arises in a training step, and everything right around it.

    Attributes
    ----------
    phase, name : str
        As in a trace.
    right : Noisy
        What should stand there.
    map : object
        The layer, loss or optimizer whose map ends here.
    inputs : mapping of str to Noisy
        What the map took, by the literature's letters: ``x, W, b, z, a, da, dz, y, p, w, g, m, v``.
        Where several maps contribute to a gradient there is no one map; ``shares`` is then a list
        of places, one for what each contributes.
    facts : Facts
    wrong : array, optional
        What does stand there, where that is known. For slips that leave something open, as another
        draw of a mask does: a hypothesis may read off it *which* of a few exact values each
        number is, and never a number itself.
    wrong_noise : array, optional
        The noise that it has, where it was computed with one: by hand.
    """

    phase: str
    name: str
    right: Noisy
    map: Any
    inputs: Mapping[str, Any]
    facts: Facts
    wrong: np.ndarray | None = None
    wrong_noise: np.ndarray | None = None

    def has(self, *letters: str) -> bool:
        return all(self.inputs.get(letter) is not None for letter in letters)


@dataclass(frozen=True)
class Candidate:
    """What would stand at a place had one slip been made.

    Attributes
    ----------
    sentence : str
        The slip, for a student: "the derivative of the activation is missing".
    value : Noisy, or an array that is exact
    formula : str
        What was computed instead.
    slips : int
        How many slips it takes: the simplest explanation comes first.
    """

    sentence: str
    value: Any
    formula: str = ""
    slips: int = 1


Hypothesis = Callable[[Place], Iterator[Candidate]]

_hypotheses: dict[str, list[Hypothesis]] = {}
_last_resorts: dict[str, list[Hypothesis]] = {}


def hypothesis(*phases: str, last_resort: bool = False) -> Callable[[Hypothesis], Hypothesis]:
    """Register a function as a hypothesis about numbers of the given phases.

    A ``last_resort`` is asked only where all others have nothing that fits.
    """
    registry = _last_resorts if last_resort else _hypotheses

    def register(function: Hypothesis) -> Hypothesis:
        for phase in phases:
            registry.setdefault(phase, []).append(function)
        return function

    return register


@cache
def load_all() -> None:
    """Load all hypotheses; sort them by family, whichever was imported first."""
    modules = loaded()

    def place_of(function: Hypothesis) -> int:
        home = function.__module__
        return next(i for i, one in enumerate(modules) if f"{home}.".startswith(f"{one}."))

    for registry in (_hypotheses, _last_resorts):
        for functions in registry.values():
            functions.sort(key=place_of)


Constants = Callable[[Place], Iterator[tuple[float, str, str]]]

_constants: list[Constants] = []


def goes_with_any(function: Constants) -> Constants:
    """Register constants, each with its slip and its name, that may go along with another slip."""
    _constants.append(function)
    return function


def candidates(place: Place, *, last_resorts: bool = False) -> Iterator[Candidate]:
    """Return everything that any hypothesis has to say about a place, in the right shape."""
    for function in hypotheses_about(place, last_resorts=last_resorts):
        yield from proposed(function, place)


def hypotheses_about(place: Place, *, last_resorts: bool = False) -> list[Hypothesis]:
    """Return the hypotheses that are registered for a place's phase."""
    load_all()
    registry = _last_resorts if last_resorts else _hypotheses
    return registry.get(place.phase, [])


def proposed(function: Hypothesis, place: Place) -> Iterator[Candidate]:
    """Return what one hypothesis has to say about a place, in the right shape."""
    for candidate in function(place):
        if np.shape(candidate.value) == place.right.shape:
            yield replace(candidate, value=_with_noise(candidate.value, place.right.unit))


def _with_noise(value: Any, unit: float) -> Noisy:
    """Take what is exact, ones and zeros say, as numbers without noise."""
    return value if isinstance(value, Noisy) else Noisy(value, unit=unit)


@dataclass(frozen=True)
class Cause:
    """An explanation that fits to within rounding.

    Attributes
    ----------
    sentence, formula : str
    residual : float
        What it leaves unexplained, relative to the largest number.
    distance : float
        The same in units of rounding noise; at most the judge's bound.
    slips : int
    """

    sentence: str
    formula: str
    residual: float
    distance: float
    slips: int = field(default=1, repr=False)

    def __str__(self) -> str:
        formula = f": {self.formula}" if self.formula else ""
        residual = f"{self.residual:.0e}" if self.residual else "0"
        return f"{self.sentence}{formula} (residual {residual})"


def diagnose(place: Place, wrong: np.ndarray) -> list[Cause]:
    """Explain the numbers that stand at a place; return what fits, the simplest first.

    An explanation that right numbers would pass too explains nothing and is left out.
    """
    wrong = np.asarray(wrong, np.float64)
    place = replace(place, wrong=wrong)
    with np.errstate(all="ignore"):
        proposed = list(candidates(place))
        return ranked(
            fitting(proposed, place, wrong)
            or fitting(candidates(place, last_resorts=True), place, wrong)
            or fitting(with_constants(place, proposed, wrong), place, wrong)
            or fitting(proposed, place, wrong, place.wrong_noise)
        )


def fitting(
    proposed: Iterable[Candidate],
    place: Place,
    wrong: np.ndarray,
    wrong_noise: np.ndarray | None = None,
) -> list[Cause]:
    """Return as causes what fits the wrong numbers, and the right ones not."""
    return [
        cause
        for candidate in proposed
        if (cause := fits(candidate, wrong, wrong_noise)) is not None
        and not judge(place.right.value, candidate.value).agrees
    ]


def with_constants(
    place: Place, proposed: Sequence[Candidate], wrong: np.ndarray
) -> Iterator[Candidate]:
    """Propose each single slip together with a constant, where that comes near at all."""
    constants = [constant for function in _constants for constant in function(place)]
    for candidate in proposed:
        value = candidate.value.value
        length = float((value * value).sum())
        if candidate.slips > 1 or not length or judge(place.right.value, candidate.value).agrees:
            continue
        about = float((wrong * value).sum()) / length
        for factor, also, name in constants:
            if abs(about - factor) < 1e-3 * abs(factor):
                both = f"{candidate.sentence}, and {also} (factor {name})"
                value = candidate.value * factor
                yield replace(candidate, sentence=both, value=value, slips=2)


def fits(
    candidate: Candidate, wrong: np.ndarray, wrong_noise: np.ndarray | None = None
) -> Cause | None:
    """Return the candidate as a cause if it gives the wrong numbers, to within rounding.

    To within that of the wrong numbers, if it is given and larger: which number has how much of it
    a slip may have changed as well. What may be any number (its noise is infinite) would explain
    all, and so explains nothing.
    """
    value = candidate.value
    if not np.isfinite(value.noise[np.isfinite(value.value)]).all():
        return None
    if wrong_noise is not None:
        either = np.maximum(value.noise, np.where(np.isfinite(wrong_noise), wrong_noise, 0.0))
        value = Noisy(value.value, either, unit=value.unit)
    verdict = judge(wrong, value)
    if not verdict.agrees or not np.isfinite(verdict.distance):
        return None
    finite = np.where(np.isfinite(wrong), wrong, 0.0)
    largest = float(np.max(np.abs(finite), initial=0.0))
    left = np.where(np.isfinite(wrong), wrong - value.value, 0.0)
    residual = float(np.max(np.abs(left), initial=0.0)) / (largest or 1.0)
    return Cause(candidate.sentence, candidate.formula, residual, verdict.distance, candidate.slips)


def ranked(causes: list[Cause]) -> list[Cause]:
    """Sort by the number of slips, in the order of the hypotheses; name each only once."""
    by_sentence = {cause.sentence: cause for cause in reversed(causes)}
    kept = [cause for cause in causes if by_sentence[cause.sentence] is cause]
    return sorted(kept, key=lambda cause: cause.slips)
