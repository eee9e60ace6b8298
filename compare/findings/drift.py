"""How far the weights of two trainings drift apart, and since when."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass
class Drift:
    """How the weights of the two trainings drift apart.

    Attributes
    ----------
    steps : int
    now, largest : float
        Largest difference of a weight, relative to the largest weight: after the last step, and
        after any. Infinite where weights aren't finite any more.
    injected, first, last : int
        In how many steps something disagreed beyond rounding, the first of them and the last.
    layers : list of str
        Where it was, in the order in which it was seen.
    before, after : float
        The drift just before and just after the first of these steps.
    """

    steps: int = 0
    now: float = 0.0
    largest: float = 0.0
    injected: int = 0
    first: int = 0
    last: int = 0
    layers: list[str] = field(default_factory=list)
    before: float = 0.0
    after: float = 0.0

    def add(self, distance: float, disagreeing: list[str]) -> None:
        """Take in one step: how far apart the weights are, and the layers that disagreed in it."""
        self.steps += 1
        if disagreeing:
            if not self.injected:
                self.before, self.after, self.first = self.now, distance, self.steps
            self.injected, self.last = self.injected + 1, self.steps
            self.layers += [layer for layer in disagreeing if layer not in self.layers]
        self.now, self.largest = distance, max(self.largest, distance)

    def __str__(self) -> str:
        if not self.largest and not self.injected:
            return f"the weights stay the same to the last bit in {_steps(self.steps)}"
        apart = f"the weights drift {self.now:.1e} apart in {_steps(self.steps)}"
        if math.isinf(self.now):
            apart = f"the weights drift apart until, after {_steps(self.steps)}, not all are finite"
            if not self.injected:
                return apart
        if not self.injected:
            return f"{apart}: grows as rounding does"
        first, times = self.first, self.injected
        where = f"in {', '.join(self.layers)}"
        jump = f"from {self.before:.1e} to {self.after:.1e}"
        if times == 1:
            return f"{apart}: injected once, at step {first}, {where} ({jump})"
        if times == self.steps - first + 1:
            return f"{apart}: injected at every step from step {first} on, {where} ({jump})"
        return f"{apart}: injected at {times} steps, first at step {first}, {where} ({jump})"


def _steps(number: int) -> str:
    return f"{number} step" + "s" * (number != 1)
