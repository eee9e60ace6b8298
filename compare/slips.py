"""One slip somewhere in a backward pass, followed to the gradients of all weights.

Where only the last numbers of a hand-written step are known, a slip shows in every weight before
it. So each hypothesis is tried at each node, and at all of them, and what would come of it is
carried on through the right derivation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compare.causes import Candidate, Cause, Facts, Place, candidates
from compare.causes.base import fits, ranked
from compare.causes.factors import constants
from compare.judge import judge
from compare.noise import Noisy
from compare.places import Surroundings
from compare.reference import Reference

Gradients = dict[str, Noisy]
Mover = Callable[[Mapping[str, Noisy]], Mapping[str, Noisy]] | None
"""From gradients to what was submitted, where that is new weights; None where gradients were."""


@dataclass(frozen=True)
class Slip:
    """A slip, where it was made, and all gradients that come of it."""

    candidate: Candidate
    where: str
    gradients: Gradients
    slips: int = 1

    @property
    def sentence(self) -> str:
        return f"{self.candidate.sentence}{f' ({self.where})' if self.where else ''}"


class Slips:
    """Every slip in the backward pass of one step.

    Parameters
    ----------
    reference : Reference
        With the step's weights loaded.
    x, y, sample_weight : the batch
    drawn : mapping of str to array
        The random numbers of the step.
    after : mapping of str to array
        The weights after the right update.
    facts : Facts
    """

    def __init__(
        self,
        reference: Reference,
        x: Any,
        y: Any,
        sample_weight: Any,
        drawn: Mapping[str, np.ndarray],
        after: Mapping[str, np.ndarray],
        facts: Facts,
    ) -> None:
        self.reference, self.network = reference, reference.network
        self.after, self.facts = after, facts
        self.sample_weight = sample_weight
        self.drawn = drawn
        self.run, _ = reference.whole(x, y, sample_weight, drawn)
        self.right = reference.gradients()
        self.targets = y if isinstance(y, (list, tuple)) else [y]
        _, self.upstream = self.network.loss(self.run, y, sample_weight)
        self.at = list(self.run.gradients)
        self.around = _Around(self, lambda: self.run.gradients)
        self.around_right = _Around(self, lambda: self.at)
        self._head = {head.reads: n for n, head in enumerate(self.network.heads)}

    def all(self) -> Iterator[Slip]:
        """Give every slip: at the loss, in all layers alike, in one of them, at one weight."""
        nodes = [
            index
            for index, gradient in enumerate(self.at)
            if gradient is not None and not self.network.nodes[index].is_input
        ]
        places = {index: self._place(index, self.at[index]) for index in nodes}
        found: dict[tuple[str, str], list[int]] = {}
        for index, place in places.items():
            for candidate in candidates(place):
                if candidate.slips == 1 or index in self._head:
                    found.setdefault((candidate.sentence, candidate.formula), []).append(index)
        for slip, where in found.items():
            groups = [[index] for index in sorted(where, reverse=True)]
            if len(where) > 1:
                groups.insert(0, where)
            for group in groups:
                yield self._followed(slip, group)
        yield from self._at_weights()

    def _followed(self, slip: tuple[str, str], where: list[int]) -> Slip:
        """Carry a slip (sentence, formula) at some nodes on to the gradients of all weights."""
        made: list[Candidate] = []

        def altered(index: int, gradient: Any) -> Any:
            if index not in where:
                return gradient
            for candidate in candidates(self._place(index, gradient)):
                if (candidate.sentence, candidate.formula) == slip:
                    made.append(candidate)
                    return candidate.value
            return gradient

        self.reference.clear_gradients()
        self.network.backward(self.run, self.upstream, altered=altered)
        found = self.reference.gradients()
        place = "in every layer"
        if len(where) == 1:
            layer = self.network.nodes[where[0]].layer.name
            place = "" if where[0] in self._head else f"at {layer}"
        return Slip(made[0], place, found, made[0].slips)

    def _at_weights(self) -> Iterator[Slip]:
        """Give slips at the gradients themselves: of one weight, of all of a kind, and of all."""
        groups: dict[tuple[str, str], tuple[Candidate, Gradients]] = {}
        for name, right in self.right.items():
            place = self._weight_place(name, right)
            for candidate in candidates(place):
                yield Slip(candidate, f"at {name}", {**self.right, name: candidate.value})
                for kind in (name.split("/", 1)[1], "weight"):
                    key = candidate.sentence, kind
                    groups.setdefault(key, (candidate, dict(self.right)))[1][name] = candidate.value
        for (_, kind), (candidate, gradients) in groups.items():
            yield Slip(candidate, f"at every {kind}", gradients)

    # ------------------------------------------------------------------ what surrounds a place

    def _place(self, index: int, gradient: Any) -> Place:
        """Describe the gradient at a node's output, as it is on the way back."""
        network, around, phase = self.network, self.around, "activation gradient"
        name = network.nodes[index].name
        shares: list[Place] = []
        if index in self._head:
            head = network.heads[self._head[index]]
            inputs = around.of_loss_gradient(head, self.targets[self._head[index]])
            from_loss = self.upstream[index]
            shares.append(Place(phase, name, from_loss, head.loss, inputs, self.facts))
        for user, share in self.run.shares[index].items():
            inputs = around.of_input_gradient(user, index)
            shares.append(Place(phase, name, share, network.nodes[user].layer, inputs, self.facts))
        if len(shares) == 1:
            return replace(shares[0], right=gradient)
        return Place(phase, name, gradient, None, {"shares": shares}, self.facts)

    def _weight_place(self, name: str, right: Noisy) -> Place:
        """Describe the gradient of one weight."""
        layer = next(one for one in self.network.layers if one.name == name.split("/")[0])
        inputs = self.around_right.of_weight_gradient(name)
        return Place("weight gradient", name, right, layer, inputs, self.facts)


