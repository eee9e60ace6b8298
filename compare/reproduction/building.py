"""Builds the model of a draft: by running the very lines that the script will have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np

from compare.reproduction.draft import Draft, Part
from compare.reproduction.text import Writer
from keras_models import naming
from keras_models.optimizers import rule_of

WIDTH = 100
CARRIED = "/rnn_state/"
"""In the names of what recurrent layers carry from batch to batch."""

Line = Callable[[str], str | None]
"""What is put behind a tensor, if anything is: the name of one gives an expression."""


def model_lines(draft: Draft, writer: Writer, behind: Line = lambda name: None) -> list[str]:
    """Write the lines that build and compile the model.

    Parameters
    ----------
    draft : Draft
    writer : Writer
    behind : callable
        Gives the layer that stands behind a tensor, if one shall.
    """
    lines = _chain(draft, writer, behind) if draft.is_chain else _graph(draft, writer, behind)
    return [*lines, _compiled(draft, writer)]


def _input(draft: Draft, name: str, writer: Writer) -> str:
    place = list(draft.inputs).index(name)
    dtype = draft.inputs[name]
    told = "" if dtype == draft.floatx else f", dtype={writer.value(dtype)}"
    return f"keras.Input({writer.value(draft.x[place].shape[1:])}{told})"


def _layer(name: str, part: Part, writer: Writer) -> str:
    return writer.made(part.kind, part.config, name=name)


def _chain(draft: Draft, writer: Writer, behind: Line) -> list[str]:
    layers = [_input(draft, next(iter(draft.inputs)), writer)]
    for call in draft.calls:
        layers.append(_layer(call.part, draft.parts[call.part], writer))
        if (more := behind(call.outputs[0])) is not None:
            layers.append(more)
    line = f"model = keras.Sequential([{', '.join(layers)}])"
    if len(line) <= WIDTH:
        return [line]
    return ["model = keras.Sequential()", *(f"model.add({layer})" for layer in layers)]


def _graph(draft: Draft, writer: Writer, behind: Line) -> list[str]:
    lines = [f"{name} = {_input(draft, name, writer)}" for name in draft.inputs]
    called = [call.part for call in draft.calls]
    for call in draft.calls:
        part = draft.parts[call.part]
        made = ", ".join(call.outputs)
        if not part.is_layer:
            lines.append(f"{made} = {writer.operation(part, call)}")
        else:
            layer, shared = _layer(call.part, part, writer), called.count(call.part) > 1
            if shared and call is next(one for one in draft.calls if one.part == call.part):
                lines.append(f"the_{call.part} = {layer}")
            layer = f"the_{call.part}" if shared else layer
            args = [writer.value(one) for one in call.args]
            args += [f"{key}={writer.value(one)}" for key, one in call.kwargs.items()]
            lines.append(f"{made} = {layer}({', '.join(args)})")
        for name in call.outputs:
            if (more := behind(name)) is not None:
                lines.append(f"{name} = {more}({name})")
    ends = [", ".join(draft.inputs), ", ".join(draft.outputs)]
    ins, outs = (f"[{one}]" if "," in one else one for one in ends)
    return [*lines, f"model = keras.Model({ins}, {outs})"]


def _compiled(draft: Draft, writer: Writer) -> str:
    losses = [writer.value(loss) for loss in draft.losses]
    optimizer = writer.value(draft.optimizer)
    options = [optimizer, losses[0] if len(losses) == 1 else f"[{', '.join(losses)}]"]
    if draft.loss_weights is not None:
        options.append(f"loss_weights={writer.value(list(draft.loss_weights))}")
    if draft.metrics is not None:
        options.append(f"metrics={writer.value(draft.metrics)}")
    if draft.run_eagerly:
        options.append("run_eagerly=True")
    if draft.jit_compile:
        options.append("jit_compile=True")
    return f"model.compile({', '.join(options)})"


@dataclass(frozen=True)
class Node:
    """What a call gives: the tensor of the draft, and its shape for all samples."""

    tensor: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Built:
    """A model, the draft with the numbers that it holds, and its nodes.

    Attributes
    ----------
    model : keras.Model
    draft : Draft
    nodes : dict of str to Node
        By their names in a trace.
    """

    model: keras.Model
    draft: Draft
    nodes: dict[str, Node]


def built(draft: Draft) -> Built:
    """Build a draft's model, in its state.

    Weights whose shapes have changed keep what fits of their numbers. Targets follow the outputs.
    """
    writer = Writer(draft.floatx, draft.functions)
    lines = model_lines(draft, writer)
    namespace: dict[str, Any] = {"keras": keras, "np": np, **writer.own}
    exec("\n".join(lines), namespace)
    model = namespace["model"]
    variables = {n: v for n, v in naming.weights(model).items() if CARRIED not in n}
    weights = {name: _like(one, draft.weights.get(name)) for name, one in variables.items()}
    for name, variable in variables.items():
        variable.assign(weights[name])
    slots = {}
    if draft.iterations:
        model.optimizer.build(model.trainable_variables)
        for slot, named in naming.slots(model).items():
            before = draft.slots.get(slot, {})
            slots[slot] = {name: _like(one, before.get(name)) for name, one in named.items()}
            for name, variable in named.items():
                variable.assign(slots[slot][name])
        rule_of(model.optimizer)._iterations.assign(draft.iterations)
    shapes = [tuple(output.shape) for output in model.outputs]
    y = tuple(_target(one, shape) for one, shape in zip(draft.y, shapes, strict=True))
    draft = replace(draft, weights=weights, slots=slots, y=y)
    if draft.sample_weight:
        draft = replace(draft, sample_weight=tuple(map(_weights_for, draft.sample_weight, y)))
    return Built(model, draft, _nodes(model, draft, namespace))


def _nodes(model: keras.Model, draft: Draft, namespace: dict[str, Any]) -> dict[str, Node]:
    """Return the nodes by their names in a trace: Keras itself has counted the operations."""
    found = {}
    for call in draft.calls:
        for name in call.outputs:
            tensor = model.get_layer(name).output if draft.is_chain else namespace[name]
            operation, number, place = tensor._keras_history
            trace = operation.name + (f"@{number + 1}" if number and not draft.is_chain else "")
            shape = (draft.samples, *tensor.shape[1:])
            found[trace + (f"[{place}]" if place else "")] = Node(name, shape)
    return found


def _like(variable: Any, before: np.ndarray | None) -> np.ndarray:
    """Return numbers for a variable: what it had, as far as that fits, or easy ones."""
    dtype, shape = np.asarray(variable).dtype, tuple(variable.shape)
    if before is None or before.ndim != len(shape) or (before.size == 0) != (0 in shape):
        drawn = np.random.default_rng(len(shape)).normal(size=shape)
        kept = np.asarray(variable) if before is None and not shape else drawn.round(1)
        return np.asarray(kept, dtype)
    return _resized(before, shape).astype(dtype)


def _resized(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Cut an array to a shape, or repeat it where it is too short."""
    for axis, size in enumerate(shape):
        array = np.take(array, np.arange(size) % array.shape[axis], axis=axis)
    return array


def _weights_for(weights: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return weights for targets, if they have more than one for each sample."""
    return _resized(weights, (len(weights), *y.shape[1 : weights.ndim]))


def _target(y: np.ndarray, shape: tuple[Any, ...]) -> np.ndarray:
    """Return targets for an output of this shape: parts of a whole still make one."""
    shape = tuple(len(y) if size is None else size for size in shape)
    if y.ndim != len(shape) or (y.dtype.kind in "iu" and y.shape[-1] == 1 and y.ndim > 1):
        return y % shape[-1] if y.dtype.kind in "iu" and shape[-1] > 1 else y
    made = _resized(y, (len(y), *shape[1:]))
    whole = np.allclose(y.sum(axis=-1), 1.0) and y.shape[-1] > 1
    if whole and made.shape != y.shape:
        made[..., -1] = 1.0 - made[..., :-1].sum(axis=-1)
    return made
