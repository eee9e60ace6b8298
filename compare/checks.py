"""What is compared in one step: every quantity, in causal order, each on Keras's own inputs.

Because each map gets the inputs that Keras had, an error upstream can neither hide a fault nor be
blamed on what comes after it, and two separate faults are both found.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.judge import Verdict, judge, judge_all
from compare.noise import Noisy, careful
from compare.reference import Derivation, Reference
from compare.trace import PHASES
from keras_models.callbacks import StepRecord
from manual.network import Pass

Trace = dict[str, dict[str, np.ndarray]]


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
    """

    phase: str
    name: str
    source: str
    derivation: Derivation
    verdict: Verdict


def check_step(
    reference: Reference, record: StepRecord, tape: Trace
) -> tuple[list[Comparison], Pass]:
    """Compare everything that one training step computed.

    Parameters
    ----------
    reference : Reference
    record : StepRecord
        What the running ``fit`` did.
    tape : Trace
        What a ``GradientTape`` step computed from the same state.

    Returns
    -------
    comparisons : list of Comparison, in causal order
    run : Pass
        The whole step as the hand-written half computes it from the same state.
    """
    with np.errstate(all="ignore"):
        found, run = _StepCheck(reference, record, tape).run()
        if not all(one.verdict.agrees for one in found):
            with careful():
                return _StepCheck(reference, record, tape).run()
        return found, run


