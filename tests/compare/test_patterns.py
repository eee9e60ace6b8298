"""Which elements disagree is told in words, and only by words that fit them exactly."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import hypothesis.strategies as st
import keras
import numpy as np
import pytest
from hypothesis import given

import manual
from compare import Report, lockstep
from compare.axes import axes_of
from compare.collecting import Comparison
from compare.derivations import Derivation
from compare.heat_maps import SIDE
from compare.judge import judge
from compare.noise import Noisy
from compare.patterns import Pattern, only_of_its_layer, pattern_of
from manual import layers
from manual.layers import Dense
from manual.layers.convolution import Convolution
from manual.operations.choices import Where

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


# ---------------------------------------------------------------------- in a finding


def reported(actual: np.ndarray, axes: tuple[str, ...] = KERNEL) -> Report:
    """Return the report of an array that should be all zeros."""
    expected = Noisy(np.zeros(actual.shape), np.full(actual.shape, 1e-7), unit=2.0**-24)
    pattern = pattern_of(np.abs(actual) * 1e9, 8.0, axes)
    derivation = Derivation("hidden", "dW = xᵀ · dz", "manual/layers/core.py:41")
    verdict, report = judge(actual, expected), Report("wrong", "float32")
    quantity = "weight gradient", "hidden/kernel", "model.fit"
    report.add(1, 1, Comparison(*quantity, derivation, verdict, apart=lambda: pattern))
    return report


def found(actual: np.ndarray, axes: tuple[str, ...] = KERNEL) -> str:
    return str(reported(actual, axes).first)


def test_a_report_holds_the_pattern_as_strict_json() -> None:
    report = reported(np.array([[0.0, 0.0], [np.inf, 1.0]]))
    (told_in_json,) = json.loads(report.to_json(), parse_constant=pytest.fail)["findings"]
    assert told_in_json["pattern"] == {
        "told": "one row (input 1)",
        "wrong": 2,
        "size": 4,
        "map": [[0.0, 0.0], ["inf", 1e9]],
        "rows": "input",
        "columns": "unit",
        "only": "",
    }


def test_a_finding_tells_what_its_worst_element_does_not() -> None:
    row, one = mask((3, 2), 2).astype(float), mask((3, 2), (2, 1)).astype(float)
    lines = found(row).splitlines()
    assert lines[2].startswith("  worst element [2, 0] of 6; bound 8")
    assert lines[3] == "  where: one row (input 2)"
    assert "  only [2, 1] of 6 differs; bound 8" in found(one)
    assert "where:" not in found(one)
    assert "worst element [0, 0] of 6" in found(np.ones((3, 2)))
    assert "where:" not in found(np.ones((3, 2)))
    assert "where:" not in found(np.ones(()), ())


def test_nothing_is_looked_for_while_all_agree() -> None:
    def never() -> Pattern:
        raise AssertionError

    verdict = judge(np.zeros(3), Noisy(np.zeros(3), np.zeros(3), unit=2.0**-24))
    report = Report("fine", "float32")
    here = Derivation("hidden", "", "")
    report.add(1, 1, Comparison("weight", "hidden/bias", "model.fit", here, verdict, apart=never))
    assert report.ok


# ---------------------------------------------------------------------- planted bugs


def first_of(report: Report) -> tuple[str, str, str]:
    """Return what disagrees first, and what is said of which elements do."""
    assert report.first is not None
    assert report.first.pattern is not None
    json.loads(report.to_json(), parse_constant=pytest.fail)
    return report.first.phase, report.first.name, report.first.pattern.told


def test_the_last_row_of_a_kernel_gradient(
    precision: str, small: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_its_last_row(self: Dense, dz: Any, x: Any) -> Any:
        gradient = x.T @ dz
        gradient[-1] = gradient[-1] * 0.5
        self.kernel.gradient += gradient
        self.bias.gradient += dz.sum(axis=0)
        return dz @ self.kernel.value.T

    monkeypatch.setattr(Dense, "backward", without_its_last_row)
    x, y = np.random.default_rng(1).normal(size=(8, 5)), np.zeros((8, 3))
    report = lockstep(small(), x, y, batch_size=8)
    assert first_of(report) == ("weight gradient", "hidden/kernel", "one row (input 4)")
    assert "  where: one row (input 4)\n" in str(report.first)
    names = {one.name: one.pattern.told for one in report.findings if one.pattern is not None}
    assert names["second/kernel"] == names["out/kernel"] == "one row (input 3)"


def test_a_bias_alone(precision: str, small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def averaged(self: Dense, dz: Any, x: Any) -> Any:
        self.kernel.gradient += x.T @ dz
        self.bias.gradient += dz.mean(axis=0)
        return dz @ self.kernel.value.T

    monkeypatch.setattr(Dense, "backward", averaged)
    x, y = np.random.default_rng(1).normal(size=(8, 5)), np.zeros((8, 3))
    report = lockstep(small(), x, y, batch_size=8)
    assert first_of(report) == ("weight gradient", "hidden/bias", "every element")
    assert "  where: only the bias, the kernel agrees\n" in str(report.first)
    by_source = {one.source for one in report.findings if one.pattern and one.pattern.only}
    assert by_source == {"GradientTape", "model.fit"}


def test_a_bias_and_its_kernel(small: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    right = Dense.backward

    def doubled(self: Dense, dz: Any, x: Any) -> Any:
        right(self, 2.0 * dz, x)
        return dz @ self.kernel.value.T

    monkeypatch.setattr(Dense, "backward", doubled)
    x, y = np.random.default_rng(1).normal(size=(8, 5)), np.zeros((8, 3))
    report = lockstep(small(), x, y, batch_size=8)
    assert {one.name for one in report.findings} >= {"hidden/bias", "hidden/kernel"}
    assert all(one.pattern is not None and not one.pattern.only for one in report.findings)


def test_a_border_that_is_padded_otherwise(precision: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The edge is repeated where zeros belong: it shows in what the outer windows see."""
    right = Convolution.forward

    def repeated(self: Any, x: Any, **options: Any) -> Any:
        wide = np.concatenate([x[:, :1], x, x[:, -1:]], axis=1)
        wide = np.concatenate([wide[:, :, :1], wide, wide[:, :, -1:]], axis=2)
        z, _ = right(self, wide, **options)
        return z[:, 1:-1, 1:-1], right(self, x, **options)[1]

    monkeypatch.setattr(Convolution, "forward", repeated)
    model = keras.Sequential(
        [
            keras.Input((6, 5, 2)),
            keras.layers.Conv2D(3, 3, padding="same", name="convolved"),
            keras.layers.Flatten(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = np.random.default_rng(0).normal(size=(4, 6, 5, 2)), np.zeros((4, 1))
    assert first_of(lockstep(model, x, y, batch_size=4)) == (
        "activation",
        "convolved",
        "the border: first and last row and column",
    )


def test_a_causal_mask_forgotten_on_the_way_back(
    precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Where, "dx2", lambda self, dy, *others: dy)
    x = keras.Input((4, 3))
    scores = keras.layers.Dot(axes=2, name="scores")([x, keras.layers.Dense(3)(x)])
    earlier = np.tril(np.ones((4, 4), bool))
    weights = keras.layers.Softmax()(keras.ops.where(earlier, scores, -9.0))
    model = keras.Model(x, keras.layers.Dense(1)(keras.layers.Flatten()(weights)))
    model.compile("sgd", "mse", run_eagerly=True)
    data = np.random.default_rng(0).normal(size=(8, 4, 3)), np.ones((8, 1))
    assert first_of(lockstep(model, *data, batch_size=8)) == (
        "activation gradient",
        "scores",
        "above the diagonal",
    )


def test_only_of_its_layer_asks_for_the_same_phase_and_source() -> None:
    x = manual.Input((3,))
    network = manual.Network(x, Dense(2, name="out")(x), dtype="float64")
    fine = Noisy(np.zeros(2), np.full(2, 1e-9), unit=2.0**-53)
    here = Derivation("out", "", "")

    def compared(phase: str, source: str, value: float) -> Comparison:
        return Comparison(phase, "out/kernel", source, here, judge(np.full(2, value), fine))

    bias = "weight gradient", "out/bias", "model.fit"
    wrong, agrees = (compared("weight gradient", "model.fit", value) for value in (1.0, 0.0))
    assert only_of_its_layer([agrees], bias, network) == "only the bias, the kernel agrees"
    assert only_of_its_layer([wrong], bias, network) == ""
    others = [compared("weight", "model.fit", 0.0), compared("weight gradient", "tape", 0.0)]
    assert only_of_its_layer(others, bias, network) == ""
