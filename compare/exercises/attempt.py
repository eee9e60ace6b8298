"""A learner's file: its functions judged one by one, each on what is right before it.

So a fault in ``forward`` is not blamed on ``backward``, and one in ``backward`` not on ``update``.
They are judged in float64, NumPy's own precision: on the example's first batch, and where all is
right there, on drawn numbers, so that a 0 among the example's hides nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from compare.cases.base import Case, Run
from compare.cases.halves import built
from compare.errors import BadInput
from compare.exercises.exercise import FUNCTIONS
from compare.exercises.parsed import Gap, open_gaps, parsed
from compare.findings.collecting import OWN, Comparison, Origin
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from compare.steps.updates import UpdateCheck
from compare.submissions.handed_in import defined_in
from compare.submissions.movers import exact_mover
from compare.submissions.returned import called, checked_submission
from compare.submissions.right import RightStep
from keras_models.precision import precision

FIRST_UPDATES = 2
"""Before a network is judged whose weights Keras draws: else biases, and Adam's memory, are 0."""


@dataclass(frozen=True)
class Held:
    """One array of a learner's, held against what is right."""

    comparison: Comparison
    theirs: np.ndarray
    right: Noisy

    @property
    def name(self) -> str:
        return self.comparison.name

    @property
    def agrees(self) -> bool:
        return self.comparison.verdict.agrees


@dataclass
class Attempt:
    """What has become of an exercise.

    Attributes
    ----------
    file : str
    case : Case
    gaps : list of Gap
        What is still open.
    step : RightStep
        What it was held against.
    judged : mapping of str to list of Held
        Every array of every function without a gap, in causal order.
    drawn : bool
        Whether it was judged on drawn numbers, the example's own being right.
    """

    file: str
    case: Case
    gaps: list[Gap]
    step: RightStep
    judged: dict[str, list[Held]]
    drawn: bool

    @property
    def ok(self) -> bool:
        return not self.open and not self.wrong

    @property
    def open(self) -> list[str]:
        """The functions that have a gap."""
        return [name for name in FUNCTIONS if name not in self.judged]

    @property
    def wrong(self) -> list[str]:
        """The functions that give something wrong."""
        return [name for name in self.judged if name not in self.right]

    @property
    def right(self) -> list[str]:
        """The functions all of whose arrays are right."""
        return [name for name, held in self.judged.items() if all(one.agrees for one in held)]


def attempt(case: Case, file: str) -> Attempt:
    """Judge a learner's file.

    Raises
    ------
    BadInput
        If it can't be run, lacks a function, or one of them raises or returns something else than
        arrays of the right shapes.
    """
    gaps, defined = list(open_gaps(parsed(Path(file)))), defined_in(file)
    for name in FUNCTIONS:
        if name not in defined:
            raise BadInput(f"{file} has no function {name!r}; it needs {', '.join(FUNCTIONS)}.")
    incomplete = {gap.function for gap in gaps}
    ready = [name for name in FUNCTIONS if name not in incomplete]
    run = case.runs[0].changed(dtype="float64")
    with precision(run.dtype):
        model, _ = built(run)
        if run.drawn_by_keras:  # nobody knows their numbers from a page
            for _ in range(FIRST_UPDATES):
                model.train_on_batch(*next(_batches(run)))
        for drawn, batch in enumerate(_batches(run)):
            right = RightStep(model, *batch)
            with np.errstate(all="ignore"):
                judged = {name: _JUDGES[name](right, defined[name]) for name in ready}
            found = Attempt(file, case, gaps, right, judged, bool(drawn))
            if found.wrong or not ready:
                break
    return found


def _batches(run: Run) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Give the example's first batch, and one of drawn numbers."""
    draw, samples = np.random.default_rng(0), len(run.x)
    rows = (draw.permutation(samples) if run.shuffle else np.arange(samples))[: run.batch_size]
    yield run.x[rows], run.y[rows]
    yield draw.normal(size=(len(rows), run.x.shape[1])), draw.permutation(run.y)[: len(rows)]


