"""Operations that pick numbers, in any order and any number of times.

All of them are one linear map: a table says which number of x stands at each place of y, or that
none does. It's found by doing to the places of x what is to be done to x. On the way back each
number gets the sum of the gradients of its copies, which the same table tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Operation
from manual.registry import NoTwin, twin_of

NONE = -1
"""In a table of places: no number, but a given one."""


class Selection(Operation):
    """Numbers of x, picked from it by a table of places."""

    derivation = {
        "forward": "y[i] = x[p(i)]",
        "input gradient": "dx[j] = Σ dy[i] over the i with p(i) = j",
    }
    filling: float = 0.0

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        """Do to an array of places what the operation does to x; `NONE` stands for no number."""
        raise NotImplementedError

    def compute(self, x: Array, *others: Any) -> tuple[Array, Any]:
        table = self.picked(np.arange(x.size).reshape(x.shape), *others)
        y = x.reshape(-1)[np.maximum(table, 0)]
        if (table == NONE).any():
            y = np.where(table == NONE, self.filling, y)
        return y, (table, x.shape)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        table, shape = saved
        return (put_back(dy, table, shape),)


def put_back(dy: Array, table: np.ndarray, shape: Sequence[int]) -> Array:
    """Return the sum of the gradients of each number's copies, where a table says it went."""
    size = int(np.prod(shape))
    taken = table.reshape(-1)
    places = np.flatnonzero(taken != NONE)
    order = places[np.argsort(taken[places], kind="stable")]
    numbers = taken[order]
    times = np.bincount(numbers, minlength=size)
    first = np.cumsum(times) - times
    most = int(times.max(initial=0))
    copies = np.full((most, size), taken.size)  # beyond the last: a zero
    copies[np.arange(len(order)) - first[numbers], numbers] = order
    with_zero = np.concatenate([dy.reshape(-1), np.zeros(1, dy.dtype)])
    if most == 1:
        return with_zero[copies[0]].reshape(*shape)
    return with_zero[copies].sum(axis=0).reshape(*shape)


@twin_of("GetItem")
class GetItem(Selection):
    """A part of a tensor: x[1:, 0]."""

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        (key,) = others
        return np.asarray(places[_key(key)])


def _key(key: Any) -> Any:
    if isinstance(key, tuple):
        return tuple(one if _is_plain(one) else as_indices(one) for one in key)
    return key if _is_plain(key) else as_indices(key)


def _is_plain(key: Any) -> bool:
    return key is None or key is ... or isinstance(key, (int, slice))


def as_indices(value: Any) -> np.ndarray:
    """Return whole numbers to pick by."""
    if isinstance(value, (int, list, tuple)):
        return np.array(value, np.intp)
    found: np.ndarray = value if value.dtype.kind in "ib" else value.astype(np.intp)
    return found


@twin_of("Take")
class Take(Selection):
    """Slices along an axis, by their numbers; without an axis, of all numbers in one row."""

    def __init__(self, axis: int | None = None) -> None:
        super().__init__()
        self.axis = axis

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.take(places, as_indices(others[0]), self.axis)


@twin_of("TakeAlongAxis")
class TakeAlongAxis(Selection):
    def __init__(self, axis: int | None = None) -> None:
        super().__init__()
        self.axis = axis

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.take_along_axis(places, as_indices(others[0]), self.axis)


@twin_of("Slice")
class Slice(Selection):
    """A block, given by where it starts and how large it is."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = shape

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        starts = [int(start) for start in as_indices(others[0])]
        ends = [
            n if size == -1 else start + size
            for start, size, n in zip(starts, self.shape, places.shape, strict=True)
        ]
        return places[tuple(slice(start, end) for start, end in zip(starts, ends, strict=True))]


@twin_of("Flip")
class Flip(Selection):
    def __init__(self, axis: int | Sequence[int] | None = None) -> None:
        super().__init__()
        self.axis = axis if axis is None or isinstance(axis, int) else tuple(axis)

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.flip(places, self.axis)


@twin_of("Fliplr")
class Fliplr(Flip):
    def __init__(self) -> None:
        super().__init__(1)


@twin_of("Flipud")
class Flipud(Flip):
    def __init__(self) -> None:
        super().__init__(0)


@twin_of("Roll")
class Roll(Selection):
    def __init__(self, shift: Any, axis: Any = None) -> None:
        super().__init__()
        self.shift, self.axis = shift, axis

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.roll(places, self.shift, self.axis)


@twin_of("Rot90")
class Rot90(Selection):
    def __init__(self, k: int = 1, axes: Sequence[int] = (0, 1)) -> None:
        super().__init__()
        self.k, self.axes = k, (axes[0], axes[1])

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.rot90(places, self.k, self.axes)


@twin_of("Tile")
class Tile(Selection):
    def __init__(self, repeats: Any) -> None:
        super().__init__()
        self.repeats = repeats

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.tile(places, self.repeats)


@twin_of("Repeat")
class Repeat(Selection):
    def __init__(self, repeats: Any, axis: int | None = None) -> None:
        super().__init__()
        self.repeats, self.axis = repeats, axis

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        return np.repeat(places, self.repeats, self.axis)


@twin_of("Pad")
class Pad(Selection):
    """The numbers with others around them: a constant, or themselves in a mirror."""

    def __init__(self, pad_width: Any, mode: str = "constant") -> None:
        super().__init__()
        self.pad_width, self.mode = pad_width, mode
        if mode not in ("constant", "reflect", "symmetric"):
            raise NoTwin(f"pad(mode={mode!r}) has no hand-derived twin.")

    def compute(self, x: Array, constant_values: Any = None) -> tuple[Array, Any]:
        self.filling = 0.0 if constant_values is None else float(constant_values)
        return super().compute(x)

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        if self.mode == "constant":
            return np.pad(places, self.pad_width, constant_values=NONE)
        return np.pad(places, self.pad_width, "reflect" if self.mode == "reflect" else "symmetric")


class Blocks(Selection):
    """Channels to places in a block, or back: the axes taken apart and put together otherwise."""

    def __init__(self, block_size: int, data_format: str = "channels_last") -> None:
        super().__init__()
        self.size, self.last = block_size, data_format == "channels_last"

    def moved(self, places: np.ndarray) -> np.ndarray:
        """Move numbers whose channels stand last."""
        raise NotImplementedError

    def picked(self, places: np.ndarray, *others: Any) -> np.ndarray:
        if self.last:
            return self.moved(places)
        return np.moveaxis(self.moved(np.moveaxis(places, 1, -1)), -1, 1)


@twin_of("DepthToSpace")
class DepthToSpace(Blocks):
    def moved(self, places: np.ndarray) -> np.ndarray:
        n, h, w, c = places.shape
        apart = places.reshape(n, h, w, self.size, self.size, c // self.size**2)
        return apart.transpose(0, 1, 3, 2, 4, 5).reshape(n, h * self.size, w * self.size, -1)


@twin_of("SpaceToDepth")
class SpaceToDepth(Blocks):
    def moved(self, places: np.ndarray) -> np.ndarray:
        n, h, w, c = places.shape
        apart = places.reshape(n, h // self.size, self.size, w // self.size, self.size, c)
        return apart.transpose(0, 1, 3, 2, 4, 5).reshape(n, h // self.size, w // self.size, -1)
