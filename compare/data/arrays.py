"""Checks on the data before anything is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from compare.errors import BadInput
from manual.heads import as_target, of_each
from manual.layers.base import Shape
from manual.losses import CTC, Circle, Loss, SparseCategoricalCrossentropy
from manual.network import Network


def as_arrays(name: str, data: Any) -> Any:
    """Return the data with every list of numbers made an array; all else stays as it is.

    A list holds either several arrays or numbers, rows of them, ….
    """
    if isinstance(data, Mapping):
        return {key: as_arrays(f"{name}[{key!r}]", part) for key, part in data.items()}
    if isinstance(data, (list, tuple)):
        if data and all(isinstance(one, (bool, int, float)) for one in keras.tree.flatten(data)):
            try:
                return np.asarray(data)
            except ValueError:
                told = f"{name} can't be made an array: its rows have different lengths."
                raise BadInput(told) from None
        return type(data)([as_arrays(f"{name}[{n}]", part) for n, part in enumerate(data)])
    return data


def named_parts(name: str, data: Any) -> dict[str, Any]:
    """Take data apart; return each array by what leads to it: ``x['left']``, ``x[0]``."""
    return {
        name + "".join(f"[{step!r}]" for step in path): part
        for path, part in keras.tree.flatten_with_path(data)
        if part is not None
    }


def checked_arrays(name: str, data: Any, dtype: str) -> list[np.ndarray]:
    """Return the data as a list of finite arrays with one row per sample.

    Whole-number arrays stay as they are (class numbers); all others take the model's dtype.
    """
    parts = named_parts(name, as_arrays(name, data))
    return [checked_array(where, part, dtype) for where, part in parts.items()]


def checked_array(name: str, data: Any, dtype: str) -> np.ndarray:
    """Return an array of finite numbers with one row per sample."""
    if hasattr(data, "toarray") or isinstance(data, (tf.SparseTensor, tf.RaggedTensor)):
        raise BadInput(f"{name} must be a dense array. Received: {type(data).__name__}.")
    array = np.asarray(data)
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:  # Keras knows no long doubles
        raise BadInput(f"{name} must hold numbers. Received: dtype {array.dtype}.")
    if array.ndim == 0 or len(array) == 0:
        raise BadInput(f"{name} holds no samples. Received: shape {array.shape}.")
    if array.dtype.kind == "f":
        with np.errstate(over="ignore"):  # what is too large for the dtype is reported below
            array = array.astype(dtype)
        wrong = np.argwhere(~np.isfinite(array))
        if len(wrong):
            index = tuple(int(i) for i in wrong[0])
            raise BadInput(
                f"{name}{list(index)} is {array[index]}: {len(wrong)} of {array.size} values "
                "are not finite. Remove or replace them before training."
            )
    return array


def check_lengths(arrays: Mapping[str, Any]) -> int:
    """Return the number of samples, which all arrays must share."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise BadInput(f"Every array needs one row per sample. Received: {told} rows.")
    return next(iter(lengths.values()))


def check_labels(loss: Loss, y: np.ndarray, classes: int) -> None:
    """Refuse labels that the loss has no meaning for."""
    if loss.takes_classes and not isinstance(loss, Circle):
        if isinstance(loss, SparseCategoricalCrossentropy) and loss.ignore_class is not None:
            y = y[y != loss.ignore_class]
            if not y.size:
                return
        whole = np.array_equal(y, np.floor(y))
        low, high = y.min(), y.max()
        if not whole or low < 0 or high >= classes:
            raise BadInput(
                f"Class numbers must be whole numbers from 0 to {classes - 1}, one less than the "
                f"network's {classes} outputs. Received: numbers from {low:g} to {high:g}."
            )


def check_class_weight(class_weight: Any, batch: tuple[Any, Any, Any]) -> None:
    """Refuse weights of classes that ``fit`` can't make weights of samples of."""
    if not class_weight:
        return
    _, y, sample_weight = batch
    if sample_weight is not None or keras.tree.is_nested(y):
        raise BadInput("class_weight needs a single output, and no sample_weight beside it.")
    if not isinstance(class_weight, Mapping) or not all(
        isinstance(one, (int, np.integer)) and np.isfinite(weight)
        for one, weight in class_weight.items()
    ):
        raise BadInput(
            f"class_weight must give each class number a finite weight. Received: {class_weight}."
        )


def check_inputs(model: keras.Model, xs: Sequence[np.ndarray]) -> list[Shape]:
    """Return the shape of a sample at each input, where data has a shape that the model takes.

    Like Keras, take an axis of one for given or for absent at the end. What the model leaves open
    may be anything.
    """
    shapes: list[Shape] = []
    for array, tensor in zip(xs, model.inputs, strict=False):  # how many there are, is checked
        wanted, found = tuple(tensor.shape[1:]), array.shape[1:]
        shape: Shape = found
        if len(found) == len(wanted) + 1 and found[-1] == 1:
            shape = found[:-1]
        elif len(found) == len(wanted) - 1 and wanted[-1] == 1:
            shape = (*found, 1)
        fits = len(wanted) == len(shape) and all(
            size in (None, given) for size, given in zip(wanted, shape, strict=True)
        )
        if not fits:
            raise BadInput(
                f"The input {tensor.name!r} takes samples of shape {wanted}. Received: {found}."
            )
        shapes.append(shape)
    return shapes


