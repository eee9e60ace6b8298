"""Bugs in pooling."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.convolution import BACK, FORWARD, groups, images
from manual.layers.global_pooling import GlobalAveragePooling
from manual.layers.pooling import AveragePooling, MaxPooling


def in_pooling() -> Iterator[Bug]:
    """Give slips in each line of the pooling layers."""
    for slip, owner, method_name, network, method, phase, where, told in pooling_slips():
        cause, activation = told.split("|")
        yield Bug(
            f"Pooling: {slip}",
            owner,
            method_name,
            method,
            phase,
            where,
            (cause,),
            network=network,
            activation=activation,
            # (drawn in float32, the data of this network holds no tie)
            dtypes=("float64",) if slip == "max to every tie" else ("float32", "float64"),
        )


def pooling_slips() -> Iterator[tuple[str, type, str, Any, Function, str, str, str]]:
    """Give each wrong line of a pooling layer."""

    def shared(marks: Callable[[Any, Any, Any, int, int], Any], plain: bool = False) -> Function:
        def backward(self: Any, dy: Any, saved: Any) -> Any:
            padded, space, larger = saved
            winner = np.zeros(dy.shape, np.int16)
            for offset, it in enumerate(larger, start=1):
                winner = np.where(it, offset, winner)
            dx, size = np.zeros_like(padded), int(np.prod(self.windows.size))
            wheres = list(self.windows.offsets(space))
            y = padded[wheres[0]]
            for where in wheres[1:]:
                y = np.maximum(y, padded[where])
            for offset, where in enumerate(wheres):
                share = dy * marks(padded[where], y, winner, offset, size)
                dx[where] = share if plain else dx[where] + share
            return self.windows.cropped(dx, space)

        return backward

    slips = {
        "to every tie": (
            shared(lambda x, y, winner, o, size: x == y),
            "at a tie every maximum of the window gets",
            "relu",
        ),
        "to every input": (
            shared(lambda x, y, winner, o, size: np.ones(x.shape)),
            "every element of the window gets the gradient",
            "tanh",
        ),
        "spread as a mean": (
            shared(lambda x, y, winner, o, size: np.ones(x.shape) / size),
            "the gradient is spread evenly over the window",
            "tanh",
        ),
        "index by column": (
            shared(lambda x, y, winner, o, size: winner == o % 3 * 3 + o // 3),
            "the place of the maximum is read column by column",
            "tanh",
        ),
        "divided": (
            shared(lambda x, y, winner, o, size: (winner == o) * (1.0 / size)),
            "the maximum's gradient is divided by the window's size",
            "tanh",
        ),
        "overwritten": (
            shared(lambda x, y, winner, o, size: winner == o, plain=True),
            "where windows overlap, the last one's share overwrites",
            "tanh",
        ),
    }
    for name, (method, cause, activation) in slips.items():
        yield (
            f"max {name}",
            MaxPooling,
            "backward",
            images,
            method,
            BACK,
            "first",
            f"{cause}|{activation}",
        )

    def undivided(self: Any, dy: Any, saved: Any) -> Any:
        padded, space = saved
        dx = np.zeros_like(padded)
        for where in self.windows.offsets(space):
            dx[where] += dy
        return self.windows.cropped(dx, space)

    def padding_counted(self: Any, x: Any, *, training: bool = False) -> Any:
        taken = self.windows.taken(x)
        rows = taken.reshape(*taken.shape[:3], -1, x.shape[-1])
        return rows.sum(axis=-2) / 4.0, (self.windows.padded(x), x.shape[1:-1])

    def added_up(self: Any, x: Any, *, training: bool = False) -> Any:
        taken = self.windows.taken(x)
        rows = taken.reshape(*taken.shape[:3], -1, x.shape[-1])
        return rows.sum(axis=-2), (self.windows.padded(x), x.shape[1:-1])

    yield (
        "average undivided",
        AveragePooling,
        "backward",
        groups,
        undivided,
        BACK,
        "first",
        "the gradient is not divided by the window's size|tanh",
    )
    yield (
        "average with padding",
        AveragePooling,
        "forward",
        groups,
        padding_counted,
        FORWARD,
        "pool",
        "the zeros of the padding are counted|tanh",
    )
    yield (
        "average is a sum",
        AveragePooling,
        "forward",
        groups,
        added_up,
        FORWARD,
        "pool",
        "the window is added up|tanh",
    )

    def all_of_it(self: Any, dy: Any, saved: Any) -> Any:
        batch, *space, channels = saved.shape
        share = dy.reshape(batch, *(1,) * len(space), channels)
        return self._in_format(np.zeros_like(saved) + share)

    yield (
        "global undivided",
        GlobalAveragePooling,
        "backward",
        groups,
        all_of_it,
        BACK,
        "second",
        "the gradient is not divided by the number of places|tanh",
    )
