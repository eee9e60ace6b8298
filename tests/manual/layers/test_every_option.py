"""Small layers with their options in many combinations, each held against Keras."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import keras
import numpy as np
import pytest

pytestmark = pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning")
L = keras.layers
MOST = 12
"""Combinations of one layer's options; of more, as many are drawn."""

WAYS: list[dict[str, bool]] = [{"training": True}, {"training": False}]
FORMATS = [None, "channels_first"]
EDGES = [1, (0, 2), [2, 1], ((1, 0), (0, 2)), [[1, 0], [2, 1]]]
VOLUME = [1, (0, 2, 1), ((1, 0), (0, 2), (1, 1))]
AFFINE: dict[str, list[Any]] = {"center": [True, False], "scale": [True, False]}
OPTIONS: list[tuple[type, list[tuple[int, ...]], dict[str, list[Any]]]] = [
    (L.PReLU, [(3, 4, 5)], {"shared_axes": [None, 1, [1], [1, 2], (2,), [-1]]}),
    (L.PReLU, [(2, 3, 4, 2)], {"shared_axes": [[1, 2], [3]], "alpha_regularizer": [None, "l1"]}),
    (L.ELU, [(3, 4)], {"alpha": [1.0, 0.3, 2, 0.0]}),
    (L.LeakyReLU, [(3, 4)], {"negative_slope": [0.3, 0.0, 1.0, 2, 0.1]}),
    (
        L.ReLU,
        [(3, 4)],
        {"max_value": [None, 6, 0.7], "negative_slope": [0, 0.1], "threshold": [0, 0.3]},
    ),
    (L.Softmax, [(3, 4, 5)], {"axis": [-1, 1, 2, [1, 2], (-1,), -2, (1, -1)]}),
    (L.Permute, [(2, 3, 4, 5)], {"dims": [(1, 2, 3), (3, 2, 1), (2, 1, 3)]}),
    (L.RepeatVector, [(2, 4)], {"n": [1, 3]}),
    (
        L.Flatten,
        [(2, 3), (2, 3, 4), (2, 3, 4, 2)],
        {"data_format": [*FORMATS, "channels_last"]},
    ),
    (
        L.Reshape,
        [(2, 12), (2, 3, 4), (2, 2, 3, 2)],
        {"target_shape": [(-1,), (12,), (3, -1), (-1, 2, 2), (2, 3, 2), (1, 12)]},
    ),
    (L.Cropping1D, [(2, 7, 3)], {"cropping": [1, (0, 2), (2, 0), [1, 1], 0]}),
    (L.ZeroPadding1D, [(2, 4, 3)], {"padding": [1, (0, 2), [1, 1], 0], "data_format": FORMATS}),
    (L.Cropping2D, [(2, 6, 7, 5)], {"cropping": EDGES, "data_format": FORMATS}),
    (L.ZeroPadding2D, [(2, 3, 4, 2)], {"padding": EDGES, "data_format": FORMATS}),
    (L.Cropping3D, [(2, 6, 7, 5, 6)], {"cropping": VOLUME, "data_format": FORMATS}),
    (L.ZeroPadding3D, [(1, 2, 3, 2, 2)], {"padding": VOLUME, "data_format": FORMATS}),
    (L.UpSampling1D, [(2, 3, 2)], {"size": [1, 2, 3]}),
    (
        L.UpSampling2D,
        [(2, 3, 2, 3)],
        {
            "size": [1, 2, (2, 3), [3, 1]],
            "data_format": FORMATS,
            "interpolation": ["nearest", "bilinear", "BICUBIC"],
        },
    ),
    (L.UpSampling3D, [(1, 2, 2, 3, 2)], {"size": [1, 2, (2, 3, 1)], "data_format": FORMATS}),
    (L.UnitNormalization, [(3, 4), (2, 3, 4)], {"axis": [-1, 1, [1], [-1], 0, (0, 1), [-1, 0]]}),
    (L.LayerNormalization, [(3, 4), (2, 3, 4)], {"epsilon": [1e-3, 0.1], **AFFINE}),
    (
        L.LayerNormalization,
        [(2, 3, 4, 2)],
        {"axis": [[1, 2], [1, 2, 3], (3, 1), [-1, -3], (2, -1)], "rms_scaling": [False, True]},
    ),
    (L.RMSNormalization, [(2, 3, 4, 4)], {"axis": [-1, [-1], (-2, -1)], "epsilon": [1e-6, 0.3]}),
    (L.RMSNormalization, [(2, 3, 3, 3)], {"axis": [1, 2, [1, 2], (1, 2, 3), [-1, 1]]}),
    (L.GroupNormalization, [(3, 4), (2, 3, 4)], {"groups": [1, 2, 4, -1], **AFFINE}),
    (L.GroupNormalization, [(2, 4, 4, 4)], {"groups": [1, 2, -1], "axis": [1, 2, -1, -2, -3]}),
    (
        L.BatchNormalization,
        [(2, 3, 4), (2, 3, 4, 4)],
        {
            "axis": [-1, 1, -2],
            "momentum": [0.99, 0.1, 0.0, 1.0],
            "renorm": [False, True],
            "synchronized": [False, True],
            **AFFINE,
        },
    ),
    (L.ActivityRegularization, [(2, 3)], {"l1": [0, 0.1], "l2": [0.0, 0.3]}),
]


def combinations() -> Iterator[Any]:
    draw = np.random.default_rng(11)
    for layer, shapes, options in OPTIONS:
        every = list(product(*options.values()))
        if len(every) > MOST:
            every = [every[place] for place in draw.choice(len(every), MOST, replace=False)]
        calls = WAYS if layer is L.BatchNormalization else [{}]  # others know no difference
        for values, shape, call in product(every, shapes, calls):
            given = dict(zip(options, values, strict=True))
            yield pytest.param(
                lambda layer=layer, given=given: layer(**given),
                shape,
                call,
                id=f"{layer.__name__} {given} {shape} {call}",
            )


@pytest.mark.parametrize(("make", "shape", "call"), combinations())
def test_equals_keras(
    make: Callable[[], Any], shape: tuple[int, ...], call: Any, layer_equals_keras: Any
) -> None:
    layer_equals_keras(make, shape, call)
