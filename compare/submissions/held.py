"""What was submitted, held against every slip, and against every two that are made together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any

import numpy as np

from compare.causes import Cause, Facts, Place
from compare.causes.base import fits, ranked
from compare.causes.factors import constants
from compare.rounding.judge import BOUND, judge, may_agree
from compare.rounding.noise import Noisy, representation_error
from compare.submissions.movers import Mover, Unmoved
from compare.submissions.slips import Gradients, Slip, Slips, at_places


def explained(
    slips: Slips,
    submitted: Mapping[str, np.ndarray],
    movers: Sequence[Mover],
    of_update: Mapping[str, Place],
) -> list[Cause]:
    """Return the slips that give the submitted arrays, all of them, to within rounding.

    Parameters
    ----------
    slips : Slips
    submitted : mapping of str to array
    movers : sequence of Mover
        From gradients to what was submitted: as Keras does it, and with constants that it rounds.
    of_update : mapping of str to Place
        Where new weights were submitted: what surrounds each of them.
    """
    found: dict[str, Cause] = {}  # the same slip at more or fewer places is no other slip
    with np.errstate(all="ignore"):
        if of_update:
            weights = {name: place.right for name, place in of_update.items()}
            held = _Held(weights, slips.facts, submitted, Unmoved(), pairs=False)
            for slip in at_places(of_update):
                for what, cause in held.causes(slip):
                    found.setdefault(what, cause)
        all_held = [_Held(slips.right, slips.facts, submitted, mover) for mover in movers]
        tried = slips.all()
        if not any(array.any() for array in all_held[0].wrong()):
            tried = chain(slips.at_weights(), tried)  # what is 0 may well never have been computed
        for slip in tried:
            for held in all_held:
                for what, cause in held.causes(slip):
                    found.setdefault(what, cause)
    return ranked(list(found.values()))


class _Held:
    """What was submitted, for slips to be held against.

    A slip is held against one number first, it alone and with every factor that a second slip may
    have brought in: most are ruled out by that.
    """

    def __init__(
        self,
        gradients: Mapping[str, Noisy],
        facts: Facts,
        submitted: Mapping[str, np.ndarray],
        moved: Mover,
        pairs: bool = True,
    ) -> None:
        self.gradients, self.moved = gradients, moved
        self.right = moved(gradients)
        right = {name: judge(submitted[name], self.right[name]).agrees for name in submitted}

        def by_use(name: str) -> tuple[bool, int]:
            """Put what rules out most, and costs least, first."""
            return right[name], submitted[name].size

        self.submitted = {name: submitted[name] for name in sorted(submitted, key=by_use)}
        wrong = [name for name in submitted if not right[name]]
        unit = next(iter(gradients.values())).unit
        self.second: dict[float, str] = {}
        if pairs and not _one_number(submitted, self.right, wrong):
            anywhere = Place("weight gradient", "", Noisy(0.0, unit=unit), None, {}, facts)
            self.second = {
                factor: f"{sentence} (factor {name})"
                for factor, sentence, name in constants(anywhere)
            }
        factors = [1.0, *self.second]
        errors = [representation_error(factor, unit) for factor in factors]
        self.factors: Any = Noisy(factors, errors, unit=unit)

    def wrong(self) -> list[np.ndarray]:
        """Return the arrays that are not what they should be."""
        return [
            array
            for name, array in self.submitted.items()
            if not judge(array, self.right[name]).agrees
        ]

    def causes(self, slip: Slip) -> Iterator[tuple[str, Cause]]:
        """Give the slip as a cause if it fits; else with each factor that makes it fit.

        Each goes by what was done, wherever it was.
        """
        what = slip.candidate.sentence
        all_, reached = list(self.submitted), self._reached(slip)
        alone, *multiplied = self._possible(slip, all_)
        cause = self._fits(slip, slip.gradients) if alone else None
        if cause is not None:
            yield what, cause
            return
        for where in [reached, all_] if 0 < len(reached) < len(all_) else [all_]:
            if where[0] != all_[0]:
                _, *multiplied = self._possible(slip, where)
            for (factor, also), possible in zip(self.second.items(), multiplied, strict=True):
                if possible and also != what:
                    cause = self._fits(slip, _Multiplied(slip.gradients, where, factor))
                    if cause is not None:
                        both = f"{cause.sentence}, and {also}"
                        pair = " & ".join(sorted((what, also)))
                        yield pair, replace(cause, sentence=both, slips=slip.slips + 1)

    def _reached(self, slip: Slip) -> list[str]:
        """Return the weights whose gradients aren't what they should be."""
        return [
            name
            for name in self.submitted
            if slip.gradients[name] is not self.gradients[name]
            and not judge(slip.gradients[name].value, self.gradients[name]).agrees
        ]

    def _possible(self, slip: Slip, names: Sequence[str]) -> list[bool]:
        """Say which factors the largest number of one gradient leaves possible."""
        for name in names:
            gradient = slip.gradients[name]
            largest = int(np.abs(gradient.value).argmax())
            index = tuple(int(i) for i in np.unravel_index(largest, gradient.shape))
            given = self.moved.at(name, index, self.factors * gradient[index])
            if given is not None:
                return list(may_agree(self.submitted[name][index], given))
        return [True] * len(self.factors)

    def _fits(self, slip: Slip, gradients: Mapping[str, Noisy]) -> Cause | None:
        """Return the slip as a cause if every array that comes of it fits: that of the worst one.

        If what is right fits as well, in doubt as the slip's numbers are, it explains nothing.
        """
        given = self.moved(gradients)
        worst: Cause | None = None
        for name, array in self.submitted.items():
            cause = fits(replace(slip.candidate, value=given[name], sentence=slip.sentence), array)
            if cause is None:
                return None
            if worst is None or cause.distance > worst.distance:
                worst = cause
        if all(judge(self.right[name].value, given[name]).agrees for name in self.submitted):
            return None
        return worst


def _one_number(
    submitted: Mapping[str, np.ndarray], right: Mapping[str, Noisy], wrong: Sequence[str]
) -> bool:
    """Say whether all that is wrong is one and the same number: too little to tell two slips."""
    numbers = [submitted[name].ravel() for name in wrong]
    if not numbers:
        return True
    noise = max(float(right[name].noise.max()) for name in wrong) * right[wrong[0]].unit
    return bool(np.ptp(np.abs(np.concatenate(numbers))) <= 2.0 * BOUND * noise)


class _Multiplied(Mapping[str, Noisy]):
    """Gradients of which some are multiplied with a constant, each when it is asked for."""

    def __init__(self, gradients: Gradients, where: Sequence[str], factor: float) -> None:
        self.gradients, self.where, self.factor = gradients, where, factor

    def __getitem__(self, name: str) -> Noisy:
        gradient = self.gradients[name]
        return gradient * self.factor if name in self.where else gradient

    def __iter__(self) -> Iterator[str]:
        return iter(self.gradients)

    def __len__(self) -> int:
        return len(self.gradients)
