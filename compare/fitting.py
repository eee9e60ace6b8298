"""What surrounds a ``fit`` that is followed: the model's graph before it, its errors after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from compare.errors import BadInput, in_a_sentence
from compare.following import Follower
from compare.report import Report
from compare.sources import Source
from compare.twins import has_twin, model_config
from keras_models.graphs import build_for, graph_of, tells_graph
from keras_models.symbols import NoGraph


def build(model: keras.Model, x: Any) -> None:
    """Build a model for its data, as ``fit`` would, if it isn't built yet."""
    try:
        build_for(model, x)
    except Exception as error:  # whatever its own code says of such inputs
        raise BadInput(
            f"The model {model.name!r} can't be built for the data: {in_a_sentence(error)}"
        ) from error


def graph_for(model: keras.Model, x: Any, *, strict: bool = False) -> keras.Model:
    """Return the model, or the graph of it where it is subclassed or has a user's own layers.

    With ``strict`` operations without a twin are left as they are, to be refused.
    """

    def is_known(part: Any) -> bool:
        return has_twin(part) or (strict and not isinstance(part, keras.layers.Layer))

    try:
        graph = graph_of(model, x, is_known)
    except NoGraph as error:
        if tells_graph(model):
            graph = model
        else:
            raise BadInput(
                f"The subclassed model {model.name!r} ({type(model).__name__}) {error}. Write it "
                "as a Sequential or Functional model, or let its call only call layers."
            ) from None
    model_config(graph)
    return graph


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
