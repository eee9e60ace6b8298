"""Where ``fit`` takes its batches from, and what can be said of them beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from compare.data.arrays import as_arrays, check_lengths, checked_array, named_parts
from compare.errors import BadInput

Batch = tuple[Any, Any, Any]
"""x, y, and sample weights or None, nested as the model takes them."""


class Source:
    """What ``fit`` is to be given, and what is known of it beforehand.

    Attributes
    ----------
    x, y, sample_weight
        For ``fit``.
    example : Batch
        Arrays, or what else has their shapes: all data, or a first batch.
    samples : int or None
        How many there are, if that is known.
    endless : bool
        Whether it surely gives batches for ever.
    unseen : bool
        Whether batches can be looked at only after they were trained on.
    look : callable, optional
        To be called with each batch before it is handed on.
    error : BadInput or None
        Why no batch is handed on any more.
    """

    x: Any
    y: Any = None
    sample_weight: Any = None
    example: Batch
    samples: int | None = None
    endless = False
    unseen = False
    look: Callable[[Batch], None] | None = None
    error: BadInput | None = None

    def show(self, fitting: Callable[[Batch], None]) -> None:
        """Show the example to who looks at batches; where it is all data, to ``fitting`` alone."""
        fitting(self.example)


def split(batch: Any, told: str) -> Batch:
    """Return x, y and the sample weights of a batch."""
    if not isinstance(batch, (list, tuple)) or not 2 <= len(batch) <= 3:
        shown = type(batch).__name__
        if isinstance(batch, (list, tuple)):
            shown += f" of {len(batch)}"
        raise BadInput(
            f"The {told} must give pairs (x, y), or (x, y, sample_weight). Received: {shown}."
        )
    x, y, sample_weight = (*batch, None)[:3]
    return x, y, sample_weight


def check_batch(batch: Batch, dtype: str) -> None:
    """Refuse a batch with anything else than finite numbers, as many rows in each array."""
    parts = named_batch(batch)
    check_lengths({name: checked_array(name, part, dtype) for name, part in parts.items()})


def named_batch(batch: Batch, what: str = "") -> dict[str, Any]:
    """Return all arrays of a batch by what they are called."""
    named: dict[str, Any] = {}
    for name, part in zip(("x", "y", "sample_weight"), batch, strict=True):
        if part is not None:
            named |= named_parts(what + name, part)
    return named


class Whole(Source):
    """Arrays with all samples."""

    def __init__(self, x: Any, y: Any, sample_weight: Any, dtype: str, what: str) -> None:
        given = {"x": x, "y": y, "sample_weight": sample_weight}
        made = {name: as_arrays(what + name, part) for name, part in given.items()}
        self.x, self.y, self.sample_weight = made.values()
        checked: dict[str, Any] = {"sample_weight": None}
        lengths: dict[str, np.ndarray] = {}
        for name, part in made.items():
            if part is None:
                continue
            arrays = {
                where: checked_array(where, array, dtype)
                for where, array in named_parts(what + name, part).items()
            }
            if not arrays:
                raise BadInput(f"{what}{name} holds no arrays.")
            lengths |= arrays
            flat = iter(arrays.values())
            checked[name] = keras.tree.map_structure(
                lambda array, flat=flat: None if array is None else next(flat), part
            )
        self.samples = check_lengths(lengths)
        self.example = checked["x"], checked["y"], checked["sample_weight"]
