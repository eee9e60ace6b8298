"""One training step, as both halves take it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.cases.base import Case, Run, Settings
from compare.cases.halves import KerasHalf, ManualHalf, advance, built
from compare.errors import BadInput
from compare.findings.collecting import Trace
from compare.rounding.reference import replay
from compare.steps.own_steps import take_over
from keras_models import naming
from keras_models.callbacks import StopWhenClose
from keras_models.precision import precision
from keras_models.recorder import Recorder
from keras_models.step_record import StepRecord
from keras_models.stepper import Stepper
from manual.backpropagation import Pass
from manual.network import Network, one_number


@dataclass
class Step:
    """Both halves at one training step.

    ``weights`` and ``new_weights`` are the hand-written half's, before and after; ``tape`` and
    ``record`` are Keras's. ``network`` is as the step left it.
    """

    network: Network
    run: Pass
    loss: float
    weights: dict[str, np.ndarray]
    weight_gradients: dict[str, np.ndarray]
    new_weights: dict[str, np.ndarray]
    record: StepRecord
    tape: Trace

    @property
    def samples(self) -> int:
        """How many samples the batch has."""
        return len(self.run.values[self.network.inputs[0]])


def step_by_hand(network: Network, record: StepRecord, tape: Trace) -> Step:
    """Let the hand-written half take a step of Keras's, from the very state that Keras had.

    Parameters
    ----------
    network : manual.Network
        The twin, compiled. It stays as it is: a copy takes the step, with the weights, the
        optimizer's memory, the learning rate and the random numbers of the record and the tape.
    record : StepRecord
        What ``fit`` did, the batch laid out as the twin takes it: what a lock-step's witness is
        shown.
    tape : Trace
        What the tape saw of the same step.
    """
    twin = network.copy()
    assert twin.optimizer is not None, "compile the network first"
    twin.set_weights(record.before)
    take_over(twin, record)
    replay(twin, tape.get("draw", {}))
    twin.optimizer.schedule = None  # the record tells the rate
    twin.optimizer.learning_rate = record.learning_rate
    return _by_hand(twin, record, tape)


def take_step(case: Case, number: int, settings: Settings | None = None) -> Step:
    """Train both halves of a case up to a step and return what that step computed."""
    run = (settings or Settings()).applied(case.runs[0])
    steps_per_epoch = run.steps_per_epoch
    found: list[Step] = []
    with precision(run.dtype):
        model, network = built(run)
        stepper = Stepper(model)
        skipped = 0
        if _runs_through_the_rows(run, network):
            skipped = (number - 1) // steps_per_epoch * steps_per_epoch
            keras_half = KerasHalf(
                run, stepper, {n: p.value for n, p in network.parameters.items()}
            )
            advance(keras_half, ManualHalf(run, network), skipped)
            for name, variable in naming.weights(model).items():
                variable.assign(keras_half.weights[name])

        def on_step(record: StepRecord) -> None:
            if record.step < number - skipped:
                network.train_step(record.x, record.y)
                return
            tape = stepper.step(
                record.before,
                record.slots_before,
                record.iterations,
                record.learning_rate,
                record.x,
                record.y,
                seeds=record.seeds,
            )
            found.append(_by_hand(network, record, tape))
            model.stop_training = True

        recorder = Recorder(on_step)
        callbacks: list[Any] = [recorder]
        if run.stop_when_close is not None:
            callbacks.append(StopWhenClose(run.x, run.y, run.stop_when_close))
        try:
            model.fit(
                run.x[: run.rows].astype(run.dtype),
                run.y[: run.rows].astype(run.dtype),
                batch_size=run.batch_size,
                epochs=-(-(number - skipped) // steps_per_epoch) + 1,
                shuffle=run.shuffle,
                verbose=0,
                callbacks=callbacks,
            )
        finally:
            recorder.restore()
    if not found:
        raise BadInput(f"The training of {case.name} ends before step {number}.")
    return found[0]


def _runs_through_the_rows(run: Run, network: Network) -> bool:
    """Say whether whole epochs can be trained without looking: nothing but weights changes."""
    assert network.optimizer is not None
    return not (
        run.shuffle
        or run.validation_split
        or run.stop_when_close is not None
        or network.optimizer.slot_names
    )


def _by_hand(network: Network, record: StepRecord, tape: Trace) -> Step:
    """Let the hand-written half take the step, and keep what it computed on the way."""
    weights = {name: p.value.copy() for name, p in network.parameters.items()}
    run = network.forward(record.x, training=True)
    loss, upstream = network.loss(run, record.y, record.sample_weight)
    network.clear_gradients()
    network.backward(run, upstream)
    gradients = {name: p.gradient.copy() for name, p in network.parameters.items()}
    network.update()
    return Step(
        network=network,
        run=run,
        loss=one_number(loss),
        weights=weights,
        weight_gradients=gradients,
        new_weights={name: p.value.copy() for name, p in network.parameters.items()},
        record=record,
        tape=tape,
    )
