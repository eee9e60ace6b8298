"""Bugs in layers that move numbers around."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug
from compare.score.bugs.merging import Made, at
from compare.score.networks import SAMPLES, Choice, Planted, generator, spread
from manual import layers
from manual.layers.spatial import Cropping, UpSampling, ZeroPadding

_right_upsampling = UpSampling.backward


def moved(shape: tuple[int, ...], *made: tuple[str, tuple[Any, ...]]) -> Made:
    """Return a network of a Dense layer, layers that move numbers, and a last one."""

    def build(bug: Choice) -> Planted:
        inputs = keras.Input(shape)
        x = keras.layers.Dense(shape[-1], name="first", **spread())(inputs)
        for kind, arguments in made:
            x = getattr(keras.layers, kind)(*arguments, name="move")(x)
        outputs = keras.layers.Dense(2, name="last", **spread())(
            keras.layers.Flatten(name="flat")(x)
        )
        draw = generator()
        data = draw.normal(size=(SAMPLES, *shape))
        return keras.Model(inputs, outputs), data, draw.normal(size=(SAMPLES, 2))

    build.__name__ = f"{made} of {shape}"
    return build


def in_reshaping() -> Iterator[Bug]:
    """Give numbers that end up elsewhere, and copies that do."""

    def by_column(self: Any, x: Any, **options: Any) -> Any:
        turned = np.transpose(x, [0, *range(x.ndim - 1, 0, -1)])
        shape = self.output_shape(x.shape[1:])
        filled = turned.reshape(x.shape[0], *shape[::-1])
        return np.transpose(filled, [0, *range(len(shape), 0, -1)]), x.shape

    def by_column_back(self: Any, dy: Any, saved: Any) -> Any:
        turned = np.transpose(dy, [0, *range(dy.ndim - 1, 0, -1)])
        filled = turned.reshape(saved[0], *saved[:0:-1])
        return np.transpose(filled, [0, *range(len(saved) - 1, 0, -1)])

    def not_inverted(self: Any, dy: Any, saved: Any) -> Any:
        return np.transpose(dy, (0, *self.dims))

    def inverse(self: Any, x: Any, **options: Any) -> Any:
        return np.transpose(x, [int(one) for one in np.argsort((0, *self.dims))]), None

    def averaged(self: Any, dy: Any, saved: Any) -> Any:
        return _right_upsampling(self, dy, saved) / float(np.prod(self.size))

    def one_copy(self: Any, dy: Any, saved: Any) -> Any:
        return dy[:, 0] * 1.0

    def by_channel(self: Any, x: Any, **options: Any) -> Any:
        return np.moveaxis(x, -1, 1).reshape(len(x), -1), x

    def at_the_start(self: Any, dy: Any, saved: Any) -> Any:
        return dy[:, : dy.shape[1] - sum(self.padding[0])]

    def cropped_after(self: Any, x: Any, **options: Any) -> Any:
        return x[:, : x.shape[1] - sum(self.cropping[0])], None

    def mirrored(self: Any, x: Any, **options: Any) -> Any:
        return np.pad(x, self.around(self.padding, x.ndim), "reflect"), None

    def tiled(self: Any, x: Any, **options: Any) -> Any:
        return np.concatenate([x] * self.size[0], axis=1), None

    def tiled_back(self: Any, dy: Any, saved: Any) -> Any:
        return dy.reshape(len(dy), self.size[0], -1, dy.shape[-1]).sum(axis=1)

    def among_zeros(self: Any, x: Any, **options: Any) -> Any:
        apart = np.stack([x, *[x * 0.0] * (self.size[0] - 1)], axis=2)
        return apart.reshape(len(x), -1, x.shape[-1]), None

    def other_side(self: Any, dy: Any, saved: Any) -> Any:
        (before, after), size = self.padding[0], dy.shape[1]
        return dy[:, after : size - before]

    cube = (3, 3, 3)
    column, copies = (
        ("the numbers are read column by column",),
        ("the copies' gradients are averaged",),
    )
    reshape, permute = moved((2, 6), ("Reshape", ((3, 4),))), moved(cube, ("Permute", ((2, 3, 1),)))
    for name, owner, function, causes, network, method in (
        ("Reshape by column", layers.Reshape, by_column, column, reshape, "forward"),
        (
            "Reshape by column on the way back",
            layers.Reshape,
            by_column_back,
            column,
            reshape,
            "backward",
        ),
        (
            "Permute not inverted",
            layers.Permute,
            not_inverted,
            ("the axes are permuted to", "the permutation is not inverted"),
            permute,
            "backward",
        ),
        (
            "Permute inverted",
            layers.Permute,
            inverse,
            ("the axes are permuted",),
            permute,
            "forward",
        ),
        (
            "UpSampling2D averaged",
            UpSampling,
            averaged,
            copies,
            moved((2, 2, 3), ("UpSampling2D", ((2, 3),))),
            "backward",
        ),
        (
            "UpSampling1D averaged",
            UpSampling,
            averaged,
            copies,
            moved((3, 2), ("UpSampling1D", (2,))),
            "backward",
        ),
        (
            "RepeatVector, one copy",
            layers.RepeatVector,
            one_copy,
            ("only the first copy's gradient is there",),
            moved((4,), ("RepeatVector", (3,))),
            "backward",
        ),
        (
            "Flatten by channel",
            layers.Flatten,
            by_channel,
            ("the numbers are read channel by channel",),
            moved((3, 2, 4), ("Identity", ())),
            "forward",
        ),
        (
            "ZeroPadding1D, offset forgotten on the way back",
            ZeroPadding,
            at_the_start,
            ("all of the edge lies after",),
            moved((4, 2), ("ZeroPadding1D", ((2, 1),))),
            "backward",
        ),
        (
            "Cropping1D, all after",
            Cropping,
            cropped_after,
            ("all of the edge lies after",),
            moved((7, 2), ("Cropping1D", ((2, 1),))),
            "forward",
        ),
        (
            "ZeroPadding1D, mirrored",
            ZeroPadding,
            mirrored,
            ("around the input the input is mirrored",),
            moved((4, 2), ("ZeroPadding1D", ((2, 1),))),
            "forward",
        ),
        (
            "UpSampling1D, the whole repeated",
            UpSampling,
            tiled,
            ("the whole is repeated",),
            moved((3, 2), ("UpSampling1D", (3,))),
            "forward",
        ),
        (
            "UpSampling1D, the whole repeated, on the way back",
            UpSampling,
            tiled_back,
            ("copies are taken to lie whole images apart",),
            moved((3, 2), ("UpSampling1D", (3,))),
            "backward",
        ),
        (
            "UpSampling1D, among zeros",
            UpSampling,
            among_zeros,
            ("zeros stand between the numbers",),
            moved((3, 2), ("UpSampling1D", (2,))),
            "forward",
        ),
        (
            "ZeroPadding1D, other side",
            ZeroPadding,
            other_side,
            ("before and after are exchanged",),
            moved((4, 2), ("ZeroPadding1D", ((0, 2),))),
            "backward",
        ),
        (
            "Rescaling without its scale",
            layers.Rescaling,
            lambda self, dy, saved: dy * 1.0,
            ("the scale is forgotten",),
            moved((4,), ("Rescaling", (0.3, 0.2))),
            "backward",
        ),
    ):
        where = "move" if method == "forward" else "first"
        if owner is layers.Flatten:
            where = "flat"
        yield at(where, f"reshaping: {name}", owner, function, causes, network, method)
