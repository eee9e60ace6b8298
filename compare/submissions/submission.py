"""Somebody's own numbers: a backward pass or an update step, judged and diagnosed."""

from __future__ import annotations

from typing import Any

import keras

from compare.errors import BadInput
from compare.findings.report import Report
from compare.submissions.returned import Arrays, Returns, Step, called, checked_submission
from compare.submissions.right import RightStep


def check_gradients(
    model: keras.Model, x: Any, y: Any, gradients: Arrays, *, sample_weight: Any = None
) -> Report:
    """Judge gradients that somebody computed for a model's current weights and one batch.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, compiled. It is not trained.
    x, y : arrays, one batch
    gradients : sequence or mapping by name
        One array for each trainable weight, in Keras's order, each in the weight's shape.
    sample_weight : array, optional

    Returns
    -------
    Report
        ``.first`` is the first wrong gradient on the way back from the loss, with its cause.

    Raises
    ------
    BadInput
        If there are too few or too many arrays, or one has the wrong shape or isn't finite.

    Examples
    --------
    >>> report = compare.check_gradients(model, x, y, [dW1, db1, dW2, db2])  # doctest: +SKIP
    >>> print(report.first)  # doctest: +SKIP
    """
    return check_step(model, x, y, lambda *_: gradients, sample_weight=sample_weight)


def check_step(
    model: keras.Model,
    x: Any,
    y: Any,
    step: Step,
    *,
    returns: Returns = "gradients",
    sample_weight: Any = None,
) -> Report:
    """Judge a hand-written training step on one batch: its gradients, or its new weights.

    The step runs in this process: it is your own code, with all that it may do.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional, compiled. It is not trained.
    x, y : arrays, one batch
    step : callable
        ``step(weights, x, y)``, with a list of all weights in Keras's order. It returns one array
        for each trainable weight, as a sequence in that order or as a mapping by name.
    returns : {"gradients", "weights"}
        What the step returns.
    sample_weight : array, optional

    Raises
    ------
    BadInput
        If the step raises, or what it returns isn't one finite array of the right shape for each
        trainable weight.
    """
    if returns not in ("gradients", "weights"):
        raise BadInput(f"returns is 'gradients' or 'weights'. Received: {returns!r}.")
    right = RightStep(model, x, y, sample_weight)
    submitted = checked_submission(called(step, *right.given()), right.trainable, returns)
    report = Report(f"{model.name}, submitted {returns}", right.dtype, steps=1, notes=right.notes)
    comparisons, as_asked = right.comparisons(submitted, returns)
    for comparison in comparisons:
        report.add(1, 1, comparison)
    if as_asked:
        report.notes.append(
            f"{', '.join(as_asked)}: Keras rounds a constant to float32, the submission doesn't: "
            "that is right too"
        )
    return report
