"""The memory that a comparison holds as its steps grow.

python -m benchmarks.measures.memory STEPS
"""

from __future__ import annotations

import gc
import json
import sys

from benchmarks.contenders.keras_ways import Fit
from benchmarks.machine import memory_now
from benchmarks.networks import NETWORKS
from benchmarks.problem import drawn
from compare import Report, lockstep

LOOKS = 8


def main() -> None:
    """Compare many steps of the digits network, and look at the process now and then."""
    steps = int(sys.argv[1])
    problem = drawn(NETWORKS["digits"], "SGD", "float32")
    held: list[tuple[int, float]] = []

    def look(report: Report) -> None:
        if report.steps % (steps // LOOKS) == 0:
            gc.collect()
            held.append((report.steps, memory_now()))

    lockstep(
        Fit(problem).model,
        problem.x,
        problem.y,
        batch_size=problem.architecture.batch,
        epochs=-(-steps // problem.architecture.batches),
        steps=steps,
        shuffle=False,
        on_step=look,
    ).raise_if_different()
    weights = sum(weight.nbytes for weight in problem.weights.values()) / 2**20
    print(json.dumps({"held": held, "weights": weights}))


if __name__ == "__main__":
    main()
