"""What brings numbers to mean 0 and variance 1, or to length 1."""

from sweep.tables import SHAPES, Table

CENTERED = {"center": [True, False], "scale": [True, False]}
EPSILON = {"epsilon": [1e-3, 1e-5]}
STOPS = [{"renorm": True, "training": True}]
"""No gradient passes r and d (`test_normalization` holds them, and the derivative)."""

TABLES = [
    Table(
        "BatchNormalization",
        [(4, 3, 2), (3, 1, 4)],
        {
            "axis": [-1, 1, 2],
            "momentum": [0.99, 0.5],
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
        {"axis": [-1, 1, (1, 2), [-1, -2], [2]], **EPSILON, **CENTERED},
    ),
    Table(
        "LayerNormalization",
        [(3, 4), (2, 3, 2, 2)],
        {"rms_scaling": [False, True], "axis": [-1, [1]], **CENTERED},
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
        "UnitNormalization",
        [(2, 3, 4), (1, 1, 2), (1, 2, 2, 3)],
        {"axis": [-1, 1, (1, 2), [-1, -2], [2]]},
    ),
]  # fmt: skip
