"""Gradient descent on a straight line: three ways to the same derivative."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_diabetes

from compare.cases.base import Case, Moment, Number, Run, weight

X, Y = np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [2.0], [4.0]])
WAYS = {
    "derivative written down": "derivative_written_down",
    "central difference": "central_difference",
}


def linear_regression() -> Case:
    """Fit y = W x by hand at four rates; then the diabetes data, standardised."""
    line = Run(
        network="straight_line",
        x=X,
        y=Y,
        loss="mse",
        learning_rate=0.3,
        batch_size=3,
        epochs=6,
        label="rate 0.3",
        other_ways=WAYS,
    )
    rates = [line.changed(label=f"rate {rate}", learning_rate=rate) for rate in (0.5, 0.6, 0.7)]
    from_4 = line.changed(label="from W = 4", options={"weight": 4.0}, epochs=1)
    data = load_diabetes(scaled=False)
    patients = Run(
        network="diabetes_line",
        x=(data.data - data.data.mean(axis=0)) / data.data.std(axis=0),
        y=data.target[:, None],
        loss="mse",
        learning_rate=0.2,
        batch_size=len(data.data),
        epochs=15,
        label="diabetes",
        other_ways=WAYS,
        print_every=5,
    )
    return Case(
        name="linear_regression",
        title="a line fitted by derivative, backpropagation, difference",
        runs=(line, *rates, patients, from_4),
        numbers=(
            *(
                Number(
                    f"squared error of W = {w} at x = {x}", digits, _squared_error(x), n, run=run
                )
                for w, n, run, row in (
                    (3, 0, 0, ("0", "1", "4")),
                    (2, 1, 0, ("0", "0", "0")),
                    (4, 0, 5, ("0", "4", "16")),
                )
                for x, digits in enumerate(row)
            ),
            Number("W after 1 update, rate 0.3", "2", weight("line/kernel", 0, 0), 1),
            Number(
                "W after 1 update, rate 0.5",
                "1.33",
                weight("line/kernel", 0, 0),
                1,
                run=1,
                printed=False,
            ),
            *(
                Number(
                    f"W after {n} updates, rate 0.6", digit, weight("line/kernel", 0, 0), n, run=2
                )
                for n, digit in enumerate("1313", start=1)
            ),
            Number(
                "W after 6 updates, rate 0.7",
                "7.62",
                weight("line/kernel", 0, 0),
                6,
                run=3,
                printed=False,
            ),
            *_closed_form(patients),
        ),
        lesson="With W = 2 the error is 0; the sign of the derivative says which way to go. Above "
        "rate 0.6 every step overshoots by more than it corrects.",
        symbols={"line/kernel[0,0]": "W"},
    )


def _squared_error(x: int):  # type: ignore[no-untyped-def]
    def read(moment: Moment) -> float:
        return float((moment.activations(X)["line"][x, 0] - Y[x, 0]) ** 2)

    return read


def _closed_form(run: Run) -> list[Number]:
    """Return the least-squares solution, which gradient descent must arrive at."""
    with_ones = np.hstack([run.x, np.ones((len(run.x), 1))])
    solution, *_ = np.linalg.lstsq(with_ones, run.y, rcond=None)
    return [
        Number(
            f"least-squares weight {i + 1}",
            f"{solution[i, 0]:.6f}",
            weight("line/kernel", i, 0),
            UPDATES_TO_THE_END,
            printed=False,
            run=4,
        )
        for i in range(10)
    ] + [
        Number(
            "least-squares bias",
            f"{solution[10, 0]:.6f}",
            weight("line/bias", 0),
            UPDATES_TO_THE_END,
            printed=False,
            run=4,
        )
    ]


UPDATES_TO_THE_END = 10_000
"""The inputs' correlation has 0.0086 as its smallest eigenvalue: (1 − 2·0.2·0.0086)^10,000 ≈ 1e-15
of the way is left."""
