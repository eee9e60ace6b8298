"""The right step from a model's state and one batch: what somebody's own is held against."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial
from typing import Any

import keras
import numpy as np

from compare.causes import Cause, Place
from compare.data.arrays import check_fit, check_lengths, checked_arrays
from compare.derivations import Derivation
from compare.findings.collecting import Comparison
from compare.findings.diagnosis import SUBMISSION, TOLD, Diagnosis
from compare.findings.patterns import pattern_in
from compare.findings.places import Places
from compare.findings.referee import gradient_ruling
from compare.rounding.judge import judge, judge_at_kinks
from compare.rounding.noise import Noisy, resolved
from compare.rounding.reference import Reference
from compare.steps.checks import compare_step
from compare.steps.updates import rows_of
from compare.submissions.held import explained
from compare.submissions.movers import Mover, Unmoved, Updated, exact_mover
from compare.submissions.returned import Returns
from compare.submissions.slips import Slips
from compare.twins.twin import model_config, twin_network, working_dtype
from keras_models import naming
from keras_models.optimizers import learning_rate as learning_rates
from keras_models.optimizers import rule_of
from keras_models.step_record import StepRecord, as_rate
from keras_models.stepper import Stepper

THE_SUBMISSION = "the submission"


class RightStep:
    """One step as Keras and the hand derivation take it, and all slips that could be in it.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, compiled. It is not trained.
    x, y : arrays, one batch
    sample_weight : array, optional

    Attributes
    ----------
    record, tape
        What Keras computed.
    reference : Reference
        With the step's weights loaded.
    places : Places
    slips : Slips
        The way forwards and back by hand, with its noise.
    updated : Updated
        From gradients to the weights after the update.
    notes : list of str
    """

    def __init__(self, model: keras.Model, x: Any, y: Any, sample_weight: Any = None) -> None:
        model_config(model)
        self.dtype = working_dtype(model)
        named = {"x": checked_arrays("x", x, self.dtype), "y": checked_arrays("y", y, self.dtype)}
        if sample_weight is not None:
            named["sample_weight"] = checked_arrays("sample_weight", sample_weight, self.dtype)
        samples = check_lengths(
            {
                f"{key}[{n}]" if n else key: one
                for key, p in named.items()
                for n, one in enumerate(p)
            }
        )
        network = twin_network(model)
        weights = named.get("sample_weight")
        one_for_all = weights[0] if weights and len(weights) == 1 else weights
        check_fit(network, model, named["x"], named["y"], one_for_all)
        self.record, self.tape = _taken(model, named)
        self.reference = Reference(network)
        comparisons, _ = compare_step(self.reference, self.record, self.tape)
        self.notes: list[str] = []
        if not all(one.verdict.agrees for one in comparisons):
            self.notes.append("Keras and the hand derivation differ here: neither is a sure judge")
        self.reference.load(self.record.before)
        self.places = Places(self.reference, self.record, self.tape, samples, None)
        self.drawn = self.tape.get("draw", {})
        self.batch = self.record.x, self.record.y, self.record.sample_weight
        self.updated = Updated(self.reference, self.record)
        with np.errstate(all="ignore"):
            self.slips = Slips(
                self.reference, *self.batch, self.drawn, self.updated, self.places.facts
            )

    def given(self) -> tuple[list[np.ndarray], Any, Any]:
        """Return the weights in Keras's order and the batch, to be spoilt at will."""
        record = self.record
        return copy.deepcopy((list(record.before.values()), record.x, record.y))

    @property
    def trainable(self) -> dict[str, np.ndarray]:
        """The weights that have a gradient, in Keras's order."""
        return {name: self.record.before[name] for name in self.record.gradients}

    def comparisons(
        self, submitted: Mapping[str, np.ndarray], returns: Returns
    ) -> tuple[list[Comparison], list[str]]:
        """Judge somebody's gradients, or new weights, in the order of the way back.

        Returns
        -------
        comparisons : list of Comparison
        as_asked : list of str
            What is right with constants that Keras rounds to float32, and somebody doesn't.
        """
        reference, slips, places = self.reference, self.slips, self.places
        moved: Mover = self.updated if returns == "weights" else Unmoved()
        right = moved(slips.right)
        exact = exact_mover(moved, places, slips.right)
        right_too = {} if exact is None else exact(slips.right)

        @cache
        def both_ways() -> list[Mapping[str, Noisy]]:
            """Return what is right with every choice at a kink made one way, and the other way."""
            ways: list[Mapping[str, Noisy]] = []
            for way in (False, True):
                with np.errstate(all="ignore"), resolved(way):
                    reference.whole(*self.batch, self.drawn)
                ways.append(moved(reference.gradients()))
            return ways

        @cache
        def causes() -> tuple[Cause, ...]:
            movers = [moved] if exact is None else [moved, exact]
            of_update = {}
            if returns == "weights":
                of_update = {name: self._of_update(name, right[name]) for name in right}
            return tuple(explained(slips, submitted, movers, of_update)[:TOLD])

        def diagnosis(name: str) -> Diagnosis:
            ruling = None
            if returns == "gradients":
                plain = reference.plain(self.record.before)
                numbers = right[name].value, submitted[name]
                ruling = gradient_ruling(
                    plain, *self.batch, name, *numbers, THE_SUBMISSION, self.drawn
                )
            return Diagnosis(SUBMISSION, causes(), ruling)

        phase = "weight gradient" if returns == "gradients" else "weight"
        found: list[Comparison] = []
        as_asked = []
        for name in reversed(list(submitted)):
            verdict = judge(submitted[name], right[name])
            if not verdict.agrees:
                ends = [way[name] for way in both_ways()]
                at_kinks = judge_at_kinks(submitted[name], right[name], ends, between=False)
                verdict = verdict if at_kinks is None else at_kinks
            if not verdict.agrees and right_too and judge(submitted[name], right_too[name]).agrees:
                verdict = judge(submitted[name], right_too[name])
                as_asked.append(name)
            by, diagnose = self._derivation(name, returns), partial(diagnosis, name)
            one = Comparison(phase, name, SUBMISSION, by, verdict, diagnose)
            if not verdict.agrees:
                pair = submitted[name], right[name]
                key = phase, name, SUBMISSION
                apart = partial(pattern_in, reference.network, key, *pair, found)
                one = replace(one, apart=apart)
            found.append(one)
        return found, as_asked

    def _derivation(self, name: str, returns: Returns) -> Derivation:
        if returns == "weights":
            return self.reference.derivation(self.reference.network.optimizer, "weight", "update")
        owner = self.reference.network.owners[name]
        quantity = f"{name.removeprefix(f'{owner.name}/')} gradient"
        return self.reference.derivation(owner, quantity, "backward")

    def _of_update(self, name: str, right: Noisy) -> Place:
        """Describe a weight after the update."""
        inputs = self.places.of_update(self.slips.right, {}, name, "weight")
        optimizer = self.reference.network.optimizer
        return Place("weight", name, right, optimizer, inputs, self.places.facts)


