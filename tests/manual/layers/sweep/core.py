"""Dense, EinsumDense, Embedding and their like."""

from sweep.tables import Table

ACTIVATIONS = [None, "relu", "softmax", "gelu"]

TABLES = [
    Table(
        "Dense",
        [(3, 4), (1, 1), (2, 3, 5), (2, 1, 2, 3)],
        {"units": [3, 1], "activation": ACTIVATIONS, "use_bias": [True, False]},
    ),
    Table(
        "EinsumDense",
        [(2, 3, 4), (1, 1, 4)],
        {
            "equation": ["abc,cd->abd"],
            "output_shape": [(None, 5)],
            "bias_axes": [None, "d"],
            "activation": ACTIVATIONS,
        },
    ),
    Table(
        "EinsumDense",
        [(2, 3, 4), (1, 1, 5)],
        {
            "equation": ["...x,xy->...y", "...xy,yz->...xz", "abc,cd->adb"],
            "output_shape": [5, (None, 5), (5, None)],
            "bias_axes": [None],
        },
        never=[
            {"equation": "...x,xy->...y", "output_shape": [(None, 5), (5, None)]},
            {"equation": "...xy,yz->...xz", "output_shape": [5, (5, None)]},
            {"equation": "abc,cd->adb", "output_shape": [5, (None, 5)]},
        ],
    ),
    Table(
        "EinsumDense",
        [(2, 3, 4)],
        {
            "equation": ["abc,cde->abde", "abc,dec->abde"],
            "output_shape": [(3, 2, 5)],
            "bias_axes": [None, "e", "de", "bde", "d", "b"],
        },
    ),
    Table(
        "EinsumDense",
        [(2, 3, 4)],
        {"equation": ["abc,bcd->ad", "abc,bd->acd", "abc,bc->ab", "abc,bcd->abd"],
         "output_shape": [5, (4, 5), 3, (3, 5)]},
        never=[
            {"equation": "abc,bcd->ad", "output_shape": [(4, 5), 3, (3, 5)]},
            {"equation": "abc,bd->acd", "output_shape": [5, 3, (3, 5)]},
            {"equation": "abc,bc->ab", "output_shape": [5, (4, 5), (3, 5)]},
            {"equation": "abc,bcd->abd", "output_shape": [5, (4, 5), 3]},
        ],
    ),
    Table(
        "EinsumDense",
        [(2, 3, 4, 5)],
        {
            "equation": ["ab...,bc->ac..."],
            "output_shape": [6, (6,), (6, None, None)],
            "bias_axes": [None],
        },
    ),
    Table(
        "Embedding",
        [(2, 3), (1, 1), (3,), (2, 2, 3)],
        {"input_dim": [4, 6], "output_dim": [3, 1], "mask_zero": [False, True]},
        words=4,
    ),
    Table(
        "ReversibleEmbedding",
        [(2, 3), (1, 1)],
        {
            "input_dim": [4],
            "output_dim": [3, 1],
            "tie_weights": [True, False],
            "mask_zero": [False, True],
            "logit_soft_cap": [None, 1.7],
        },
        words=4,
    ),
    Table(
        "ReversibleEmbedding",
        [(2, 4, 3), (1, 1, 3)],
        {
            "input_dim": [5, 2],
            "output_dim": [3],
            "tie_weights": [True, False],
            "logit_soft_cap": [None, 1.7, 0.3],
            "reverse_dtype": [None],
        },
        {"reverse": [True]},
    ),
    Table("Masking", [(2, 3, 2), (1, 1, 1)], {"mask_value": [0.0, 1.0, -1.0]}, words=2),
    Table("Identity", [(2, 3), (1, 1, 2)]),
    Table("Flatten", [(2, 3), (2, 3, 4), (1, 2, 1, 3), (2, 3, 2, 2, 2)],
          {"data_format": [None, "channels_first", "channels_last"]}),
]  # fmt: skip
