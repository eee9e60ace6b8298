"""The networks that bugs are planted in, each with its data.

A family of layers has its own; this one is for everything that a Dense network can show.
"""

from __future__ import annotations

from typing import Any, Protocol

import keras
import numpy as np

BATCH, SAMPLES, WIDTH = 8, 19, 4
"""Two full batches, and a last one of 3 samples."""

Planted = tuple[keras.Model, np.ndarray, np.ndarray]
"""A model that isn't compiled yet, its inputs and its targets."""


class Choice(Protocol):
    """What a bug says about its network."""

    activation: str
    last: str


def generator() -> np.random.Generator:
    """Return where all networks draw their data from."""
    return np.random.default_rng(5)


def spread() -> dict[str, Any]:
    """Return options for a layer whose bias shall matter from the first step on."""
    return {"bias_initializer": keras.initializers.RandomNormal(stddev=0.3)}


def dense(bug: Choice) -> Planted:
    """Three Dense layers of one width, so that every matrix may be transposed unnoticed."""
    layer = keras.layers.Dense
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            layer(WIDTH, bug.activation, name="first", **spread()),
            layer(WIDTH, bug.activation, name="second", **spread()),
            layer(WIDTH, bug.last, name="last", **spread()),
        ]
    )
    draw = generator()
    x = draw.normal(size=(SAMPLES, WIDTH))
    return model, x, draw.dirichlet(np.ones(WIDTH), size=SAMPLES)
