"""From gradients to what a submission returns: gradients again, or the weights after the update."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compare.noise import Noisy
from compare.reference import Reference
from keras_models.recorder import StepRecord
from manual.optimizers.base import OptimizerPerTensor

Index = tuple[int, ...]


class Unmoved:
    """Gradients were asked for: they stay what they are."""

    def __call__(self, gradients: Mapping[str, Noisy]) -> Mapping[str, Noisy]:
        return gradients

    def at(self, name: str, index: Index, gradients: Noisy) -> Noisy | None:
        """Return what comes of each of several gradients of one element of a weight."""
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
        """Return what comes of each of several gradients of one element of a weight.

        None where other elements of the weight, or other weights, have a say in it.
        """
        if not self.by_element or self.reference.network.parameters[name].constraint is not None:
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
