"""The two halves of a worked example, each built and trained on its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np

import keras_models.networks
import manual.networks
from compare.cases.base import Run
from compare.twins.twin import copy_weights
from keras_models.stepper import Stepper
from manual.network import Network, batches
from manual.replay import Rehearsed

Progress = Callable[[str, int, int], None]
"""Receives what is going on, how many steps are done, and of how many."""
CHUNK = 10_000
"""Updates between two signs of life."""


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
        self.rehearsed = Rehearsed(network)

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
        for update in range(self.updates, updates):
            rows = self.rows[update % len(self.rows)]
            self.rehearsed.differentiate([self.x], [self.y], rows)
            self.network.update()
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
