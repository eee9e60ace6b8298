"""Checks on the data before anything is trained."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from compare.errors import BadInput
from manual.heads import as_target, of_each
from manual.losses import CTC, BinaryCrossentropy, Circle, Loss, SparseCategoricalCrossentropy
from manual.network import Network

TRIED = 7
"""On how many samples a loss is tried, to see whether weights are of a shape that it takes."""


def checked_arrays(name: str, data: Any, dtype: str) -> list[np.ndarray]:
    """Return the data as a list of finite arrays with one row per sample.

    Whole-number arrays stay as they are (class numbers); all others take the model's dtype.
    """
    arrays = []
    for part in data if isinstance(data, (list, tuple)) else [data]:
        try:
            array = np.asarray(part)
        except ValueError:
            raise BadInput(
                f"{name} can't be made an array: its rows have different lengths."
            ) from None
        if array.dtype.kind not in "biuf":
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
        arrays.append(array)
    return arrays


def check_lengths(named: dict[str, list[np.ndarray]], batch_size: int) -> int:
    """Return the number of samples, which all arrays must share."""
    lengths = {name: len(array) for name, arrays in named.items() for array in arrays}
    samples = next(iter(lengths.values()))
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise BadInput(f"Every array needs one row per sample. Received: {told} rows.")
    if not 1 <= batch_size <= samples:
        raise BadInput(
            f"The batch size must lie between 1 and the {samples} samples there are. "
            f"Received: {batch_size}."
        )
    return samples


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
    elif isinstance(loss, BinaryCrossentropy) and (y.min() < 0 or y.max() > 1):
        raise BadInput(
            "Targets of a binary cross-entropy are probabilities from 0 to 1. "
            f"Received: numbers from {y.min():g} to {y.max():g}."
        )


def check_inputs(model: keras.Model, xs: list[np.ndarray]) -> None:
    """Refuse inputs of other shapes than the model takes; what it leaves open may be anything."""
    for array, tensor in zip(xs, model.inputs, strict=False):  # how many there are, is checked
        wanted, found = tuple(tensor.shape[1:]), array.shape[1:]
        fits = len(wanted) == len(found) and all(
            size in (None, given) for size, given in zip(wanted, found, strict=True)
        )
        if not fits:
            raise BadInput(
                f"The input {tensor.name!r} takes samples of shape {wanted}. Received: {found}."
            )


def check_fit(
    network: Network,
    model: keras.Model,
    xs: list[np.ndarray],
    ys: list[np.ndarray],
    sample_weight: list[np.ndarray] | None,
) -> None:
    """Refuse data that the model has no room for, before anything is trained."""
    targets = {len(network.outputs), len(network.heads)}  # some outputs may have no loss
    if len(xs) != len(network.inputs) or len(ys) not in targets:
        raise BadInput(
            f"The model has {len(network.inputs)} inputs and {len(network.outputs)} outputs. "
            f"Received: {len(xs)} arrays for x and {len(ys)} for y."
        )
    check_inputs(model, xs)
    weights: list[np.ndarray | None] = [*sample_weight] if sample_weight else [None]
    if len(weights) == 1 < len(ys):
        if weights[0] is not None and weights[0][0].size > 1:
            raise BadInput(
                "Several outputs share a sample_weight only if it has one number per sample. "
                f"Received: {weights[0].shape}."
            )
        weights = weights * len(ys)
    if len(weights) != len(ys):
        raise BadInput(
            f"sample_weight is one array, or one for each of the {len(ys)} of y. "
            f"Received: {len(weights)} arrays."
        )
    heads = network.heads
    for head, array, weight in zip(heads, of_each(heads, ys), of_each(heads, weights), strict=True):
        name = network.nodes[head.output].name
        wanted = tuple(network.output_shapes[head.place])
        check_target(head.loss, name, array, wanted)
        check_labels(head.loss, array, wanted[-1])
        if weight is not None and not _weighs(head.loss, weight, array, wanted):
            raise BadInput(
                f"The loss of the output {name!r} needs sample_weight of shape "
                f"{(len(array), *wanted[:-1])}. Received: {weight.shape}."
            )


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
    allowed = {wanted[:-1], (*wanted[:-1], 1)} if loss.takes_classes else {wanted}
    if not loss.takes_classes and wanted[-1] == 1:
        allowed.add(wanted[:-1])
    if y.shape[1:] not in allowed | (set() if loss.takes_classes else {(*wanted, 1)}):
        raise BadInput(
            f"The output {name!r} has the shape {wanted}, so that "
            f"y needs samples of shape {' or '.join(map(str, sorted(allowed)))}. "
            f"Received: {y.shape[1:]}."
        )


def _weighs(loss: Loss, weight: np.ndarray, y: np.ndarray, wanted: tuple[int, ...]) -> bool:
    """Say whether sample weights meet the values of a loss, by trying it on a few samples."""
    few = y[:TRIED]
    p = np.full((len(few), *wanted), 0.5)
    with np.errstate(all="ignore"):
        try:
            loss.forward(as_target(few, p), p, sample_weight=weight[:TRIED])
        except ValueError:
            return False
    return True
