"""Copies of a model, on which to try what must not touch the model itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from keras_models import naming


def copied(model: keras.Model, remade: Callable[[Any], Any] | None = None) -> keras.Model:
    """Return a model of the same layers, with weights of its own, not compiled.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional.
    remade : callable, optional
        Makes a layer of the copy; by default from the configuration of the model's.
    """
    copy = keras.models.clone_model(model, clone_function=remade)
    for own, variable in zip(
        naming.weights(copy).values(), naming.weights(model).values(), strict=True
    ):
        if own.trainable != variable.trainable:  # which a layer's configuration doesn't say
            own.trainable = variable.trainable
    return copy
