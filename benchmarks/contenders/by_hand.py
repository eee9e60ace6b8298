"""The hand-written half: `manual.Network.fit`, through its public face."""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np

import manual
import manual.layers
from benchmarks.contenders.base import Contender
from benchmarks.contenders.blas import about_numpy
from benchmarks.networks import Architecture, Layer, assembled
from benchmarks.problem import Problem
from manual.layers import Symbol


def network_of(architecture: Architecture, dtype: str) -> manual.Network:
    """Build the network from layers whose derivatives are written by hand."""

    def apply(layer: Layer, sources: Sequence[Symbol]) -> Symbol:
        twin: manual.Layer = getattr(manual.layers, layer.kind)(name=layer.name, **layer.options)
        return twin(*sources)

    first = manual.Input(architecture.shape)
    return manual.Network(first, assembled(architecture, first, apply), dtype=dtype)


class ByHand(Contender):
    """`manual.Network.fit` over whole epochs."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.network = network_of(problem.architecture, problem.dtype)
        self.about = about_numpy()

    def reset(self) -> None:
        self.network.compile(self.problem.architecture.loss, self.problem.keras_optimizer)
        self.network.set_weights(self.problem.weights)

    def fit(self, x: np.ndarray, y: np.ndarray, epochs: int = 1) -> float:
        """Train; return the last epoch's loss."""
        batch = self.problem.architecture.batch
        return self.network.fit(x, y, batch_size=batch, epochs=epochs, shuffle=False)[-1]

    def losses(self, steps: int) -> list[float]:
        self.reset()
        return [self.fit(*self.problem.batch(number)) for number in range(steps)]

    def burst(self, epochs: int) -> float:
        self.reset()
        self.fit(*self.problem.batch(0))
        start = time.perf_counter()
        self.fit(self.problem.x, self.problem.y, epochs)
        return time.perf_counter() - start
