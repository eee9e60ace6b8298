"""What is compared in one step: every quantity, in causal order, each on Keras's own inputs.

Because each map gets the inputs that Keras had, an error upstream can neither hide a fault nor be
blamed on what comes after it, and two separate faults are both found.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from compare.causes import Place
from compare.diagnosis import Diagnosis, judged
from compare.judge import Verdict, judge, judge_all
from compare.noise import Noisy, careful
from compare.places import Inputs, Places
from compare.referee import Ruling, gradient_ruling
from compare.reference import Derivation, Reference
from compare.trace import PHASES
from keras_models.callbacks import StepRecord
from manual.network import Pass

Trace = dict[str, dict[str, np.ndarray]]
DERIVED = ("activation gradient", "weight gradient")
"""The phases whose numbers are derivatives of the loss, so that the referee knows them."""

TAPE, FIT = "GradientTape", "model.fit"


@dataclass(frozen=True)
class Comparison:
    """One quantity of one step, from one way of computing it, and the verdict on it.

    Attributes
    ----------
    phase, name : str
    source : str
        ``"GradientTape"`` or ``"model.fit"``, or another way that was asked for.
    derivation : Derivation
        Of the map that was checked.
    verdict : Verdict
    diagnose : callable, optional
        Finds out which side is wrong and why, where the numbers disagree.
    """

    phase: str
    name: str
    source: str
    derivation: Derivation
    verdict: Verdict
    diagnose: Callable[[], Diagnosis] | None = field(default=None, compare=False, repr=False)


def compare_step(
    reference: Reference,
    record: StepRecord,
    tape: Trace,
    *,
    batch_size: int = 0,
    previous: StepRecord | None = None,
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

    Returns
    -------
    comparisons : list of Comparison, in causal order
    run : Pass
        The whole step as the hand-written half computes it from the same state.
    """
    places = Places(reference, record, tape, batch_size, previous)
    with np.errstate(all="ignore"):
        found, run = _StepCheck(places).run()
        if not all(one.verdict.agrees for one in found):
            with careful():
                return _StepCheck(places).run()
        return found, run


@dataclass(frozen=True)
class _Origin:
    """Where a quantity comes from: the map that makes it, its derivation, and its inputs.

    Without inputs a disagreement is not diagnosed: it may come from far away.
    """

    by: Derivation
    map: Any = None
    inputs: Callable[[], Inputs] | None = None


def _joined(parts: list[tuple[Noisy, _Origin]]) -> _Origin:
    """Return the origin of a gradient that several maps contribute to."""
    layers = [origin.by.layer for _, origin in parts]
    by = replace(parts[0][1].by, layer=", ".join(layers))
    shares = {"shares": dict(zip(layers, (share for share, _ in parts), strict=True))}
    return _Origin(by, inputs=lambda: shares)


