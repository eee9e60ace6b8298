"""Somebody's own numbers: a backward pass or an update step, judged and diagnosed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import cache, partial
from typing import Any

import keras
import numpy as np

from compare.causes import Cause, Place
from compare.checks import compare_step
from compare.collecting import Comparison
from compare.data import check_fit, check_lengths, checked_arrays
from compare.derivations import Derivation
from compare.diagnosis import SUBMISSION, TOLD, Diagnosis
from compare.errors import BadInput
from compare.judge import judge, judge_at_kinks
from compare.noise import Noisy, resolved
from compare.places import Places
from compare.referee import gradient_ruling
from compare.reference import Reference
from compare.report import Report
from compare.submissions.held import explained
from compare.submissions.movers import Mover, Unmoved, Updated, exact_mover
from compare.submissions.returned import Arrays, Returns, Step, called, checked_submission
from compare.submissions.slips import Slips
from compare.twins import model_config, twin_network, working_dtype
from compare.updates import rows_of
from keras_models import naming
from keras_models.optimizers import learning_rate as learning_rates
from keras_models.optimizers import rule_of
from keras_models.step_record import StepRecord, as_rate
from keras_models.stepper import Stepper

THE_SUBMISSION = "the submission"


def check_gradients(
    model: keras.Model, x: Any, y: Any, gradients: Arrays, *, sample_weight: Any = None
) -> Report:
    """Judge gradients that somebody computed for a model's current weights and one batch.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, compiled. It is not trained.
    x, y : arrays, one batch
    gradients : sequence or mapping by name
        One array for each trainable weight, in Keras's order, each in the weight's shape.
    sample_weight : array, optional

    Returns
    -------
    Report
        ``.first`` is the first wrong gradient on the way back from the loss, with its cause.

    Raises
    ------
    BadInput
        If there are too few or too many arrays, or one has the wrong shape or isn't finite.

    Examples
    --------
    >>> report = compare.check_gradients(model, x, y, [dW1, db1, dW2, db2])  # doctest: +SKIP
    >>> print(report.first)  # doctest: +SKIP
    """
    return check_step(model, x, y, lambda *_: gradients, sample_weight=sample_weight)


def check_step(
    model: keras.Model,
    x: Any,
    y: Any,
    step: Step,
    *,
    returns: Returns = "gradients",
    sample_weight: Any = None,
) -> Report:
    """Judge a hand-written training step on one batch: its gradients, or its new weights.

    The step runs in this process: it is your own code, with all that it may do.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, compiled. It is not trained.
    x, y : arrays, one batch
    step : callable
        ``step(weights, x, y)``, with a list of all weights in Keras's order. It returns one array
        for each trainable weight, as a sequence in that order or as a mapping by name.
    returns : {"gradients", "weights"}
        What the step returns.
    sample_weight : array, optional

    Raises
    ------
    BadInput
        If the step raises, or what it returns isn't one finite array of the right shape for each
        trainable weight.
    """
    model_config(model)
    if returns not in ("gradients", "weights"):
        raise BadInput(f"returns is 'gradients' or 'weights'. Received: {returns!r}.")
    dtype = working_dtype(model)
    named = {"x": checked_arrays("x", x, dtype), "y": checked_arrays("y", y, dtype)}
    if sample_weight is not None:
        named["sample_weight"] = checked_arrays("sample_weight", sample_weight, dtype)
    samples = check_lengths(
        {f"{name}[{n}]" if n else name: one for name, p in named.items() for n, one in enumerate(p)}
    )
    network = twin_network(model)
    weights = named.get("sample_weight")
    one_for_all = weights[0] if weights and len(weights) == 1 else weights
    check_fit(network, model, named["x"], named["y"], one_for_all)
    record, tape = _right_step(model, named)
    mine = copy.deepcopy((list(record.before.values()), record.x, record.y))  # to spoil at will
    returned = called(step, *mine)
    submitted = checked_submission(
        returned, {name: record.before[name] for name in record.gradients}, returns
    )
    report = Report(f"{model.name}, submitted {returns}", dtype, steps=1)
    reference = Reference(network)
    comparisons, _ = compare_step(reference, record, tape)
    if not all(one.verdict.agrees for one in comparisons):
        report.notes.append("Keras and the hand derivation differ here: neither is a sure judge")
    reference.load(record.before)
    places = Places(reference, record, tape, samples, None)
    drawn = tape.get("draw", {})
    batch = record.x, record.y, record.sample_weight
    updated = Updated(reference, record)
    moved: Mover = updated if returns == "weights" else Unmoved()
    with np.errstate(all="ignore"):
        slips = Slips(reference, *batch, drawn, updated, places.facts)
    right = moved(slips.right)
    exact = exact_mover(moved, places, slips.right)
    right_too = {} if exact is None else exact(slips.right)

    @cache
    def both_ways() -> list[Mapping[str, Noisy]]:
        """Return what is right with every choice at a kink made one way, and the other way."""
        ways: list[Mapping[str, Noisy]] = []
        for way in (False, True):
            with np.errstate(all="ignore"), resolved(way):
                reference.whole(record.x, record.y, record.sample_weight, drawn)
            ways.append(moved(reference.gradients()))
        return ways

    @cache
    def causes() -> tuple[Cause, ...]:
        movers = [moved] if exact is None else [moved, exact]
        of_update = {}
        if returns == "weights":
            of_update = {name: _of_update(places, slips.right, right, name) for name in right}
        return tuple(explained(slips, submitted, movers, of_update)[:TOLD])

    def diagnosis(name: str) -> Diagnosis:
        ruling = None
        if returns == "gradients":
            theirs = submitted[name]
            plain = reference.plain(record.before)
            ours = right[name].value
            ruling = gradient_ruling(plain, *batch, name, ours, theirs, THE_SUBMISSION, drawn)
        return Diagnosis(SUBMISSION, causes(), ruling)

    phase = "weight gradient" if returns == "gradients" else "weight"
    as_asked: list[str] = []
    for name in reversed(list(submitted)):
        verdict = judge(submitted[name], right[name])
        if not verdict.agrees:
            ends = [way[name] for way in both_ways()]
            at_kinks = judge_at_kinks(submitted[name], right[name], ends, between=False)
            verdict = verdict if at_kinks is None else at_kinks
        if not verdict.agrees and right_too and judge(submitted[name], right_too[name]).agrees:
            verdict = judge(submitted[name], right_too[name])
            as_asked.append(name)
        layer_name, weight = name.split("/", 1)
        layer = next(one for one in network.layers if one.name == layer_name)
        by: Derivation = (
            reference.derivation(layer, f"{weight} gradient", "backward")
            if returns == "gradients"
            else reference.derivation(reference.network.optimizer, "weight", "update")
        )
        diagnose = partial(diagnosis, name)
        report.add(1, 1, Comparison(phase, name, SUBMISSION, by, verdict, diagnose))
    if as_asked:
        report.notes.append(
            f"{', '.join(as_asked)}: Keras rounds a constant to float32, the submission doesn't: "
            "that is right too"
        )
    return report


def _of_update(
    places: Places, gradients: Mapping[str, Noisy], right: Mapping[str, Noisy], name: str
) -> Place:
    """Describe a weight after the update."""
    inputs = places.of_update(gradients, {}, name, "weight")
    return Place("weight", name, right[name], places.network.optimizer, inputs, places.facts)


def _right_step(
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
