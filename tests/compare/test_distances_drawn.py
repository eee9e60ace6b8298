"""Maps of distances: every number in its place, every name only a name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import pytest
from drawings import of_class, parsed, text
from fuzzing import HOSTILE

from compare.pages.charts import drift, heat_map, matrix
from compare.pages.charts.levels import level
from compare.pages.charts.markup import plain, tag
from compare.pages.charts.matrix import MOST_CELLS
from compare.pages.charts.phases import phases
from compare.rounding.judge import BOUND

NAMES = [*HOSTILE, "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "\ufffe", "\0"]
BLOCKS = [{"name": name} for name in ("input", "hidden", "the loss")]


def column(first: int, last: int | None = None, **distances: Any) -> dict[str, Any]:
    worst = {name.replace("_", " "): (one, f"weight · {name}") for name, one in distances.items()}
    return {"first": first, "last": last or first, "worst": worst}


# ---------------------------------------------------------------------- distances


@pytest.mark.parametrize(
    ("distance", "kind"),
    [
        (0.0, "ls-0"),
        (1e-9, "ls-1"),
        (BOUND / 2, "ls-4"),
        (BOUND, "ls-5"),
        (math.nextafter(BOUND, math.inf), "ls-x1"),
        (1e4, "ls-x2"),
        (1e9, "ls-x3"),
        (math.inf, "ls-x3"),
        (math.nan, "ls-x3"),
    ],
)
def test_colours(distance: float, kind: str) -> None:
    assert level(distance, BOUND) == kind


def test_a_cell_for_each_layer_and_step() -> None:
    columns = [
        column(1, hidden=0.4, the_loss=0.0),
        column(2, hidden=9.5),
        column(3, the_loss="inf"),
    ]
    tree = parsed(matrix(columns, BLOCKS))
    cells = {(one.get("data-block"), one.get("data-step")): one for one in tree.iter("td")}
    assert {key: (text(one), one.get("class")) for key, one in cells.items()} == {
        ("hidden", "1"): ("0.4", "ls-1"),
        ("hidden", "2"): ("9.5", "ls-x1 ls-differs"),
        ("hidden", "3"): ("", "ls-none"),
        ("the loss", "1"): ("0", "ls-0"),
        ("the loss", "2"): ("", "ls-none"),
        ("the loss", "3"): ("∞", "ls-x3 ls-differs"),
    }
    assert cells["hidden", "1"].get("title") == "hidden, step 1: 0.4 × noise, weight · hidden"
    heads = [(text(one), one.get("scope")) for one in tree.iter("th")]
    assert heads == [
        *((one, "col") for one in ("layer", "1", "2", "3")),
        ("hidden", "row"),
        ("the loss", "row"),
    ]


def test_the_right_cells_are_marked() -> None:
    """One step further, and other cells would be."""
    columns = [column(n, hidden=100.0 if n == 7 else 1.0) for n in range(1, 41)]
    (marked,) = of_class(parsed(matrix(columns, BLOCKS)), "ls-differs")
    assert marked.get("data-step") == "7"


def test_a_keyboard_reaches_one_cell_of_each_layer() -> None:
    columns = [column(1, the_loss=1.0), column(2, hidden=1.0), column(3, hidden=9.0, the_loss=1.0)]
    columns += [column(4, hidden="inf", the_loss=1.0)]
    cells = [
        one for one in parsed(matrix(columns, BLOCKS)).iter("td") if one.get("tabindex") == "0"
    ]
    assert [(one.get("data-block"), one.get("data-step")) for one in cells] == [
        ("hidden", "3"),
        ("the loss", "1"),
    ]


def test_few_steps_are_written_above_many_columns() -> None:
    def seen(columns: list[dict[str, Any]]) -> list[str]:
        heads = [
            one for one in parsed(matrix(columns, BLOCKS)).iter("th") if one.get("scope") == "col"
        ]
        return [text(one) for one in heads if not of_class(one, "ls-unseen")]

    assert seen([column(n, hidden=0) for n in range(1, 31)]) == [
        "layer",
        "1",
        "5",
        *map(str, range(10, 31, 5)),
    ]
    pairs = [column(n, n + 1, hidden=0) for n in range(1, 100, 2)]
    assert seen(pairs) == ["layer", "1", *map(str, range(10, 101, 10))]
    assert seen([column(1, 2, hidden=0), column(3, 4, hidden=0)]) == ["layer", "1–2", "3–4"]


def test_a_large_table_loses_no_disagreement() -> None:
    blocks = [{"name": f"block_{n}"} for n in range(150)]
    columns = [column(n, **{block["name"]: 0.5 for block in blocks}) for n in range(1, 121)]
    columns[40]["worst"]["block_9"] = "nan", "weight · w"
    tree = parsed(matrix(columns, blocks))
    assert len(list(tree.iter("td"))) <= MOST_CELLS
    (marked,) = of_class(tree, "ls-differs")
    assert marked.get("data-block") == "block_9"
    assert marked.get("data-step") == "40"  # put together with the two steps after it
    assert "step 40 to 42" in marked.get("title", "")


def test_nothing_was_compared() -> None:
    assert text(parsed(matrix([], BLOCKS))).startswith("Nothing was compared")
    assert text(parsed(matrix([column(1)], BLOCKS))).startswith("Nothing was compared")
    assert text(parsed(phases([]))).startswith("Nothing was compared")


def test_the_largest_distance_of_each_phase() -> None:
    def quantity(phase: str, name: str, distance: Any, step: int = 1) -> dict[str, Any]:
        return {
            "phase": phase,
            "name": name,
            "source": "model.fit",
            "distance": distance,
            "step": step,
        }

    tree = parsed(
        phases(
            [
                quantity("activation", "hidden/pre_activation", 1.0),
                quantity("activation", "hidden", 2.0, 5),
                quantity("activation", "hid", 0.5),
                quantity("weight", "hidden/kernel", "inf"),
                quantity("loss", "total", 3.0),
            ]
        )
    )
    rows = [[text(cell) for cell in row] for row in tree.iter("tr")]
    assert rows == [
        ["layer", "activation", "loss", "weight"],
        ["hidden", "2.0", "", "∞"],
        ["hid", "0.5", "", ""],
        ["the loss", "", "3.0", ""],
    ]
    titles = [one.get("title") for one in tree.iter("td")]
    assert titles[0] == "activation · hidden (model.fit), step 5"
    assert [text(one) for one in of_class(tree, "ls-differs")] == ["∞"]


# ---------------------------------------------------------------------- heat maps


def pattern(cells: list[list[Any]], **rest: Any) -> dict[str, Any]:
    wrong = sum(not float(one) <= BOUND for row in cells for one in row)
    size = sum(map(len, cells))
    told = {"told": "some", "wrong": wrong, "size": size, "rows": "input", "columns": "unit"}
    return {**told, "map": cells, **rest}


def test_every_number_of_a_map_has_its_place() -> None:
    cells = [[0.0, 1.0, 9.0], [1e4, "inf", "nan"]]
    tree = parsed(heat_map(pattern(cells), BOUND, "a caption"))
    drawn = {}
    for one in tree.iter("g"):
        box = one.find("rect")
        title = one.findtext("title")
        assert box is not None and title is not None
        drawn[title] = (float(box.get("x", 0)), float(box.get("y", 0)), box.get("class"))
    side = drawn["input 0, unit 1: 1.0 × noise"][0]
    assert drawn == {
        "input 0, unit 0: 0 × noise": (0, 0, "ls-0"),
        "input 0, unit 1: 1.0 × noise": (side, 0, "ls-2"),
        "input 0, unit 2: 9.0 × noise": (2 * side, 0, "ls-x1"),
        "input 1, unit 0: 1e4 × noise": (0, side, "ls-x2"),
        "input 1, unit 1: ∞ × noise": (side, side, "ls-x3"),
        "input 1, unit 2: ? × noise": (2 * side, side, "ls-x3"),
    }
    crossed = [one.findtext("title") for one in tree.iter("g") if one.find("path") is not None]
    assert crossed == [*drawn][2:]
    assert tree.find("svg").get("aria-label") == "4 numbers of 6 disagree: some"  # type: ignore[union-attr]
    assert [text(one) for one in of_class(tree, "ls-axis")] == ["unit →", "← input"]
    assert "a caption" in text(tree)


def test_maps_of_any_size_fit_on_a_phone() -> None:
    for shape in ((1, 1), (1, 48), (48, 1), (48, 48)):
        cells = [[1.0] * shape[1] for _ in range(shape[0])]
        drawing = parsed(heat_map(pattern(cells), BOUND)).find("svg")
        assert drawing is not None
        assert float(drawing.attrib["width"]) <= 328 and float(drawing.attrib["height"]) <= 328
        _, _, width, height = map(float, drawing.attrib["viewBox"].split())
        boxes = [*squares(drawing)]
        assert len(boxes) == shape[0] * shape[1]
        for x, y, side, _ in boxes:
            assert x + side <= width and y + side <= height


def test_many_numbers_are_drawn_together_each_in_its_place() -> None:
    """No colour and no place is lost."""
    levels = [0.0, 1.0, 9.0, 1e4, float("nan")]
    cells = [[levels[(i * 7 + j) % 5] for j in range(40)] for i in range(30)]
    together = heat_map(pattern(cells), BOUND)
    drawing = parsed(together).find("svg")
    assert drawing is not None
    side = 292 / 40
    found = {(round(x / side), round(y / side)): color for x, y, _, color in squares(drawing)}
    colors = ["ls-0", "ls-2", "ls-x1", "ls-x2", "ls-x3"]
    assert found == {(j, i): colors[(i * 7 + j) % 5] for i in range(30) for j in range(40)}
    (crosses,) = of_class(drawing, "ls-cross")
    starts = re.findall(r"M([\d.]+),([\d.]+)", crosses.attrib["d"])[::2]
    crossed = {(int(float(x) / side), int(float(y) / side)) for x, y in starts}
    assert crossed == {place for place, color in found.items() if "x" in color}
    assert len(together) < 100_000


def squares(drawing: Any) -> Iterator[tuple[float, float, float, str]]:
    """Give the corner, side and class of every number of a map, however it is drawn."""
    for box in drawing.iter("rect"):
        yield *(float(box.attrib[one]) for one in ("x", "y", "width")), box.attrib["class"]
    for shape in drawing.iter("path"):
        for square in re.findall(r"M([\d.]+),([\d.]+)h([\d.]+)v", shape.attrib["d"]):
            yield *map(float, square), shape.attrib["class"]


def test_a_map_of_a_larger_tensor_tells_no_exact_places() -> None:
    tree = parsed(heat_map(pattern([[9.0, 1.0]], size=1000), BOUND))
    assert next(one.findtext("title") for one in tree.iter("g")) == "rows 0, columns 0: 9.0 × noise"


def test_a_map_of_nothing() -> None:
    assert text(parsed(heat_map(pattern([]), BOUND))) == "There are no numbers to draw."


# ---------------------------------------------------------------------- names


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_hostile_names_are_only_names(name: str) -> None:
    columns = [{"first": 1, "last": 1, "worst": {name: (9.0, f"weight · {name}")}}]
    table = parsed(matrix(columns, [{"name": name}]))
    (cell,) = table.iter("td")
    assert cell.get("data-block", "").split() == plain(name).split()
    map_ = parsed(heat_map(pattern([[9.0]], told=name, rows=name, columns=name), BOUND, name))
    about = {"told": name, "injected": 1, "first": 1, "before": 0.0, "after": 1.0}
    quantity = {"phase": "weight", "name": name, "source": name, "distance": 1.0, "step": 1}
    for tree in (
        table,
        map_,
        parsed(drift([{"step": 1, "drift": 1.0}], about)),
        parsed(phases([quantity])),
    ):
        known = {
            "figure",
            "figcaption",
            "div",
            "table",
            "caption",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
        }
        known |= {"svg", "g", "text", "title", "rect", "path", "polyline", "polygon", "circle"}
        assert {one.tag for one in tree.iter()} <= known | {"p", "i", "span", "ul", "li"}
        assert not [key for one in tree.iter() for key in one.attrib if key.startswith("on")]


def test_elements() -> None:
    element = tag("text", "a < b", tag("i"), x=1.005, y=2.0, class_='"', data_step=3, title=None)
    assert str(element) == '<text x="1" y="2" class="&#34;" data-step="3">a &lt; b<i></i></text>'
