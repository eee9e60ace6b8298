"""Attention, with projections and without."""

from typing import Any

from sweep.tables import SHAPES, Table

TWO = [(2, 3, 4), (2, 5, 4)]
THREE = [(1, 2, 4), (1, 4, 3), (1, 4, 4)]
ONE = [(1, 1, 2), (1, 1, 2)]
PLANES = [(2, 3, 2, 4), (2, 3, 2, 4)]
OTHER_PLANES = [(1, 2, 3, 3), (1, 2, 2, 3)]

CAUSAL: dict[str, Any] = {"use_causal_mask": [None, True]}
MASKS: dict[str, Any] = {"mask": [None, [True, False], [False, True], [True, True]], **CAUSAL}
OF_TWO = [{"mask": [[True, False], [False, True], [True, True]], SHAPES: [THREE]}]
TRAINING: dict[str, Any] = {"training": [True, False], **MASKS}
SHOWN: dict[str, Any] = {"return_attention_scores": [None, True], **TRAINING}
HEADS: dict[str, Any] = {
    "use_bias": [True, False],
    "dropout": [0.0, 0.4],
    "sliding_window": [None, 1, 2],
    "use_gate": [False, True],
    "flash_attention": [None, False],
    "seed": [3],
}
ASKED: dict[str, Any] = {**SHOWN, "attention_mask": [None, "each sample's", "everyone's"]}
ZERO = ["key/bias"]

TABLES = [
    Table(
        "Attention",
        [TWO, THREE, ONE],
        {
            "use_scale": [False, True],
            "score_mode": ["dot", "concat"],
            "dropout": [0.0, 0.3],
            "seed": [3],
        },
        SHOWN,
        never=OF_TWO,
    ),
    Table(
        "AdditiveAttention",
        [TWO, THREE, ONE],
        {"use_scale": [True, False], "dropout": [0.0, 0.3], "seed": [3]},
        SHOWN,
        never=OF_TWO,
    ),
    Table(
        "MultiHeadAttention",
        [TWO, THREE, ONE],
        {
            "num_heads": [2, 1, 3],
            "key_dim": [3, 1],
            "value_dim": [None, 2],
            "output_shape": [None, 5, (2, 3)],
            "attention_axes": [None, 1, (1,), (-2,)],
            **HEADS,
        },
        ASKED,
        never=OF_TWO,
        zero=ZERO,
    ),
    Table(
        "MultiHeadAttention",
        [PLANES, OTHER_PLANES],
        {
            "num_heads": [2, 1],
            "key_dim": [3],
            "output_shape": [None, 5],
            "attention_axes": [None, (2,), (1, 2), 2, (-2,)],
            "use_bias": [True, False],
            "dropout": [0.0, 0.4],
            "use_gate": [False, True],
            "seed": [3],
        },
        {"training": [True, False], "return_attention_scores": [None, True]},
        zero=ZERO,
    ),
    Table(
        "GroupQueryAttention",
        [TWO, THREE, ONE],
        {
            "head_dim": [3, 1],
            "num_query_heads": [4, 2],
            "num_key_value_heads": [2, 1],
            **HEADS,
        },
        ASKED,
        never=OF_TWO,
        zero=ZERO,
    ),
]