def check_fit(
    network: Network,
    model: keras.Model,
    xs: Sequence[Any],
    y: Any,
    sample_weight: Any,
    batch_size: int | None = None,
) -> None:
    """Refuse data that the model has no room for, before anything is trained.

    Parameters
    ----------
    network : manual.Network
    model : keras.Model
    xs : sequence of arrays, one for each input
    y : array, or list with one for each output, or for each with a loss
    sample_weight : likewise, or None
    batch_size : int, optional
        How many samples a batch will have, where these are more.
    """
    ys = y if isinstance(y, list) else [y]
    if len(xs) != len(network.inputs) or len(ys) not in {len(network.outputs), len(network.heads)}:
        raise BadInput(
            f"The model has {len(network.inputs)} inputs and {len(network.outputs)} outputs. "
            f"Received: {len(xs)} arrays for x and {len(ys)} for y."
        )
    shapes = _output_shapes(model, network, check_inputs(model, xs))
    if isinstance(sample_weight, list):
        if len(sample_weight) != len(ys):
            raise BadInput(
                f"sample_weight is one array, or one for each of the {len(ys)} of y. "
                f"Received: {len(sample_weight)} arrays."
            )
    elif sample_weight is not None and len(ys) > 1 and sample_weight[0].size > 1:
        raise BadInput(
            "Several outputs share a sample_weight only if it has one number per sample. "
            f"Received: {sample_weight.shape}."
        )
    heads = network.heads
    targets, weights = of_each(heads, ys), of_each(heads, sample_weight)
    for head, array, weight in zip(heads, targets, weights, strict=True):
        name = network.nodes[head.output].name
        wanted = shapes[head.place]
        check_target(head.loss, name, array, wanted)
        check_labels(head.loss, array, (1, *wanted)[-1])
        of_batch = slice(batch_size)
        if weight is not None and not _weighs(head.loss, weight[of_batch], array[of_batch], wanted):
            raise BadInput(
                f"The loss of the output {name!r} needs sample_weight of shape "
                f"{(len(array), *wanted[:-1])}. Received: {weight.shape}."
            )


def _output_shapes(model: keras.Model, network: Network, inputs: Sequence[Shape]) -> list[Shape]:
    """Return the shape of a sample at each output, for inputs that may be longer than the first."""
    if all(None not in tensor.shape[1:] for tensor in model.inputs):
        return [tuple(shape) for shape in network.output_shapes]
    specs = [
        keras.KerasTensor((None, *shape), tensor.dtype)
        for shape, tensor in zip(inputs, model.inputs, strict=True)
    ]
    one = specs[0] if len(specs) == 1 else keras.tree.pack_sequence_as(model.input, specs)
    outputs = keras.tree.flatten(model.compute_output_spec(one))
    return [tuple(output.shape[1:]) for output in outputs]


def check_target(loss: Loss, name: str, y: np.ndarray, wanted: tuple[int, ...]) -> None:
    """Refuse targets that don't meet an output whose samples have the shape ``wanted``."""
    if isinstance(loss, CTC):
        if y.ndim != 2 or len(wanted) != 2:
            raise BadInput(
                "CTC needs y of shape (samples, labels) and an output of shape (samples, time, "
                f"classes). Received: y of shape {y.shape}, and samples of shape {wanted} at the "
                f"output {name!r}."
            )
        return
    if isinstance(loss, SparseCategoricalCrossentropy) and loss.axis not in (-1, len(wanted)):
        raise BadInput(
            f"Keras takes classes on the last axis alone. Received: axis={loss.axis}, of the loss "
            f"of the output {name!r}."
        )
    allowed = {wanted[:-1], (*wanted[:-1], 1)} if loss.takes_classes else {wanted}
    if not loss.takes_classes and wanted[-1:] == (1,):
        allowed.add(wanted[:-1])
    if y.shape[1:] not in allowed | (set() if loss.takes_classes else {(*wanted, 1)}):
        raise BadInput(
            f"The output {name!r} has the shape {wanted}, so that "
            f"y needs samples of shape {' or '.join(map(str, sorted(allowed)))}. "
            f"Received: {y.shape[1:]}."
        )


def _weighs(loss: Loss, weight: np.ndarray, y: np.ndarray, wanted: tuple[int, ...]) -> bool:
    """Say whether the sample weights of a batch meet the values of a loss, by trying it.

    Where a batch is as large as an axis of its samples, a weight for each sample meets that axis:
    Keras multiplies arrays as NumPy does.
    """
    p = np.full((len(y), *wanted), 0.5)
    with np.errstate(all="ignore"):
        try:
            loss.forward(as_target(y, p), p, sample_weight=weight)
        except ValueError:
            return False
    return True
