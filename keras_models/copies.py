"""Copies of a model, on which to try what must not touch the model itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import keras

from keras_models import naming, own_functions
from keras_models.pieces import OneOperation
from keras_models.precision import precision


class CannotRun(Exception):
    """Keras can't run something on its own; the message says why."""


def copied(model: keras.Model, dtype: str | None = None) -> keras.Model:
    """Return a model of the same layers, with weights of its own, not compiled.

    Parameters
    ----------
    model : keras.Model
        Sequential or Functional.
    dtype : str, optional
        What its layers compute in; by default what the model's do.
    """
    compiled, model.compiled = model.compiled, False  # the copy shall not be, and a metric's
    try:  # configuration can't always be read back: that of AUC with label_weights
        remade = partial(_remade, dtype=dtype)
        with own_functions.named(model) as found:
            known = {name: own.function for name, own in found.items()} | _own_classes(model)
            with keras.saving.custom_object_scope(known):  # one scope: they don't add up
                copy = keras.models.clone_model(model, clone_function=remade, recursive=True)
    finally:
        model.compiled = compiled
    originals = dict(naming.layers(model))
    for path, layer in naming.layers(copy):
        if path in originals:  # inputs get other names
            naming.name_like(layer, originals[path])
    for own, variable in zip(
        naming.weights(copy).values(), naming.weights(model).values(), strict=True
    ):
        if own.trainable != variable.trainable:  # which a layer's configuration doesn't say
            own.trainable = variable.trainable
    for path, layer in naming.layers(copy):
        if isinstance(layer, keras.layers.Normalization):
            original = originals[path]
            layer.set_weights(original.get_weights())
            # It computes with constants, made of its weights or of what its configuration rounds.
            layer.mean = keras.ops.cast(original.mean, layer.compute_dtype)
            layer.variance = keras.ops.cast(original.variance, layer.compute_dtype)
    return copy


def _own_classes(model: keras.Model) -> dict[str, type]:
    """Return the classes of layers that Keras has not made, by which it reads configurations."""
    kinds = {type(layer) for layer in model._flatten_layers()}
    return {kind.__name__: kind for kind in kinds if not kind.__module__.startswith("keras")}


def compile_config(model: keras.Model) -> dict[str, Any]:
    """Return the configuration of what a model was compiled with, to compile a copy.

    Without metrics, for which nobody asks the copy, and with an optimizer for the time being: what
    the user wrote of either can't always be written down.
    """
    given = {**model._compile_config.config, "metrics": None, "weighted_metrics": None}
    config: dict[str, Any] = keras.saving.serialize_keras_object({**given, "optimizer": "sgd"})
    return config


def _remade(layer: Any, dtype: str | None) -> Any:
    """Make a layer anew; an operation, of which masks are made, has no dtype."""
    config = layer.get_config()
    whole = isinstance(layer, keras.Layer) and naming.is_of_whole_numbers(layer.dtype_policy)
    if dtype is not None and isinstance(layer, keras.layers.Layer) and not whole:
        config["dtype"] = dtype
    if isinstance(layer, keras.layers.Lambda):  # Keras refuses to read a function from bytes
        return keras.layers.Lambda(
            layer.function,
            output_shape=layer._output_shape,
            mask=layer.mask,
            arguments=layer.arguments,
            activity_regularizer=layer.activity_regularizer,
            name=layer.name,
            dtype=config["dtype"],
        )
    if isinstance(layer, OneOperation):
        return OneOperation(
            layer.operation, *layer.arguments, name=layer.name, dtype=config["dtype"]
        )
    made = type(layer).from_config(config)
    made.name = layer.name  # which the configuration of a user's own layer may not have
    return made


@contextmanager
def computing_in(dtype: str) -> Iterator[None]:
    """Let Keras compute in a precision for a while; turn what it can't do into `CannotRun`."""
    try:
        with precision(dtype):
            yield
    except CannotRun:
        raise
    except Exception as error:  # Keras has layers without a float64 kernel, and many errors
        told = str(error).strip().partition("\n")[0]
        raise CannotRun(f"Keras can't run it in {dtype}: {told}") from error
