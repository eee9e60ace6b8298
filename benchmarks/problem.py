"""What a worker is handed: a network, how it is trained, its first weights and its data."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.networks import NETWORKS, Architecture

Array = np.ndarray

# Keras rounds rates to float32, in every precision; these mean the same to everybody. PyTorch adds
# ε behind the bias correction and Keras before it; with one so small that it never counts, both are
# the same rule, and their losses can be held against each other.
OPTIMIZERS: dict[str, dict[str, float]] = {
    "SGD": {"learning_rate": 2.0**-4},
    "Adam": {
        "learning_rate": 2.0**-10,
        "beta_1": 1 - 2.0**-3,
        "beta_2": 1 - 2.0**-10,
        "epsilon": 1e-20,
    },
}
DTYPES = ("float32", "float64")
CHECKED = 5
"""Steps whose losses are compared before anything is timed."""


@dataclass(frozen=True)
class Problem:
    """A network with its first weights, its data, and the way it is trained.

    Attributes
    ----------
    architecture : Architecture
    optimizer, dtype : str
    weights : dict of str to array
        By Keras's names (``"hidden1/kernel"``).
    x, y : arrays with one row per sample
        ``y`` holds a row of zeros and a one where the network tells classes.
    """

    architecture: Architecture
    optimizer: str
    dtype: str
    weights: dict[str, Array]
    x: Array
    y: Array

    @property
    def options(self) -> dict[str, float]:
        """What the optimizer is told."""
        return OPTIMIZERS[self.optimizer]

    @property
    def rate(self) -> float:
        return self.options["learning_rate"]

    @property
    def keras_optimizer(self) -> dict[str, Any]:
        """The optimizer as Keras writes it down, which the hand-written half reads as well."""
        return {"class_name": self.optimizer, "config": dict(self.options)}

    def batch(self, number: int) -> tuple[Array, Array]:
        """Return one batch as views."""
        rows = slice(number * self.architecture.batch, (number + 1) * self.architecture.batch)
        return self.x[rows], self.y[rows]

    def batches(self) -> list[tuple[Array, Array]]:
        """Return an epoch's batches in order."""
        return [self.batch(number) for number in range(self.architecture.batches)]

    def save(self, path: Path) -> None:
        """Write everything to one file, for a process of its own to load."""
        about = json.dumps([self.architecture.name, self.optimizer, self.dtype])
        np.savez(path, about=np.array(about), x=self.x, y=self.y, **self.weights)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Problem:
        """Read what `save` wrote."""
        with np.load(path) as file:
            arrays = {name: file[name] for name in file.files}
        name, optimizer, dtype = json.loads(str(arrays.pop("about")))
        x, y = arrays.pop("x"), arrays.pop("y")
        return cls(NETWORKS[name], optimizer, dtype, arrays, x, y)


def drawn(architecture: Architecture, optimizer: str, dtype: str, seed: int = 0) -> Problem:
    """Draw weights, in Keras's order, and data with NumPy."""
    from benchmarks.contenders.by_hand import network_of

    generator = np.random.default_rng(seed)
    shapes = {name: p.shape for name, p in network_of(architecture, dtype).parameters.items()}
    weights = {name: first_weight(name, shape, generator) for name, shape in shapes.items()}
    samples = architecture.batch * architecture.batches
    x = generator.normal(size=(samples, *architecture.shape))
    if architecture.loss == "mse":
        y = generator.uniform(size=(samples, architecture.outputs))
    else:
        y = np.eye(architecture.outputs)[generator.integers(architecture.outputs, size=samples)]
    return Problem(
        architecture,
        optimizer,
        dtype,
        {name: weight.astype(dtype) for name, weight in weights.items()},
        x.astype(dtype),
        y.astype(dtype),
    )


def first_weight(name: str, shape: tuple[int, ...], generator: np.random.Generator) -> Array:
    """Draw one weight: nothing at 0 or 1 that could hide a forgotten term, but moving averages."""
    kind = name.rpartition("/")[2]
    noise = generator.normal(size=shape)
    if kind.endswith("kernel"):
        return noise / math.sqrt(math.prod(shape[:-1]))
    if kind.startswith("moving"):
        return np.full(shape, 1.0 if kind == "moving_variance" else 0.0)
    return (1.0 if kind == "gamma" else 0.0) + 0.1 * noise
