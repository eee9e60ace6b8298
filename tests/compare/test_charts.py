"""Curves: every number where it belongs."""

from __future__ import annotations

import math
from typing import Any

import pytest
from drawings import number_at, numbers_in, of_class, parsed, text, ticks
from hypothesis import example, given
from hypothesis import strategies as st

from compare.pages.charts import drift, loss_curves
from compare.pages.charts.axes import axis_for, logarithmic
from compare.pages.charts.numbers import of_ten, short

REST = {"low": 1e-8, "high": 1e-6}


def losses(keras: list[Any], by_hand: list[Any]) -> list[dict[str, Any]]:
    pairs = zip(keras, by_hand, strict=True)
    return [{"step": n, "keras": one, "by_hand": other} for n, (one, other) in enumerate(pairs, 1)]


def drifts(*apart: Any, **rest: Any) -> list[dict[str, Any]]:
    return [{"step": n, "drift": one, **(rest or REST)} for n, one in enumerate(apart, 1)]


def check_line(picture: Any, kind: str, expected: list[float], change: Any = float) -> None:
    """Hold the points of the one line of a class against the numbers that it should be of."""
    tree = parsed(picture)
    (line,) = (one for one in of_class(tree, "ls-line", kind))
    drawn = list(numbers_in(line, tree, change))
    up = [change(value) for value, _ in ticks(tree, "y")]
    hundredth = 0.01 * (max(up) - min(up)) / 100  # coordinates have two places, an axis > 100
    assert [step for step, _ in drawn] == pytest.approx([*range(1, len(expected) + 1)], abs=0.01)
    assert [y for _, y in drawn] == pytest.approx([*map(change, expected)], abs=2 * hundredth)


# ---------------------------------------------------------------------- axes


@given(st.lists(st.floats(-1e6, 1e6), min_size=1), st.integers(2, 7))
@example([5e-324], 2)
def test_axes_have_a_few_round_numbers_and_hold_all_others(values: list[float], most: int) -> None:
    axis = axis_for(values, 100.0, 0.0)
    for value in values:
        assert -1e-6 <= axis.at(value) <= 100 + 1e-6
    found = axis.ticks(most)
    assert 1 <= len(found) <= most + 1
    assert all(-1e-6 <= at <= 100 + 1e-6 for at, _ in found)
    assert len({written for _, written in found}) == len(found)


def test_the_numbers_beside_an_axis_stand_where_they_are() -> None:
    axis = axis_for([0.2682, 0.2984], 172.0, 22.0)
    assert [written for _, written in axis.ticks(5)] == ["0.26", "0.27", "0.28", "0.29", "0.30"]
    for at, written in axis.ticks(5):
        assert at == pytest.approx(axis.at(float(written)))
    axis = logarithmic([3e-17, 2e-3], 172.0, 22.0)
    assert [written for _, written in axis.ticks(5)] == ["10⁻¹⁵", "10⁻¹⁰", "10⁻⁵"]
    assert [at for at, _ in axis.ticks(5)] == pytest.approx(
        [axis.at(10.0**n) for n in (-15, -10, -5)]
    )


def test_what_is_counted_has_no_halves() -> None:
    assert [written for _, written in axis_for([1, 3], 0, 9).ticks(9, whole=True)] == [
        "1",
        "2",
        "3",
    ]


def test_only_a_range_of_decades_is_drawn_by_logarithms() -> None:
    assert axis_for([0.02, 2.0], 0, 1).logarithmic
    assert not axis_for([0.03, 2.0], 0, 1).logarithmic
    assert not axis_for([0.0, 2.0], 0, 1).logarithmic


def test_short_numbers() -> None:
    told = {0.0: "0", 1e-9: "~0", 0.04: "0.04", 0.631: "0.6", 9.96: "10", 27.3: "27", 999.6: "1e3"}
    assert {value: short(value) for value in told} == told
    assert [short(float(one)) for one in ("inf", "nan", "4.2e15")] == ["∞", "?", "4e15"]
    assert [of_ten(one) for one in (-300, -2, 0, 4)] == ["10⁻³⁰⁰", "0.01", "1", "10⁴"]


# ---------------------------------------------------------------------- losses


def test_losses_stand_where_their_numbers_are() -> None:
    keras, by_hand = [0.298, 0.291, 0.268], [0.298, 0.28, 0.2056]
    picture = loss_curves(losses(keras, by_hand))
    check_line(picture, "ls-keras", keras)
    check_line(picture, "ls-by_hand", by_hand)
    with pytest.raises(AssertionError):
        check_line(picture, "ls-by_hand", keras)
    with pytest.raises(AssertionError):
        check_line(loss_curves(losses([0.298, 0.2911, 0.268], by_hand)), "ls-keras", keras)


def test_losses_of_many_sizes_stand_where_their_logarithms_are() -> None:
    keras = [2.3 * math.exp(-n / 3) for n in range(30)]
    picture = loss_curves(losses(keras, keras))
    check_line(picture, "ls-keras", keras, math.log10)
    assert "loss, logarithmic" in picture


def test_keras_lies_above_by_hand() -> None:
    """The thick dashes below show on both sides of the line above."""
    kinds = [
        one.get("class") for one in of_class(parsed(loss_curves(losses([1, 2], [1, 2]))), "ls-line")
    ]
    assert [kind for kind in kinds if "grid" not in kind and "rule" not in kind] == [
        "ls-line ls-by_hand",
        "ls-line ls-keras",
    ]