# ---------------------------------------------------------------------- one function alone


def _forward(right: RightStep, function: Callable[..., Any]) -> list[Held]:
    """Judge activations, each by the map that makes it."""
    weights, x, _ = right.given()
    reference, slips = right.reference, right.slips
    nodes = {i: one for i, one in enumerate(reference.network.nodes) if not one.is_input}
    expected = {one.name: right.tape["activation"][one.name] for one in nodes.values()}
    given = called(function, weights, x, written="forward(weights, x)")
    theirs = checked_submission(given, expected, "activations", "forward")
    check = _Check(right)
    for index, node in nodes.items():
        by = reference.derivation(node.layer, "forward", "forward")
        origin = Origin(by, node.layer, partial(slips.around_right.of_map, index))
        value = slips.run.values[index]
        check.compare("activation", node.name, theirs[node.name], value, origin, OWN)
    return check.held


def _backward(right: RightStep, function: Callable[..., Any]) -> list[Held]:
    """Judge gradients, in the order of the way back."""
    weights, x, y = right.given()
    nodes = [one for one in right.reference.network.nodes if not one.is_input]
    activations = [right.tape["activation"][one.name].copy() for one in nodes]
    written = "backward(weights, x, y, activations)"
    given = called(function, weights, x, y, activations, written=written)
    theirs = checked_submission(given, right.trainable, "gradients", "backward")
    comparisons, _ = right.comparisons(theirs, "gradients")
    return [Held(one, theirs[one.name], right.slips.right[one.name]) for one in comparisons]


def _update(right: RightStep, function: Callable[..., Any]) -> list[Held]:
    """Judge what an optimizer makes of the right gradients: its memory, and the weights."""
    record = right.record
    weights, *_ = right.given()
    gradients = {name: np.array(one) for name, one in record.gradients.items()}
    slots = list(record.slots_before)
    memory = [[np.array(one) for one in record.slots_before[slot].values()] for slot in slots]
    count = [record.iterations + 1] if slots else []
    written = f"update({', '.join(['weights', 'gradients', *slots, *['t'] * len(count)])})"
    given = called(function, weights, list(gradients.values()), *memory, *count, written=written)
    parts = [given] if not slots else given
    if not isinstance(parts, (list, tuple)) or len(parts) != len(slots) + 1:
        raise BadInput(f"The submitted update must return {', '.join(['weights', *slots])}.")
    theirs = checked_submission(parts[0], right.trainable, "weights", "update")
    remembered: dict[str, np.ndarray] = {}
    for slot, part in zip(slots, parts[1:], strict=True):
        arrays = checked_submission(part, record.slots_before[slot], f"{slot}s", "update")
        remembered |= {f"{name}/{slot}": array for name, array in arrays.items()}
    check = _Check(right)
    check.update_of(OWN, record.before, gradients, {}, remembered, theirs)
    exact = _with_exact_constants(right, gradients)
    return [
        one
        for one in check.held
        if one.agrees or one.name not in exact or not judge(one.theirs, exact[one.name]).agrees
    ]


def _with_exact_constants(right: RightStep, gradients: Mapping[str, Any]) -> Mapping[str, Noisy]:
    """Return the weights of somebody who has 0.9 where Keras has float32's: right as well."""
    given = {name: right.reference.exact(one) for name, one in gradients.items()}
    exact = exact_mover(right.updated, right.places, given)
    return {} if exact is None else exact(given)


_JUDGES = {"forward": _forward, "backward": _backward, "update": _update}


class _Check(UpdateCheck):
    """Keeps, beside each comparison, the arrays."""

    def __init__(self, right: RightStep) -> None:
        super().__init__(right.places, None, None)
        self.held: list[Held] = []

    def keep(
        self, phase: str, name: str, source: str, actual: Any, expected: Noisy, *more: Any
    ) -> None:
        super().keep(phase, name, source, actual, expected, *more)
        theirs: Any = np.asarray(actual)
        self.held.append(Held(self.found[-1], theirs, expected.reshape(theirs.shape)))
