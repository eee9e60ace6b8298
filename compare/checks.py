"""What is compared in one step: every quantity, in causal order, each on Keras's own inputs.

Because each map gets the inputs that Keras had, an error upstream can neither hide a fault nor be
blamed on what comes after it, and two separate faults are both found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from compare.causes import Place
from compare.causes import diagnose as diagnose_place
from compare.diagnosis import TOLD, Diagnosis, judged
from compare.judge import Verdict, judge, judge_all, judge_at_kinks
from compare.noise import Noisy, careful, resolved
from compare.places import Inputs, Places
from compare.referee import BY_HAND, Ruling, gradient_ruling, undecided, value_ruling
from compare.reference import Derivation, Reference, location_of
from compare.trace import PHASES
from keras_models.alone import Alone, CannotRun
from keras_models.callbacks import StepRecord
from manual.layers import Embedding
from manual.network import Network, Pass

Trace = dict[str, dict[str, np.ndarray]]
TAPE, FIT, OWN = "GradientTape", "model.fit", "manual.Network"


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
    """

    phase: str
    name: str
    source: str
    derivation: Derivation
    verdict: Verdict
    diagnose: Callable[[], Diagnosis] | None = field(default=None, compare=False, repr=False)
    inputs: float | None = None


def compare_step(
    reference: Reference,
    record: StepRecord,
    tape: Trace,
    *,
    batch_size: int = 0,
    previous: StepRecord | None = None,
    own: Network | None = None,
    alone: Alone | None = None,
) -> tuple[list[Comparison], Pass]:
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
    alone : keras_models.Alone, optional
        Keras's maps one by one, to be asked about values that are disputed.

    Returns
    -------
    comparisons : list of Comparison, in causal order
    run : Pass
        The whole step as the hand-written half computes it from the same state.
    """
    places = Places(reference, record, tape, batch_size, previous)
    with np.errstate(all="ignore"):
        found, run = _StepCheck(places, own, alone).run()
        if not all(one.verdict.agrees for one in found):
            with careful():
                return _StepCheck(places, own, alone).run()
        return found, run


@dataclass(frozen=True)
class _Origin:
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


class _StepCheck:
    """The state of checking one step."""

    def __init__(self, places: Places, own: Network | None, alone: Alone | None) -> None:
        self.places, self.own, self.alone = places, own, alone
        self.reference, self.record, self.tape = places.reference, places.record, places.tape
        self.network = self.reference.network
        self.found: list[Comparison] = []
        y = self.record.y
        self.targets = y if isinstance(y, (list, tuple)) else [y]
        self._both_ways: list[Expected] | None = None
        self.values: list[Noisy] = [places.value(index) for index in range(len(self.network.nodes))]

    def run(self) -> tuple[list[Comparison], Pass]:
        reference, record = self.reference, self.record
        reference.load(record.before)
        drawn = self.places.drawn_in_step
        whole, whole_loss = reference.whole(record.x, record.y, record.sample_weight, drawn)
        whole_gradients = reference.gradients()
        reference.clear_gradients()
        reference.replay(drawn)

        saved = self.activations()
        upstream = self.loss(whole_loss)
        self.activation_gradients(saved, upstream)
        self.weight_gradients(whole_gradients)
        self.update()
        self.states(saved, whole)
        if self.own is not None and all(one.verdict.agrees for one in self.found):
            self.own_step(self.own, whole, whole_gradients)
        self.found.sort(key=lambda one: PHASES.index(one.phase))
        return self.found, whole

    def compare(
        self, phase: str, name: str, actual: Any, expected: Noisy, origin: _Origin, source: str
    ) -> None:
        verdict = judge(actual, expected)
        if not verdict.agrees and phase in GRADIENTS:
            ends = [way[phase, name, source] for way in self.both_ways()]
            at_kinks = judge_at_kinks(actual, expected, ends, between=source == TAPE)
            verdict = verdict if at_kinks is None else at_kinks
        self.keep(phase, name, source, actual, expected, origin, verdict)

    def both_ways(self) -> list[Expected]:
        """Return what the gradients should be with every choice at a kink made one way, and other.

        Computed where something disagrees, which is rare.
        """
        if self._both_ways is None:
            self._both_ways = []
            for way in (False, True):
                with resolved(way):
                    self._both_ways.append(_Collected(self.places, None, None).gradients())
            self.reference.replay(self.places.drawn_in_step)
        return self._both_ways

    def compare_all(
        self,
        phase: str,
        names: list[str],
        actual: Mapping[str, np.ndarray],
        expected: Noisy,
        origins: list[_Origin],
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
        origin: _Origin,
        verdict: Verdict,
    ) -> None:
        """Keep a comparison, and how to find out about it if it disagrees."""
        inputs, facts, diagnose = origin.inputs, self.places.facts, None
        if inputs is not None and not verdict.agrees:

            def diagnose() -> Diagnosis:
                by_hand = expected.reshape(np.shape(actual))
                with np.errstate(all="ignore"):
                    ruling = (
                        self.ruling(name, actual, by_hand)
                        if phase in GRADIENTS
                        else self.value_ruling(origin, actual, by_hand)
                    )
                    place = Place(phase, name, by_hand, origin.map, inputs(), facts)
                    if source == OWN:
                        return Diagnosis(BY_HAND, tuple(diagnose_place(place, actual)[:TOLD]), None)
                    return judged(place, actual, ruling)

        distance = None if verdict.agrees else self.distance(origin.takes)
        self.found.append(Comparison(phase, name, source, origin.by, verdict, diagnose, distance))

    def distance(self, taken: Sequence[tuple[str, str]]) -> float | None:
        """Return the largest distance of what was compared already under these names."""
        if not taken:
            return None
        found = (one for one in self.found if (one.phase, one.name) in taken)
        return max((one.verdict.distance for one in found), default=0.0)

    def ruling(self, name: str, actual: Any, expected: Noisy) -> Ruling:
        """Ask the referee, who uses the forward pass only; it must be out of dispute for that."""
        if not all(one.verdict.agrees for one in self.found if one.phase in ("activation", "loss")):
            return undecided("the forward passes differ already")
        record = self.record
        plain, scale = self.reference.plain(record.before), self.network.loss_scale
        return gradient_ruling(
            plain,
            record.x,
            record.y,
            record.sample_weight,
            name,
            np.asarray(actual) / scale,
            expected.value / scale,
            drawn=self.places.drawn_in_step,
        )

    def value_ruling(self, origin: _Origin, actual: Any, expected: Noisy) -> Ruling | None:
        """Ask the referee about a value or an update: Keras's own map in float64."""
        if self.alone is None or origin.alone is None:
            return None
        try:
            return value_ruling(origin.alone(self.alone), actual, expected)
        except CannotRun as error:
            return undecided(str(error))

    # ------------------------------------------------------------------ phase by phase

    def activations(self) -> list[Any]:
        """Run each node's forward map on Keras's inputs to it."""
        saved: list[Any] = []
        masks = self.places.masks
        for index, node in enumerate(self.network.nodes):
            if node.is_input:
                saved.append(None)
                continue
            inputs = [self.values[source] for source in node.inputs]
            expected, kept = self.reference.forward(node, inputs, self.places.mask_options(index))
            arriving = [masks[source] for source in node.inputs]
            one = len(inputs) == 1
            masks[index] = node.layer.compute_mask(
                inputs[0] if one else inputs, arriving[0] if one else arriving
            )
            by = self.reference.derivation(node.layer, "forward", "forward")
            around = partial(self.places.of_map, index)
            alone = partial(self.activation_alone, index)
            origin = _Origin(by, node.layer, around, self.activations_into(index), alone)
            actual = self.values[index].value
            self.compare("activation", node.name, actual, expected, origin, TAPE)
            saved.append(kept)
        return saved

    def activations_into(self, index: int) -> list[tuple[str, str]]:
        nodes = self.network.nodes
        return [("activation", nodes[source].name) for source in nodes[index].inputs]

    def activation_alone(self, index: int, alone: Alone) -> Any:
        node = self.network.nodes[index]
        inputs = [self.values[source].value for source in node.inputs]
        mask = self.places.mask_options(index).get("mask")
        return alone.activation(node.name, inputs, self.record.before, mask)

    def loss(self, whole_loss: Noisy) -> dict[int, Noisy]:
        """Compare the loss: on Keras's outputs (tape), and on the data (fit)."""
        total: Any = 0.0
        upstream: dict[int, Noisy] = {}
        for head, target in zip(self.network.heads, self.targets, strict=True):
            value, gradient = self.reference.head(
                head,
                target,
                self.values[head.reads],
                self.record.sample_weight,
                self.places.masks[head.output],
            )
            total = total + value
            so_far = upstream.get(head.reads)
            upstream[head.reads] = gradient if so_far is None else so_far + gradient
        penalty = self.network.regularization_loss() if self.network.regularized else None
        total = total if penalty is None else total + penalty
        by = self.reference.derivation(self.network.heads[0].loss, "forward", "forward")
        takes = [("activation", self.network.nodes[head.reads].name) for head in self.network.heads]
        origin = _Origin(by, self.network.heads[0].loss, self.places.of_loss, takes)
        self.compare("loss", "total", self.tape["loss"]["total"], total, origin, TAPE)
        self.compare("loss", "total", self.record.loss, whole_loss, _Origin(by), FIT)
        return upstream

    def activation_gradients(self, saved: list[Any], upstream: dict[int, Noisy]) -> None:
        """Run each node's backward map on Keras's gradient from the right."""
        from_keras = self.tape["activation gradient"]
        parts: list[list[tuple[Noisy, _Origin]]] = [[] for _ in self.network.nodes]
        for head, target in zip(self.network.heads, self.targets, strict=True):
            if head.reads in upstream:
                by = self.reference.derivation(head.loss, "input gradient", "values_gradient")
                inputs = partial(self.places.of_loss_gradient, head, target)
                takes = [("activation", self.network.nodes[head.reads].name)]
                origin = _Origin(by, head.loss, inputs, takes)
                parts[head.reads].append((upstream.pop(head.reads), origin))
        for index in reversed(range(len(self.network.nodes))):
            node = self.network.nodes[index]
            if node.is_input or not parts[index]:
                continue
            expected, origin = parts[index][0]
            if len(parts[index]) > 1:
                origin = self.joined(node.name, parts[index])
                for other, _ in parts[index][1:]:
                    expected = expected + other
            actual = from_keras.get(node.name)
            if actual is None:  # no trainable weight before this node: Keras has no use for it
                dy = expected
            else:
                self.compare("activation gradient", node.name, actual, expected, origin, TAPE)
                dy = self.reference.exact(actual)
            by = self.reference.derivation(node.layer, "input gradient", "backward")
            takes = [("activation gradient", node.name), *self.activations_into(index)]
            shares: dict[int, Noisy] = {}
            for source, dx in zip(
                node.inputs, self.reference.backward(node, dy, saved[index]), strict=True
            ):
                shares[source] = shares[source] + dx if source in shares else dx
            for source, share in shares.items():
                around = partial(self.places.of_input_gradient, index, source)
                parts[source].append((share, _Origin(by, node.layer, around, takes)))

    def joined(self, name: str, parts: list[tuple[Noisy, _Origin]]) -> _Origin:
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
        return _Origin(replace(by, layer=layers), inputs=shares)

    def weight_gradients(self, whole: dict[str, Noisy]) -> None:
        self.network.add_regularization_gradients()
        local = self.reference.gradients()
        for name in self.record.gradients:
            layer, weight = self.owner(name)
            by = self.reference.derivation(layer, f"{weight} gradient", "backward")
            tape, fit = self.tape["weight gradient"][name], self.record.gradients[name]
            takes = [
                one
                for index, node in enumerate(self.network.nodes)
                if node.layer is layer
                for one in (("activation gradient", node.name), *self.activations_into(index))
            ]
            origin = _Origin(by, layer, partial(self.places.of_weight_gradient, name), takes)
            self.compare("weight gradient", name, tape, local[name], origin, TAPE)
            self.compare("weight gradient", name, fit, whole[name], _Origin(by), FIT)

    def update(self) -> None:
        """Run the optimizer on Keras's own gradients, once for each way of computing them."""
        record = self.record
        ways = {
            TAPE: (
                self.tape["weight gradient"],
                self.tape.get("optimizer slot", {}),
                self.tape["weight"],
            ),
            FIT: (
                record.gradients,
                {
                    f"{name}/{slot}": array
                    for slot, named in record.slots_after.items()
                    for name, array in named.items()
                },
                record.after,
            ),
        }
        reference, optimizer = self.reference, self.network.optimizer
        self.learning_rate()
        for source, (gradients, slots, weights) in ways.items():
            processed = self.tape.get("processed gradient", {}) if source == TAPE else {}
            update = reference.update(
                record.before,
                self.arrived(gradients),
                record.slots_before,
                record.iterations,
                record.learning_rate,
                processed,
            )
            names = update.names
            if processed and update.processed is not None:
                by = reference.derivation(optimizer, "processed gradient", "processed")
                phase, expected = "processed gradient", update.processed
                around = partial(self.places.of_update, gradients, {})
                alone = partial(self.update_alone, gradients)
                origins = [
                    _Origin(
                        by,
                        optimizer,
                        partial(around, name, phase),
                        [("weight gradient", name)],
                        partial(alone, f"{name}/{phase}"),
                    )
                    for name in names
                ]
                self.compare_all(phase, names, processed, expected, origins, source)
            around = partial(self.places.of_update, gradients, processed)
            alone = partial(self.update_alone, gradients)
            for slot, (owners, expected) in update.slots.items():
                by = reference.derivation(optimizer, slot, "update")
                slot_names = [f"{name}/{slot}" for name in owners]
                origins = [
                    _Origin(
                        by,
                        optimizer,
                        partial(around, name, slot),
                        [("weight gradient", name), ("processed gradient", name)],
                        partial(alone, f"{name}/{slot}"),
                    )
                    for name in owners
                ]
                self.compare_all("optimizer slot", slot_names, slots, expected, origins, source)
            origins = []
            for name in names:
                constraint = self.network.parameters[name].constraint
                by = (
                    reference.derivation(optimizer, "weight", "update")
                    if constraint is None
                    else reference.derivation(constraint, "weight", "apply")
                )
                inputs = partial(around, name, "weight")
                takes = [("weight gradient", name)]
                origins.append(_Origin(by, optimizer, inputs, takes, partial(alone, name)))
            self.compare_all("weight", names, weights, update.weights, origins, source)
            still = _Origin(Derivation("not trained", "w⁺ = w", "manual/network.py"))
            for name, parameter in self.network.parameters.items():
                if name not in names and not parameter.is_state:
                    before = reference.exact(record.before[name])
                    self.compare("weight", name, weights[name], before, still, source)

    def arrived(self, gradients: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the gradients as the optimizer gets them.

        An embedding's comes as one slice for each occurrence of an index. They are added up only
        after the learning rate has been multiplied in, so that the sum carries noise of its own.
        """
        local = self.reference.gradients()
        return {
            name: Noisy(array, local[name].noise, unit=self.reference.unit)
            if isinstance(self.owner(name)[0], Embedding)
            else array
            for name, array in gradients.items()
        }

    def update_alone(self, gradients: Mapping[str, Any], name: str, alone: Alone) -> Any:
        record = self.record
        return alone.update(
            record.before, gradients, record.slots_before, record.iterations, record.learning_rate
        )[name]

    def learning_rate(self) -> None:
        """Compare the rate that a schedule gives for this step."""
        expected = self.reference.learning_rate(self.record.iterations)
        if expected is not None:
            schedule = self.network.optimizer.schedule  # type: ignore[union-attr]
            by = self.reference.derivation(schedule, "learning_rate", "rate")
            origin = _Origin(by, schedule, self.places.of_schedule)
            actual = np.float64(self.record.learning_rate)
            self.compare("optimizer slot", "learning_rate", actual, expected, origin, FIT)

    def states(self, saved: list[Any], whole: Pass) -> None:
        """Compare what layers remember: after Keras's inputs to them (tape), and the data (fit)."""
        ways = {
            TAPE: (self.reference.states(saved), self.tape["weight"]),
            FIT: (self.reference.states(whole.saved), self.record.after),
        }
        for source, (expected, actual) in ways.items():
            for name, state in expected.items():
                layer, weight = self.owner(name)
                by = self.reference.derivation(layer, weight, "update_state")
                around = partial(self.places.of_state, name)
                origin = _Origin(by, layer, around if source == TAPE else None)
                self.compare("state", name, actual[name], state, origin, source)

    def own_step(self, own: Network, whole: Pass, gradients: dict[str, Noisy]) -> None:
        """Compare what the hand-written half made of the step by itself.

        Its maps are right, or something would have disagreed before: what is left is how they are
        put together.
        """
        record, reference = self.record, self.reference
        state = record.before, gradients, record.slots_before
        update = reference.update(*state, record.iterations, record.learning_rate)
        names, optimizer = update.names, self.network.optimizer
        around = partial(self.places.of_update, gradients, {})
        by = replace(
            reference.derivation(self.network.optimizer, "weight", "update"),
            location=location_of(Network.train_step),
        )
        assert own.optimizer is not None
        for slot, (owners, expected) in update.slots.items():
            actual = {
                f"{one.name}/{slot}": own.slots[slot][one.place].reshape(one.shape)
                for one in own.optimizer.layout(slot, own.tensors)
                if one.name in owners
            }
            origins = [_Origin(by, optimizer, partial(around, name, slot)) for name in owners]
            self.compare_all("optimizer slot", list(actual), actual, expected, origins, OWN)
        actual = {name: parameter.value for name, parameter in own.parameters.items()}
        origins = [_Origin(by, optimizer, partial(around, name, "weight")) for name in names]
        self.compare_all("weight", names, actual, update.weights, origins, OWN)
        for name, expected in reference.states(whole.saved).items():
            self.compare("state", name, actual[name], expected, _Origin(by), OWN)

    def owner(self, name: str) -> tuple[Any, str]:
        layer_name, weight = name.split("/", 1)
        return next(one for one in self.network.layers if one.name == layer_name), weight


class _Collected(_StepCheck):
    """Collects what the gradients should be, without comparing them."""

    def gradients(self) -> Expected:
        reference, record = self.reference, self.record
        kept = {name: one.gradient for name, one in self.network.parameters.items()}
        self.expected: Expected = {}
        drawn = self.places.drawn_in_step
        _, loss = reference.whole(record.x, record.y, record.sample_weight, drawn)
        whole = reference.gradients()
        reference.clear_gradients()
        reference.replay(drawn)
        self.activation_gradients(self.activations(), self.loss(loss))
        self.weight_gradients(whole)
        for name, gradient in kept.items():
            self.network.parameters[name].gradient = gradient
        return self.expected

    def compare(
        self, phase: str, name: str, actual: Any, expected: Noisy, origin: _Origin, source: str
    ) -> None:
        self.expected[phase, name, source] = expected