def _taken(
    model: keras.Model, named: dict[str, list[np.ndarray]]
) -> tuple[StepRecord, dict[str, dict[str, np.ndarray]]]:
    """Take the step under ``GradientTape``, from the model's own state."""
    x, y, *weighted = (parts[0] if len(parts) == 1 else parts for parts in named.values())
    before = {name: variable.numpy() for name, variable in naming.weights(model).items()}
    slots = {
        slot: {name: variable.numpy() for name, variable in found.items()}
        for slot, found in naming.slots(model).items()
    }
    iterations = int(rule_of(model.optimizer)._iterations.numpy())
    learning_rate = as_rate(np.asarray(learning_rates(model)))
    sample_weight = weighted[0] if weighted else None
    seeds = [variable.numpy() for variable in naming.seeds(model)]
    state = before, slots, iterations, learning_rate
    tape = Stepper(model).step(*state, x, y, sample_weight, seeds=seeds)
    slots_after: dict[str, dict[str, np.ndarray]] = {slot: {} for slot in slots}
    for full, array in tape.get("optimizer slot", {}).items():
        name, slot = full.rsplit("/", 1)
        slots_after[slot][name] = array
    record = StepRecord(
        epoch=1,
        step=1,
        x=x,
        y=y,
        sample_weight=sample_weight,
        before=before,
        after=tape["weight"],
        slots_before=slots,
        slots_after=slots_after,
        iterations=iterations,
        learning_rate=learning_rate,
        seeds=seeds,
        gradients=tape["weight gradient"],
        loss=tape["loss"]["total"],
        rows=rows_of(tape),
    )
    return record, tape
