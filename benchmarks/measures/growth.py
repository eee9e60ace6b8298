"""How the time of a hand-written step grows with width, depth, batch and parameters.

python -m benchmarks.measures.growth ROUNDS
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

import manual

WIDTHS = (16, 32, 64, 128, 256, 512, 1024)
DEPTHS = (1, 2, 4, 8, 16)
BATCHES = (1, 8, 32, 128, 512)
LEAST = 0.05
"""Seconds that one measurement takes at least."""


@dataclass(frozen=True)
class Point:
    """A dense network of ReLU layers, all of one width, between 64 inputs and 10 classes."""

    width: int = 64
    depth: int = 2
    batch: int = 32

    def network(self) -> manual.Network:
        """Build and compile it."""
        first = last = manual.Input((64,))
        for number in range(self.depth):
            last = manual.Dense(self.width, "relu", name=f"hidden{number}")(last)
        network = manual.Network(first, manual.Dense(10, "softmax", name="output")(last))
        network.compile("categorical_crossentropy", "SGD")
        return network

    def timer(self) -> tuple[int, Callable[[], float]]:
        """Return how many parameters it has, and a function that times a step of ``fit``."""
        network, batches = self.network(), 8
        generator = np.random.default_rng(0)
        x = generator.normal(size=(batches * self.batch, 64)).astype(np.float32)
        y = np.eye(10, dtype=np.float32)[generator.integers(10, size=len(x))]

        def seconds(epochs: int) -> float:
            start = time.perf_counter()
            network.fit(x, y, batch_size=self.batch, epochs=epochs, shuffle=False)
            return time.perf_counter() - start

        seconds(1)
        epochs = max(1, round(LEAST / seconds(1)))
        return network.values.size, lambda: seconds(epochs) / (epochs * batches)


def curve(points: dict[int, Point], rounds: int) -> list[dict[str, float]]:
    """Time all points in turn, several rounds; return size, parameters and median seconds."""
    timers = {size: point.timer() for size, point in points.items()}
    taken: dict[int, list[float]] = {size: [] for size in points}
    for _ in range(rounds):
        for size, (_, timed) in timers.items():
            taken[size].append(timed())
    return [
        {"size": size, "parameters": timers[size][0], "seconds": statistics.median(seconds)}
        for size, seconds in taken.items()
    ]


def main() -> None:
    """Measure the three curves; the one over width tells of parameters as well."""
    rounds = int(sys.argv[1])
    curves = {
        "width": curve({n: Point(width=n) for n in WIDTHS}, rounds),
        "depth": curve({n: Point(depth=n) for n in DEPTHS}, rounds),
        "batch": curve({n: Point(batch=n) for n in BATCHES}, rounds),
    }
    print(json.dumps(curves))


if __name__ == "__main__":
    main()
