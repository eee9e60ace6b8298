"""Which side is wrong about a number, and why."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from compare.causes import Cause, Place, diagnose
from compare.findings.referee import BY_HAND, KERAS, Ruling
from compare.rounding.noise import Noisy

SUBMISSION = "submission"

TOLD = 3
"""So many causes are kept of those that fit."""


@dataclass(frozen=True)
class Diagnosis:
    """What is known about a disagreement beyond its size.

    Attributes
    ----------
    wrong : str
        The side that is taken to be wrong: the one that the referee does not support; without a
        ruling, the hand derivation.
    causes : tuple of Cause
        What would give the wrong numbers to within rounding, the simplest first. Empty if nothing
        that was tried does.
    ruling : Ruling or None
        The referee's, for a gradient.
    """

    wrong: str
    causes: tuple[Cause, ...]
    ruling: Ruling | None

    def lines(self) -> list[str]:
        """Return the sentences of a report."""
        lines = []
        if self.causes:
            best, *others = self.causes
            next_best = others[0].sentence if others else "none"
            side = "in Keras, " if self.wrong == KERAS else ""
            lines.append(f"cause: {side}{best}; next best: {next_best}")
        else:
            lines.append("cause: nothing that was tried explains it to within rounding")
        if self.ruling is not None:
            lines.append(f"referee: {self.ruling}")
        return lines


def judged(place: Place, actual: np.ndarray, ruling: Ruling | None) -> Diagnosis:
    """Decide which side is wrong and find out why.

    Parameters
    ----------
    place : Place
        With the numbers by hand as what is right.
    actual : array
        Keras's numbers.
    ruling : Ruling, optional
    """
    actual, by_hand = np.asarray(actual, np.float64), place.right
    if ruling is not None and ruling.supports == BY_HAND:
        return Diagnosis(KERAS, tuple(diagnose(place, actual)[:TOLD]), ruling)
    at_most = float(place.facts.samples * place.inputs.get("outputs", 1))
    right = _with_noise_of(actual, by_hand, at_most)
    place = replace(place, right=right, wrong_noise=by_hand.noise)
    return Diagnosis(BY_HAND, tuple(diagnose(place, by_hand.value)[:TOLD]), ruling)


def _with_noise_of(actual: np.ndarray, expected: Noisy, at_most: float) -> Noisy:
    """Give right numbers the noise of the wrong ones, in proportion to their size.

    In proportion, but not beyond what a mean taken twice (``at_most``) has made of it: where wrong
    numbers are small because they cancel, their noise says little about the right ones.
    """
    with np.errstate(all="ignore"):
        sizes = float(np.linalg.norm(actual)), float(np.linalg.norm(expected.value))
        share = sizes[0] / sizes[1] if sizes[1] and np.isfinite(sizes).all() else 1.0
        floor = np.abs(actual) / 2.0  # the working precision holds it to half a last place
    noise = np.maximum(expected.noise * min(share, at_most), floor)
    return Noisy(actual, noise, unit=expected.unit)
