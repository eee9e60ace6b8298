"""Hooks on layers, random draws and the optimizer: they note what passes, and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf
from tensorflow.python.ops import gen_stateless_random_ops_v2 as generators


def applied(optimizer: Any, gradients: Sequence[Any], variables: Sequence[Any]) -> list[Any]:
    """Apply the gradients; return what clipping left of them, if it can be asked and is read."""
    options = ("clipnorm", "global_clipnorm", "clipvalue", "loss_scale_factor")
    readable = not optimizer.gradient_accumulation_steps
    kept = readable and any(getattr(optimizer, option) is not None for option in options)
    processed: list[Any] = []
    own = optimizer._clip_gradients

    def clip(gradients: Any) -> Any:
        clipped = own(gradients)
        if kept:
            processed[:] = clipped
        return clipped

    optimizer._clip_gradients = clip
    try:
        optimizer.apply(gradients, variables)
    finally:
        del optimizer._clip_gradients
    return processed


DRAWING = ("stateless_random_uniform_v2", "stateless_random_normal_v2")
"""TensorFlow's operations behind every random number of a Keras layer, before any scaling."""


def record_draws(operation: str, drawn: dict[str, Any], current: list[str]) -> Callable[[], None]:
    """Make a drawing operation note what it gives under the layer's name; return what undoes it."""
    own = getattr(generators, operation)

    def draw(*args: Any, **kwargs: Any) -> Any:
        numbers = own(*args, **kwargs)
        count = sum(name.rpartition("/")[0] == current[0] for name in drawn)
        drawn[f"{current[0]}/{count}"] = numbers
        return numbers

    setattr(generators, operation, draw)
    return lambda: setattr(generators, operation, own)


def _anew(tensor: Any) -> Any:
    """Return the same numbers in a tensor of their own.

    A layer that returns what it got has a gradient of its own at its output: what others do with
    its input, or the layer itself with one of its outputs, is no part of it.
    """
    if not tf.is_tensor(tensor):
        return tensor
    own = tf.identity(tensor)
    for attribute in ("_keras_mask", "_keras_logits"):
        if hasattr(tensor, attribute):
            setattr(own, attribute, getattr(tensor, attribute))
    return own


def record_layer(
    layer: Any,
    names: list[str],
    seen: dict[str, Any],
    masks: dict[str, Any],
    current: list[str],
) -> Callable[[], None]:
    """Make a layer note its outputs and masks, one name per call; return what undoes it.

    ``current`` says which call is being made.
    """
    calls = iter(names)
    within = layer._flatten_layers(include_self=False) if isinstance(layer, keras.Layer) else ()
    costs_within = any(part.activity_regularizer is not None for part in within)
    own_call = layer.call
    # The activations of a recurrent layer, or of a cell, are no step of their own.
    activation = vars(layer).get("activation") or keras.activations.linear
    has_activation = (
        activation is not keras.activations.linear
        and not isinstance(layer, keras.layers.Activation)
        and not hasattr(layer, "state_size")
    )

    def call(*args: Any, **kwargs: Any) -> Any:
        current[:] = [next(calls)]
        if tf.is_tensor(kwargs.get("mask")):
            masks[current[0]] = kwargs["mask"]
        taken = {id(one) for one in tf.nest.flatten([args, kwargs])}
        y = own_call(*args, **kwargs)
        outputs = [id(one) for one in tf.nest.flatten(y)]
        # Of several outputs one may be what another was made of: the weights of attention. And
        # what a layer within gives may cost something, which is that layer's affair.
        known = taken | set(outputs if len(outputs) > 1 or costs_within else ())
        y = tf.nest.map_structure(lambda one: _anew(one) if id(one) in known else one, y)
        logits = getattr(y, "_keras_logits", None)
        if logits is not None and id(logits) not in taken | {
            id(seen.get(f"{current[0]}/pre_activation"))
        }:
            seen[f"{current[0]}/logits"] = logits  # within a function of the user's own
        for output, one in enumerate(tf.nest.flatten(y)):
            seen[current[0] + (f"[{output}]" if output else "")] = one
        return y

    def noted_activation(z: Any) -> Any:
        seen[f"{current[0]}/pre_activation"] = z
        return activation(z)

    layer.call = call
    if has_activation:
        layer.activation = noted_activation

    def restore() -> None:
        del layer.call
        if has_activation:
            layer.activation = activation

    return restore
