"""Hours studied and slept → test score: a 2-3-1 network without biases, from a video series."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.cases.base import HALF_SQUARED_SUM, Case, Moment, Number, Run, output, weight

HOURS = np.array([[2.0, 9.0], [1.0, 5.0], [3.0, 6.0]])
SCORES = np.array([[92.0], [86.0], [89.0]])
RAW = HOURS[:1]
ASKED = np.array([[4.0, 8.0]])


def study_hours() -> Case:
    """Whole batch, E = ½ Σ (y − o)², learning rate 1; what is printed is the mean square."""
    run = Run(
        network="study_hours",
        x=HOURS / HOURS.max(axis=0),
        y=SCORES / 100.0,
        loss=HALF_SQUARED_SUM,
        learning_rate=1.0,
        batch_size=3,
        epochs=20,
        metrics=("mse",),
        print_every=10,
    )
    scaled = run.x
    slips = "2 · 0.6 + 9 · 0.3 is 3.9, not 7.5"
    return Case(
        name="study_hours",
        title="2-3-1 without biases: hours studied and slept → test score",
        runs=(run,),
        numbers=(
            Number("hidden sum 1 of (2, 9)", "7.6", output(RAW, "hidden/pre_activation", 0)),
            Number(
                "hidden sum 2 of (2, 9)",
                "7.5",
                output(RAW, "hidden/pre_activation", 1),
                right="3.9",
                why=slips,
            ),
            Number("hidden sum 3 of (2, 9)", "6.5", output(RAW, "hidden/pre_activation", 2)),
            Number(
                "σ of hidden sum 2",
                "1.000553084",
                output(RAW, "hidden", 1),
                right="0.980159694",
                why="no sigmoid exceeds 1: what is printed is 1/σ(7.5)",
            ),
            Number(
                "output sum of (2, 9)",
                "1.79832",
                output(RAW, "score/pre_activation", 0),
                right="1.78853",
                why="the wrong second unit is in it",
            ),
            Number(
                "output of (2, 9)",
                "0.8579443067",
                output(RAW, "score", 0),
                right="0.8567467964",
                why="it is the sigmoid of the wrong output sum",
            ),
            Number("output of (2, 9), as quoted", "0.85", output(RAW, "score", 0)),
            *(
                Number(f"first output {row + 1}", digits, output(scaled, "score", 0, row), 0, **own)
                for row, digits in enumerate(("0.774817050402", "0.748187113747", "0.766633035029"))
            ),
            Number("mean square", "0.0162665394775", _mean_square(run), 0, **own),
            Number("mean square after 1", "0.0123823287474", _mean_square(run), 1, **own),
            Number("mean square after 1,000", "0.000161060558093", _mean_square(run), 1000, **own),
            *(
                Number(
                    f"second-layer weight {unit + 1} after 1",
                    digits,
                    weight("score/kernel", unit, 0),
                    1,
                    **own,
                )
                for unit, digits in enumerate(
                    ("0.446258755641", "0.544596987322", "0.944101308125")
                )
            ),
            Number(
                "score of (4, 8) after 1,000, scaled by its own maximum to (0.5, 1)",
                "0.898969754750",
                output(ASKED / ASKED.max(), "score", 0),
                1000,
                **own,
            ),
        ),
        lesson="A new row is scaled by its own maximum, to (0.5, 1); with the maxima of the "
        "training rows it would be (4/3, 8/9).",
        symbols={"input[0]": "hours studied", "input[1]": "hours slept"},
    )


own: dict[str, Any] = {"printed": False}


def _mean_square(run: Run):  # type: ignore[no-untyped-def]
    def read(moment: Moment) -> float:
        return float(((run.y - moment.activations(run.x)["score"]) ** 2).mean())

    return read