def test_curves_have_names_where_there_is_room() -> None:
    apart = parsed(loss_curves(losses([2, 1], [2, 2])))
    (keras,), (by_hand,) = of_class(apart, "ls-of-keras"), of_class(apart, "ls-of-by_hand")
    assert (text(keras), text(by_hand)) == ("Keras", "by hand")
    assert float(keras.attrib["y"]) > float(by_hand.attrib["y"])
    assert not of_class(parsed(loss_curves(losses([2, 1], [2, 1.0001]))), "ls-of-keras")


def test_the_last_losses_are_told() -> None:
    picture = loss_curves(losses([0.3, 0.25], [0.3, 0.1234567890123]), "epoch")
    assert "After epoch 2: Keras 0.25, by hand 0.123456789." in text(parsed(picture))


def test_losses_that_are_not_finite() -> None:
    tree = parsed(loss_curves(losses([1, 2, 4, "inf", "nan"], [1, "nan", 3, 4, 5])))
    assert len(of_class(tree, "ls-line", "ls-keras")) == 1
    assert len(of_class(tree, "ls-line", "ls-by_hand")) == 2
    told = text(tree)
    assert "By Keras, the loss is not finite, first at step 4." in told
    assert "By hand, the loss is not finite, first at step 2." in told
    assert "After step 5: Keras not a number, by hand 5." in told
    for half, step in (("keras", 4), ("by_hand", 2)):
        (lost,) = of_class(tree, "ls-mark", f"ls-{half}-lost")
        assert text(lost).startswith(f"step {step}: ")


def test_one_step_and_none() -> None:
    tree = parsed(loss_curves(losses([2.0], [2.0])))
    (keras,) = of_class(tree, "ls-mark", "ls-keras")
    assert number_at(ticks(tree, "y"), float(keras.attrib["cy"])) == pytest.approx(2.0, abs=1e-4)
    assert [step for step, _ in ticks(tree, "x")] == [1.0]
    assert text(parsed(loss_curves([]))) == "No step was taken: there is no loss to draw."
    assert text(parsed(drift([]))) == "No step was taken: nothing can drift apart."


any_number = st.one_of(st.floats(), st.sampled_from(["inf", "-inf", "nan"]))


@given(st.lists(st.tuples(any_number, any_number, any_number, any_number), max_size=50))
def test_any_numbers_can_be_drawn(rows: list[tuple[Any, ...]]) -> None:
    names = "keras", "by_hand", "low", "high"
    points = [
        {"step": n, "drift": abs(float(row[0])), **dict(zip(names, row, strict=True))}
        for n, row in enumerate(rows, 3)
    ]
    for picture in (loss_curves(points), drift(points)):
        tree = parsed(picture)
        for one in tree.iter():
            for name in ("x", "y", "cx", "cy"):
                assert math.isfinite(float(one.get(name, 0)))
            for x, y in (pair.split(",") for pair in one.get("points", "").split()):
                assert math.isfinite(float(x)) and -0.01 <= float(y) <= 208


# ---------------------------------------------------------------------- drift


def test_drift_stands_where_its_logarithms_are() -> None:
    apart = [1.5e-8, 3e-8, 7e-8]
    picture = drift(drifts(*apart))
    check_line(picture, "ls-drift", apart, math.log10)
    with pytest.raises(AssertionError):
        check_line(picture, "ls-drift", [1.5e-8, 3.1e-8, 7e-8], math.log10)
    assert not of_class(parsed(picture), "ls-over")


def test_the_band_is_what_rounding_makes() -> None:
    tree = parsed(drift(drifts(1e-7, 1e-7, low=2e-8, high=5e-6)))
    (band,) = (one for one in of_class(tree, "ls-band") if one.tag == "polygon")
    edges = [10**y for _, y in numbers_in(band, tree, math.log10)]
    assert edges == pytest.approx([2e-8, 2e-8, 5e-6, 5e-6], rel=1e-2)


def test_a_jump_is_seen() -> None:
    about = {
        "told": "the weights drift apart",
        "injected": 1,
        "first": 3,
        "before": 0.0,
        "after": 0.01,
    }
    tree = parsed(drift(drifts(0.0, 0.0, 0.01, 0.02), about))
    (jump,) = of_class(tree, "ls-jump")
    x = {float(pair.split(",")[0]) for pair in jump.attrib["points"].split()}
    assert number_at(ticks(tree, "x"), x.pop()) == pytest.approx(3, abs=0.01) and not x
    assert [text(one) for one in of_class(tree, "ls-alarm")] == ["jumped at step 3"]
    assert "from 0 to 1e-2" in text(tree)
    marks = of_class(tree, "ls-mark", "ls-over")
    assert [text(one) for one in marks] == ["step 3: 0.01", "step 4: 0.02"]
    assert "The weights drift apart." in text(tree)


def test_no_jump_is_told_where_rounding_would_do() -> None:
    about = {"told": "", "injected": 1, "first": 1, "before": 0.0, "after": 1e-8}
    alarm = of_class(parsed(drift(drifts(1e-8, 1e-8), about)), "ls-alarm")
    assert [text(one) for one in alarm] == ["first fault at step 1"]


def test_zeros_have_a_row_of_their_own() -> None:
    tree = parsed(drift(drifts(0.0, 0.0, 1e-7)))
    first, *_ = of_class(tree, "ls-line", "ls-drift")
    heights = {pair.split(",")[1] for pair in first.attrib["points"].split()}
    assert len(heights) == 1 and len(first.attrib["points"].split()) == 2
    (zero,) = (one for one in of_class(tree, "ls-tick") if text(one) == "0")
    assert (
        float(zero.attrib["y"]) == float(heights.pop()) > max(y for v, y in ticks(tree, "y") if v)
    )
