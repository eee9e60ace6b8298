"""Data out of files: ``.npz``, pairs of ``.npy``, and CSV. Nothing in them is ever unpickled."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from compare.errors import BadInput, check_is_file, in_a_sentence

Data = tuple[Any, Any, Any]
"""x, y, and sample weights or None, nested as the model takes them."""
WANTED = "one .npz file, two .npy files (x, then y), or one .csv file"


def read_data(paths: Sequence[Path], model: keras.Model) -> Data:
    """Return what a model is to be trained on.

    Parameters
    ----------
    paths : sequence of Path
        One ``.npz`` file with the arrays ``x``, ``y`` and, if wanted, ``sample_weight``; with
        several inputs or outputs ``x_NAME`` and ``y_NAME`` for each. Or two ``.npy`` files, x and
        y. Or one ``.csv`` file, a row for each sample: first its inputs, then its targets. A first
        row of names is left out.
    model : keras.Model
        A Functional or Sequential one.

    Raises
    ------
    BadInput
        If a file can't be read, or holds something else.
    """
    kinds = [path.suffix.lower() for path in paths]
    for path in paths:
        check_is_file(path)
    if kinds == [".npz"]:
        return _by_name(_members(paths[0]), model, paths[0])
    if kinds == [".npy", ".npy"]:
        x, y = (_loaded(path) for path in paths)
        _check_single(model, "two .npy files")
        return nested(model, [x], [y])
    if kinds == [".csv"]:
        _check_single(model, "a .csv file")
        return _columns(_table(paths[0]), model, paths[0])
    given = ", ".join(repr(str(path)) for path in paths)
    raise BadInput(f"Data comes as {WANTED}. Received: {given}.")


def _loaded(path: Path) -> Any:
    """Return what NumPy finds in a file."""
    try:
        return np.load(path, allow_pickle=False)
    except Exception as error:  # NumPy has as many errors as there are ways to be broken
        raise BadInput(_unreadable(path, error)) from None


def _members(path: Path) -> dict[str, np.ndarray]:
    archive = _loaded(path)
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise BadInput(f"{str(path)!r} is no .npz file: write it with numpy.savez.")
    try:
        with archive:
            return {name: archive[name] for name in archive.files}
    except Exception as error:  # as above: its members are read only now
        raise BadInput(_unreadable(path, error)) from None


def _unreadable(path: Path, error: Exception) -> str:
    if "allow_pickle" in str(error):
        return (
            f"{str(path)!r} holds pickled objects, which could run any code and are not read: "
            "store plain arrays of numbers."
        )
    return f"{str(path)!r} can't be read: {in_a_sentence(error)}"


def _by_name(arrays: dict[str, np.ndarray], model: keras.Model, path: Path) -> Data:
    inputs, outputs = _names(model)
    wanted = {
        "x": [f"x_{name}" for name in inputs] if len(inputs) > 1 else ["x"],
        "y": [f"y_{name}" for name in outputs] if len(outputs) > 1 else ["y"],
    }
    needed = wanted["x"] + wanted["y"]
    weights = [key.replace("y", "sample_weight", 1) for key in wanted["y"]]
    if (missing := [key for key in needed if key not in arrays]) or (
        unknown := [key for key in arrays if key not in {*needed, *weights, "sample_weight"}]
    ):
        what = f"has no array {missing[0]!r}" if missing else f"has an array {unknown[0]!r}"
        raise BadInput(
            f"{str(path)!r} {what}: for {model.name!r} it takes {', '.join(needed)} and, if "
            f"wanted, sample_weight. Received: {', '.join(arrays) or 'no arrays'}."
        )
    x, y, sample_weight = nested(
        model, [arrays[key] for key in wanted["x"]], [arrays[key] for key in wanted["y"]]
    )
    if any(key in arrays for key in weights):
        of_each = [arrays.get(key) for key in weights]
        sample_weight = of_each[0] if len(of_each) == 1 else of_each
    elif "sample_weight" in arrays:
        sample_weight = arrays["sample_weight"]
    return x, y, sample_weight


def _names(model: keras.Model) -> tuple[list[str], list[str]]:
    return [one.name for one in model.inputs], output_names(model)


def output_names(model: keras.Model) -> list[str]:
    """Return what a model's outputs are called: after the layers that give them."""
    return ["y"] if isinstance(model, keras.Sequential) else list(model.output_names)


def _check_single(model: keras.Model, what: str) -> None:
    inputs, outputs = _names(model)
    if len(inputs) > 1 or len(outputs) > 1:
        raise BadInput(
            f"{what} can't tell the {len(inputs)} inputs and {len(outputs)} outputs of "
            f"{model.name!r} apart: use an .npz file.".capitalize()
        )


def nested(model: keras.Model, xs: list[Any], ys: list[Any]) -> Data:
    """Return arrays nested as the model's inputs and outputs are."""
    if isinstance(model, keras.Sequential):
        return xs[0], ys[0], None
    pack = keras.tree.pack_sequence_as
    return pack(model.input, xs), pack(model.output, ys), None


def _table(path: Path) -> np.ndarray:
    """Return the numbers of a CSV file, without a row of names."""
    rows: list[list[float]] = []
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if not row:
                    continue
                if rows and len(row) != len(rows[0]):
                    raise BadInput(
                        f"Line {number} of {str(path)!r} has {len(row)} columns, and those before "
                        f"it have {len(rows[0])}."
                    )
                try:
                    rows.append([float(cell) for cell in row])
                except ValueError as error:
                    if number > 1:
                        what = str(error).rpartition(": ")[2]
                        told = f"Line {number} of {str(path)!r} holds {what}, which is no number."
                        raise BadInput(told) from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise BadInput(_unreadable(path, error)) from None
    if not rows:
        raise BadInput(f"{str(path)!r} holds no samples.")
    return np.array(rows)


def _columns(table: np.ndarray, model: keras.Model, path: Path) -> Data:
    """Cut a table into the inputs of the model, which come first, and the targets."""
    sizes = model.inputs[0].shape[1:]
    if None in sizes:
        raise BadInput(
            f"The model {model.name!r} leaves sizes of its input open, {(None, *sizes)}, which a "
            ".csv file can't tell: use an .npz file."
        )
    features = int(np.prod(sizes))
    if table.shape[1] <= features:
        raise BadInput(
            f"{str(path)!r} has {table.shape[1]} columns: {model.name!r} takes {features} for its "
            "inputs, and those of its targets after them."
        )
    x, y = table[:, :features].reshape(-1, *sizes), table[:, features:]
    outputs = model.outputs[0].shape[1:]
    if None not in outputs and y.shape[1] == np.prod(outputs):
        y = y.reshape(-1, *outputs)
    return nested(model, [x], [y])
