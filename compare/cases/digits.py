"""The 1,797 handwritten digits, the way one does it today."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from compare.cases.base import Case, Goal, Run


def digits() -> Case:
    """64-32-16-10, ReLU and softmax, cross-entropy, mini-batches of 32, Adam."""
    data = load_digits()
    order = np.random.default_rng(0).permutation(len(data.data))
    single = Run(
        network="digits",
        x=data.data[order] / 16.0,
        y=np.eye(10)[data.target[order]],
        loss="categorical_crossentropy",
        optimizer="Adam",
        learning_rate=0.003,
        batch_size=32,
        epochs=10,
        label="float32",
        drawn_by_keras=True,
        metrics=("accuracy",),
        shuffle=True,
        validation_split=0.2,
        dtype="float32",
        print_every=5,
    )
    return Case(
        name="digits",
        title="1,797 digits with 64-32-16-10: ReLU, softmax, Adam",
        runs=(single, single.changed(label="float64", dtype="float64", epochs=5)),
        goals=(Goal("validation accuracy", "val_accuracy", 0.96, run=0),),
    )
