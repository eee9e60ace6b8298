"""One weight matrix a layer and a column of ones instead of biases, one sample at a time."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from compare.cases.base import (
    HALF_SQUARED_SUM,
    Case,
    Moment,
    Number,
    Run,
    loss,
    output,
)

XOR_X = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
XOR_Y = np.array([[0.0], [1.0], [1.0], [0.0]])
FIGURE = XOR_X[1:2]
ONES = {"matrices and a column of ones": "column_of_ones"}
EPOCHS = 20_000
EPOCH = len(XOR_X)


def xor_bias_trick() -> Case:
    """[2, 2, 1], 3-3-1 inside, from the weights of the tutorial's figure."""
    return Case(
        name="xor_bias_trick",
        title="XOR with [2, 2, 1]: the bias trick, one sample at a time",
        runs=(_xor("xor_bias_trick", epochs=10),),
        numbers=(
            Number("hidden 1 of (0, 1)", "0.899", output(FIGURE, "hidden", 0)),
            Number("hidden 2 of (0, 1)", "0.593", output(FIGURE, "hidden", 1)),
            Number("hidden 3 of (0, 1)", "0.378", output(FIGURE, "hidden", 2)),
            Number("output of (0, 1)", "0.506", output(FIGURE, "output", 0)),
            Number("loss", "0.498822834105", loss, printed=False),
            Number("loss after 1 epoch", "0.498784990426", loss, EPOCH, printed=False),
            Number("loss after 200 epochs", "0.496168427465", loss, 200 * EPOCH, printed=False),
            Number(
                "loss after 20,000 epochs",
                "0.0002662715993",
                loss,
                EPOCHS * EPOCH,
                printed=False,
                long=True,
            ),
            *(
                Number(
                    f"XOR of {row[0]:.0f} and {row[1]:.0f} after {epochs:,} epochs",
                    digit,
                    output(XOR_X, "output", 0, sample),
                    epochs * EPOCH,
                    printed=False,
                    long=epochs == EPOCHS,
                )
                for epochs in (2_000, EPOCHS)  # it has learnt long before the tutorial stops
                for sample, (row, digit) in enumerate(zip(XOR_X, "0110", strict=True))
            ),
        ),
        lesson="Two of the figure's activations are truncated, not rounded.",
    )


def xor_no_hidden() -> Case:
    """[2, 1] on XOR: whatever the weights, it ends in the same place, and not at XOR."""
    predictions = ("0.5161", "0.5000", "0.4839", "0.4678")
    return Case(
        name="xor_no_hidden",
        title="XOR with [2, 1]: no hidden layer, so it can't be learnt",
        runs=(_xor("xor_no_hidden", epochs=10),),
        numbers=tuple(
            Number(
                f"prediction {sample + 1} after {epochs:,} epochs",
                digits,
                output(XOR_X, "output", 0, sample),
                epochs * EPOCH,
                long=epochs == EPOCHS,
            )
            for epochs in (1_000, EPOCHS)  # it has arrived long before the tutorial stops
            for sample, digits in enumerate(predictions)
        ),
        lesson="Every prediction ends near 0.5: a single layer draws one straight line.",
    )


def _xor(network: str, epochs: int) -> Run:
    return Run(
        network=network,
        x=XOR_X,
        y=XOR_Y,
        loss=HALF_SQUARED_SUM,
        learning_rate=0.5,
        batch_size=1,
        epochs=epochs,
        other_ways=ONES,
        print_every=5,
    )


def digits_bias_trick() -> Case:
    """[64, 32, 16, 10] on the 1,797 real digits, 75/25 split, one-hot targets."""
    data = load_digits()
    pixels = (data.data - data.data.min()) / (data.data.max() - data.data.min())
    x, x_test, y, y_test = train_test_split(
        pixels, np.eye(10)[data.target], test_size=0.25, random_state=42
    )

    def recognised(moment: Moment) -> float:
        answers = moment.activations(x_test)["output"].argmax(axis=1)
        return float((answers == y_test.argmax(axis=1)).mean())

    return Case(
        name="digits_bias_trick",
        title="1,797 digits with [64, 32, 16, 10]: the bias trick again",
        runs=(
            Run(
                network="digits_bias_trick",
                x=x,
                y=y,
                loss=HALF_SQUARED_SUM,
                learning_rate=0.1,
                batch_size=1,
                epochs=1,
                other_ways=ONES,
            ),
        ),
        numbers=(
            Number("loss after 1 epoch", "606.330527544", loss, len(x), printed=False),
            Number(
                "share of the 450 test digits recognised after 1,000 epochs",
                "0.97",
                recognised,
                1000 * len(x),
                printed=False,
                long=True,
            ),
        ),
        lesson="Guessing 0.1 everywhere has the loss 606.15: one epoch teaches nothing yet.",
    )
