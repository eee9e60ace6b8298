"""Activation functions as layers."""

from sweep.tables import Table

SHAPES = [(3, 4), (1, 1), (2, 3, 2)]

TABLES = [
    Table(
        "Activation",
        [(3, 4), (2, 3, 2)],
        {
            "activation": [
                "relu", "relu6", "leaky_relu", "elu", "celu", "selu", "gelu", "silu", "swish",
                "mish", "softplus", "softsign", "tanh", "sigmoid", "hard_sigmoid", "hard_silu",
                "hard_swish", "hard_tanh", "exponential", "linear", "log_sigmoid", "softmax",
                "log_softmax", "squareplus", "sparse_plus", "sparse_sigmoid", "sparsemax",
                "hard_shrink", "soft_shrink", "tanh_shrink",
            ]
        },
    ),
    Table(
        "ReLU",
        SHAPES,
        {
            "max_value": [None, 1.0, 0.5, 6],
            "negative_slope": [0.0, 0.2],
            "threshold": [0.0, 0.3, 0.5],
        },
    ),
    Table("LeakyReLU", SHAPES, {"negative_slope": [0.3, 0.0, 1.0, 2, 1.5]}),
    Table("ELU", SHAPES, {"alpha": [1.0, 0.3, 2, 0.0]}),
    Table(
        "Softmax",
        [(2, 3, 4), (1, 2, 1)],
        {"axis": [-1, 1, 2, -2, (1, 2), (-1,), [1, 2], (1, -1)]},
        {"mask": [None, "numbers"]},
    ),
    Table(
        "PReLU",
        [(2, 3, 4), (1, 1, 2)],
        {
            "shared_axes": [None, [1], 2, [1, 2], (2,), [-1]],
            "alpha_regularizer": [None, "l2"],
            "alpha_constraint": [None, "non_neg"],
        },
    ),
    Table("PReLU", [(2, 3, 4, 2)], {"shared_axes": [[1, 2], [3]], "alpha_regularizer": ["l1"]}),
]  # fmt: skip