class _Around(Surroundings):
    """The surroundings of the numbers of a run by hand, with the gradients of one way back."""

    def __init__(self, slips: Slips, gradients: Any) -> None:
        super().__init__(slips.network, slips.facts, slips.sample_weight)
        self.slips, self.gradients = slips, gradients

    def value(self, index: int) -> Any:
        return self.slips.run.values[index]

    def gradient(self, index: int) -> Any:
        return self.gradients()[index]

    def mask(self, index: int) -> Any:
        return self.slips.run.masks[index]

    def drawn(self, name: str) -> list[Any]:
        start = name.split("/")[0] + "/"
        return [array for key, array in self.slips.drawn.items() if key.startswith(start)]

    def weights(self) -> Gradients:
        return {name: one.value for name, one in self.network.parameters.items()}

    def new_weights(self) -> Gradients:
        return {name: self.slips.reference.exact(array) for name, array in self.slips.after.items()}

    def weight_gradients(self) -> Gradients:
        return self.slips.right


def explained(
    slips: Slips, submitted: Mapping[str, np.ndarray], moved: Mover = None
) -> list[Cause]:
    """Return the slips that give the submitted arrays, all of them, to within rounding.

    Parameters
    ----------
    slips : Slips
    submitted : mapping of str to array
    moved : callable, optional
        From gradients to what was submitted (new weights); by default gradients were.
    """
    causes = []
    with np.errstate(all="ignore"):
        factors = list(_factors(slips.facts))
        right = slips.right if moved is None else moved(slips.right)
        for slip in slips.all():
            cause = _all_fit(slip, slip.gradients, submitted, moved, right)
            if cause is not None:
                causes.append(cause)
                continue
            reached = [
                name
                for name, gradient in slip.gradients.items()
                if not judge(gradient.value, slips.right[name]).agrees
            ]
            for factor, also in factors:
                for where in dict.fromkeys([tuple(reached), tuple(slip.gradients)]):
                    gradients = _Multiplied(slip.gradients, where, factor)
                    cause = _all_fit(slip, gradients, submitted, moved, right)
                    if cause is not None:
                        both = f"{cause.sentence}, and {also}"
                        causes.append(replace(cause, sentence=both, slips=slip.slips + 1))
    return ranked(causes)


class _Multiplied(Mapping[str, Noisy]):
    """Gradients of which some are multiplied with a constant, each when it is asked for."""

    def __init__(self, gradients: Gradients, where: tuple[str, ...], factor: float) -> None:
        self.gradients, self.where, self.factor = gradients, where, factor

    def __getitem__(self, name: str) -> Noisy:
        gradient = self.gradients[name]
        return gradient * self.factor if name in self.where else gradient

    def __iter__(self) -> Iterator[str]:
        return iter(self.gradients)

    def __len__(self) -> int:
        return len(self.gradients)


def _factors(facts: Facts) -> Iterator[tuple[float, str]]:
    """Give the constants that a second slip may have multiplied everything with."""
    anywhere = Place("weight gradient", "", Noisy(0.0, unit=2.0**-53), None, {}, facts)
    for factor, sentence, name in constants(anywhere):
        yield factor, f"{sentence} (factor {name})"


def _all_fit(
    slip: Slip,
    gradients: Mapping[str, Noisy],
    submitted: Mapping[str, np.ndarray],
    moved: Mover,
    right: Mapping[str, Noisy],
) -> Cause | None:
    """Return the slip as a cause if every array that comes of it fits: that of the worst one.

    If what is right fits as well, in doubt as the slip's numbers are, it explains nothing.
    """
    given = gradients if moved is None else moved(gradients)
    worst: Cause | None = None
    for name, array in submitted.items():
        cause = fits(replace(slip.candidate, value=given[name], sentence=slip.sentence), array)
        if cause is None:
            return None
        if worst is None or cause.distance > worst.distance:
            worst = cause
    if all(judge(right[name].value, given[name]).agrees for name in submitted):
        return None
    return worst
