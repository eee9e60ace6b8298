"""One slip somewhere in a backward pass, followed to the gradients of all weights.

Where only the last numbers of a hand-written step are known, a slip shows in every weight before
it. So each hypothesis is tried at each node, and at all of them, and what would come of it is
carried on through the right derivation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from compare.causes import Candidate, Facts, Place, candidates
from compare.causes.base import Hypothesis, hypotheses_about, proposed
from compare.findings.surroundings import Surroundings
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from compare.submissions.otherwise import otherwise
from manual.heads import of_each

Gradients = dict[str, Noisy]


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
    updated : callable
        From gradients to the weights after the right update.
    facts : Facts
    """

    def __init__(
        self,
        reference: Reference,
        x: Any,
        y: Any,
        sample_weight: Any,
        drawn: Mapping[str, np.ndarray],
        updated: Callable[[Mapping[str, Noisy]], Mapping[str, Noisy]],
        facts: Facts,
    ) -> None:
        self.reference, self.network = reference, reference.network
        self.updated, self.facts = updated, facts
        self.sample_weight = sample_weight
        self.drawn = drawn
        self.batch = x, y, sample_weight, drawn
        self.run, _ = reference.whole(*self.batch)
        self.right = reference.gradients()
        self.targets = of_each(self.network.heads, y)
        _, self.upstream = self.network.loss(self.run, y, sample_weight)
        self.at = list(self.run.gradients)
        self.after = updated(self.right)
        self.around = _Around(self, lambda: self.run.gradients)
        self.around_right = _Around(self, lambda: self.at)
        self._owners: dict[int, str] = {}
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
            self._owners[index] = getattr(place.map, "name", self.network.nodes[index].layer.name)
            for function in hypotheses_about(place):
                for kind, candidate in _by_kind(function, place).items():
                    if candidate.slips == 1 or index in self._head:
                        found.setdefault(kind, {})[index] = candidate
        for kind, made in found.items():
            for where in self._groups(list(made)):
                yield self._followed(
                    kind, {index: made[index] for index in where}, max(where) == max(made)
                )
        for sentence, gradients in otherwise(self.network, self._whole):
            yield Slip(Candidate(sentence, 0.0), "", gradients)
        yield self._updated_first()
        yield from self.at_weights()
        yield from self._exchanged()

    def at_weights(self) -> Iterator[Slip]:
        """Give the slips at the gradients of the weights themselves."""
        places = {name: self._weight_place(name, right) for name, right in self.right.items()}
        yield from at_places(places)

    def _whole(self) -> Gradients:
        """Return the gradients of the network as it is now."""
        self.reference.whole(*self.batch)
        return self.reference.gradients()

    def _groups(self, nodes: list[int]) -> list[list[int]]:
        """Return where the same slip may have been made: at the loss, in every layer, in one."""
        alone = [[index] for index in sorted(nodes, reverse=True)]
        at_loss = [one for one in alone if one[0] in self._head]
        together = [nodes] if len(nodes) > 1 else []
        if len(nodes) > 2:
            together.append([index for index in nodes if index != max(nodes)])
        return [*at_loss, *together, *(one for one in alone if one not in at_loss)]

    def _followed(self, kind: _Kind, made: Mapping[int, Candidate], whole: bool) -> Slip:
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
        if len(made) == 1:
            place = "" if last in self._head else f"at {self._owners[last]}"
        else:
            place = "in every layer" if whole else "in every layer but the last"
        return Slip(made[last], place, found, made[last].slips)

    def _updated_first(self) -> Slip:
        """Let each layer's weights move before the gradient goes on through them."""
        network = self.network
        right: Gradients = {}

        def altered(index: int, gradient: Any) -> Any:
            node = network.nodes[index]
            layer = node.layer
            own = {
                f"{layer.name}/{parameter.name}": parameter
                for parameter in layer.parameters
                if parameter.trainable
            }
            if own and not node.outputs and node.is_run:
                layer.backward(gradient, self.run.saved[index])
                moved = self.updated({name: one.gradient for name, one in own.items()})
                for name, parameter in own.items():
                    right.setdefault(name, parameter.value)
                    parameter.value = moved[name]
                    parameter.gradient = self.reference.exact(np.zeros(parameter.shape))
            return gradient

        self.reference.clear_gradients()
        self.network.backward(self.run, self.upstream, altered=altered)
        found = self.reference.gradients()
        for name, value in right.items():
            network.parameters[name].value = value
        told = Candidate("each layer is updated before the gradient goes on through it", 0.0)
        return Slip(told, "", found)

    def _exchanged(self) -> Iterator[Slip]:
        """Give two gradients in each other's place."""
        for (one, its), (other, others) in combinations(self.right.items(), 2):
            if its.shape == others.shape:
                told = Candidate(f"the gradients of {one} and {other} are exchanged", its)
                yield Slip(told, "", {**self.right, one: others, other: its})

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
        layer = self.network.owners[name]
        inputs = self.around_right.of_weight_gradient(name)
        return Place("weight gradient", name, right, layer, inputs, self.facts)


def at_places(places: Mapping[str, Place]) -> Iterator[Slip]:
    """Give slips at the numbers themselves: of one weight, of all of a kind, and of all."""
    right: Gradients = {name: place.right for name, place in places.items()}
    groups: dict[tuple[str, str], tuple[Candidate, Gradients]] = {}
    for name, place in places.items():
        for candidate in candidates(place):
            yield Slip(candidate, f"at {name}", {**right, name: candidate.value})
            for kind in (name.rpartition("/")[2], "weight"):
                key = candidate.sentence, kind
                groups.setdefault(key, (candidate, dict(right)))[1][name] = candidate.value
    for (_, kind), (candidate, gradients) in groups.items():
        yield Slip(candidate, f"at every {kind}", gradients)


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

    def drawn(self, call: str) -> list[Any]:
        drawn = self.slips.drawn.items()
        return [array for key, array in drawn if key.rpartition("/")[0] == call]

    def weights(self) -> Gradients:
        return {name: one.value for name, one in self.network.parameters.items()}

    def new_weights(self) -> Mapping[str, Noisy]:
        return self.slips.after

    def weight_gradients(self) -> Gradients:
        return self.slips.right
