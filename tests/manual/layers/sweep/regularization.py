"""Layers that draw random numbers, and one that only costs something."""

from typing import Any

from sweep.tables import SHAPES, Table

FORMATS = ["channels_last", "channels_first"]
TRAINING: dict[str, Any] = {"training": [True, False]}
FLAT = [(4, 3), (2, 3, 4), (1, 1)]
NOISE: list[Any] = [None, (None, 1, 4), (None, None, 1), (2, 1, 4)]
CUBES = [{"noise_shape": NOISE[1:], SHAPES: [(4, 3), (1, 1)]}]

TABLES = [
    Table("Dropout", FLAT, {"rate": [0.4, 0.0, 0.9], "noise_shape": NOISE, "seed": [5]},
          TRAINING, never=CUBES),
    Table("AlphaDropout", FLAT, {"rate": [0.4, 0.0, 0.9], "noise_shape": NOISE, "seed": [5]},
          TRAINING, never=CUBES),
    Table("GaussianDropout", FLAT, {"rate": [0.4, 0.0, 0.9], "seed": [5]}, TRAINING),
    Table("GaussianNoise", FLAT, {"stddev": [0.4, 0.0, 1.0], "seed": [5]}, TRAINING),
    Table("SpatialDropout1D", [(3, 2, 4), (1, 1, 2)], {"rate": [0.4, 0.0], "seed": [5]}, TRAINING),
    Table("SpatialDropout2D", [(2, 2, 3, 4)],
          {"rate": [0.4, 0.0], "data_format": FORMATS, "seed": [5]}, TRAINING),
    Table("SpatialDropout3D", [(2, 2, 1, 3, 4)],
          {"rate": [0.4, 0.0], "data_format": FORMATS, "seed": [5]}, TRAINING),
    Table("ActivityRegularization", FLAT, {"l1": [0.0, 0.1], "l2": [0.0, 0.3]}),
]  # fmt: skip
