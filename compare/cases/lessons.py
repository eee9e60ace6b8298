"""Two lessons as cases: scale your inputs, and mind the learning rate."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_diabetes, load_wine

from compare.cases.base import Case, Run


def standardised(x: np.ndarray) -> np.ndarray:
    """Give every column the mean 0 and the standard deviation 1."""
    return np.asarray((x - x.mean(axis=0)) / x.std(axis=0))


def normalization() -> Case:
    """Train the same 13-8-3 network on raw and on standardised measurements of 178 wines."""
    data = load_wine()
    raw = Run(
        network="wine",
        x=data.data,
        y=np.eye(3)[data.target],
        loss="categorical_crossentropy",
        learning_rate=0.1,
        batch_size=16,
        epochs=10,
        label="raw inputs",
        drawn_by_keras=True,
        metrics=("accuracy",),
        shuffle=True,
        dtype="float32",
        print_every=5,
    )
    return Case(
        name="normalization",
        title="178 wines: the same network on raw and on standardised inputs",
        runs=(raw, raw.changed(label="standardised inputs", x=standardised(data.data))),
        lesson="On raw inputs the tanh units saturate at once and hardly learn.",
    )


def learning_rate() -> Case:
    """Train the same 10-6-1 network at three learning rates, the last of which overshoots."""
    data = load_diabetes(scaled=False)
    small = Run(
        network="diabetes",
        x=standardised(data.data),
        y=standardised(data.target[:, None]),
        loss="mse",
        learning_rate=0.01,
        batch_size=len(data.data),
        epochs=10,
        label="rate 0.01",
        drawn_by_keras=True,
        dtype="float32",
        print_every=5,
    )
    return Case(
        name="learning_rate",
        title="a small, a good and an overshooting learning rate",
        runs=(
            small,
            small.changed(label="rate 0.2", learning_rate=0.2),
            small.changed(label="rate 1", learning_rate=1.0, epochs=200, print_every=10),
        ),
        lesson="The halves agree on the way down and on the way up, to the step at which both "
        "become non-finite.",
    )
