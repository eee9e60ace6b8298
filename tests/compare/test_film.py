"""What a page shows of a lock-step: the same numbers as the report, in bounded memory."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import keras
import numpy as np
import pytest

from compare import BadInput, lockstep
from compare.cases import load
from compare.cases.base import Settings
from compare.cases.casework import run_case
from compare.findings.report import Report
from compare.pages.blocks import owner_of
from compare.pages.film import MOST_COLUMNS, MOST_POINTS, Film
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from keras_models.step_record import StepRecord
from manual.layers import Dense

Data = Callable[..., tuple[np.ndarray, np.ndarray]]


def branched() -> keras.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((4,), name="x")
    left = keras.layers.Dense(3, "tanh", name="left")(x)
    right = keras.layers.Dense(3, name="right")(x)
    y = keras.layers.Dense(2, "softmax", name="out")(keras.layers.Add(name="sum")([left, right]))
    model = keras.Model(x, y)
    model.compile("adam", "categorical_crossentropy")
    return model


def filmed(model: keras.Model, samples: int = 30, **options: Any) -> tuple[Film, Report]:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(samples, 4)).astype(np.float32)
    y = np.eye(2, dtype=np.float32)[draw.integers(0, 2, samples)]
    film = Film(options.pop("last", None))
    return film, lockstep(model, x, y, batch_size=5, witness=film, **options)


def test_blocks_are_the_layers_in_causal_order() -> None:
    film, _ = filmed(branched(), steps=1)
    told = [(one.name, one.kind, one.column, one.row, one.inputs) for one in film.blocks]
    assert told == [
        ("x", "input", 0, 0, []),
        ("left", "Dense · tanh", 1, 0, ["x"]),
        ("right", "Dense", 1, 1, ["x"]),
        ("sum", "Add", 2, 0, ["left", "right"]),
        ("out", "Dense · softmax", 3, 0, ["sum"]),
        ("the loss", "CategoricalCrossentropy", 4, 0, ["out"]),
    ]
    left = film.blocks[1]
    assert left.nodes == ["left/pre_activation", "left"]
    assert left.weights == ["left/kernel", "left/bias"]
    assert left.shape == (3,)
    assert left.formulas["kernel gradient"] == Dense.derivation["kernel gradient"]
    assert left.location.startswith("manual/layers/core.py:")


@pytest.mark.parametrize(
    ("name", "owner"),
    [("a/kernel", "a"), ("a@2", "a@2"), ("a@2/pre_activation", "a@2"), ("ab", None), ("a[1]", "a")],
)
def test_owners(name: str, owner: str | None) -> None:
    assert owner_of(name, ["a", "a@2"]) == owner


class Kept(Film):
    """Keeps the records, too."""

    def __init__(self, last: int | None = None) -> None:
        super().__init__(last)
        self.records: list[StepRecord] = []

    def passed(self, record: StepRecord, *others: Any) -> None:
        super().passed(record, *others)
        self.records.append(record)


def test_a_frame_has_the_numbers_of_both_halves(precision: str) -> None:
    model = branched()
    film = Kept()
    draw = np.random.default_rng(1)
    x, y = draw.normal(size=(4, 4)), np.eye(2)[[0, 1, 1, 0]]
    report = lockstep(model, x, y, batch_size=4, epochs=3, witness=film, shuffle=False)
    assert report.ok and [frame.step for frame in film.frames] == [1, 2, 3]
    for frame, record in zip(film.frames, film.records, strict=True):
        told = frame.quantities
        assert (frame.samples, frame.epoch) == (4, frame.step)
        assert told["before"]["left/kernel"].all_of_keras == record.before["left/kernel"].tolist()
        assert told["weight"]["out/bias"].all_of_keras == record.after["out/bias"].tolist()
        gradient = told["weight gradient"]["out/kernel"]
        assert gradient.all_of_keras == record.gradients["out/kernel"].tolist()
        assert gradient.shape == (3, 2) and gradient.agrees
        assert gradient.distance is not None and 0.0 <= gradient.distance <= 8.0
        w = {name: Noisy(array, unit=2.0**-53) for name, array in record.before.items()}
        left = np.tanh(record.x @ w["left/kernel"] + w["left/bias"])
        s = left + record.x @ w["right/kernel"] + w["right/bias"]
        e = np.exp(s @ w["out/kernel"] + w["out/bias"])
        dz = (e / e.sum(-1, keepdims=True) - record.y) / 4
        assert judge(gradient.all_by_hand, s.T @ dz).agrees
        assert len(told["activation"]["left"].all_of_keras or []) == 3  # of four samples
        assert told["optimizer slot"]["out/bias/momentum"].shape == (2,)
    weights = [frame.quantities["weight"] for frame in film.frames]
    before = [frame.quantities["before"] for frame in film.frames]
    for name in weights[0]:
        assert weights[0][name].all_of_keras == before[1][name].all_of_keras


def test_large_arrays_are_told_by_their_worst_number(random_classes: Data) -> None:
    x, y = random_classes(20, 30, 3)
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [keras.Input((30,)), keras.layers.Dense(3, "softmax", name="out")], name="wide"
    )
    model.compile("sgd", "categorical_crossentropy")
    film = Film()
    lockstep(model, x, y, batch_size=20, witness=film)
    kernel = film.frames[0].quantities["weight"]["out/kernel"]
    assert kernel.all_of_keras is None and kernel.all_by_hand is None
    assert kernel.keras == float(model.get_weights()[0][kernel.index])
    assert film.frames[0].quantities["weight"]["out/bias"].all_of_keras is not None


def test_the_matrix_is_what_the_report_has_found() -> None:
    """Over all columns, each block's largest distance is the report's over its quantities."""
    film, report = filmed(branched(), epochs=10)
    assert [(one.first, one.last) for one in film.columns] == [(n, n) for n in range(1, 61)]
    largest: dict[str, float] = {}
    for (phase, name, _), one in report.quantities.items():
        owner = "the loss" if phase == "loss" else owner_of(name, [b.name for b in film.blocks])
        if owner is not None and phase not in ("input", "metric"):
            largest[owner] = max(largest.get(owner, 0.0), one.distance)
    found: dict[str, float] = {}
    for column in film.columns:
        for block, (distance, _) in column.worst.items():
            found[block] = max(found.get(block, 0.0), distance)
    assert found == largest


def test_the_curves_are_both_trainings() -> None:
    film, report = filmed(branched(), epochs=4)
    assert [point.step for point in film.points] == list(range(1, 25))
    assert report.drift is not None and film.points[-1].drift == report.drift.now
    for epoch in range(4):
        points = film.points[6 * epoch : 6 * epoch + 6]
        by_hand = float(np.mean([point.by_hand for point in points]))
        # float64's mean of six either way: six products, twelve sums, two quotients
        assert by_hand == pytest.approx(report.history[epoch].by_hand["loss"], rel=20 * 2.0**-53)
        # Keras prints float32's mean of float32's losses: six roundings, and one of each loss
        keras_loss = float(np.mean([point.keras for point in points]))
        assert keras_loss == pytest.approx(report.history[epoch].keras["loss"], rel=7 * 2.0**-24)
    for one, other in pairwise(film.points):
        assert 0.0 < one.low < other.low and one.high < other.high
    assert all(point.low < point.high for point in film.points)


def test_long_trainings_need_no_more_memory() -> None:
    film, report = filmed(branched(), samples=5 * 40, epochs=20, last=800)
    assert report.steps == 800 and report.ok
    assert len(film.columns) <= MOST_COLUMNS and len(film.points) <= MOST_POINTS + 1
    assert film.columns[0].first == 1 and film.columns[-1].last == 800
    for one, other in pairwise(film.columns):
        assert other.first == one.last + 1
    assert film.points[0].step == 1 and film.points[-1].step == 800
    steps = [frame.step for frame in film.frames]
    assert steps[:10] == list(range(1, 11)) and steps[-1] == 800
    assert all(other <= 1.5 * one + 1 for one, other in pairwise(steps[10:]))
    assert len(steps) < 25


def test_a_film_of_another_training_begins_anew() -> None:
    film, _ = filmed(branched(), steps=3)
    other = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1, name="alone")])
    other.compile("sgd", "mse")
    lockstep(other, np.eye(2), np.ones((2, 1)), batch_size=1, witness=film)
    assert [frame.step for frame in film.frames] == [1, 2]
    assert [point.step for point in film.points] == [1, 2]
    assert [block.name for block in film.blocks][1:] == ["alone", "the loss"]
    assert {block for one in film.columns for block in one.worst} == {"alone", "the loss"}


def test_the_last_step_is_kept_where_samples_are_held_out() -> None:
    """Of 1,797 digits a fifth is, so that an epoch has 45 steps, and not 57."""
    result = run_case(load("digits"), Settings(epochs=1, dtype="float32"), witness=Film)
    report, film = result.reports[0], result.witnesses[0]
    assert report.steps == 45
    assert [frame.step for frame in film.frames][-2:] == [35, 45]


def test_the_first_disagreement_is_kept_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that is wrong from the 13th step on, which would not be kept otherwise."""
    right = Dense.backward

    def wrong(self: Dense, dz: Any, x: Any) -> Any:
        dx = right(self, dz, x)
        return dx * 2.0 if self.name == "out" and film.steps_passed >= 12 else dx

    class Counting(Film):
        steps_passed = 0

        def passed(self, *shown: Any) -> None:
            super().passed(*shown)
            self.steps_passed += 1

    film = Counting()
    monkeypatch.setattr(Dense, "backward", wrong)
    draw = np.random.default_rng(0)
    x, y = draw.normal(size=(80, 4)).astype(np.float32), np.eye(2)[draw.integers(0, 2, 80)]
    report = lockstep(branched(), x, y, batch_size=5, witness=film)
    assert report.first is not None and report.first.step == 13
    frame = next(frame for frame in film.frames if frame.step == 13)
    numbers = frame.quantities[report.first.phase][report.first.name]
    assert not numbers.agrees and numbers.distance == report.first.distance
    assert (numbers.keras, numbers.by_hand) == (
        report.first.verdict.actual,
        report.first.verdict.expected,
    )
    assert all(one.agrees for one in film.frames[0].quantities["activation gradient"].values())
    jumped = {column.first: column.worst["sum"][0] for column in film.columns}
    assert max(jumped[step] for step in range(1, 13)) <= 8.0 < jumped[13]


def test_a_page_that_can_not_be_written_is_bad_input() -> None:
    with pytest.raises(BadInput, match=r"'/nowhere/page.html' can't be written"):
        Film().write("/nowhere/page.html")
