"""How a layer of Keras is called alone, and how its twin is: on inputs in a row, to one output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compare.rounding.noise import Noisy
from manual.activations import Linear

Shape = tuple[int, ...]
Options = Mapping[str, Any]


def is_spread(name: str) -> bool:
    """Say whether a weight is a variance or a standard deviation, which are not negative."""
    return name.endswith(("variance", "stddev"))


def called(layer: Any, tensors: Sequence[Any], options: Options) -> Any:
    """Call a layer of Keras: its output (whole numbers as real ones), or all side by side."""
    made = side_by_side(outputs_of(layer, tensors, options), tf)
    return made if made.dtype.is_floating else tf.cast(made, tensors[0].dtype)


def outputs_of(layer: Any, tensors: Sequence[Any], options: Options) -> Any:
    """Call a layer of Keras with its inputs as it wants them: alone, by name, or in a list.

    A mask comes as from a layer before: it hangs on the tensor.
    """
    options = dict(options)
    masks = options.pop("mask", None)
    for tensor, mask in zip(tensors, masks if isinstance(masks, list) else [masks], strict=False):
        if mask is not None:
            tensor._keras_mask = tf.constant(mask)
    if len(tensors) == 1:
        return layer(tensors[0], **options)
    names = signature(layer.call).parameters.keys()
    if {"states", "initial_state"} & names:
        x, *states = tensors
        sizes = getattr(layer, "state_size", None)
        if np.size(keras.tree.flatten(sizes)) == len(states) > 1:
            states = keras.tree.pack_sequence_as(sizes, states)
        return layer(x, states, **options)
    if "key" in names:
        query, value, key = (*tensors, None)[:3]
        return layer(query, value, key=key, **options)
    return layer(list(tensors), **options)


def side_by_side(outputs: Any, with_: Any) -> Any:
    """Lay several outputs of each sample in one row: so they have one gradient, in one piece."""
    if not isinstance(outputs, (list, tuple)):
        return outputs
    outputs = keras.tree.flatten(outputs) if with_ is tf else outputs
    rows = [with_.reshape(one, (one.shape[0], -1)) for one in outputs]
    return tf.concat(rows, 1) if with_ is tf else np.concatenate(rows, 1)


def by_hand_called(by_hand: Any, xs: Sequence[Any], options: Options) -> tuple[Any, Any]:
    """Return a twin's output, its activation included, and what `gradients_of` needs.

    Several outputs lie side by side in one array; their shapes are kept.
    """
    if not by_hand.takes_mask:
        options = {name: value for name, value in options.items() if name != "mask"}
    y, saved = by_hand.forward(xs[0] if len(xs) == 1 else list(xs), **options)
    if isinstance(y, list):
        return side_by_side(y, np), (saved, [one.shape for one in y], None)
    if isinstance(by_hand.activation, Linear):
        return y, (saved, None, None)
    a = by_hand.activation.forward(y)
    return a, (saved, None, (y, a))


def gradients_of(by_hand: Any, dy: Any, saved: Any) -> list[Any]:
    """Return the gradients for all inputs."""
    kept, shapes, activated = saved
    if activated is not None:
        dy = by_hand.activation.backward(dy, *activated)
    if shapes is not None:
        ends = np.cumsum([np.prod(shape[1:]) for shape in shapes])[:-1]
        parts = np.split(dy, [int(end) for end in ends], axis=1)
        dy = [part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)]
    dx = by_hand.backward(dy, kept)
    return dx if isinstance(dx, list) else [dx]


def noisy(numbers: Any, ruler: Any) -> Noisy:
    """Return numbers with their noise: a whole number that a comparison gave has none."""
    return numbers if isinstance(numbers, Noisy) else ruler.exact(numbers)


def variables_of(layer: Any) -> list[Any]:
    """Return the weights of a Keras layer, and what it carries from batch to batch."""
    return [*layer.weights, *keras.tree.flatten(getattr(layer, "states", None) or [])]


def compiled(layer: Any, precision: str) -> bool:
    """Say whether only XLA can run the layer.

    TensorFlow's own kernels for the CPU don't convolve with the channels first, and in float64
    neither pool over three axes nor spread dilated kernels.
    """
    if hasattr(layer, "kernel_size") and layer.data_format == "channels_first":
        return True
    pools = np.size(getattr(layer, "pool_size", getattr(layer, "output_size", ()))) == 3
    spreads = hasattr(layer, "output_padding") and max(layer.dilation_rate) > 1
    return (pools or spreads) and precision == "float64"
