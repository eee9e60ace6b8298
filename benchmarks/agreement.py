"""Do all contenders compute the same thing? Asked before anything is timed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from benchmarks.problem import Problem

CONFIDENCE = 8.0
"""Rounding errors of n terms add up to λ √n u at most, but with a probability that falls like
exp(−λ²/2) (Higham and Mary 2019); this is λ."""


class Differs(Exception):
    """A contender computed another loss than the others; the message names it."""


def bound(problem: Problem, step: int, loss: float) -> float:
    """Return how far rounding can move a loss, in the step counted from 0.

    A loss comes out of sums as long as a kernel's inputs, layer by layer; its gradients out of sums
    over the batch and over all places where a kernel is used, once for each step made before.
    """
    unit = float(np.finfo(problem.dtype).eps) / 2
    architecture = problem.architecture
    terms = architecture.batch * architecture.positions + architecture.outputs
    for name, weight in problem.weights.items():
        if name.endswith("kernel"):
            times = architecture.positions if name.endswith("recurrent_kernel") else 1
            terms += times * math.prod(weight.shape[:-1])
    return CONFIDENCE * math.sqrt(terms) * unit * (step + 1) * max(1.0, abs(loss))


def check(problem: Problem, losses: Mapping[str, Sequence[float]]) -> None:
    """Hold every contender's losses against the median of all.

    Raises
    ------
    Differs
        With the contenders that are further from it than rounding, and by how much.
    """
    steps = min(len(one) for one in losses.values())
    for step in range(steps):
        here = {name: one[step] for name, one in losses.items()}
        finite = [loss for loss in here.values() if math.isfinite(loss)]
        middle = float(np.median(finite)) if finite else math.nan
        allowed = bound(problem, step, middle)
        wrong = {name: loss for name, loss in here.items() if not abs(loss - middle) <= allowed}
        if wrong:
            told = " and ".join(f"{name} ({loss:.9g})" for name, loss in wrong.items())
            others = ", ".join(f"{name} {loss:.9g}" for name, loss in here.items())
            raise Differs(
                f"{problem.architecture.name}, {problem.optimizer}, {problem.dtype}: the loss of "
                f"step {step + 1} differs by more than rounding ({allowed:.1e}) in {told}. "
                f"All: {others}."
            )
