"""What is compared in one step: every quantity, in causal order, each on Keras's own inputs.

Because each map gets the inputs that Keras had, an error upstream can neither hide a fault nor be
blamed on what comes after it, and two separate faults are both found.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from compare.causes import Place
from compare.derivations import location_of
from compare.findings.collecting import FIT, OF_FIT, OWN, TAPE, Comparison, Expected, Origin, Trace
from compare.findings.places import Places
from compare.findings.surroundings import Inputs
from compare.rounding.noise import Noisy, careful, resolved
from compare.rounding.reference import Reference
from compare.steps.assembly import Assembly
from compare.steps.updates import UpdateCheck
from compare.trace import PHASES
from compare.twins.carried import Carried
from keras_models.alone import Alone
from keras_models.step_record import StepRecord
from manual.arrays import in_single_precision
from manual.backpropagation import Pass
from manual.heads import of_each
from manual.network import Network


def compare_step(
    reference: Reference,
    record: StepRecord,
    tape: Trace,
    *,
    batch_size: int = 0,
    previous: StepRecord | None = None,
    own: Network | None = None,
    own_loss: float | None = None,
    alone: Alone | None = None,
    loss_weights: Sequence[float] | None = None,
    alike: bool = False,
) -> tuple[list[Comparison], Pass | None]:
    """Compare everything that one training step computed.

    Parameters
    ----------
    reference : Reference
    record : StepRecord
        What the running ``fit`` did.
    tape : Trace
        What a ``GradientTape`` step computed from the same state.
    batch_size : int
        Of a full batch, where this one may be smaller.
    previous : StepRecord, optional
        The step before, in case something of it was left in.
    own : manual.Network, optional
        One that has taken this very step by itself, from Keras's state.
    own_loss : float, optional
        The loss that it reports.
    alone : keras_models.Alone, optional
        Keras's maps one by one, to be asked about values that are disputed.
    loss_weights : sequence of float, optional
        What the loss of each output is multiplied by, as Keras was told.
    alike : bool
        Whether ``fit`` computed what the tape saw, to the last bit: see `is_alike`. Then what is
        found of one holds for both, and no whole step is run by hand.

    Returns
    -------
    comparisons : list of Comparison, in causal order
    run : Pass or None
        The whole step as the hand-written half computes it from the same state.
    """
    places = Places(reference, record, tape, batch_size, previous, loss_weights)
    with np.errstate(all="ignore"):
        found, run = StepCheck(places, own, alone, alike).run(own_loss)
        if not all(one.verdict.agrees for one in found):
            with careful():
                return StepCheck(places, own, alone, alike).run(own_loss)
        return found, run


def is_alike(record: StepRecord, tape: Trace) -> bool:
    """Say whether ``fit`` computed the very numbers that the tape saw."""
    ways: list[tuple[Any, Any]] = [(record.loss, tape["loss"]["total"])]
    ways += [(array, tape["weight gradient"].get(name)) for name, array in record.gradients.items()]
    ways += [(array, tape["weight"][name]) for name, array in record.after.items()]
    slots = tape.get("optimizer slot", {})
    ways += [
        (array, slots.get(f"{name}/{slot}"))
        for slot, named in record.slots_after.items()
        for name, array in named.items()
    ]
    return all(
        other is not None and one.shape == other.shape and bool((one == other).all())
        for one, other in ways
    )


class StepCheck(UpdateCheck):
    """Compares one step, phase by phase."""

    def run(self, own_loss: float | None = None) -> tuple[list[Comparison], Pass | None]:
        reference, record = self.reference, self.record
        reference.load(record.before, record.slots_before)
        saved = self.maps()
        if self.alike:
            self.update(reference.updated_from(record.before, saved))
            self.states(saved)
            self.found += [
                replace(one, source=FIT)
                for one in self.found
                if one.phase in OF_FIT and one.source == TAPE
            ]
            self.found.sort(key=lambda one: PHASES.index(one.phase))
            return self.found, None
        whole, whole_loss = self.whole_step()
        whole_gradients = self.gradients_of_step()
        self.update(reference.updated_from(record.before, saved))
        self.states(saved, whole)
        sound = all(one.verdict.agrees for one in self.found)
        if self.own is not None and sound and not self.only_keras_overflows():
            self.own_step(self.own, whole, whole_gradients)
            if own_loss is not None:
                self.own_loss(own_loss, whole_loss)
        self.found.sort(key=lambda one: PHASES.index(one.phase))
        return self.found, whole

    def maps(self) -> list[Any]:
        """Compare what each map gives alone; return what each keeps of its forward pass."""
        self.reference.clear_gradients()
        self.reference.replay(self.places.drawn_in_step)
        saved = self.activations()
        self.activation_gradients(saved, self.loss(saved))
        self.weight_gradients()
        return saved

    def whole_step(self) -> tuple[Pass, Noisy]:
        """Run the step from the data, and compare its loss.

        That comes after the maps, so that their gradients and those of the step, as large as all
        weights, needn't lie in memory at a time.
        """
        record = self.record
        self.whole, loss = self.reference.whole(
            record.x, record.y, record.sample_weight, self.places.drawn_in_step
        )
        self.compare("loss", "total", record.loss, loss, self.origin_of_loss, FIT)
        return self.whole, loss

    def only_keras_overflows(self) -> bool:
        """Say whether Keras skips the step: in a narrow precision, which the own step hasn't."""
        gradients = self.record.gradients.values()
        return self.reference.is_mixed and not all(np.isfinite(one).all() for one in gradients)

    def own_loss(self, reported: float, whole_loss: Noisy) -> None:
        """Compare the loss that the hand-written half reports of its own step."""

        def inputs() -> Inputs:
            self.reference.load(self.record.after)
            x, y, weights = self.record.x, self.record.y, self.record.sample_weight
            _, after = self.reference.whole(x, y, weights, self.places.drawn_in_step)
            self.reference.load(self.record.before)
            return {**self.places.of_loss(), "loss_after": after}

        loss = self.network.heads[0].loss
        by = self.reference.derivation(loss, "forward", "forward")
        by = replace(by, location=location_of(Network.train_step))
        mean = whole_loss.mean() if whole_loss.ndim else whole_loss
        self.compare("loss", "total", reported, mean, Origin(by, loss, inputs), OWN)

    def both_ways(self) -> list[Expected]:
        """Return what the gradients should be with every choice at a kink made one way, and other.

        Computed where something disagrees, which is rare.
        """
        if self._both_ways is None:
            self._both_ways, masks = [], list(self.places.masks)
            for way in (False, True):
                with resolved(way):
                    self._both_ways.append(_Collected(self.places, None, None).gradients())
            self.reference.replay(self.places.drawn_in_step)
            self.places.masks = masks
        return self._both_ways

    # ------------------------------------------------------------------ phase by phase

    def activations(self) -> list[Any]:
        """Run each node's forward map on Keras's inputs to it."""
        saved: list[Any] = []
        masks, taken = self.places.masks, list(self.values)
        for index, node in enumerate(self.network.nodes):
            if not node.is_run:
                saved.append(None)
                continue
            inputs = [taken[source] for source in node.inputs]
            told, goes_on = node.told_masks(masks, self.places.value)
            given, kept = self.reference.forward(node, inputs, told)
            saved.append(kept)
            made = node.layer.compute_mask(inputs[0] if len(inputs) == 1 else inputs, goes_on)
            if made is not None:
                for place, mask in node.spread(index, made):
                    masks[place] = mask
            for place, mask in node.further_masks(kept):
                masks[place] = mask
            by = self.reference.derivation(node.layer, "forward", "forward")
            if isinstance(node.layer, Carried):  # by Keras: there is nothing to hold against it
                continue
            around = partial(self.places.of_map, index)
            for place, expected in node.spread(index, given):
                one, actual = self.network.nodes[place], self.values[place].value
                taken[place] = self.reference.taken(actual, expected)
                alone = partial(self.activation_alone, index, one.output)
                origin = Origin(by, node.layer, around, self.activations_into(index), alone)
                self.compare("activation", one.name, actual, expected, origin, TAPE)
        return saved

    def activations_into(self, index: int) -> list[tuple[str, str]]:
        nodes = self.network.nodes
        return [("activation", nodes[source].name) for source in nodes[index].inputs]

    def gradients_into(self, index: int) -> list[tuple[str, str]]:
        nodes = self.network.nodes
        places = [place for place in nodes[index].outputs or (index,) if place is not None]
        return [("activation gradient", nodes[place].name) for place in places]

    def activation_alone(self, index: int, output: int, alone: Alone) -> Any:
        node = self.network.nodes[index]
        inputs = [self.values[source].value for source in node.inputs]
        return alone.activation(
            node.name,
            inputs,
            self.record.before,
            self.places.mask_in_keras(index),
            named=node.layer.tensor_arguments,
            options=node.options,
            output=output,
        )

    def loss(self, saved: list[Any]) -> dict[int, Noisy]:
        """Compare the loss on Keras's outputs; return its gradients there."""
        total: Any = 0.0
        upstream: dict[int, Noisy] = {}
        heads = self.network.heads
        weights = of_each(heads, self.record.sample_weight)
        for head, target, of_samples in zip(heads, self.targets, weights, strict=True):
            value, gradient = self.reference.head(
                head,
                target,
                self.values[head.reads],
                of_samples,
                self.places.masks[head.output],
            )
            total = total + value
            so_far = upstream.get(head.reads)
            upstream[head.reads] = gradient if so_far is None else so_far + gradient
        self.of_activities = list(self.network.activity_penalties(self.values))
        for cost in self.network.costs_within(saved):
            total = total + cost
        for _, cost, _ in self.of_activities:
            total = total + cost
        penalty = self.network.regularization_loss() if self.network.regularized else None
        total = total if penalty is None else total + penalty
        by = self.reference.derivation(self.network.heads[0].loss, "forward", "forward")
        takes = [("activation", self.network.nodes[head.reads].name) for head in self.network.heads]
        origin = Origin(by, self.network.heads[0].loss, self.places.of_loss, takes)
        self.compare("loss", "total", self.tape["loss"]["total"], total, origin, TAPE)
        self.origin_of_loss = self.as_whole(origin)
        return upstream

    def as_whole(self, origin: Origin) -> Origin:
        """Return the origin of a number that the whole step leads to, from the data on.

        Where each map agrees by itself, its inputs are known, and how the maps are joined is at
        fault; else the fault may lie far away.
        """
        sound = all(one.verdict.agrees for one in self.found if one.source == TAPE)
        return replace(origin, takes=()) if sound else Origin(origin.by)

    def activation_gradients(self, saved: list[Any], upstream: dict[int, Noisy]) -> None:
        """Run each node's backward map on Keras's gradient from the right."""
        from_keras = self.tape["activation gradient"]
        parts: list[list[tuple[Noisy, Origin]]] = [[] for _ in self.network.nodes]
        for head, target in zip(self.network.heads, self.targets, strict=True):
            if head.reads in upstream:
                by = self.reference.derivation(head.loss, "input gradient", "values_gradient")
                inputs = partial(self.places.of_loss_gradient, head, target)
                takes = [("activation", self.network.nodes[head.reads].name)]
                origin = Origin(by, head.loss, inputs, takes)
                parts[head.reads].append((upstream.pop(head.reads), origin))
        for index, _, gradient in self.of_activities:
            node = self.network.nodes[index]
            owner: Any = node.layer if node.is_cost else node.penalty
            by = self.reference.derivation(owner, "gradient", "backward")
            takes = [("activation", node.name)]
            parts[index].append((gradient, Origin(by, owner, takes=takes)))
        arrived: list[Noisy | None] = [None] * len(self.network.nodes)
        for index in reversed(range(len(self.network.nodes))):
            node = self.network.nodes[index]
            if node.is_input:
                continue
            if parts[index]:
                expected, origin = parts[index][0]
                if len(parts[index]) > 1:
                    origin = self.joined(node.name, parts[index])
                    for other, _ in parts[index][1:]:
                        expected = expected + other
                if node.layer.gives_single:
                    expected = in_single_precision(np.copy)(expected)
                arrived[index] = expected
                actual = from_keras.get(node.name)
                if actual is not None:  # else no weight before it is trained: Keras has no use
                    self.compare("activation gradient", node.name, actual, expected, origin, TAPE)
                    arrived[index] = self.reference.taken(actual, expected)
            dy = node.gathered(index, arrived) if node.is_run else None
            if dy is None:
                continue
            by = self.reference.derivation(node.layer, "input gradient", "backward")
            takes = [*self.gradients_into(index), *self.activations_into(index)]
            shares: dict[int, Noisy] = {}
            for source, dx in zip(
                node.inputs, self.reference.backward(node, dy, saved[index]), strict=True
            ):
                if dx is not None:
                    shares[source] = shares[source] + dx if source in shares else dx
            for source, share in shares.items():
                around = partial(self.places.of_input_gradient, index, source)
                parts[source].append((share, Origin(by, node.layer, around, takes)))

    def joined(self, name: str, parts: list[tuple[Noisy, Origin]]) -> Origin:
        """Return the origin of a gradient that several maps contribute to."""

        def shares() -> Inputs:
            return {
                "shares": [
                    Place(
                        "activation gradient",
                        name,
                        share,
                        origin.map,
                        origin.inputs() if origin.inputs is not None else {},
                        self.places.facts,
                    )
                    for share, origin in parts
                ]
            }

        by = parts[0][1].by
        layers = ", ".join(origin.by.layer for _, origin in parts)
        return Origin(replace(by, layer=layers), inputs=shares)

    def weight_gradients(self) -> None:
        """Compare what the maps' derivatives add up to."""
        self.network.add_regularization_gradients()
        expected = self.reference.gradients()
        for name, origin in self.origins_of_gradients():
            actual = self.tape["weight gradient"][name]
            self.compare("weight gradient", name, actual, expected[name], origin, TAPE)

    def gradients_of_step(self) -> dict[str, Noisy]:
        """Compare the gradients of the step that ``fit`` took; return those by hand."""
        expected = self.reference.gradients()
        for name, origin in self.origins_of_gradients():
            told = self.as_whole(replace(origin, inputs=partial(self.of_step, name)))
            actual = self.record.gradients[name]
            self.compare("weight gradient", name, actual, expected[name], told, FIT)
        return expected

    def origins_of_gradients(self) -> Iterator[tuple[str, Origin]]:
        """Give each weight that has a gradient, and the map that it comes from."""
        nodes = self.network.nodes
        for name in self.record.gradients:
            layer, weight = self.owner(name)
            if isinstance(layer, Carried):
                continue
            by = self.reference.derivation(layer, f"{weight} gradient", "backward")
            takes = [
                one
                for index, node in enumerate(nodes)
                if node.layer is layer and node.is_run
                for one in (*self.gradients_into(index), *self.activations_into(index))
            ]
            around = partial(self.places.of_weight_gradient, name)
            yield name, Origin(by, layer, around, takes)

    def of_step(self, name: str) -> Inputs:
        """Gather what a weight's gradient is made of, also by slips between the maps."""
        together = Assembly(self.reference, self.whole, self.places, self.targets)
        slips = together.slips_at(name, self.record.gradients[name])
        return {**self.places.of_weight_gradient(name), "assembled": slips}


class _Collected(StepCheck):
    """Collects what the gradients should be, without comparing them."""

    def gradients(self) -> Expected:
        weights = self.network.parameters.values()
        kept = [(one, one.gradient, list(one.rows)) for one in weights]
        self.expected: Expected = {}
        self.maps()
        self.whole_step()
        self.gradients_of_step()
        for one, gradient, rows in kept:
            one.gradient, one.rows[:] = gradient, rows
        return self.expected

    def compare(
        self, phase: str, name: str, actual: Any, expected: Noisy, origin: Origin, source: str
    ) -> None:
        self.expected[phase, name, source] = expected
