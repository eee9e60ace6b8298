"""One slip somewhere in a backward pass, followed to the gradients of all weights.

Where only the last numbers of a hand-written step are known, a slip shows in every weight before
it. So each hypothesis is tried at each node, and at all of them, and what would come of it is
carried on through the right derivation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import numpy as np

from compare.causes import Candidate, Cause, Facts, Place, candidates
from compare.causes.base import Hypothesis, fits, hypotheses_about, proposed, ranked
from compare.causes.factors import constants
from compare.judge import judge, may_agree
from compare.noise import Noisy, representation_error
from compare.places import Surroundings
from compare.reference import Reference

Gradients = dict[str, Noisy]


class Mover(Protocol):
    """From gradients to what was submitted: gradients again, or new weights."""

    def __call__(self, gradients: Mapping[str, Noisy]) -> Mapping[str, Noisy]:
        """Return what comes of gradients."""

    def at(self, name: str, index: tuple[int, ...], gradients: Noisy) -> Noisy | None:
        """Return what comes of each of several gradients of one element of a weight.

        None where other elements have a say in it.
        """


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


class _Kind(NamedTuple):
    """What makes slips at several places the same: who proposed them, and in which words."""

    function: Hypothesis
    sentence: str
    formula: str
    before: int
    """How many of the same words the hypothesis had before it."""


def _by_kind(function: Hypothesis, place: Place) -> dict[_Kind, Candidate]:
    """Return what a hypothesis has to say about a place."""
    found: dict[_Kind, Candidate] = {}
    for candidate in proposed(function, place):
        kind = _Kind(function, candidate.sentence, candidate.formula, 0)
        while kind in found:
            kind = kind._replace(before=kind.before + 1)
        found[kind] = candidate
    return found


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
        found: dict[_Kind, dict[int, Candidate]] = {}
        for index in nodes:
            place = self._place(index, self.at[index])
            for function in hypotheses_about(place):
                for kind, candidate in _by_kind(function, place).items():
                    if candidate.slips == 1 or index in self._head:
                        found.setdefault(kind, {})[index] = candidate
        for kind, made in found.items():
            if len(made) > 1:
                yield self._followed(kind, made)
            for index in sorted(made, reverse=True):
                yield self._followed(kind, {index: made[index]})
        yield from self._at_weights()

    def _followed(self, kind: _Kind, made: Mapping[int, Candidate]) -> Slip:
        """Carry a slip at some nodes on to the gradients of all weights."""
        last = max(made)  # the first on the way back: what arrives there is right

        def altered(index: int, gradient: Any) -> Any:
            if index not in made:
                return gradient
            if index == last:
                return made[last].value
            again = _by_kind(kind.function, self._place(index, gradient)).get(kind)
            return gradient if again is None else again.value

        self.reference.clear_gradients()
        self.network.backward(self.run, self.upstream, altered=altered)
        found = self.reference.gradients()
        place = "in every layer"
        if len(made) == 1:
            place = "" if last in self._head else f"at {self.network.nodes[last].layer.name}"
        return Slip(made[last], place, found, made[last].slips)

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


def explained(slips: Slips, submitted: Mapping[str, np.ndarray], moved: Mover) -> list[Cause]:
    """Return the slips that give the submitted arrays, all of them, to within rounding.

    Parameters
    ----------
    slips : Slips
    submitted : mapping of str to array
    moved : Mover
        From gradients to what was submitted.
    """
    with np.errstate(all="ignore"):
        held = _Held(slips, submitted, moved)
        return ranked([cause for slip in slips.all() for cause in held.causes(slip)])


class _Held:
    """What was submitted, for slips to be held against.

    A slip is held against one number first, it alone and with every factor that a second slip may
    have brought in: most are ruled out by that.
    """

    def __init__(self, slips: Slips, submitted: Mapping[str, np.ndarray], moved: Mover) -> None:
        self.gradients, self.moved = slips.right, moved
        self.right = moved(slips.right)

        def by_use(name: str) -> tuple[bool, int]:
            """Put what rules out most, and costs least, first."""
            return judge(submitted[name], self.right[name]).agrees, submitted[name].size

        self.submitted = {name: submitted[name] for name in sorted(submitted, key=by_use)}
        anywhere = Place("weight gradient", "", Noisy(0.0, unit=2.0**-53), None, {}, slips.facts)
        self.second = {
            factor: f"{sentence} (factor {name})" for factor, sentence, name in constants(anywhere)
        }
        unit = next(iter(slips.right.values())).unit
        factors = [1.0, *self.second]
        errors = [representation_error(factor, unit) for factor in factors]
        self.factors: Any = Noisy(factors, errors, unit=unit)

    def causes(self, slip: Slip) -> Iterator[Cause]:
        """Give the slip as a cause if it fits; else with each factor that makes it fit."""
        all_, reached = list(self.submitted), self._reached(slip)
        alone, *multiplied = self._possible(slip, all_)
        cause = self._fits(slip, slip.gradients) if alone else None
        if cause is not None:
            yield cause
            return
        for where in [reached, all_] if 0 < len(reached) < len(all_) else [all_]:
            if where[0] != all_[0]:
                _, *multiplied = self._possible(slip, where)
            for (factor, also), possible in zip(self.second.items(), multiplied, strict=True):
                if possible:
                    cause = self._fits(slip, _Multiplied(slip.gradients, where, factor))
                    if cause is not None:
                        both = f"{cause.sentence}, and {also}"
                        yield replace(cause, sentence=both, slips=slip.slips + 1)

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
