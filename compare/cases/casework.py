"""Runs a case: every run of it in lock-step, then every number that is known about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import keras

from compare.cases.base import Case, Goal, Number, Run, Settings, reproduces
from compare.cases.halves import KerasHalf, ManualHalf, Progress, advance, built
from compare.findings.report import Report
from compare.steps.engine import lockstep
from compare.steps.witness import Witness
from keras_models.callbacks import EpochLoss, StopWhenClose
from keras_models.precision import precision
from keras_models.stepper import Stepper
from manual import other_ways
from manual.network import Network


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
    witnesses: list[Any] = field(default_factory=list)
    """Who was shown each lock-step, if anybody was."""

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


def run_case(
    case: Case,
    settings: Settings | None = None,
    *,
    full: bool = False,
    result: CaseResult | None = None,
    out: Any = None,
    on_report: Callable[[Report], None] | None = None,
    progress: Progress | None = None,
    witness: Callable[[int], Witness] | None = None,
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
    on_report : callable, optional
        Receives the report of each run as soon as there is one.
    progress : callable, optional
        Called again and again with what is going on, how many steps are done, and of how many.
    witness : callable, optional
        Makes, of the number of a run's steps, who is shown what is compared.
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
            total = run.epochs * run.steps_per_epoch
            shown = witness and witness(min(settings.steps or total, total))
            if shown is not None:
                result.witnesses.append(shown)
            lockstep(
                model,
                run.x,
                run.y,
                **run.of_fit,
                steps=settings.steps,
                network=network,
                stepper=stepper,
                other_ways={n: getattr(other_ways, way) for n, way in run.other_ways.items()},
                callbacks=_callbacks(run, report, out),
                on_step=progress and partial(_told, progress, total),
                label=run.label or case.name,
                report=report,
                witness=shown,
            )
            if on_report is not None:
                on_report(report)
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


def _callbacks(run: Run, report: Report, out: Any) -> list[keras.callbacks.Callback]:
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
    return callbacks


def _told(progress: Progress, total: int, report: Report) -> None:
    progress(report.status, report.steps, total)


# ---------------------------------------------------------------------- published numbers


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
