"""What somebody's step returns: called, and taken apart into one array for each weight."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from compare.errors import BadInput

Arrays = Sequence[Any] | Mapping[str, Any]
Step = Callable[[list[np.ndarray], Any, Any], Arrays]
"""From the weights in Keras's order and a batch to an array for each trainable weight."""
Returns = Literal["gradients", "weights"]


def called(step: Callable[..., Any], *given: Any, written: str = "step(weights, x, y)") -> Any:
    """Call the step, or what else is ``written`` so; tell whose line failed if it does."""
    name = written.partition("(")[0]
    try:
        return step(*given)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # sys.exit() too: it is not ours to leave
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if Path(frame.filename) != Path(__file__)]
        line = next((one for one in reversed(own) if "site-packages" not in one.filename), None)
        if line is None:  # it was never entered
            raise BadInput(
                f"The submitted {name} can't be called as {written}: {told(error)}."
            ) from error
        where = f"{Path(line.filename).name}, line {line.lineno}: {line.line or line.name}"
        raise BadInput(f"The submitted {name} raised {told(error)} ({where})") from error


def told(error: BaseException) -> str:
    """Return an error's name and what it says, on one line."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said}" if said else type(error).__name__


def checked_submission(
    given: Any, weights: Mapping[str, np.ndarray], asked: str, function: str = "step"
) -> dict[str, np.ndarray]:
    """Return the submitted arrays by name, or say in one sentence what is wrong with them.

    Parameters
    ----------
    given : object
        What the submitted ``function`` returned.
    weights : mapping of str to array
        What there should be an array for, in its shape and no coarser: weights, or activations.
    asked : str
        What the arrays are: gradients, weights, activations.
    function : str
    """
    one = asked.rstrip("s")
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in weights]
        missing = [name for name in weights if name not in given]
        if unknown or missing:
            wrong = f"has no {unknown[0]!r}" if unknown else f"needs {missing[0]!r} too"
            raise BadInput(
                f"The model {wrong}: one {one} is expected for each of {', '.join(weights)}."
            )
        listed = [given[name] for name in weights]
    elif isinstance(given, (list, tuple)):
        listed = list(given)
    else:
        raise BadInput(
            f"The submitted {function} must return a list of {len(weights)} arrays, or a mapping "
            f"by name ({', '.join(weights)}). Received: {type(given).__name__}."
        )
    if len(listed) != len(weights):
        expected = ", ".join(f"{name} {array.shape}" for name, array in weights.items())
        raise BadInput(
            f"{len(weights)} {asked} are expected, in this order: {expected}. "
            f"Received: {len(listed)}."
        )
    arrays = {}
    for (name, weight), part in zip(weights.items(), listed, strict=True):
        try:
            array = np.asarray(part)
        except ValueError:
            raise BadInput(f"The {one} of {name} has rows of different lengths.") from None
        if array.dtype.kind not in "iuf":
            what = f"an array of {array.dtype}" if hasattr(part, "dtype") else type(part).__name__
            raise BadInput(
                f"The {one} of {name} must be an array of real numbers. Received: {what}."
            )
        if array.dtype.kind == "f" and array.dtype.itemsize < weight.dtype.itemsize:
            raise BadInput(
                f"The {one} of {name} is {array.dtype}, too coarse to be judged: Keras has "
                f"{weight.dtype}."
            )
        if array.shape != weight.shape:
            turned = " It looks transposed." if array.shape == weight.shape[::-1] else ""
            raise BadInput(
                f"The {one} of {name} has the shape {array.shape}; it should have "
                f"{weight.shape}.{turned}"
            )
        holes = np.argwhere(~np.isfinite(array))
        if len(holes):
            index = tuple(int(i) for i in holes[0])
            raise BadInput(
                f"The {one} of {name} is {array[index]} at {list(index)}: {len(holes)} of "
                f"{array.size} numbers are not finite."
            )
        arrays[name] = array
    return arrays
