"""What brings numbers to mean 0 and variance 1, or to length 1."""

from typing import Any

import keras
import numpy as np

from sweep.tables import SHAPES, Table

CENTERED = {"center": [True, False], "scale": [True, False]}
EPSILON = {"epsilon": [1e-3, 1e-5]}
STOPS = [{"renorm": True, "training": True}]
"""No gradient passes r and d (`test_normalization` holds them, and the derivative). Nor does one
pass the norm that SpectralNormalization divides by in training."""

WITHIN: dict[str, Any] = {
    "Dense": lambda: keras.layers.Dense(4),
    "Dense, activation": lambda: keras.layers.Dense(3, "tanh"),
    "Dense, no bias": lambda: keras.layers.Dense(4, use_bias=False),
    "EinsumDense": lambda: keras.layers.EinsumDense("ab...,bc->ac...", 4),
    "Conv2D": lambda: keras.layers.Conv2D(3, 2, padding="same"),
    "Conv2DTranspose": lambda: keras.layers.Conv2DTranspose(3, 2),
    "DepthwiseConv2D": lambda: keras.layers.DepthwiseConv2D(2),
}
IMAGES = ["Conv2D", "Conv2DTranspose", "DepthwiseConv2D"]


def spectral(layer: str, power_iterations: int) -> Any:
    return keras.layers.SpectralNormalization(WITHIN[layer](), power_iterations)


def adapted(**options: Any) -> Any:
    """Return a Discretization that has taken its boundaries from data."""
    layer = keras.layers.Discretization(**options)
    layer.adapt(np.linspace(-2.0, 2.0, 50) ** 3)
    return layer


TABLES = [
    Table(
        "BatchNormalization",
        [(4, 3, 2), (3, 1, 4)],
        {
            "axis": [-1, 1, 2],
            "momentum": [0.99, 0.5, 0.0, 1.0],
            "renorm": [False, True],
            "synchronized": [False, True],
            "trainable": [True, False],
            **EPSILON,
            **CENTERED,
        },
        {"training": [True, False], "mask": [None, True]},
        never=[{"axis": 1, "mask": True}],
        stops=STOPS,
    ),
    Table(
        "BatchNormalization",
        [(5, 2), (2, 3, 3, 2), (2, 2, 2, 3, 1)],
        {"axis": [-1, 1], **CENTERED},
        {"training": [True, False]},
    ),
    Table(
        "BatchNormalization",
        [(5, 3, 2)],
        {
            "renorm": [True],
            "renorm_clipping": [None, {"rmax": 1.1, "rmin": 0.9, "dmax": 0.1}, {"rmax": 2.0},
                                {"dmax": 0.2, "rmin": 0.5}],
            "renorm_momentum": [0.99, 0.5],
        },
        {"training": [True, False]},
        stops=STOPS,
    ),
    Table(
        "LayerNormalization",
        [(2, 3, 4), (1, 1, 2)],
        {"axis": [-1, 1, (1, 2), [-1, -2], [2]], "epsilon": [1e-3, 1e-5, 0.1], **CENTERED},
    ),
    Table(
        "LayerNormalization",
        [(3, 4), (2, 3, 2, 2)],
        {"rms_scaling": [False, True], "axis": [-1, [1]], **CENTERED},
    ),
    Table(
        "LayerNormalization",
        [(2, 3, 4, 2)],
        {
            "rms_scaling": [False, True],
            "axis": [[1, 2], [1, 2, 3], (3, 1), [-1, -3], (2, -1)],
            **CENTERED,
        },
    ),
    Table(
        "GroupNormalization",
        [(2, 3, 4), (1, 2, 1, 4), (3, 4)],
        {"groups": [2, 1, -1, 4], "axis": [-1, 1], **EPSILON, **CENTERED},
        never=[
            {"axis": 1, "groups": [2, 4], SHAPES: (2, 3, 4)},
            {"axis": 1, "groups": 4, SHAPES: (1, 2, 1, 4)},
        ],
    ),
    Table(
        "RMSNormalization",
        [(2, 3, 4), (1, 1, 2), (3, 3)],
        {"axis": [-1, -2, [-1], [-2, -1]], "epsilon": [1e-6, 1e-2]},
        never=[{"axis": [-2, [-2, -1]], SHAPES: (3, 3)}, {"axis": [-2], SHAPES: (2, 3, 4)}],
    ),
    Table(
        "RMSNormalization",
        [(2, 3, 3, 3)],
        {"axis": [-1, 1, 2, [1, 2], (1, 2, 3), [-1, 1]], "epsilon": [1e-6, 0.3]},
    ),
    Table(
        "UnitNormalization",
        [(2, 3, 4), (1, 1, 2), (1, 2, 2, 3)],
        {"axis": [-1, 1, (1, 2), [-1, -2], [2], 0, (0, 1), [-1, 0]]},
    ),
    Table(
        "SpectralNormalization",
        [(5, 3), (2, 5, 3), (2, 3, 3, 2)],
        {"layer": list(WITHIN), "power_iterations": [1, 3]},
        {"training": [True, False]},
        stops=[{"training": True}],
        never=[{"layer": IMAGES, SHAPES: [(5, 3), (2, 5, 3)]}],
        make=spectral,
    ),
    Table(
        "Normalization",
        [(2, 3, 4), (1, 3, 1)],
        {"axis": [-1, 1, (1, 2), [-1], None, ()], "invert": [False, True]},
    ),
    Table(
        "Normalization",
        [(2, 3, 3), (3, 3)],
        {
            "axis": [-1, 1],
            "mean": [[0.1, -0.7, 0.3], 0.3],
            "variance": [[1.1, 2.0, 0.0], 2.2],
            "invert": [False, True],
        },
        never=[
            {"mean": 0.3, "variance": [[1.1, 2.0, 0.0]]},
            {"mean": [[0.1, -0.7, 0.3]], "variance": 2.2},
        ],
    ),
    Table(
        "Discretization",
        [(3, 3), (2, 3, 1), (4, 1)],
        {
            "bin_boundaries": [[-0.5, 0.1, 0.7], [0.3]],
            "output_mode": ["int", "one_hot", "multi_hot", "count"],
        },
    ),
    Table(
        "Discretization",
        [(3, 3), (4, 1)],
        {"num_bins": [3, 5], "epsilon": [0.01, 0.3], "output_mode": ["int", "count"]},
        make=adapted,
    ),
    Table(
        "CategoryEncoding",
        [(2, 3), (4, 1)],
        {"num_tokens": [5, 7], "output_mode": ["multi_hot", "one_hot", "count"]},
        words=5,
    ),
]  # fmt: skip
