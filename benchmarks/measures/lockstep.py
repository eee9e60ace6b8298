"""What a compared step costs: `compare.lockstep`, every phase of every step, beside Keras fit.

python -m benchmarks.measures.lockstep NETWORK ROUNDS
"""

from __future__ import annotations

import json
import sys
import time

from benchmarks.contenders.keras_ways import Fit
from benchmarks.networks import NETWORKS
from benchmarks.problem import Problem, drawn
from compare import Report, lockstep

STEPS = 100
"""So many steps, the first four among them, which are checked without a recording."""


class Compared(Fit):
    """The same model, in lock-step with its hand-written twin."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem

    def per_step(self, steps: int) -> float:
        """Return the seconds of a step, from the end of the first to the end of the last."""
        self.reset()
        ends: list[float] = []

        def note(report: Report) -> None:
            ends.append(time.perf_counter())

        architecture = self.problem.architecture
        report = lockstep(
            self.model,
            self.problem.x,
            self.problem.y,
            batch_size=architecture.batch,
            epochs=-(-(steps + 1) // architecture.batches),
            steps=steps + 1,
            shuffle=False,
            on_step=note,
        )
        report.raise_if_different()
        return (ends[-1] - ends[0]) / (len(ends) - 1)


def main() -> None:
    """Time both ways in turn."""
    name, rounds = sys.argv[1], int(sys.argv[2])
    problem = drawn(NETWORKS[name], "SGD", "float32")
    plain, compared = Fit(problem), Compared(problem)
    plain.burst(1)
    seconds: dict[str, list[float]] = {"fit": [], "lockstep": []}
    for _ in range(rounds):
        seconds["fit"].append(plain.burst(2) / (2 * problem.architecture.batches))
        seconds["lockstep"].append(compared.per_step(STEPS))
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
