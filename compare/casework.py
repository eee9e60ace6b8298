"""Runs a case: every run of it in lock-step, then every number that is known about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np

import keras_models.networks
import manual.networks
from compare.cases.base import Case, Goal, Number, Run, Settings, reproduces
from compare.engine import lockstep
from compare.report import Report
from compare.twins import copy_weights
from keras_models.callbacks import EpochLoss, StopWhenClose
from keras_models.stepper import Stepper
from manual import other_ways
from manual.network import Network, batches

Progress = Callable[[str, int, int], None]
"""Receives what is going on, how many steps are done, and of how many."""


@dataclass(frozen=True)
class NumberResult:
    """What both halves say to a published number.

    Attributes
    ----------
    number : Number
    keras, by_hand : float
    status : str
        ``"reproduced"``, ``"truncated"``, ``"wrong in print"`` (as known), or ``"missed"``: the
        halves don't give what they should.
    """

    number: Number
    keras: float
    by_hand: float
    status: str


@dataclass(frozen=True)
class GoalResult:
    """How far both halves got on the way to a goal."""

    goal: Goal
    keras: float
    by_hand: float

    @property
    def reached(self) -> bool:
        return min(self.keras, self.by_hand) >= self.goal.at_least


@dataclass
class CaseResult:
    """Everything that running a case gave."""

    case: Case
    reports: list[Report] = field(default_factory=list)
    numbers: list[NumberResult] = field(default_factory=list)
    goals: list[GoalResult] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the halves agree everywhere, and every number and goal is as it should be."""
        return (
            bool(self.reports)
            and all(report.ok for report in self.reports)
            and all(number.status != "missed" for number in self.numbers)
            and all(goal.reached for goal in self.goals)
        )

    def as_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries and lists."""
        return {
            "case": self.case.name,
            "ok": self.ok,
            "reports": [report.as_dict() for report in self.reports],
            "numbers": [
                {
                    "what": result.number.what,
                    "digits": result.number.digits,
                    "printed": result.number.printed,
                    "right": result.number.right,
                    "why": result.number.why,
                    "keras": result.keras,
                    "by_hand": result.by_hand,
                    "status": result.status,
                }
                for result in self.numbers
            ],
            "goals": [
                {
                    "what": result.goal.what,
                    "at_least": result.goal.at_least,
                    "keras": result.keras,
                    "by_hand": result.by_hand,
                    "reached": result.reached,
                }
                for result in self.goals
            ],
        }


@contextmanager
def precision(dtype: str) -> Iterator[None]:
    """Make Keras compute in ``dtype``: layers, losses and optimizers alike."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx(dtype)
    keras.config.set_dtype_policy(dtype)
    try:
        yield
    finally:
        keras.config.set_floatx(floatx)
        keras.config.set_dtype_policy(policy)


def built(run: Run) -> tuple[keras.Model, Network]:
    """Build and compile both halves of a run. Call it within `precision`."""
    keras.utils.set_random_seed(run.seed)
    model = getattr(keras_models.networks, run.network)(**run.options)
    optimizer = {"class_name": run.optimizer, "config": {"learning_rate": run.learning_rate}}
    registered = keras.saving.get_registered_object(run.loss)
    model.compile(
        optimizer=keras.optimizers.deserialize(dict(optimizer)),
        loss=registered() if registered else run.loss,
        metrics=list(run.metrics),
    )
    network = getattr(manual.networks, run.network)(run.dtype, **run.options)
    network.compile(run.loss, optimizer)
    if run.drawn_by_keras:
        copy_weights(network, model)
    return model, network


def run_case(
    case: Case,
    settings: Settings | None = None,
    *,
    full: bool = False,
    result: CaseResult | None = None,
    out: Any = None,
    progress: Progress | None = None,
) -> CaseResult:
    """Run a case and return what came out.

    Parameters
    ----------
    case : Case
    settings : Settings, optional
    full : bool
        Also read the numbers that take the tutorial's full length.
    result : CaseResult, optional
        One to fill, so that it can be read after an interruption.
    out : text stream, optional
        Where the losses of the epochs are printed; nowhere by default.
    progress : callable, optional
        Called again and again with what is going on, how many steps are done, and of how many.
    """
    settings = settings or Settings()
    result = CaseResult(case) if result is None else result
    steppers: dict[Any, Stepper] = {}
    for index, original in enumerate(case.runs):
        run = settings.applied(original)
        if out is not None and len(case.runs) > 1:
            print(run.label, file=out)
        with precision(run.dtype):
            model, network = built(run)
            same_graph = (run.network, str(run.options), run.loss, run.optimizer, run.dtype)
            if same_graph not in steppers:
                steppers[same_graph] = Stepper(model)
            stepper = steppers[same_graph]
            command = f"python -m compare run {case.name}{settings.flags} --steps {{step}}"
            report = Report(run.label or case.name, run.dtype, reproduce=command)
            result.reports.append(report)
            start = network.get_weights()
            _follow(run, model, network, stepper, report, settings.steps, out, progress)
            if settings.leave_the_case_as_it_is:
                numbers = [
                    number
                    for number in case.numbers
                    if number.run == index and (full or not number.long)
                ]
                network.set_weights(start)
                result.numbers += _read(numbers, run, network, stepper, progress)
        if settings == Settings():
            last = report.history[-1]
            result.goals += [
                GoalResult(goal, last.keras[goal.metric], last.by_hand[goal.metric])
                for goal in case.goals
                if goal.run == index
            ]
    return result


