"""One comparison, and how those of a step are collected, diagnosed and taken to the referee."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from compare.causes import Place
from compare.causes import diagnose as diagnose_place
from compare.derivations import Derivation
from compare.findings.diagnosis import TOLD, Diagnosis, judged
from compare.findings.patterns import Pattern, pattern_in
from compare.findings.places import Places
from compare.findings.referee import BY_HAND, Ruling, gradient_ruling, undecided, value_ruling
from compare.findings.surroundings import Inputs
from compare.rounding.judge import Verdict, judge, judge_all, judge_at_kinks
from compare.rounding.noise import Noisy
from keras_models.alone import Alone, CannotRun
from manual.heads import of_each
from manual.layers.global_pooling import GlobalMaxPooling
from manual.layers.pooling import MaxPooling
from manual.network import Network

Trace = dict[str, dict[str, np.ndarray]]
TAPE, FIT, OWN = "GradientTape", "model.fit", "manual.Network"
OF_FIT = "loss", "weight gradient", "optimizer slot", "weight", "state"
"""The phases of a step that ``fit`` itself tells."""


@dataclass(frozen=True)
class Comparison:
    """One quantity of one step, from one way of computing it, and the verdict on it.

    Attributes
    ----------
    phase, name : str
    source : str
        ``"GradientTape"`` or ``"model.fit"``, ``"manual.Network"`` where the hand-written half
        took the step by itself, or another way that was asked for.
    derivation : Derivation
        Of the map that was checked.
    verdict : Verdict
    diagnose : callable, optional
        Finds out which side is wrong and why, where the numbers disagree.
    inputs : float, optional
        Where they disagree: the largest distance among the numbers that the map took.
    apart : callable, optional
        Finds out which elements disagree, where some do.
    """

    phase: str
    name: str
    source: str
    derivation: Derivation
    verdict: Verdict
    diagnose: Callable[[], Diagnosis] | None = field(default=None, compare=False, repr=False)
    inputs: float | None = None
    apart: Callable[[], Pattern] | None = field(default=None, compare=False, repr=False)


def compared(
    network: Network,
    quantity: tuple[str, str, str],
    by: Derivation,
    actual: Any,
    expected: Noisy,
    diagnose: Callable[[], Diagnosis] | None = None,
) -> Comparison:
    """Compare a quantity (phase, name, source) by itself, outside of a step."""
    verdict, apart = judge(actual, expected), None
    if not verdict.agrees:
        apart = partial(pattern_in, network, quantity, actual, expected)
    return Comparison(*quantity, by, verdict, diagnose, apart=apart)


@dataclass(frozen=True)
class Origin:
    """Where a quantity comes from: the map that makes it, its derivation, and its inputs.

    Without inputs a disagreement is not diagnosed: it may come from far away. ``takes`` names them
    by phase and name. What Keras's own map gives ``alone``, in float64, the referee is asked about
    a value or an update.
    """

    by: Derivation
    map: Any = None
    inputs: Callable[[], Inputs] | None = None
    takes: Sequence[tuple[str, str]] = ()
    alone: Callable[[Alone], Any] | None = None


GRADIENTS = ("activation gradient", "weight gradient")
Expected = dict[tuple[str, str, str], Noisy]
"""References by phase, name and source."""


class Collector:
    """Collects the comparisons of one step.

    Parameters
    ----------
    places : Places
    own : manual.Network, optional
        One that has taken this very step by itself.
    alone : keras_models.Alone, optional
        Keras's maps one by one.
    alike : bool
        Whether ``fit`` computed the very numbers that the tape saw.
    """

    def __init__(
        self, places: Places, own: Network | None, alone: Alone | None, alike: bool = False
    ) -> None:
        self.places, self.own, self.alone, self.alike = places, own, alone, alike
        self.reference, self.record, self.tape = places.reference, places.record, places.tape
        self.network = self.reference.network
        self.found: list[Comparison] = []
        self.targets = of_each(self.network.heads, self.record.y)
        self._both_ways: list[Expected] | None = None
        self.values: list[Noisy] = [places.value(index) for index in range(len(self.network.nodes))]

    def compare(
        self, phase: str, name: str, actual: Any, expected: Noisy, origin: Origin, source: str
    ) -> None:
        verdict = judge(actual, expected)
        if not verdict.agrees and phase in GRADIENTS:
            ends = [way[phase, name, source] for way in self.both_ways()]
            shared_out = isinstance(origin.map, (MaxPooling, GlobalMaxPooling))
            at_kinks = judge_at_kinks(
                actual, expected, ends, between=source == TAPE, shared_out=shared_out
            )
            verdict = verdict if at_kinks is None else at_kinks
        self.keep(phase, name, source, actual, expected, origin, verdict)

    def both_ways(self) -> list[Expected]:
        """Return the gradients with every choice at a kink made one way, and the other way."""
        raise NotImplementedError

    def compare_all(
        self,
        phase: str,
        names: list[str],
        actual: Mapping[str, np.ndarray],
        expected: Noisy,
        origins: list[Origin],
        source: str,
    ) -> None:
        """Compare named arrays with their references, which lie one after the other."""
        arrays = [actual[name] for name in names]
        verdicts = judge_all(arrays, expected)
        start = 0
        for name, array, origin, verdict in zip(names, arrays, origins, verdicts, strict=True):
            part = slice(start, start + array.size)
            self.keep(phase, name, source, array, expected[part], origin, verdict)
            start = part.stop

    def keep(
        self,
        phase: str,
        name: str,
        source: str,
        actual: Any,
        expected: Noisy,
        origin: Origin,
        verdict: Verdict,
    ) -> None:
        """Keep a comparison, and how to find out about it if it disagrees."""
        inputs, facts, diagnose = origin.inputs, self.places.facts, None
        if inputs is not None and not verdict.agrees:

            def diagnose() -> Diagnosis:
                theirs, by_hand = np.asarray(actual), expected.reshape(np.shape(actual))
                with np.errstate(all="ignore"):
                    ruling = (
                        self.ruling((phase, name, source), theirs, by_hand)
                        if phase in GRADIENTS
                        else self.value_ruling(origin, theirs, by_hand)
                    )
                    around = {**inputs(), "sound": self.sound_slots(phase, name, source)}
                    place = Place(phase, name, by_hand, origin.map, around, facts)
                    if source == OWN:
                        return Diagnosis(BY_HAND, tuple(diagnose_place(place, theirs)[:TOLD]), None)
                    return judged(place, theirs, ruling)

        distance, apart = None, None
        if not verdict.agrees:
            distance, quantity = self.distance(origin.takes), (phase, name, source)
            apart = partial(pattern_in, self.network, quantity, actual, expected, self.found)
        told = verdict, diagnose, distance, apart
        self.found.append(Comparison(phase, name, source, origin.by, *told))

    def sound_slots(self, phase: str, name: str, source: str) -> list[str]:
        """Return the slots of a weight that were compared and agree."""
        weight = name if phase == "weight" else name.rpartition("/")[0]
        return [
            one.name.removeprefix(f"{weight}/")
            for one in self.found
            if one.phase == "optimizer slot"
            and one.source == source
            and one.name.startswith(f"{weight}/")
            and one.verdict.agrees
        ]

    def distance(self, taken: Sequence[tuple[str, str]]) -> float | None:
        """Return the largest distance of what was compared already under these names."""
        if not taken:
            return None
        found = (one for one in self.found if (one.phase, one.name) in taken)
        return max((one.verdict.distance for one in found), default=0.0)

    def ruling(self, key: tuple[str, str, str], actual: Any, expected: Noisy) -> Ruling:
        """Ask the referee, who uses the forward pass only; it must be out of dispute for that."""
        if not all(one.verdict.agrees for one in self.found if one.phase in ("activation", "loss")):
            return undecided("the forward passes differ already")
        record = self.record
        plain, scale = self.reference.plain(record.before), self.network.loss_scale
        ruling = gradient_ruling(
            plain,
            record.x,
            record.y,
            record.sample_weight,
            key[1],
            np.asarray(actual) / scale,
            expected.value / scale,
            drawn=self.places.drawn_in_step,
        )
        one, other = (way[key].value for way in self.both_ways())
        if ruling.supports == "neither" and not np.array_equal(one, other, equal_nan=True):
            return undecided("the loss has a kink here")
        return ruling

    def value_ruling(self, origin: Origin, actual: Any, expected: Noisy) -> Ruling | None:
        """Ask the referee about a value or an update: Keras's own map in float64."""
        if self.alone is None or origin.alone is None:
            return None
        try:
            return value_ruling(origin.alone(self.alone), actual, expected)
        except CannotRun as error:
            return undecided(str(error))