class _StepCheck:
    """The state of checking one step."""

    def __init__(self, places: Places) -> None:
        self.places = places
        self.reference, self.record, self.tape = places.reference, places.record, places.tape
        self.network = self.reference.network
        self.found: list[Comparison] = []
        y = self.record.y
        self.targets = y if isinstance(y, (list, tuple)) else [y]
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
        self.found.sort(key=lambda one: PHASES.index(one.phase))
        return self.found, whole

    def compare(
        self, phase: str, name: str, actual: Any, expected: Noisy, origin: _Origin, source: str
    ) -> None:
        verdict = judge(actual, expected)
        self.keep(phase, name, source, actual, expected, origin, verdict)

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
                    ruling = self.ruling(name, actual, by_hand) if phase in DERIVED else None
                    place = Place(phase, name, by_hand, origin.map, inputs(), facts)
                    return judged(place, actual, ruling)

        self.found.append(Comparison(phase, name, source, origin.by, verdict, diagnose))

    def ruling(self, name: str, actual: Any, expected: Noisy) -> Ruling:
        """Ask the referee, who uses the forward pass only; it must be out of dispute for that."""
        if not all(one.verdict.agrees for one in self.found if one.phase in ("activation", "loss")):
            why = "the forward passes differ already"
            return Ruling("nobody", np.nan, np.nan, np.nan, np.inf, why)
        record = self.record
        plain, scale = self.reference.plain(record.before), self.network.loss_scale
        sides = np.asarray(actual) / scale, expected.value / scale
        return gradient_ruling(plain, record.x, record.y, record.sample_weight, name, *sides)

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
            origin = _Origin(by, node.layer, partial(self.places.of_map, index))
            actual = self.values[index].value
            self.compare("activation", node.name, actual, expected, origin, TAPE)
            saved.append(kept)
        return saved

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
        origin = _Origin(by, self.network.heads[0].loss, self.places.of_loss)
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
                origin = _Origin(by, head.loss, inputs)
                parts[head.reads].append((upstream.pop(head.reads), origin))
        for index in reversed(range(len(self.network.nodes))):
            node = self.network.nodes[index]
            if node.is_input or not parts[index]:
                continue
            expected, origin = parts[index][0]
            if len(parts[index]) > 1:
                origin = _joined(parts[index])
                for other, _ in parts[index][1:]:
                    expected = expected + other
            actual = from_keras.get(node.name)
            if actual is None:  # no trainable weight before this node: Keras has no use for it
                dy = expected
            else:
                self.compare("activation gradient", node.name, actual, expected, origin, TAPE)
                dy = self.reference.exact(actual)
            by = self.reference.derivation(node.layer, "input gradient", "backward")
            origin = _Origin(by, node.layer, partial(self.places.of_map, index))
            for source, dx in zip(
                node.inputs, self.reference.backward(node, dy, saved[index]), strict=True
            ):
                parts[source].append((dx, origin))

    def weight_gradients(self, whole: dict[str, Noisy]) -> None:
        self.network.add_regularization_gradients()
        local = self.reference.gradients()
        for name in self.record.gradients:
            layer, weight = self.owner(name)
            by = self.reference.derivation(layer, f"{weight} gradient", "backward")
            tape, fit = self.tape["weight gradient"][name], self.record.gradients[name]
            origin = _Origin(by, layer, partial(self.places.of_weight_gradient, name))
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
                gradients,
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
                origins = [_Origin(by, optimizer, partial(around, name, phase)) for name in names]
                self.compare_all(phase, names, processed, expected, origins, source)
            around = partial(self.places.of_update, gradients, processed)
            for slot, (owners, expected) in update.slots.items():
                by = reference.derivation(optimizer, slot, "update")
                slot_names = [f"{name}/{slot}" for name in owners]
                origins = [_Origin(by, optimizer, partial(around, name, slot)) for name in owners]
                self.compare_all("optimizer slot", slot_names, slots, expected, origins, source)
            origins = []
            for name in names:
                constraint = self.network.parameters[name].constraint
                by = (
                    reference.derivation(optimizer, "weight", "update")
                    if constraint is None
                    else reference.derivation(constraint, "weight", "apply")
                )
                origins.append(_Origin(by, optimizer, partial(around, name, "weight")))
            self.compare_all("weight", names, weights, update.weights, origins, source)
            still = _Origin(Derivation("not trained", "w⁺ = w", "manual/network.py"))
            for name, parameter in self.network.parameters.items():
                if name not in names and not parameter.is_state:
                    before = reference.exact(record.before[name])
                    self.compare("weight", name, weights[name], before, still, source)

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
                around = partial(self.places.of_weight_gradient, name)
                origin = _Origin(by, layer, around if source == TAPE else None)
                self.compare("state", name, actual[name], state, origin, source)

    def owner(self, name: str) -> tuple[Any, str]:
        layer_name, weight = name.split("/", 1)
        return next(one for one in self.network.layers if one.name == layer_name), weight
