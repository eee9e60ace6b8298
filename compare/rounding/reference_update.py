"""The hand-written update, run on numbers that carry their rounding noise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.rounding.gathered import Gathered
from compare.rounding.noise import Noisy
from compare.rounding.working_precision import UNIT_ROUNDOFF
from manual.network import Network
from manual.optimizers import MultiOptimizer, Scattered, Step, Tensor, summed, tensors_of

Named = Mapping[str, Any]
"""Arrays by name, with noise or without."""


@dataclass(frozen=True)
class Update:
    """What one update computed; flat arrays hold the named ones one after the other.

    Attributes
    ----------
    names : list of str
        The weights that have a gradient.
    processed : flat array, or None
        What entered the rule; None while gradients are added up.
    slots : dict of slot to (names, flat array)
    weights : flat array
    skipped : bool
        Whether nothing was updated, because the gradient isn't finite.
    """

    names: list[str]
    processed: Noisy | None
    slots: dict[str, tuple[list[str], Noisy]]
    weights: Noisy
    skipped: bool = False


class ReferenceUpdate:
    """The update of a manual network, in float64 with rounding noise.

    Parameters
    ----------
    network : manual.Network
    unit : float
        The unit roundoff of the weights.
    """

    def __init__(self, network: Network, unit: float) -> None:
        self.network, self.unit = network, unit

    def __call__(
        self,
        weights: Named,
        gradients: Named,
        slots: Mapping[str, Named],
        iterations: int,
        learning_rate: float,
        processed: Named | None = None,
    ) -> Update:
        """Return what one update makes of the gradients, the slots and the trainable weights.

        Parameters
        ----------
        weights, gradients, slots : arrays by name, before the update
        iterations : int
            Training steps before this one.
        learning_rate : float
        processed : arrays by name, optional
            What Keras made of the gradients: the weights are moved by these then.
        """
        optimizer = self.network.optimizer
        assert optimizer is not None
        names = [name for name in self.network.slices if name in gradients]
        tensors = tensors_of((name, np.shape(gradients[name])) for name in names)
        t = self.exact(optimizer.updates(iterations) + 1.0)
        step = Step(iterations, t, self.exact(learning_rate))
        layouts = {  # of vectors alone, Adafactor remembers no rows and no columns
            slot: layout
            for slot in optimizer.slot_names
            if (layout := optimizer.layout(slot, tensors))
        }
        flat = {
            slot: self._flat(slots[slot], [one.name for one in layout])
            for slot, layout in layouts.items()
        }
        w, g = self._flat(weights, names), self._scattered(gradients, names, tensors)
        named = {slot: ([one.name for one in layouts[slot]], flat[slot]) for slot in flat}
        if optimizer.skips(g, flat):
            return Update(names, None, named, w, skipped=True)
        moving = optimizer.processed(g, flat, tensors, step)
        expected = None if moving is None else summed(moving)
        if expected is not None and processed:
            given = self._flat(processed, names)
            rows = moving.tables if isinstance(moving, Scattered) else {}
            moving = Scattered.added_up(given, rows) if rows else given
        optimizer.move(w, moving, flat, tensors, step)
        self._add_row_by_row(w, flat, layouts, gradients)
        for tensor in tensors:
            constraint = self.network.parameters[tensor.name].constraint
            if constraint is not None:
                constrained = w[tensor.place].reshape(tensor.shape)
                constraint.apply(constrained)
                w[tensor.place] = constrained.reshape(-1)
        return Update(names, expected, named, w)

    def _scattered(self, gradients: Named, names: list[str], tensors: Sequence[Tensor]) -> Any:
        tables = {
            one.name: (one, (gradient.numbers, gradient.rows))
            for one in tensors
            if isinstance(gradient := gradients[one.name], Gathered)
        }
        flat = self._flat(gradients, names)
        return Scattered.added_up(flat, tables) if tables else flat

    def _add_row_by_row(
        self,
        w: Noisy,
        slots: Mapping[str, Noisy],
        layouts: Mapping[str, Sequence[Tensor]],
        gradients: Named,
    ) -> None:
        """Add the roundings of a table to which Keras adds one row after the other.

        So do rules whose step is linear in the gradient, and Adagrad's sum of squares.
        """
        tensors = tensors_of((name, np.shape(gradients[name])) for name in gradients)
        where = [(w, one) for one in tensors]
        where += [
            (slots[one], two) for one in slots if one == "accumulator" for two in layouts[one]
        ]
        for array, tensor in where:
            gradient = gradients[tensor.name]
            if isinstance(gradient, Gathered):
                part = array[tensor.place].reshape(tensor.shape)
                array[tensor.place] = gradient.one_after_the_other(part).reshape(-1)

    def learning_rate(self, iterations: int, given: Any) -> Noisy | None:
        """Return the rates of schedules, with the noise of float32: Keras has them in no other.

        Where one of several optimizers has no schedule, its rate is the given one.
        """
        optimizer = self.network.optimizer
        assert optimizer is not None
        steps = Noisy(iterations * 1.0, unit=UNIT_ROUNDOFF["float32"])
        if isinstance(optimizer, MultiOptimizer):
            rates = [
                self.exact(given)[i] if one is None else one.rate(steps)
                for i, one in enumerate(optimizer.schedules)
            ]
            together: Any = np.concatenate([rate.reshape(1) for rate in rates])
            return together  # type: ignore[no-any-return]
        return optimizer.schedule.rate(steps) if optimizer.schedule is not None else None

    def exact(self, numbers: Any) -> Noisy:
        """Take numbers as they are given, without noise: nothing here changes them in place."""
        return Noisy(numbers, unit=self.unit)

    def _flat(self, arrays: Named, names: list[str]) -> Noisy:
        flat = np.concatenate([np.ravel(arrays[name]) for name in names])
        return flat if isinstance(flat, Noisy) else self.exact(flat)
