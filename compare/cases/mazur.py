"""The step-by-step 2-2-2 network: the most copied worked example of backpropagation."""

from __future__ import annotations

import numpy as np

from compare.cases.base import (
    HALF_SQUARED_SUM,
    Case,
    Number,
    Run,
    gradient,
    loss,
    output,
    weight,
)

X, T = np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])


def mazur() -> Case:
    """2-2-2 sigmoid network with frozen biases, E = Σ ½ (t − o)², learning rate 0.5."""
    run = Run(
        network="mazur",
        x=X,
        y=T,
        loss=HALF_SQUARED_SUM,
        learning_rate=0.5,
        batch_size=1,
        epochs=20,
        label="frozen biases",
        print_every=10,
    )
    trained = run.changed(
        label="trained biases", options={"train_biases": True}, epochs=10, print_every=5
    )
    return Case(
        name="mazur",
        title="2-2-2, w1 … w8, step by step; biases are not updated",
        runs=(run, trained),
        numbers=_numbers(),
        lesson="The error printed after one update, 0.291027924, comes from hidden deltas that "
        "use the already updated w5 … w8; the right one is 0.291027774.",
        symbols=SYMBOLS,
    )


SYMBOLS = {
    "hidden/kernel[0,0]": "w1",
    "hidden/kernel[1,0]": "w2",
    "hidden/kernel[0,1]": "w3",
    "hidden/kernel[1,1]": "w4",
    "output/kernel[0,0]": "w5",
    "output/kernel[1,0]": "w6",
    "output/kernel[0,1]": "w7",
    "output/kernel[1,1]": "w8",
    "hidden/bias[0]": "b1",
    "hidden/bias[1]": "b1",
    "output/bias[0]": "b2",
    "output/bias[1]": "b2",
    "input[0]": "i1",
    "input[1]": "i2",
    "hidden/pre_activation[0]": "net_h1",
    "hidden/pre_activation[1]": "net_h2",
    "hidden[0]": "out_h1",
    "hidden[1]": "out_h2",
    "output/pre_activation[0]": "net_o1",
    "output/pre_activation[1]": "net_o2",
    "output[0]": "out_o1",
    "output[1]": "out_o2",
}


def _numbers() -> tuple[Number, ...]:
    updated = "hidden deltas computed with the already updated w5 … w8 give what is printed"
    return (
        Number("out_h1", "0.593269992", output(X, "hidden", 0)),
        Number("out_h2", "0.596884378", output(X, "hidden", 1)),
        Number("net_o1", "1.105905967", output(X, "output/pre_activation", 0)),
        Number("out_o1", "0.75136507", output(X, "output", 0)),
        Number("out_o2", "0.772928465", output(X, "output", 1)),
        Number("E", "0.298371109", loss),
        Number("∂E/∂w5", "0.082167041", gradient("output/kernel", 0, 0)),
        Number("∂E/∂w1", "0.000438568", gradient("hidden/kernel", 0, 0)),
        Number("w5 after 1 update", "0.35891648", weight("output/kernel", 0, 0), after=1),
        Number("w6 after 1 update", "0.408666186", weight("output/kernel", 1, 0), after=1),
        Number("w7 after 1 update", "0.511301270", weight("output/kernel", 0, 1), after=1),
        Number("w8 after 1 update", "0.561370121", weight("output/kernel", 1, 1), after=1),
        Number("w1 after 1 update", "0.149780716", weight("hidden/kernel", 0, 0), after=1),
        Number("w2 after 1 update", "0.19956143", weight("hidden/kernel", 1, 0), after=1),
        Number("w3 after 1 update", "0.24975114", weight("hidden/kernel", 0, 1), after=1),
        Number("w4 after 1 update", "0.29950229", weight("hidden/kernel", 1, 1), after=1),
        Number("E after 1 update", "0.291027924", loss, after=1, right="0.291027774", why=updated),
        Number(
            "E after 10,000 updates",
            "0.0000351085",
            loss,
            after=10_000,
            right="0.0000351018778",
            why="what is printed is the error after 9,999 updates",
        ),
        Number("E after 9,999 updates", "0.0000351085481", loss, after=9_999, printed=False),
        Number(
            "out_o1 after 10,000 updates",
            "0.015912196",
            output(X, "output", 0),
            after=10_000,
            right="0.015913620",
            why=updated,
        ),
        Number(
            "out_o2 after 10,000 updates",
            "0.984065734",
            output(X, "output", 1),
            after=10_000,
            right="0.984064274",
            why=updated,
        ),
        Number(
            "E after 1 update, biases trained",
            "0.280471446791",
            loss,
            after=1,
            printed=False,
            run=1,
        ),
        Number("b1 of h1", "0.345614322655", weight("hidden/bias", 0), 1, printed=False, run=1),
        Number("b1 of h2", "0.345022872647", weight("hidden/bias", 1), 1, printed=False, run=1),
        Number("b2 of o1", "0.530750719186", weight("output/bias", 0), 1, printed=False, run=1),
        Number("b2 of o2", "0.619049118258", weight("output/bias", 1), 1, printed=False, run=1),
    )
