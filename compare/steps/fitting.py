"""What surrounds a ``fit`` that is followed: one step at a time, its errors in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras
import tensorflow as tf

from compare.data.sources import Source
from compare.errors import BadInput, in_a_sentence
from compare.findings.report import Report
from compare.steps.following import Follower


@contextmanager
def one_step_at_a_time(model: keras.Model, report: Report) -> Iterator[None]:
    """Let ``fit`` hand over after every step, which gives the same numbers to the last bit."""
    together = model.steps_per_execution
    if together != 1:
        report.notes.append(
            f"trained with steps_per_execution=1 in place of {together}, to see every step"
        )
    model.steps_per_execution = 1
    try:
        yield
    finally:
        model.steps_per_execution = together


@contextmanager
def told_in_a_sentence(follower: Follower, *sources: Source | None) -> Iterator[None]:
    """Turn what Keras and TensorFlow say of bad data into one sentence."""
    try:
        yield
    except BadInput:
        raise
    except Exception as error:
        for source in sources:
            if source is not None and source.error is not None:
                raise source.error from None
        if isinstance(error, tf.errors.OpError):
            when = f"at step {follower.report.steps + 1}"
            raise BadInput(f"Keras's fit failed {when}: {in_a_sentence(error)}") from error
        if not follower.begun:  # else it is a mistake of ours, or of a callback
            raise BadInput(f"Keras's fit refuses this: {in_a_sentence(error)}") from error
        raise
