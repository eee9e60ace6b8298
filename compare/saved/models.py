"""A model out of a ``.keras`` file, which may have been handed on by anybody."""

from __future__ import annotations

import json
import math
import re
import shutil
import tempfile
import warnings
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

from compare.errors import BadInput, in_a_sentence
from compare.rounding.working_precision import UNIT_ROUNDOFF
from compare.twins.twin import check_model
from keras_models.precision import precision

CONFIG = "config.json"
DEEPEST = 200
"""So deeply may a configuration be nested; a model within a model takes four levels."""
SMALL = 2**20
"""So many numbers are never too many: what a metric counts, say, isn't in the file."""
IN_PYTHON = "Load the model in Python, with that code, and call compare.lockstep(model, x, y)."


@contextmanager
def loaded_model(path: Path, dtype: str | None = None) -> Iterator[keras.Model]:
    """Load a compiled model, and let Keras compute in its precision meanwhile.

    Keras's safe mode is on: nothing that the file brings along is run.

    Parameters
    ----------
    path : Path
        A ``.keras`` file.
    dtype : str, optional
        What all of it shall compute in; by default what it was saved in. Weights and optimizer
        are brought over.

    Raises
    ------
    BadInput
        If it can't be loaded or isn't compiled, in one sentence.
    """
    config, own = _config_of(path)
    with precision(dtype or own):
        model = _load(path, dtype, config)
        check_model(model)
        yield model


def _config_of(path: Path) -> tuple[Any, str | None]:
    """Return the configuration of everything in the file, and the precision it tells."""
    told = repr(str(path))
    try:
        if not path.exists():
            raise BadInput(f"There is no file {told}.")
        if not path.is_file() or path.suffix != ".keras":
            raise BadInput(
                f"{told} is no .keras file: save the model with model.save('name.keras')."
            )
        with zipfile.ZipFile(path) as archive:
            config = json.loads(archive.read(CONFIG))
        if not isinstance(config, dict):
            raise BadInput(f"{told} is damaged: its {CONFIG} describes no model.")
        if _depth(config) > DEEPEST:
            raise BadInput(f"{told} can't be loaded: its {CONFIG} nests too deeply.")
        return config, _precision_of(config)
    except BadInput:
        raise
    except PermissionError:
        raise BadInput(f"{told} can't be read: its permissions don't allow it.") from None
    except Exception as error:  # of the many ways to be broken
        raise BadInput(_broken(path, error)) from None


def _depth(part: Any) -> int:
    """Return how deeply a configuration is nested."""
    parts = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    return 1 + max(map(_depth, parts), default=0)


def _load(path: Path, dtype: str | None, config: Any) -> keras.Model:
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            warnings.catch_warnings(),
            _no_variable_larger_than(path.stat().st_size),
        ):
            warnings.simplefilter("ignore")  # an optimizer that has not begun has fewer variables
            file = path if dtype is None else _in(dtype, path, config, Path(folder))
            return keras.saving.load_model(file, safe_mode=True)
    except Exception as error:  # Keras has as many errors as there are ways to be broken
        raise BadInput(_refusal(path, error)) from None


@contextmanager
def _no_variable_larger_than(size: int) -> Iterator[None]:
    """Let Keras make no variable of more numbers than a file of so many bytes has room for.

    Keras makes all variables before it looks at the weights, which lie in the file uncompressed.
    """
    make = keras.Variable.__init__

    def checked(self: Any, initializer: Any, shape: Any = None, *given: Any, **options: Any) -> Any:
        if shape is not None and math.prod(shape) > max(size, SMALL):
            raise ValueError(f"A weight of the shape {shape} has no room in a file of that size.")
        make(self, initializer, shape, *given, **options)

    keras.Variable.__init__ = checked
    try:
        yield
    finally:
        keras.Variable.__init__ = make


def _refusal(path: Path, error: Exception) -> str:
    """Say in a sentence why Keras doesn't load a file."""
    text = str(error)
    if found := re.search(r"Could not locate (class|function) '([^'\n]*)'", text):
        return (
            f"{str(path)!r} holds {found[2]!r}, a {found[1]} of your own, whose code is not in the "
            f"file. {IN_PYTHON}"
        )
    if "safe_mode" in text:
        return (
            f"{str(path)!r} holds a Lambda, whose code would have to be taken from the file, which "
            f"is not safe. {IN_PYTHON}"
        )
    return _broken(path, error)


def _broken(path: Path, error: Exception) -> str:
    return f"{str(path)!r} can't be loaded as a Keras model: {in_a_sentence(error)}"


def _precision_of(config: Any) -> str | None:
    """Return the precision of the first layer that tells one, if it is one of those compared."""
    names = (name for name in _policies(config) if name.removeprefix("mixed_") in UNIT_ROUNDOFF)
    name = next(names, None)
    return "float32" if name is not None and name.startswith("mixed_") else name


def _policies(part: Any) -> Iterator[str]:
    """Give the names of all dtype policies in a configuration, in order."""
    if isinstance(part, list):
        for one in part:
            yield from _policies(one)
    elif isinstance(part, dict):
        its = part.get("config")
        if part.get("class_name") == "DTypePolicy" and isinstance(its, dict):
            yield str(its.get("name"))
        else:
            for one in part.values():
                yield from _policies(one)


def _in(dtype: str, path: Path, config: Any, folder: Path) -> Path:
    """Write the same archive with every precision in its configuration replaced."""
    copy = folder / path.name
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(copy, "w") as made:
        for member in given.infolist():
            if member.filename == CONFIG:
                made.writestr(CONFIG, json.dumps(_replaced(config, dtype)))
            else:
                with given.open(member) as source, made.open(member.filename, "w") as target:
                    shutil.copyfileobj(source, target)
    return copy


def _replaced(part: Any, dtype: str) -> Any:
    if isinstance(part, list):
        return [_replaced(one, dtype) for one in part]
    if not isinstance(part, dict):
        return part
    if part.get("class_name") == "DTypePolicy":
        its = part.get("config")
        known = isinstance(its, dict) and str(its.get("name")).removeprefix("mixed_")
        return {**part, "config": {"name": dtype}} if known in UNIT_ROUNDOFF else part
    return {
        key: dtype if key == "dtype" and str(one) in UNIT_ROUNDOFF else _replaced(one, dtype)
        for key, one in part.items()
    }
