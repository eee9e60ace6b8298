"""Random data of the right shapes, for a model whose own data isn't at hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

import keras
import numpy as np

from compare.errors import BadInput, in_a_sentence
from compare.saved.files import Data, nested, output_names
from compare.steps.pairing import Pair
from manual import losses
from manual.heads import Head
from manual.layers import CategoryEncoding, Embedding
from manual.network import Network

OPEN = 16
"""What stands for a size that the model leaves open: a length, a height or a width."""
MOST = 2**27
"""So many random numbers take a gibibyte."""
CTC_LABELS = 2
"""So many labels a sequence is given; its length has room for them and a blank between."""
ONE_OF_THE_CLASSES = (
    losses.CategoricalCrossentropy,
    losses.CategoricalFocalCrossentropy,
    losses.CategoricalHinge,
    losses.KLDivergence,
)
YES_OR_NO = (
    losses.BinaryCrossentropy,
    losses.BinaryFocalCrossentropy,
    losses.Hinge,
    losses.SquaredHinge,
    losses.Dice,
    losses.Tversky,
)


def drawn_data(model: keras.Model, samples: int, seed: int = 0) -> tuple[Data, str]:
    """Return random data for a compiled Functional or Sequential model, and what it is, in words.

    Inputs are normal deviates, or whole numbers where a layer takes these; targets are what the
    loss asks for: class numbers, one of the classes, yes or no, or numbers from 0 to 1.

    Raises
    ------
    BadInput
        If an input takes something else than numbers, or the model can't have a twin.
    """
    sizes = [tuple(size or OPEN for size in one.shape[1:]) for one in model.inputs]
    for one in model.inputs:
        if one.dtype == "string":
            raise BadInput(f"The input {one.name!r} takes text, which isn't drawn: give --data.")
    _check_size(model, samples)
    network = _twin(model, sizes)
    draw = np.random.default_rng(seed)
    below = _below(network)
    xs, ys, told = [], [], []
    for tensor, size, node in zip(model.inputs, sizes, network.inputs, strict=True):
        x, what = _input(draw, tensor.dtype, (samples, *size), below.get(node))
        xs.append(x)
        told.append(f"{tensor.name} {x.shape} {what}")
    heads = {head.place: head for head in network.heads}
    for place, name in enumerate(output_names(model)):
        shape = samples, *network.output_shapes[place]
        y, what = _target(draw, heads[place], shape) if place in heads else (np.zeros(shape), "")
        ys.append(y)
        told += [f"{name} {y.shape} {what}"] if what else []
    return nested(model, xs, ys), "; ".join(told)


def _check_size(model: keras.Model, samples: int) -> None:
    """Refuse to draw more numbers than any machine should be asked for."""
    for one in (*model.inputs, *model.outputs):
        numbers = samples * math.prod(size or OPEN for size in one.shape[1:])
        if numbers > MOST:
            raise BadInput(
                f"Random data for {one.name!r} would be {numbers:,} numbers: take fewer --steps, a "
                "smaller --batch-size, or give --data."
            )


def _twin(model: keras.Model, sizes: Sequence[tuple[int, ...]]) -> Network:
    """Return the model's twin: what it does with which input, and which losses it has."""
    zeros = [np.zeros((2, *size), one.dtype) for one, size in zip(model.inputs, sizes, strict=True)]
    x, _, _ = nested(model, zeros, model.outputs)
    try:
        y = keras.tree.map_structure(keras.ops.convert_to_numpy, model(x, training=False))
    except Exception as error:  # whatever the model says of such inputs
        raise BadInput(
            f"No data can be drawn for {model.name!r}: {in_a_sentence(error)} Give --data."
        ) from None
    return Pair(model, (x, y, None)).network


def _below(network: Network) -> dict[int, int]:
    """Return the nodes that must give whole numbers, and below which number."""
    found: dict[int, int] = {}
    for node in network.nodes:
        if isinstance(node.layer, Embedding):
            limit = node.layer.input_dim
        elif isinstance(node.layer, CategoryEncoding):
            limit = node.layer.num_tokens
        else:
            continue
        for source in node.inputs:
            _ask(network, source, limit, found)
    return found


def _ask(network: Network, place: int, limit: int, found: dict[int, int]) -> None:
    """Ask a node for numbers below a limit, and those that it may hand on from."""
    found[place] = min(limit, found.get(place, limit))
    for source in network.nodes[place].inputs:
        _ask(network, source, limit, found)


def _input(
    draw: np.random.Generator, dtype: str, shape: tuple[int, ...], below: int | None
) -> tuple[np.ndarray, str]:
    kind = "b" if dtype == "bool" else "u" if dtype == "uint8" else "i" if "int" in dtype else "f"
    if below is None and kind == "f":
        return draw.normal(size=shape), "normal"
    limit = below or {"b": 2, "u": 256, "i": 10, "f": 1}[kind]
    array = draw.integers(0, limit, shape)
    return array.astype(bool if kind == "b" else int), f"below {limit}"


def _target(
    draw: np.random.Generator, head: Head, shape: tuple[int, ...]
) -> tuple[np.ndarray, str]:
    loss, classes = head.loss, shape[-1]
    if isinstance(loss, losses.CTC):  # of which class 0 is the blank
        return draw.integers(1, classes, (shape[0], CTC_LABELS)), f"labels 1 to {classes - 1}"
    if isinstance(loss, losses.Circle):  # which compares samples of a class
        return draw.integers(0, 2, shape[0]), "classes 0 and 1"
    if loss.takes_classes:
        return draw.integers(0, classes, shape[:-1]), f"classes 0 to {classes - 1}"
    if isinstance(loss, ONE_OF_THE_CLASSES):
        return np.eye(classes)[draw.integers(0, classes, shape[:-1])], f"one of {classes} classes"
    if isinstance(loss, YES_OR_NO):
        return draw.integers(0, 2, shape).astype(float), "0 or 1"
    return draw.uniform(size=shape), "from 0 to 1"
