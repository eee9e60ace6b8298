"""Layers that join inputs."""

from typing import Any

from sweep.tables import SHAPES, Table

MASK: dict[str, Any] = {"mask": [None, [True, True]]}
TWO = [[(2, 3, 2), (2, 3, 2)], [(1, 3, 2), (1, 3, 1)], [(2, 3, 2), (2, 1, 2)], [(1, 1), (1, 1)]]
MORE = [[(2, 3)] * 3, [(2, 2, 3), (2, 3), (2, 2, 1)], [(1, 1)] * 4, [(2, 3, 2)] * 3]
UNEQUAL = [
    {"mask": [[True, True]], SHAPES: [one for one in TWO if one[0] != one[1] or one == TWO[3]]}
]
MATRICES = [[(2, 3, 4), (2, 5, 4)], [(1, 3, 3), (1, 3, 3)]]

TABLES = [
    *(Table(name, TWO, {}, MASK, never=UNEQUAL)
      for name in ("Add", "Subtract", "Average", "Multiply", "Maximum", "Minimum")),
    *(Table(name, MORE) for name in ("Add", "Average", "Multiply", "Maximum", "Minimum")),
    *(Table(name, [[(2, 3, 2)] * 3], {}, {"mask": [[True, True, True], [True, False, True]]})
      for name in ("Add", "Average", "Multiply", "Maximum", "Minimum", "Concatenate")),
    Table(
        "Concatenate",
        [[(2, 3, 4), (2, 3, 4)], [(1, 1, 2)] * 3],
        {"axis": [-1, 1, 2, -2]},
    ),
    Table("Concatenate", [[(2, 3), (2, 1)], [(1, 2, 2, 3), (1, 2, 2, 2)]], {"axis": [-1]}),
    Table("Concatenate", [[(2, 3, 2), (2, 1, 2)], [(1, 4, 2), (1, 2, 2)]], {"axis": [1]}),
    Table("Concatenate", [[(2, 3, 2), (4, 3, 2)]], {"axis": [0]}),
    Table("Dot", [[(3, 4), (3, 4)], [(1, 1), (1, 1)]],
          {"axes": [1, -1, (1, 1), (-1, 1)], "normalize": [False, True]}),
    Table("Dot", MATRICES, {"axes": [2, -1, (2, 2), (-1, -1)], "normalize": [False, True]}),
    Table("Dot", [[(2, 3, 4), (2, 4, 3)], [(1, 3, 3), (1, 3, 3)]],
          {"axes": [(1, 2), (2, 1), (-1, 1)], "normalize": [False, True]}),
    Table("Dot", [[(2, 3, 4), (2, 4)], [(1, 2, 4), (1, 4)]],
          {"axes": [(2, 1), (-1, -1)], "normalize": [False, True]}),
    Table("Dot", [[(2, 3, 2, 4), (2, 4, 3)]],
          {"axes": [(3, 1), (1, 2), (-1, -2)], "normalize": [False, True]}),
]  # fmt: skip
