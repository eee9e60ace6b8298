"""From gradients to what a submission returns: gradients again, or the weights after the update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import numpy as np

from compare.causes.optimizers import State, exactly
from compare.causes.optimizers.state import as_asked
from compare.causes.regularizers import slope
from compare.findings.places import Places
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from compare.rounding.reference import Reference
from keras_models.step_record import StepRecord
from manual.optimizers.base import OptimizerPerTensor
from manual.regularizers import L1L2

Index = tuple[int, ...]


class Mover(Protocol):
    """From gradients to what was submitted: gradients again, or new weights."""

    def __call__(self, gradients: Mapping[str, Noisy]) -> Mapping[str, Noisy]:
        """Return what comes of gradients."""

    def at(self, name: str, index: Index, gradients: Noisy) -> Noisy | None:
        """Return what comes of each of several gradients of one element of a weight.

        None where other elements have a say in it.
        """


class Unmoved:
    """Gradients were asked for: they stay what they are."""

    def __call__(self, gradients: Mapping[str, Noisy]) -> Mapping[str, Noisy]:
        return gradients

    def at(self, name: str, index: Index, gradients: Noisy) -> Noisy | None:
        return gradients


class Updated:
    """New weights were asked for: they come of the right update."""

    def __init__(self, reference: Reference, record: StepRecord) -> None:
        self.reference, self.record = reference, record
        optimizer = reference.network.optimizer
        assert optimizer is not None
        self.by_element = not (
            isinstance(optimizer, OptimizerPerTensor)
            or optimizer.clipnorm
            or optimizer.global_clipnorm
            or optimizer.shared
        )

    def __call__(self, gradients: Mapping[str, Noisy]) -> Mapping[str, Noisy]:
        parameters = self.reference.network.parameters
        moved, start = {}, 0
        with np.errstate(all="ignore"):
            record = self.record
            update = self.reference.update(
                record.before,
                gradients,
                record.slots_before,
                record.iterations,
                record.learning_rate,
            )
        for name in update.names:
            part = slice(start, start + parameters[name].size)
            moved[name], start = update.weights[part].reshape(parameters[name].shape), part.stop
        return moved

    def at(self, name: str, index: Index, gradients: Noisy) -> Noisy | None:
        weight = self.reference.network.parameters[name]
        if not self.by_element or weight.rows or weight.constraint is not None:
            return None
        record, times = self.record, gradients.shape
        update = self.reference.update(
            {name: np.full(times, record.before[name][index])},
            {name: gradients},
            {
                slot: {name: np.full(times, named[name][index])}
                for slot, named in record.slots_before.items()
            },
            record.iterations,
            record.learning_rate,
        )
        return update.weights


class Exactly:
    """What somebody gets who computes with 0.9 where Keras has float32's 0.9, in float64 too.

    Parameters
    ----------
    mover : Mover
        What Keras does: its own optimizer rounds, and so do its regularizers.
    places : Places
    """

    def __init__(self, mover: Mover, places: Places) -> None:
        self.mover, self.places = mover, places
        network = places.network
        weights = places.weights()
        self.penalties = {
            name: slope(weights[name], as_asked(one.l1), as_asked(one.l2))
            - slope(weights[name], one.l1, one.l2)
            for name, parameter in network.parameters.items()
            if isinstance(one := parameter.regularizer, L1L2)
        }
        self.by_rule = isinstance(mover, Updated)

    def __call__(self, gradients: Mapping[str, Noisy]) -> Mapping[str, Noisy]:
        exact: dict[str, Noisy] = {
            name: g + self.penalties[name] if name in self.penalties else g
            for name, g in gradients.items()
        }
        if not self.by_rule:
            return exact
        return {name: self._moved(self._state(name, exact)) for name in exact}

    def at(self, name: str, index: Index, gradients: Noisy) -> Noisy | None:
        if name in self.penalties:
            gradients = gradients + self.penalties[name][index]
        as_keras = self.mover.at(name, index, gradients)
        if not self.by_rule or as_keras is None:
            return as_keras
        state, times = self._state(name, {name: gradients}), np.ones(gradients.shape)
        slots = {slot: array[index] * times for slot, array in state.slots.items()}
        return self._moved(replace(state, w=state.w[index] * times, slots=slots))

    def _state(self, name: str, gradients: Mapping[str, Noisy]) -> State:
        state: State = self.places.of_update(gradients, {}, name, "weight")["state"]
        return state

    def _moved(self, state: State) -> Noisy:
        moved: Noisy = exactly(state, self.places.network.optimizer)
        return moved


def exact_mover(mover: Mover, places: Places, gradients: Mapping[str, Noisy]) -> Exactly | None:
    """Return what moves with exact constants; None if that is the same, to within rounding."""
    exact, as_keras = Exactly(mover, places), mover(gradients)
    try:
        with np.errstate(all="ignore"):
            moved = exact(gradients)
    except LookupError:  # a rule, or a rule for some of the weights, that isn't written down
        return None
    same = all(judge(moved[name].value, as_keras[name]).agrees for name in as_keras)
    return None if same else exact
