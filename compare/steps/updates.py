"""What is compared of an update: gradients on their way in, slots, weights, state; own steps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from compare.derivations import Derivation, location_of
from compare.findings.collecting import FIT, OWN, TAPE, Collector, Origin, Trace
from compare.findings.surroundings import Inputs
from compare.rounding.noise import Noisy
from compare.twins.carried import Carried
from keras_models.alone import Alone
from manual.backpropagation import Pass
from manual.network import Network


class UpdateCheck(Collector):
    """Compares what becomes of gradients."""

    def update(self, weights_before: Mapping[str, Any]) -> None:
        """Run the optimizer on Keras's own gradients, once for each way of computing them."""
        record = self.record
        ways = {
            TAPE: (
                self.tape["weight gradient"],
                rows_of(self.tape),
                self.tape.get("optimizer slot", {}),
                self.tape["weight"],
            ),
            FIT: (
                record.gradients,
                record.rows,
                {
                    f"{name}/{slot}": array
                    for slot, named in record.slots_after.items()
                    for name, array in named.items()
                },
                record.after,
            ),
        }
        self.learning_rate()
        if self.alike:
            del ways[FIT]
        for source, arrays in ways.items():
            self.update_of(source, weights_before, *arrays)

    def update_of(
        self,
        source: str,
        weights_before: Mapping[str, Any],
        gradients: Mapping[str, Any],
        rows: Mapping[str, Any],
        slots: Mapping[str, Any],
        weights: Mapping[str, Any],
    ) -> None:
        """Compare one update: from these gradients, to these slots and weights."""
        record, reference, optimizer = self.record, self.reference, self.network.optimizer
        processed = self.tape.get("processed gradient", {}) if source == TAPE else {}
        arrived = self.arrived(gradients, rows)
        update = reference.update(
            weights_before,
            arrived,
            record.slots_before,
            record.iterations,
            record.learning_rate,
            processed,
        )
        names = update.names
        if processed and update.processed is not None:
            by = reference.derivation(optimizer, "processed gradient", "processed")
            phase, expected = "processed gradient", update.processed
            around = partial(self.places.of_update, arrived, {})
            alone = partial(self.update_alone, gradients, rows)
            origins = [
                Origin(
                    by,
                    optimizer,
                    partial(around, name, phase),
                    [("weight gradient", name)],
                    partial(alone, f"{name}/{phase}"),
                )
                for name in names
            ]
            self.compare_all(phase, names, processed, expected, origins, source)
        around = partial(self.places.of_update, arrived, processed)
        alone = partial(self.update_alone, gradients, rows)
        for slot, (owners, expected) in update.slots.items():
            by = reference.derivation(optimizer, slot, "update")
            slot_names = [f"{name}/{slot}" for name in owners]
            origins = [
                Origin(
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
            origins.append(Origin(by, optimizer, inputs, takes, partial(alone, name)))
        self.compare_all("weight", names, weights, update.weights, origins, source)
        still = Origin(Derivation("not trained", "w⁺ = w", "manual/network.py"))
        for name, parameter in self.network.parameters.items():
            if name not in names and not parameter.is_state:
                before = reference.exact(record.before[name])
                self.compare("weight", name, weights[name], before, still, source)

    def arrived(self, gradients: Mapping[str, Any], rows: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the gradients as the optimizer gets them: those of tables as lists of rows."""
        return {
            name: self.reference.gathered(array, rows.get(name))
            for name, array in gradients.items()
        }

    def update_alone(
        self, gradients: Mapping[str, Any], rows: Mapping[str, Any], name: str, alone: Alone
    ) -> Any:
        record = self.record
        slots, when = record.slots_before, (record.iterations, record.learning_rate)
        return alone.update(record.before, gradients, slots, *when, rows)[name]

    def learning_rate(self) -> None:
        """Compare the rate that a schedule gives for this step."""
        expected = self.reference.update.learning_rate(
            self.record.iterations, self.record.learning_rate
        )
        if expected is not None:
            schedule = self.network.optimizer.schedule  # type: ignore[union-attr]
            if schedule is None:  # there are several
                by, schedule = Derivation("learning rates", "", ""), self.network.optimizer
            else:
                by = self.reference.derivation(schedule, "learning_rate", "rate")
            origin = Origin(by, schedule, self.places.of_schedule)
            actual = self.record.learning_rate
            self.compare("optimizer slot", "learning_rate", actual, expected, origin, FIT)

    def states(self, saved: list[Any], whole: Pass | None = None) -> None:
        """Compare what layers remember: after Keras's inputs to them (tape), and the data (fit)."""
        ways = {TAPE: (self.reference.states(saved), self.tape["weight"])}
        if whole is not None:
            ways[FIT] = self.reference.states(whole.saved), self.record.after
        for source, (expected, actual) in ways.items():
            for name, state in expected.items():
                layer, weight = self.owner(name)
                if isinstance(layer, Carried):
                    continue
                by = self.reference.derivation(layer, weight, "update_state")
                around = partial(self.places.of_state, name)
                origin = Origin(by, layer, around if source == TAPE else None)
                self.compare("state", name, actual[name], state, origin, source)

    def own_step(self, own: Network, whole: Pass, gradients: dict[str, Noisy]) -> None:
        """Compare what the hand-written half made of the step by itself.

        Its maps are right, or something would have disagreed before: what is left is how they are
        put together.
        """
        record, reference = self.record, self.reference
        weights = reference.updated_from(record.before, whole.saved)
        state = weights, gradients, record.slots_before
        update = reference.update(*state, record.iterations, record.learning_rate)
        names, optimizer = update.names, self.network.optimizer

        def around(name: str, quantity: str) -> Inputs:
            return {**self.places.of_update(gradients, {}, name, quantity), "own": True}

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
            origins = [Origin(by, optimizer, partial(around, name, slot)) for name in owners]
            self.compare_all("optimizer slot", list(actual), actual, expected, origins, OWN)
        actual = {name: parameter.value for name, parameter in own.parameters.items()}
        origins = [Origin(by, optimizer, partial(around, name, "weight")) for name in names]
        self.compare_all("weight", names, actual, update.weights, origins, OWN)
        for name, expected in reference.states(whole.saved).items():
            origin = Origin(by, self.owner(name)[0], partial(self.places.of_state, name))
            self.compare("state", name, actual[name], expected, origin, OWN)
        for name, parameter in self.network.parameters.items():
            if name not in names and not parameter.is_state:
                origin = Origin(
                    replace(by, formula="w⁺ = w: it isn't trained"),
                    optimizer,
                    partial(self.places.of_frozen, name),
                )
                before = reference.exact(record.before[name])
                self.compare("weight", name, actual[name], before, origin, OWN)
        origin = Origin(replace(by, formula="n⁺ = n + 1"), optimizer, self.places.of_schedule)
        expected = reference.exact(record.iterations + (0.0 if update.skipped else 1.0))
        self.compare("state", "iterations", own.iterations, expected, origin, OWN)

    def owner(self, name: str) -> tuple[Any, str]:
        owner = self.network.owners[name]
        return owner, name.removeprefix(f"{owner.name}/")


def rows_of(tape: Trace) -> dict[str, tuple[Any, Any]]:
    """Return what the gradients of tables came as in a step under ``GradientTape``."""
    numbers = tape.get("row number", {})
    return {name: (array.astype(np.intp), tape["row"][name]) for name, array in numbers.items()}
