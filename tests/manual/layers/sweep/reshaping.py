"""Layers that move numbers around."""

from typing import Any

from sweep.tables import Table

FORMATS = ["channels_last", "channels_first"]
LINES = [(2, 6, 3), (1, 5, 1)]
PLANES = [(2, 5, 6, 2), (1, 6, 3, 1)]
VOLUMES = [(2, 5, 6, 5, 1), (1, 4, 5, 4, 2)]
EDGES: list[Any] = [1, (2, 1), ((1, 2), (0, 1)), ((0, 0), (1, 0))]
LISTS: list[Any] = [(0, 2), [2, 1], [[1, 0], [2, 1]]]
EDGES3: list[Any] = [1, (1, 2, 1), ((1, 2), (0, 1), (1, 0))]

SMOOTH = ["bilinear", "bicubic", "lanczos3", "lanczos5"]
RESIZED = [(2, 3, 7, 2), (1, 6, 4, 1), (2, 5, 5, 3)]
SIZED: dict[str, Any] = {"height": [4, 2], "width": [3, 6], "data_format": FORMATS}
COARSE: list[dict[str, Any]] = [{}]

TABLES = [
    Table("Reshape", [(2, 3, 4), (1, 12), (2, 2, 1, 6)],
          {"target_shape": [(12,), (-1,), (2, 6), (2, -1), (3, 2, 2), (1, 12, -1)]}),
    Table("Permute", [(2, 3, 4), (1, 1, 2)], {"dims": [(2, 1), (1, 2)]}),
    Table("Permute", [(2, 3, 4, 2)], {"dims": [(2, 1, 3), (3, 1, 2), (2, 3, 1), (1, 3, 2)]}),
    Table("RepeatVector", [(2, 3), (1, 1)], {"n": [1, 3]}),
    Table("Rescaling", [(2, 3), (1, 2, 1)], {"scale": [0.1, -2.0, 1 / 255], "offset": [0.0, 0.3]}),
    Table("ZeroPadding1D", LINES,
          {"padding": [1, (2, 0), (1, 3), [1, 1], 0], "data_format": FORMATS}),
    Table("ZeroPadding2D", PLANES, {"padding": [*EDGES, *LISTS], "data_format": FORMATS}),
    Table("ZeroPadding3D", VOLUMES, {"padding": EDGES3, "data_format": FORMATS}),
    Table("Cropping1D", LINES, {"cropping": [1, (2, 0), (1, 3), [1, 1], 0]}),
    Table("Cropping2D", [PLANES[0], (1, 6, 5, 1)],
          {"cropping": [*EDGES, *LISTS], "data_format": FORMATS}),
    Table("Cropping3D", VOLUMES, {"cropping": EDGES3, "data_format": FORMATS}),
    Table("UpSampling1D", LINES, {"size": [2, 1, 3]}),
    Table("UpSampling2D", PLANES,
          {"size": [2, 1, (3, 2), [1, 3]], "data_format": FORMATS,
           "interpolation": ["nearest", *SMOOTH]},
          coarse=[{"interpolation": SMOOTH}],
          single=[{"interpolation": ["lanczos3", "lanczos5"]}]),
    Table("UpSampling3D", VOLUMES, {"size": [2, 1, (1, 3, 2)], "data_format": FORMATS}),
    Table("Resizing", RESIZED,
          {**SIZED, "interpolation": ["nearest", *SMOOTH], "antialias": [False, True],
           "crop_to_aspect_ratio": [False, True], "pad_to_aspect_ratio": [False, True],
           "fill_mode": ["constant"], "fill_value": [0.0, 0.3]},
          never=[{"crop_to_aspect_ratio": True, "pad_to_aspect_ratio": True}],
          coarse=COARSE,
          single=[{"interpolation": ["lanczos3", "lanczos5"]}, {"antialias": True}]),
    Table("CenterCrop", RESIZED, SIZED, coarse=COARSE, single=[{}]),
    Table("CenterCrop", [(2, 6, 7, 2), (1, 4, 6, 1)], SIZED),
]  # fmt: skip
