"""Three inputs, one output, three hidden layers, no biases: trained until it is close enough."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.cases.base import Case, Moment, Number, Run, output

X, Y = np.array([[0.1, 0.4, 4.1]]), np.array([[0.2]])
ASKED = np.array([[0.2, 3.1, 1.7]])
TOLERANCE = 1e-7
NEEDED = 117


def three_inputs() -> Case:
    """3-7-5-4-1, E = (p − y)², learning rate 0.7, at most 500 updates."""
    own: dict[str, Any] = {"printed": False}
    answer = output(ASKED, "output", 0)
    return Case(
        name="three_inputs",
        title="3-7-5-4-1 without biases, trained until |y − p| ≤ 1e-7",
        runs=(
            Run(
                network="three_inputs",
                x=X,
                y=Y,
                loss="mse",
                learning_rate=0.7,
                batch_size=1,
                epochs=500,
                stop_when_close=TOLERANCE,
                print_every=50,
            ),
        ),
        numbers=(
            Number("first prediction", "0.673572365705", output(X, "output", 0), **own),
            Number("the question answered", "0.199806395157", answer, NEEDED, **own),
            Number("close enough before update 116", "0", _close, NEEDED - 2, **own),
            Number("close enough before update 117", "1", _close, NEEDED - 1, **own),
        ),
        lesson="A published program for this network has wrong gradients, and still converges, "
        "after 123 updates: convergence proves nothing, and that is why one compares.",
    )


def _close(moment: Moment) -> float:
    return float(abs(moment.activations(X)["output"][0, 0] - Y[0, 0]) <= TOLERANCE)
