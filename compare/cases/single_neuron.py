"""Two inputs and one neuron: the smallest network that has a chain rule."""

from __future__ import annotations

import numpy as np

from compare.cases.base import (
    HALF_SQUARED_SUM,
    Case,
    Number,
    Run,
    delta,
    gradient,
    loss,
    output,
    weight,
)

X, T = np.array([[0.1, 0.3]]), np.array([[0.03]])


def single_neuron() -> Case:
    """E = ½ (desired − predicted)², learning rate 0.01."""
    run = Run(
        network="single_neuron",
        x=X,
        y=T,
        loss=HALF_SQUARED_SUM,
        learning_rate=0.01,
        batch_size=1,
        epochs=10,
        print_every=5,
    )
    return Case(
        name="single_neuron",
        title="one neuron: s = 0.1·0.5 + 0.3·0.2 + 1.83",
        runs=(run,),
        numbers=(
            Number("s", "1.94", output(X, "neuron/pre_activation", 0)),
            *(
                Number(what, digits, value, after, printed=False)
                for what, digits, value, after in (
                    ("predicted", "0.874352143485", output(X, "neuron", 0), 0),
                    ("E", "0.356465271104", loss, 0),
                    ("∂E/∂predicted", "0.844352143485", delta("neuron", 0), 0),
                    ("∂E/∂w1", "0.00927609255818", gradient("neuron/kernel", 0, 0), 0),
                    ("∂E/∂w2", "0.0278282776746", gradient("neuron/kernel", 1, 0), 0),
                    ("∂E/∂b", "0.0927609255818", gradient("neuron/bias", 0), 0),
                    ("w1 after 1 update", "0.499907239074", weight("neuron/kernel", 0, 0), 1),
                    ("w2 after 1 update", "0.199721717223", weight("neuron/kernel", 1, 0), 1),
                    ("b after 1 update", "1.82907239074", weight("neuron/bias", 0), 1),
                    ("predicted after 1 update", "0.874240002309", output(X, "neuron", 0), 1),
                    ("E after 1 update", "0.356370590749", loss, 1),
                )
            ),
        ),
        symbols={
            "input[0]": "x1",
            "input[1]": "x2",
            "neuron/kernel[0,0]": "w1",
            "neuron/kernel[1,0]": "w2",
            "neuron/bias[0]": "b",
            "neuron/pre_activation[0]": "s",
            "neuron[0]": "predicted",
        },
    )
