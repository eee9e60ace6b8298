"""A gradient that almost matches Keras: a question that was closed without an answer."""

from __future__ import annotations

import numpy as np

from compare.cases.base import Case, Number, Run, weight

X, Y = np.array([[0.0, 0.0]]), np.array([[0.0]])


def hand_vs_keras() -> Case:
    """2-5-1 without biases, all weights alike, mean absolute error, learning rate 0.01."""
    single = Run(
        network="hand_vs_keras",
        x=X,
        y=Y,
        loss="mean_absolute_error",
        learning_rate=0.01,
        batch_size=1,
        epochs=10,
        label="float32",
        dtype="float32",
        print_every=5,
    )
    second_layer = weight("output/kernel", 0, 0)
    return Case(
        name="hand_vs_keras",
        title="0.19926 by hand against Keras's 0.19882: which one is right?",
        runs=(single, single.changed(label="float64", dtype="float64")),
        numbers=(
            Number("second-layer weights, as Keras prints them", "0.19882499", second_layer, 1),
            Number(
                "second-layer weights in float64",
                "0.198824981",
                second_layer,
                1,
                run=1,
                printed=False,
            ),
            Number(
                "second-layer weights by hand",
                "0.19926",
                second_layer,
                1,
                run=1,
                right="0.19882",
                why="0.199268599 is what the derivative of ½ (y − o)² gives; Keras was told "
                "to use the mean absolute error",
            ),
        ),
        lesson="Keras is right: the hand calculation differentiates another loss.",
    )
