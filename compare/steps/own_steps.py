"""The hand-written half on its own: each step of it, and how far it drifts away from Keras.

The maps are checked one by one elsewhere, on Keras's inputs. What puts them together (gradients set
back to zero, slots kept, states moved on) is checked here: a copy of the network takes each step by
its own ``train_step``, from the state that Keras had. A second copy never hears from Keras again;
how far its weights have gone is what a user feels in the end.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compare.findings.collecting import Comparison, Trace
from compare.findings.drift import Drift
from compare.rounding.reference import replay
from compare.trace import PHASES
from keras_models.step_record import StepRecord
from manual.network import Network, one_number
from manual.replay import Rehearsed


class OwnSteps:
    """Two copies of the hand-written network that train by themselves.

    Parameters
    ----------
    network : manual.Network

    Attributes
    ----------
    free : manual.Network
        Goes its own way from the initial weights on, as `manual.Network.fit` would.
    single : manual.Network
        Takes each step from Keras's state.
    drift : Drift
    """

    def __init__(self, network: Network) -> None:
        self.free, self.single = network.copy(), network.copy()
        for one in (self.free, self.single):
            assert one.optimizer is not None
            one.optimizer.schedule = None  # its rate is checked elsewhere, and taken from Keras
        self.rehearsed = Rehearsed(self.free)
        self.drift = Drift()

    def start(self, record: StepRecord) -> None:
        """Take over what the optimizer already remembers."""
        take_over(self.free, record)

    def join(self, record: StepRecord) -> None:
        """Go on from Keras's state, where steps were left out."""
        self.free.set_weights(record.before)
        take_over(self.free, record)

    def step(self, record: StepRecord, drawn: Mapping[str, Any]) -> tuple[float, float]:
        """Let both take the step; return the loss that each of them reports."""
        self.single.set_weights(record.before)
        take_over(self.single, record)
        for network in (self.single, self.free):
            replay(network, drawn)
            assert network.optimizer is not None
            network.optimizer.learning_rate = record.learning_rate
        batch = record.x, record.y, record.sample_weight
        single = self.single.train_step(*batch)
        if drawn or record.sample_weight is not None:
            return single, self.free.train_step(*batch)
        x, y = (part if isinstance(part, (list, tuple)) else [part] for part in batch[:2])
        free = one_number(self.rehearsed.differentiate(x, y, np.arange(len(x[0]))))
        self.free.update()
        return single, free

    def note(self, record: StepRecord, comparisons: Sequence[Comparison]) -> None:
        """Note how far apart the two trainings are after the step, and what may have done it."""
        disagreeing = {
            self._layer_of(comparison.name): None
            for comparison in comparisons
            if not comparison.verdict.agrees and comparison.phase != "loss"
        }
        if not disagreeing and not all(one.verdict.agrees for one in comparisons):
            disagreeing = {"the loss": None}
        self.drift.add(self.apart(record), list(disagreeing))

    def _layer_of(self, name: str) -> str:
        """Return the name of the layer that a weight, its memory or an output belongs to."""
        names = (layer.name for layer in self.free.layers)
        return max(
            (one for one in names if re.match(f"{re.escape(one)}(/|@|\\[|$)", name)),
            key=len,
            default=name,
        )

    def apart(self, record: StepRecord) -> float:
        """Return the largest difference of a weight, relative to the largest weight.

        Infinite where a weight of either side isn't finite.
        """
        largest = difference = 0.0
        for name, parameter in self.free.parameters.items():
            theirs = record.after[name]
            largest = max(largest, float(np.max(np.abs(theirs), initial=0.0)))
            gap = float(np.max(np.abs(parameter.value - theirs), initial=0.0))
            if not math.isfinite(gap):
                return math.inf
            difference = max(difference, gap)
        return difference / largest if largest else difference


def take_over(network: Network, record: StepRecord) -> None:
    """Give a network's optimizer the memory that Keras's had before the step."""
    network.iterations = record.iterations
    assert network.optimizer is not None
    for slot, array in network.slots.items():
        for tensor in network.optimizer.layout(slot, network.tensors):
            array[tensor.place] = np.ravel(record.slots_before[slot][tensor.name])


def first_non_finite(tape: Trace, record: StepRecord) -> str:
    """Say which number of a step was infinite, or not a number, before all others."""
    arrays = {**tape, "weight": {**tape.get("weight", {}), **record.after}}
    for phase in PHASES:
        for name, array in arrays.get(phase, {}).items():
            wrong = np.argwhere(~np.isfinite(array))
            if len(wrong):
                index = tuple(int(i) for i in wrong[0])
                return f"{array[index]} at {phase} · {name}{list(index) if index else ''}"
    return "in the hand-written half"