def _follow(
    run: Run,
    model: keras.Model,
    network: Network,
    stepper: Stepper,
    report: Report,
    steps: int | None,
    out: Any,
    progress: Progress | None,
) -> None:
    total = run.epochs * -(-len(run.x) // run.batch_size)
    callbacks: list[keras.callbacks.Callback] = []
    if run.stop_when_close is not None:
        callbacks.append(StopWhenClose(run.x, run.y, run.stop_when_close))
    if out is not None:
        callbacks.append(
            EpochLoss(
                every=run.print_every,
                width=7 if run.validation_split else 8,
                beside=lambda: {"by hand": report.history[-1].by_hand["loss"]},
                only=[*run.metrics, *(f"val_{name}" for name in run.metrics)],
                file=out,
            )
        )
    lockstep(
        model,
        run.x,
        run.y,
        batch_size=run.batch_size,
        epochs=run.epochs,
        steps=steps,
        shuffle=run.shuffle,
        validation_split=run.validation_split,
        network=network,
        stepper=stepper,
        other_ways={name: getattr(other_ways, way) for name, way in run.other_ways.items()},
        callbacks=callbacks,
        on_step=progress and (lambda grown: progress(grown.status, grown.steps, total)),
        label=run.label or None,
        report=report,
    )


# ---------------------------------------------------------------------- published numbers

CHUNK = 10_000
"""Updates between two signs of life."""


class KerasHalf:
    """The Keras half on its own: its state after some updates."""

    def __init__(self, run: Run, stepper: Stepper, start: Mapping[str, np.ndarray]) -> None:
        self.run, self.stepper, self.updates = run, stepper, 0
        stepper.reset(start, run.learning_rate)

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return self.stepper.weights()

    def activations(self, x: np.ndarray) -> dict[str, np.ndarray]:
        return self.stepper.activations(x.astype(self.run.dtype))

    def gradients(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        trace = self._trace()
        return trace["activation gradient"], trace["weight gradient"]

    def loss(self) -> float:
        return float(self._trace()["loss"]["total"])

    def _trace(self) -> dict[str, dict[str, np.ndarray]]:
        weights, run = self.weights, self.run
        x, y = run.x.astype(run.dtype), run.y.astype(run.dtype)
        trace = self.stepper.step(weights, {}, 0, run.learning_rate, x, y)
        self.stepper.reset(weights, run.learning_rate)
        return trace

    def advance(self, updates: int) -> None:
        """Train on, batch after batch in the order of the rows, until that many updates."""
        run = self.run
        self.stepper.train(
            run.x.astype(run.dtype),
            run.y.astype(run.dtype),
            batch_size=run.batch_size,
            start=self.updates,
            steps=updates - self.updates,
        )
        self.updates = updates


class ManualHalf:
    """The hand-written half on its own: its state after some updates."""

    def __init__(self, run: Run, network: Network) -> None:
        self.run, self.network, self.updates = run, network, 0
        self.x, self.y = run.x.astype(run.dtype), run.y.astype(run.dtype)
        self.rows = list(batches(np.arange(len(run.x)), run.batch_size))

    @property
    def weights(self) -> dict[str, np.ndarray]:
        return {name: parameter.value for name, parameter in self.network.parameters.items()}

    def activations(self, x: np.ndarray) -> dict[str, np.ndarray]:
        run = self.network.forward(x.astype(self.run.dtype))
        return {node.name: run.values[i] for i, node in enumerate(self.network.nodes)}

    def gradients(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        network = self.network
        run = network.forward(self.x, training=True)
        _, upstream = network.loss(run, self.y)
        network.clear_gradients()
        network.backward(run, upstream)
        of_nodes = {
            node.name: gradient
            for node, gradient in zip(network.nodes, run.gradients, strict=True)
            if gradient is not None
        }
        return of_nodes, {name: p.gradient for name, p in network.parameters.items()}

    def loss(self) -> float:
        return self.network.evaluate(self.x, self.y)

    def advance(self, updates: int) -> None:
        """Train on, batch after batch in the order of the rows, until that many updates."""
        batched = [(self.x[rows], self.y[rows]) for rows in self.rows]
        for update in range(self.updates, updates):
            self.network.train_step(*batched[update % len(batched)])
        self.updates = updates


def advance(
    keras_half: KerasHalf, manual_half: ManualHalf, updates: int, progress: Progress | None = None
) -> None:
    """Train each half on its own until that many updates; TensorFlow computes while Python does."""
    with ThreadPoolExecutor(1) as beside:
        while manual_half.updates < updates:
            goal = min(updates, manual_half.updates + CHUNK)
            in_keras = beside.submit(keras_half.advance, goal)
            manual_half.advance(goal)
            in_keras.result()
            if progress is not None:
                progress("each half alone", goal, updates)


def _read(
    numbers: list[Number],
    run: Run,
    network: Network,
    stepper: Stepper,
    progress: Progress | None,
) -> list[NumberResult]:
    """Let each half train on its own and read every number when its update has come."""
    if not numbers:
        return []
    start = {name: parameter.value for name, parameter in network.parameters.items()}
    keras_half, manual_half = KerasHalf(run, stepper, start), ManualHalf(run, network)
    results = {}
    for number in sorted(numbers, key=lambda one: one.after):
        advance(keras_half, manual_half, number.after, progress)
        values = float(number.value(keras_half)), float(number.value(manual_half))
        results[number] = NumberResult(number, *values, _status(number, *values))
    return [results[number] for number in numbers]


def _status(number: Number, *values: float) -> str:
    if number.right is not None:
        wrong = all(reproduces(number.digits, value) == "no" for value in values)
        known = all(reproduces(number.right, value) == "rounded" for value in values)
        return "wrong in print" if wrong and known else "missed"
    how = {reproduces(number.digits, value) for value in values}
    if how == {"rounded"}:
        return "reproduced"
    return "truncated" if number.printed and "no" not in how else "missed"
