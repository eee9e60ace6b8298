"""Pooling by windows, adaptive pooling, and pooling of all there is."""

from typing import Any

from sweep.tables import Table

FORMATS = ["channels_last", "channels_first"]
AXES: dict[int, list[Any]] = {
    1: [(2, 6, 3), (1, 5, 1)],
    2: [(2, 5, 6, 2), (1, 3, 4, 1)],
    3: [(2, 3, 4, 3, 1), (1, 2, 3, 2, 2)],
}
OBLONG: dict[int, Any] = {1: 3, 2: (3, 2), 3: (1, 2, 1)}
# To 1 Keras pools windows of one more than the whole input: in a graph that fails, and outside
# one a maximum takes the process down with it.
SMALL: dict[int, list[Any]] = {
    1: [2, 3, 4],
    2: [2, (3, 2), (2, 4)],
    3: [2, (2, 2, 3)],
}
BOTH = ("float32", "float64")
PRECISIONS = {(kind, rank): BOTH for kind in ("Max", "Average") for rank in (1, 2, 3)}
PRECISIONS["Max", 3] = ("float32",)
"""TensorFlow has no operation for the largest of a volume in float64, whichever way."""

TABLES = [
    Table(
        f"{kind}Pooling{rank}D",
        AXES[rank],
        {
            "pool_size": [2, 1, OBLONG[rank]],
            "strides": [None, 1, 2, OBLONG[rank]],
            "padding": ["valid", "same"],
            "data_format": FORMATS,
        },
        precisions=PRECISIONS[kind, rank],
    )
    for kind in ("Max", "Average")
    for rank in (1, 2, 3)
]
TABLES += [
    Table(
        f"Adaptive{kind}Pooling{rank}D",
        AXES[rank],
        {"output_size": SMALL[rank], "data_format": FORMATS},
        precisions=PRECISIONS[kind, rank],
    )
    for kind in ("Max", "Average")
    for rank in (1, 2, 3)
]
TABLES += [
    Table(
        f"Global{kind}Pooling{rank}D",
        AXES[rank],
        {"data_format": FORMATS, "keepdims": [False, True]},
        {"mask": [None, True]} if (kind, rank) == ("Average", 1) else {},
        never=[{"mask": True, "data_format": "channels_first"}],
    )
    for kind in ("Max", "Average")
    for rank in (1, 2, 3)
]