class _StepCheck:
    """The state of checking one step."""

    def __init__(self, reference: Reference, record: StepRecord, tape: Trace) -> None:
        self.reference, self.record, self.tape = reference, record, tape
        self.network = reference.network
        self.found: list[Comparison] = []
        self.targets = record.y if isinstance(record.y, (list, tuple)) else [record.y]
        inputs = record.x if isinstance(record.x, (list, tuple)) else [record.x]
        fed = dict(zip(self.network.inputs, inputs, strict=True))
        self.values: list[Noisy] = [
            reference.exact(fed[index] if node.is_input else tape["activation"][node.name])
            for index, node in enumerate(self.network.nodes)
        ]

    def run(self) -> tuple[list[Comparison], Pass]:
        reference, record = self.reference, self.record
        reference.load(record.before)
        whole, whole_loss = reference.whole(record.x, record.y, record.sample_weight)
        whole_gradients = reference.gradients()
        reference.clear_gradients()

        saved = self.activations()
        upstream = self.loss(whole_loss)
        self.activation_gradients(saved, upstream)
        self.weight_gradients(whole_gradients)
        self.update()
        return self.found, whole

    def compare(
        self, phase: str, name: str, actual: Any, expected: Noisy, by: Derivation, source: str
    ) -> None:
        self.found.append(Comparison(phase, name, source, by, judge(actual, expected)))

    def compare_all(
        self,
        phase: str,
        names: list[str],
        actual: Mapping[str, np.ndarray],
        expected: Noisy,
        by: list[Derivation],
        source: str,
    ) -> None:
        """Compare named arrays with their references, which lie one after the other."""
        arrays = [actual[name] for name in names]
        for name, derivation, verdict in zip(names, by, judge_all(arrays, expected), strict=True):
            self.found.append(Comparison(phase, name, source, derivation, verdict))

    # ------------------------------------------------------------------ phase by phase

    def activations(self) -> list[Any]:
        """Run each node's forward map on Keras's inputs to it."""
        saved: list[Any] = []
        for index, node in enumerate(self.network.nodes):
            if node.is_input:
                saved.append(None)
                continue
            inputs = [self.values[source] for source in node.inputs]
            expected, kept = self.reference.forward(node, inputs)
            by = self.reference.derivation(node.layer, "forward", "forward")
            self.compare(
                "activation", node.name, self.values[index].value, expected, by, "GradientTape"
            )
            saved.append(kept)
        return saved

    def loss(self, whole_loss: Noisy) -> dict[int, Noisy]:
        """Compare the loss: on Keras's outputs (tape), and on the data (fit)."""
        total: Any = 0.0
        upstream: dict[int, Noisy] = {}
        for head, target in zip(self.network.heads, self.targets, strict=True):
            value, gradient = self.reference.head(
                head, target, self.values[head.reads], self.record.sample_weight
            )
            total = total + value
            so_far = upstream.get(head.reads)
            upstream[head.reads] = gradient if so_far is None else so_far + gradient
        by = self.reference.derivation(self.network.heads[0].loss, "forward", "forward")
        self.compare("loss", "total", self.tape["loss"]["total"], total, by, "GradientTape")
        self.compare("loss", "total", self.record.loss, whole_loss, by, "model.fit")
        return upstream

    def activation_gradients(self, saved: list[Any], upstream: dict[int, Noisy]) -> None:
        """Run each node's backward map on Keras's gradient from the right."""
        from_keras = self.tape["activation gradient"]
        parts: list[list[tuple[Noisy, Derivation]]] = [[] for _ in self.network.nodes]
        for head in self.network.heads:
            if head.reads in upstream:
                by = self.reference.derivation(head.loss, "input gradient", "values_gradient")
                parts[head.reads].append((upstream.pop(head.reads), by))
        for index in reversed(range(len(self.network.nodes))):
            node = self.network.nodes[index]
            if node.is_input or not parts[index]:
                continue
            expected, by = parts[index][0]
            for other, also in parts[index][1:]:
                expected = expected + other
                by = Derivation(f"{by.layer}, {also.layer}", by.formula, by.location)
            actual = from_keras.get(node.name)
            if actual is None:  # no trainable weight before this node: Keras has no use for it
                dy = expected
            else:
                self.compare("activation gradient", node.name, actual, expected, by, "GradientTape")
                dy = self.reference.exact(actual)
            by = self.reference.derivation(node.layer, "input gradient", "backward")
            for source, dx in zip(
                node.inputs, self.reference.backward(node, dy, saved[index]), strict=True
            ):
                parts[source].append((dx, by))

    def weight_gradients(self, whole: dict[str, Noisy]) -> None:
        local = self.reference.gradients()
        for name in self.record.gradients:
            layer, weight = self.owner(name)
            by = self.reference.derivation(layer, f"{weight} gradient", "backward")
            tape, fit = self.tape["weight gradient"][name], self.record.gradients[name]
            self.compare("weight gradient", name, tape, local[name], by, "GradientTape")
            self.compare("weight gradient", name, fit, whole[name], by, "model.fit")

    def update(self) -> None:
        """Run the optimizer on Keras's own gradients, once for each way of computing them."""
        record = self.record
        ways = {
            "GradientTape": (
                self.tape["weight gradient"],
                self.tape.get("optimizer slot", {}),
                self.tape["weight"],
            ),
            "model.fit": (
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
        for source, (gradients, slots, weights) in ways.items():
            names, expected_slots, expected_weights = reference.update(
                record.before,
                gradients,
                record.slots_before,
                record.iterations,
                record.learning_rate,
            )
            for slot, expected in expected_slots.items():
                by = [reference.derivation(optimizer, slot, "update")] * len(names)
                slot_names = [f"{name}/{slot}" for name in names]
                self.compare_all("optimizer slot", slot_names, slots, expected, by, source)
            constraints = [self.network.parameters[name].constraint for name in names]
            by = [
                reference.derivation(optimizer, "weight", "update")
                if constraint is None
                else reference.derivation(constraint, "weight", "apply")
                for constraint in constraints
            ]
            self.compare_all("weight", names, weights, expected_weights, by, source)
            still = Derivation("not trained", "w⁺ = w", "manual/network.py")
            for name in self.network.parameters.keys() - set(names):
                before = reference.exact(record.before[name])
                self.compare("weight", name, weights[name], before, still, source)
        self.found.sort(key=lambda one: PHASES.index(one.phase))

    def owner(self, name: str) -> tuple[Any, str]:
        layer_name, weight = name.rsplit("/", 1)
        return next(one for one in self.network.layers if one.name == layer_name), weight
