"""The hand-written half: `manual.Network.fit`, through its public face."""

from __future__ import annotations

import time
from collections.abc import Sequence

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
        applied: Symbol = twin(*sources)
        return applied

    first = manual.Input(architecture.shape)
    return manual.Network(first, assembled(architecture, first, apply), dtype=dtype)


class ByHand(Contender):
    """`manual.Network.fit`."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.network = network_of(problem.architecture, problem.dtype)
        self.about = about_numpy()

    def reset(self) -> None:
        self.network.compile(self.problem.architecture.loss, self.problem.keras_optimizer)
        self.network.set_weights(self.problem.weights)

    def losses(self, steps: int) -> list[float]:
        self.reset()
        batch = self.problem.architecture.batch
        losses = []
        for number in range(steps):
            x, y = self.problem.batch(number)
            losses += self.network.fit(x, y, batch_size=batch, shuffle=False)
        return losses

    def burst(self, epochs: int) -> float:
        """Time what follows the first epoch: in it a step is recorded, as others compile theirs."""
        self.reset()
        ends: list[float] = []
        self.network.fit(
            self.problem.x,
            self.problem.y,
            batch_size=self.problem.architecture.batch,
            epochs=1 + epochs,
            shuffle=False,
            on_epoch=lambda epoch, loss: ends.append(time.perf_counter()),
        )
        return ends[-1] - ends[0]
