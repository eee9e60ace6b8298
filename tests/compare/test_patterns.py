"""Which elements disagree is told in words, and only by words that fit them exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from compare.findings.axes import axes_of
from compare.findings.heat_maps import SIDE
from compare.findings.patterns import pattern_of
from manual import layers
from manual.layers import Dense

KERNEL, BATCH = ("input", "unit"), ("sample", "unit")
IMAGES, SCORES = ("sample", "row", "column", "channel"), ("sample", "query", "key")
SERIES = ("sample", "time step", "feature")


def told(mask: np.ndarray, axes: tuple[str, ...]) -> str:
    """Name a mask whose elements are far off; all others are just within the bound."""
    return pattern_of(np.where(mask, 9.0, 8.0), 8.0, axes).told


def mask(shape: tuple[int, ...], *parts: Any) -> np.ndarray:
    made = np.zeros(shape, bool)
    for part in parts:
        made[part] = True
    return made


def triangle(rows: int, columns: int, compared: Callable[[Any, Any], Any]) -> np.ndarray:
    return np.asarray(compared(*np.ogrid[:rows, :columns]))


ALL = slice(None)
INNER = slice(1, -1)
SIX, FOUR, THREE = (6,), (5, 7), (16, 5, 3)
PICTURES = (4, 6, 7, 3)
PLANTED = [
    ("every element", mask(FOUR, ALL), KERNEL),
    ("one element [2, 1]", mask(FOUR, (2, 1)), KERNEL),
    ("one element [3]", mask(SIX, 3), ("unit",)),
    ("one row (input 2)", mask(FOUR, 2), KERNEL),
    ("one row (word 2)", mask(FOUR, 2), ("word", "feature")),
    ("one row (2)", mask(FOUR, 2), ("axis 0", "axis 1")),
    ("one column (unit 3)", mask(FOUR, (ALL, 3)), KERNEL),
    ("one column (3)", mask(FOUR, (ALL, 3)), ("unit", "column")),
    ("one sample (4)", mask(FOUR, 4), BATCH),
    ("one unit (0)", mask(FOUR, (ALL, 0)), BATCH),
    ("2 of 6 units (1, 4)", mask(SIX, 1, 4), ("unit",)),
    ("2 of 6 elements (1, 4)", mask(SIX, 1, 4), ("axis 0",)),
    ("2 of 16 samples (3, 7)", mask(THREE, 3, 7), SERIES),
    ("6 of 16 samples (4 to 9)", mask(THREE, slice(4, 10)), SERIES),
    ("all but one sample (5)", ~mask(THREE, 5), SERIES),
    ("13 of 16 samples (all but 1, 4, 8)", ~mask(THREE, 1, 4, 8), SERIES),
    ("7 of 16 samples", mask(THREE, 0, 1, 4, 8, 9, 11, 12), SERIES),
    ("one time step (0)", mask(THREE, (ALL, 0)), SERIES),
    ("every second time step (1, 3, …)", mask((4, 6, 3), (ALL, slice(1, None, 2))), SERIES),
    ("every third row (0, 3, …)", mask((4, 7, 6, 3), (ALL, slice(0, None, 3))), IMAGES),
    ("one channel (1)", mask(PICTURES, (..., 1)), IMAGES),
    ("one slice of axis 2 (1)", mask((2, 3, 4), (..., 1)), ("axis 0", "axis 1", "axis 2")),
    ("2 of 4 slices of axis 2 (1, 2)", mask((2, 3, 4), (..., slice(1, 3))),
     ("axis 0", "axis 1", "axis 2")),
    ("one channel (1) in one sample (2)", mask(PICTURES, (2, ..., 1)), IMAGES),
    ("the first row", mask(PICTURES, (ALL, 0)), IMAGES),
    ("the last column", mask(PICTURES, (ALL, ALL, -1)), IMAGES),
    ("the last 2 rows", mask(PICTURES, (ALL, slice(-2, None))), IMAGES),
    ("the border: first and last row", mask(PICTURES, (ALL, 0), (ALL, -1)), IMAGES),
    ("the border: last row and column", mask(PICTURES, (ALL, -1), (ALL, ALL, -1)), IMAGES),
    ("the border: last row, first column", mask(PICTURES, (ALL, -1), (ALL, ALL, 0)), IMAGES),
    ("the border: first and last row and column", ~mask(PICTURES, (ALL, INNER, INNER)), IMAGES),
    ("the border: first 2 and last 2 rows and columns",
     ~mask(PICTURES, (ALL, slice(2, -2), slice(2, -2))), IMAGES),
    ("the interior: all but the first and last row and column",
     mask(PICTURES, (ALL, INNER, INNER)), IMAGES),
    ("the diagonal", triangle(5, 5, np.equal), KERNEL),
    ("all but the diagonal", triangle(5, 7, np.not_equal), KERNEL),
    ("above the diagonal", np.stack([triangle(5, 5, np.less)] * 3), SCORES),
    ("below the diagonal", np.stack([triangle(5, 5, np.greater)] * 3), SCORES),
    ("on and above the diagonal", np.stack([triangle(5, 5, np.less_equal)] * 3), SCORES),
    ("on and below the diagonal", triangle(5, 7, np.greater_equal), KERNEL),
]  # fmt: skip


@pytest.mark.parametrize(("words", "planted", "axes"), PLANTED, ids=[one[0] for one in PLANTED])
def test_a_planted_pattern_is_named_and_no_near_one(
    words: str, planted: np.ndarray, axes: tuple[str, ...]
) -> None:
    assert told(planted, axes) == words
    for index in np.ndindex(planted.shape):
        near = planted.copy()
        near[index] = not near[index]
        if near.any():
            assert told(near, axes) != words, f"the same with {index} the other way"


def test_the_only_number() -> None:
    assert told(np.array(True), ()) == told(np.array([[True]]), KERNEL) == "the only number"


def test_what_has_no_pattern_is_counted() -> None:
    assert told(mask((8, 8), (0, 1), (1, 5), (4, 4)), KERNEL) == "3 of 64 elements, scattered"
    assert told(mask((80, 80), ALL) ^ mask((80, 80), (3, 4)), KERNEL) == (
        "6,399 of 6,400 elements, scattered"
    )


def test_the_border_of_one_picture_is_not_that_of_all() -> None:
    border = ~mask(PICTURES, (ALL, INNER, INNER))
    border[1] = False
    assert told(border, IMAGES).endswith("elements, scattered")


# ---------------------------------------------------------------------- words, read back


def read_back(words: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> np.ndarray | None:
    """Return the very elements that words name; None where they only count."""
    if words.startswith("one element"):
        return mask(shape, tuple(json.loads(words.removeprefix("one element "))))
    if words == "every element":
        return mask(shape, ALL)
    if words.startswith("the interior"):
        return mask(shape, (ALL, INNER, INNER))
    if words.startswith("the "):
        return sides(words, shape, axes)
    made = mask(shape, ALL)
    for part in words.split(" in "):
        numbers = of_slices(part, shape, axes)
        if numbers is None:
            return None
        axis, picked = numbers
        kept = np.isin(np.arange(shape[axis]), list(picked))
        made &= kept.reshape([-1 if one == axis else 1 for one in range(len(shape))])
    return made


def sides(words: str, shape: tuple[int, ...], axes: tuple[str, ...]) -> np.ndarray:
    made = mask(shape)
    for part in re.sub(r"^the (border: )?", "", words).split(", "):
        for end, depth in re.findall(r"(first|last)(?: (\d+))?", part):
            for noun in re.findall(r"row|column", part):
                view = np.moveaxis(made, axes.index(noun), 0)
                thick = int(depth or 1)
                view[slice(thick) if end == "first" else slice(-thick, None)] = True
    return made


def of_slices(
    words: str, shape: tuple[int, ...], axes: tuple[str, ...]
) -> tuple[int, set[int]] | None:
    axis = next(axes.index(name) for name in axes if name in words)
    every = set(range(shape[axis]))
    found = re.search(r"\((.*)\)", words)
    if found is None:
        return None
    listed = [int(one) for one in re.findall(r"\d+", found[1])]
    if "…" in words:
        return axis, set(range(listed[0], shape[axis], listed[1] - listed[0]))
    if "all but" in words:
        return axis, every - set(listed)
    if " to " in words:
        return axis, set(range(listed[0], listed[1] + 1))
    return axis, set(listed)


@st.composite
def blocks_and_borders(draw: st.DrawFn) -> np.ndarray:
    """Draw slices along each axis that meet, or sides of pictures, and now and then a slip."""
    shape = draw(st.tuples(*[st.integers(1, 9)] * 4))
    made = np.ones(shape, bool)
    if draw(st.booleans()):
        for axis, size in enumerate(shape):
            picked = draw(st.sets(st.integers(0, size - 1), min_size=1))
            kept = np.isin(np.arange(size), list(picked)) | draw(st.booleans())
            made &= kept.reshape([-1 if one == axis else 1 for one in range(4)])
    else:
        first, last = (draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in range(2))
        made[:, first[0] : shape[1] - last[0], first[1] : shape[2] - last[1]] = False
        made ^= draw(st.booleans())
    if draw(st.integers(0, 3)) == 0:
        index = tuple(draw(st.integers(0, size - 1)) for size in shape)
        made[index] = not made[index]
    return made


@given(blocks_and_borders())
def test_words_that_name_elements_name_these_and_no_others(made: np.ndarray) -> None:
    words = told(made, IMAGES)
    if not made.any() or made.size == 1 or words.endswith("scattered"):
        return
    named = read_back(words, made.shape, IMAGES)
    if named is not None:
        np.testing.assert_array_equal(named, made, err_msg=words)


# ---------------------------------------------------------------------- the map


def test_a_small_matrix_is_its_own_map() -> None:
    distances = np.array([[1.0, 2.0, 3.0], [4.0, np.nan, 90.0]])
    pattern = pattern_of(distances, 8.0, KERNEL)
    assert pattern.map == ((1.0, 2.0, 3.0), (4.0, np.inf, 90.0))
    assert (pattern.rows, pattern.columns) == ("input", "unit")
    assert (pattern.wrong, pattern.size) == (2, 6)


def test_numbers_and_vectors_have_one_row() -> None:
    one = pattern_of(np.array(9.0), 8.0, ())
    assert (one.map, one.rows, one.columns) == (((9.0,),), "", "")
    several = pattern_of(np.array([1.0, np.inf]), 8.0, ("unit",))
    assert (several.map, several.rows, several.columns) == (((1.0, np.inf),), "", "unit")
    assert several.wrong == 1


def test_a_kernel_is_a_table_of_small_kernels() -> None:
    kernel = np.arange(3 * 3 * 2 * 4, dtype=float).reshape(3, 3, 2, 4)
    pattern = pattern_of(kernel, 8.0, ("row", "column", "input channel", "filter"))
    assert (pattern.rows, pattern.columns) == ("input channel × row", "filter × column")
    cells = np.array(pattern.map)
    assert cells.shape == (2 * 3, 4 * 3)
    for channel in range(2):
        for unit in range(4):
            small = cells[channel * 3 : channel * 3 + 3, unit * 3 : unit * 3 + 3]
            np.testing.assert_array_equal(small, kernel[:, :, channel, unit])


@pytest.mark.parametrize(
    ("shape", "axes", "sides_of_map"),
    [
        ((1000,), ("unit",), (1, SIDE)),
        ((784, 64), KERNEL, (SIDE, SIDE)),
        ((32, 28, 28, 16), IMAGES, (28, 28)),
        ((32, 20, 10, 3), IMAGES, (40, 30)),
        ((32, 100, 7), SERIES, (SIDE, 7)),
        ((32, 5, 7), SERIES, (45, 7)),
    ],
)
def test_a_large_map_keeps_the_largest_distances(
    shape: tuple[int, ...], axes: tuple[str, ...], sides_of_map: tuple[int, int]
) -> None:
    distances = np.random.default_rng(0).random(shape)
    cells = np.array(pattern_of(distances, 8.0, axes).map)
    assert cells.shape == sides_of_map
    assert np.isin(cells, distances).all()
    for index in [(0,) * len(shape), tuple(size - 1 for size in shape)]:
        distances[index] = 5.0
        assert (np.array(pattern_of(distances, 8.0, axes).map) == 5.0).sum() == 1
        distances[index] = 0.0


# ---------------------------------------------------------------------- what axes are called


def test_axes() -> None:
    convolution, cell = layers.Conv2D(3, 3), layers.LSTM(4)
    assert axes_of("weight gradient", "a/kernel", (4, 6), Dense(6)) == KERNEL
    assert axes_of("optimizer slot", "a/kernel/momentum", (4, 6), Dense(6)) == KERNEL
    assert axes_of("optimizer slot", "a/kernel/row", (4,), Dense(6)) == ("axis 0",)
    assert axes_of("weight", "a/bias", (6,), Dense(6)) == ("unit",)
    of_kernel = ("row", "column", "input channel", "filter")
    assert axes_of("weight", "a/kernel", (3, 3, 2, 4), convolution) == of_kernel
    assert axes_of("weight", "a/bias", (3,), convolution) == ("filter",)
    assert axes_of("weight", "a/kernel", (3, 16), cell) == ("input", "column")
    assert axes_of("weight", "a/recurrent_kernel", (4, 16), cell) == ("unit", "column")
    assert axes_of("weight", "a/embeddings", (9, 4), layers.Embedding(9, 4)) == ("word", "feature")
    assert axes_of("weight", "a/gamma", (4,), None) == ("axis 0",)
    assert axes_of("activation", "a", (8, 6), None) == BATCH
    assert axes_of("activation gradient", "a", (8, 5, 6), None) == SERIES
    assert axes_of("activation", "a", (8, 5, 6, 3), convolution) == IMAGES
    first = layers.Conv2D(3, 3, data_format="channels_first")
    assert axes_of("activation", "a", (8, 3, 5, 6), first) == ("sample", "channel", *IMAGES[1:3])
    attention = layers.Attention()
    assert axes_of("activation", "a", (8, 5, 6), attention) == SERIES
    assert axes_of("activation", "a[1]", (8, 5, 6), attention) == SCORES
    assert axes_of("loss", "total", (), None) == ()
