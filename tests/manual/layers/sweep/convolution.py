"""Convolutions: plain, transposed, depthwise and separable ones."""

from typing import Any

from sweep.tables import Table

FORMATS = ["channels_last", "channels_first"]
CONVOLUTION: dict[str, Any] = {
    "filters": [14, 16],
    "padding": ["valid", "same"],
    "groups": [1, 2],
    "data_format": FORMATS,
    "activation": [None, "tanh"],
    "use_bias": [True, False],
}
WITHOUT_GROUPS = {name: values for name, values in CONVOLUTION.items() if name != "groups"}
DEPTHWISE = {name: values for name, values in WITHOUT_GROUPS.items() if name != "filters"}
DEPTHWISE["depth_multiplier"] = [1, 3]
SEPARABLE = {**WITHOUT_GROUPS, "depth_multiplier": [1, 2]}

# As many channels and filters as no axis has numbers: where the width is as long as the filters,
# with the channels first, Keras adds the bias along the width (`test_convolution`).
LINES = [(2, 9, 4), (1, 6, 2)]
PLANES = [(2, 7, 6, 4), (1, 5, 5, 2)]
VOLUMES = [(1, 5, 6, 5, 2), (1, 6, 5, 5, 4)]


def strided(*values: Any) -> list[dict[str, Any]]:
    """Keras refuses strides together with a dilation."""
    return [{"strides": list(values), "dilation_rate": [2, 3, (2, 1), (1, 2), (1, 2, 1)]}]


def on(table: dict[str, Any], rank: int, **more: Any) -> dict[str, Any]:
    """Add what depends on the number of axes."""
    oblong = {1: 1, 2: (3, 2), 3: (1, 2, 3)}[rank]
    turned = {1: 3, 2: (1, 2), 3: (1, 2, 1)}[rank]
    return {
        **table,
        "kernel_size": [2, 3, oblong],
        "strides": [1, 2, turned],
        "dilation_rate": [1, 2],
        **more,
    }


NARROW = [(2, 7, 6, 7), (1, 5, 5, 8)]
SQUARE = strided(2, 3, (2, 2))
"""TensorFlow's depthwise kernels want the same stride along both axes."""
EVEN: dict[str, Any] = {
    "output_padding": 0,
    "padding": "same",
    "kernel_size": [2, (3, 2), (1, 2, 3)],
}
"""Without a padding of the output Keras gets its size wrong, and its gradient can't be taken."""

TABLES = [
    Table(
        "Conv1D",
        LINES,
        on(CONVOLUTION, 1, padding=["valid", "same", "causal"]),
        never=strided(2, 3),
    ),
    Table("Conv2D", PLANES, on(CONVOLUTION, 2), never=strided(2, (1, 2))),
    Table("Conv3D", VOLUMES, on(CONVOLUTION, 3), never=strided(2, (1, 2, 1))),
    Table(
        "Conv1DTranspose",
        [(2, 4, 3), (1, 3, 2), (1, 1, 1)],
        on(WITHOUT_GROUPS, 1, output_padding=[None, 0, 1]),
        never=[
            *strided(2, 3),
            {"output_padding": 1, "strides": 1},
            {"output_padding": [0, 1], "dilation_rate": 2},
        ],
    ),
    Table(
        "Conv2DTranspose",
        [(1, 4, 3, 2), (2, 1, 5, 3)],
        on(WITHOUT_GROUPS, 2, output_padding=[None, 0, 1]),
        never=[
            *strided(2, (1, 2)),
            {"output_padding": 1, "strides": [1, (1, 2)]},
            {"output_padding": [0, 1], "dilation_rate": 2},
            EVEN,
        ],
    ),
    Table(
        "Conv3DTranspose",
        [(1, 3, 2, 2, 2), (2, 1, 2, 3, 1)],
        on(WITHOUT_GROUPS, 3, output_padding=[None, 0, 1]),
        never=[
            *strided(2, (1, 2, 1)),
            {"output_padding": 1, "strides": [1, (1, 2, 1)]},
            {"output_padding": [0, 1], "dilation_rate": 2},
            EVEN,
        ],
    ),
    Table("DepthwiseConv1D", LINES, on(DEPTHWISE, 1), never=strided(2, 3)),
    Table("DepthwiseConv2D", NARROW, on(DEPTHWISE, 2, strides=[1, 2, (2, 2)]), never=SQUARE),
    Table("SeparableConv1D", LINES, on(SEPARABLE, 1), never=strided(2, 3)),
    Table("SeparableConv2D", PLANES, on(SEPARABLE, 2, strides=[1, 2, (2, 2)]), never=SQUARE),
]
