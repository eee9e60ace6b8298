"""The chains of networks that are no worked example: every number is read again and looked up."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import keras
import numpy as np
import pytest
from explained import apart, row_of, unfolded, wrong_rows, wrong_sums
from keras import layers

from compare import lockstep
from compare.cases import load
from compare.cases.base import reproduces
from compare.explain import Names, Step, chains, explain, is_written_out, step_by_hand
from compare.explain.step import take_step
from compare.twins.twin import twin_network
from manual.activations import Tanh

FLOAT32 = 2.0**-24
X = np.random.default_rng(0).normal(size=(5, 2))
Y = np.eye(3)[[0, 1, 2, 1, 0]]


class Kept:
    """A witness that keeps the last step."""

    def begin(self, report: Any, network: Any) -> None:
        pass

    def wants(self, step: int) -> bool:
        return True

    def step(self, record: Any, tape: Any, found: Any, reference: Any) -> None:
        self.last = record, tape

    def passed(self, record: Any, distances: Any, by_hand: float | None) -> None:
        pass

    def epoch(self, found: Any) -> None:
        pass


def seen(model: keras.Model, x: Any, y: Any, **options: Any) -> tuple[Any, Any, Any]:
    """Return the twin of a model, untrained, and what a witness was shown of the second step."""
    network, kept = twin_network(model), Kept()
    lockstep(model, x, y, steps=2, epochs=2, witness=kept, **options).raise_if_different()
    return network, *kept.last


@cache
def with_adam() -> tuple[Any, Any, Any]:
    """Tanh and softmax, a batch of three, a rate that falls."""
    keras.utils.set_random_seed(1)
    hidden, kind = layers.Dense(3, "tanh", name="hidden"), layers.Dense(3, "softmax", name="kind")
    model = keras.Sequential([keras.Input((2,)), hidden, kind])
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    model.compile(keras.optimizers.Adam(rate), "categorical_crossentropy")
    return seen(model, X[:3], Y[:3])


@cache
def in_a_row() -> tuple[Any, Any, Any]:
    """Dropout, Flatten, a frozen layer, a penalty, weights of samples, and a softmax in full."""
    keras.utils.set_random_seed(2)
    model = keras.Sequential(
        [
            keras.Input((2,)),
            layers.Dense(2, "relu", name="hidden", kernel_regularizer=keras.regularizers.L2(0.1)),
            layers.Dropout(0.5, seed=1, name="dropout"),
            layers.Flatten(name="flat"),
            layers.Dense(2, name="frozen", trainable=False),
            layers.Dense(3, "softmax", name="kind", kernel_constraint="non_neg"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9, clipnorm=1.0), "mse")
    weights = np.array([1.0, 2.0, 0.5, 1.0, 3.0])
    return seen(model, X, Y, sample_weight=weights, shuffle=False)


@cache
def with_branches() -> tuple[Any, Any, Any]:
    """Units that feed several layers, one of them no dense one, and a loss at the same time."""
    keras.utils.set_random_seed(3)
    x = keras.Input((2,), name="x")
    h = layers.Dense(2, "tanh", name="h", activity_regularizer="l2")(x)
    one, other = layers.Dense(2, name="one")(h), layers.Dense(2, "sigmoid", name="other")(h)
    total = layers.Dense(1, name="total")(layers.Add(name="add")([one, other]))
    kind = layers.Dense(2, "softmax", name="kind")(h)
    model = keras.Model(x, [total, kind, h])
    losses = ["mse", "sparse_categorical_crossentropy", "mae"]
    model.compile("sgd", losses, loss_weights=[1.0, 0.5, 0.25])
    return seen(model, X[:1], [X[:1, :1], np.array([1]), X[1:2]])


@cache
def step_of(build: Callable[[], tuple[Any, Any, Any]]) -> Step:
    return step_by_hand(*build())


@pytest.mark.parametrize("build", [with_adam, in_a_row, with_branches])
def test_every_number_is_that_of_the_step(build: Callable[[], Any]) -> None:
    step = step_of(build)
    found = chains(step)
    assert max(len(line) for text in found.values() for line in text.splitlines()) <= 80
    for place, text in found.items():
        assert not list(wrong_rows(text, step)), place
        assert not list(wrong_sums(text, FLOAT32)), place
        assert not apart(text, 1e-4), place
    weights = [
        f"{name}[{','.join(map(str, index))}]"
        for name, array in step.weights.items()
        for index in np.ndindex(array.shape)
    ]
    assert [place for place in found if "/" in place] == weights


def test_the_shares_of_the_samples_make_the_whole() -> None:
    step = step_of(with_adam)
    for place, text in chains(step).items():
        rows = [row for row in map(row_of, unfolded(text)) if row is not None]
        shares = [row[1:] for row in rows if "this sample's share" in row[0]]
        assert len(shares) == (3 if "/" in place else 0)
        for column, total in enumerate(row[1:] for row in rows if row[0].endswith("shares")):
            one = [share[column] for share in shares]
            assert None not in (*one, total[column])
            bound = 4 * FLOAT32 * sum(map(abs, one))
            assert abs(sum(one) - total[column]) <= bound, place


def test_units_go_by_the_names_of_the_trace() -> None:
    places = [place for place in chains(step_of(with_branches)) if "/" not in place]
    units = {"x": 2, "h": 2, "one": 2, "other": 2, "total": 1, "kind": 2}
    assert sorted(places) == sorted(f"{name}[{i}]" for name, n in units.items() for i in range(n))


def test_what_comes_from_elsewhere_is_told_apart() -> None:
    found = chains(step_of(with_branches))
    assert "∂E/∂one[0] = what comes through add" in found["one[0]"]
    text = " ".join(unfolded(found["h[1]"]))
    assert "one for each unit it feeds, and the part of the loss itself:" in text
    assert "this output's weight in the loss 0.25" in text
    assert "target: class 1" in found["kind[0]"]


def test_the_part_of_a_penalty_stands_by_itself() -> None:
    step = step_of(in_a_row)
    for (i, j), w in np.ndenumerate(step.weights["hidden/kernel"]):
        text = chains(step)[f"hidden/kernel[{i},{j}]"]
        rows = {row[0]: row for row in map(row_of, unfolded(text)) if row is not None}
        slope = f"∂E/∂hidden/kernel[{i},{j}]"
        penalty = 2.0 * float(np.float32(0.1)) * float(w)
        assert f"  the penalty's part {np.float32(penalty):.10g}, of dw = 2 λ w" in text
        _, shares, theirs = rows["Σ of the samples' shares"]
        _, whole, their_whole = rows[f"{slope}, with the penalty's part"]
        assert theirs is not None and their_whole is not None
        bound = 8 * FLOAT32 * (abs(shares) + abs(penalty))
        assert abs(shares + penalty - whole) <= bound
        assert abs(theirs + penalty - their_whole) <= bound
        assert f"{slope}, Σ" not in text


def test_what_is_done_beside_the_rule_is_said() -> None:
    found = chains(step_of(in_a_row))
    assert "w⁺ = w + m⁺" in found["hidden/bias[0]"]
    assert "around this rule: clipnorm 1" in found["hidden/bias[0]"]
    assert "then the constraint: w⁺ = max(w, 0)" in found["kind/kernel[0,0]"]
    assert "this weight is not trained: it stays as it is" in found["frozen/bias[1]"]
    assert "this sample's weight in the loss 0.5" in found["kind[0]"] + found["kind[1]"]


def test_a_wrong_number_is_caught() -> None:
    step = step_of(with_adam)
    wrong = copy.copy(step)
    wrong.tape = copy.deepcopy(step.tape)
    wrong.tape["activation gradient"]["hidden"][1, 2] *= 1.0 + 1e-6
    caught = {place for place, text in chains(wrong).items() if list(wrong_rows(text, step))}
    assert caught == {f"hidden/kernel[{i},2]" for i in range(2)} | {"hidden/bias[2]", "hidden[2]"}


def test_a_sum_that_is_none_is_caught() -> None:
    text = chains(step_of(with_adam))["hidden[1]"]
    (line,) = [one for one in text.splitlines() if one.startswith("    = ")][:1]
    number = line.split()[1].strip("()")
    assert list(wrong_sums(text.replace(number, f"{float(number) * 1.001:.9g}", 1), FLOAT32))


def test_a_wrong_derivative_sets_the_columns_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    network, record, tape = with_adam()
    monkeypatch.setattr(Tanh, "backward", lambda self, da, z, a: da * (1.0 - a))
    found = chains(step_by_hand(network, record, tape))
    assert "∂hidden[0]/∂hidden/pre_activation[0]" in apart(found["hidden[0]"], 1e-4)
    assert not apart(found["kind[0]"], 1e-4)


def test_the_network_stays_as_it_is() -> None:
    network, record, tape = in_a_row()
    network = network.copy()
    before = network.get_weights()
    optimizer = network.optimizer
    rate, slots = optimizer.learning_rate, copy.deepcopy(network.slots)
    first = step_by_hand(network, record, tape)
    listed = copy.copy(record)
    for name in ("x", "y", "sample_weight"):
        object.__setattr__(listed, name, [getattr(record, name)])
    assert chains(step_by_hand(network, listed, tape)) == chains(first)
    assert all(map(np.array_equal, network.get_weights(), before))
    assert all(np.array_equal(network.slots[name], slot) for name, slot in slots.items())
    assert (network.iterations, optimizer.learning_rate) == (0, rate)
    assert np.isfinite(network.train_step(record.x, record.y))  # and draws its own numbers


def test_the_published_numbers() -> None:
    case = load("mazur")
    found = chains(take_step(case, 1), Names.of_case(case, 1))
    assert found["output/kernel[0,0]"] == explain(case, weight="w5").split("\n\n", 1)[1]
    rows = {row[0]: row[1] for text in found.values() for row in map(row_of, unfolded(text)) if row}
    for what, digits in {
        "∂E/∂w5, their product": "0.082167041",
        "w5⁺ after": "0.35891648",
        "w1⁺ after": "0.149780716",
        "net_h1": "0.3775",
        "out_h1": "0.593269992",
        "out_o1": "0.75136507",
    }.items():
        assert reproduces(digits, rows[what]) in ("rounded", "truncated"), what


def small(*inner: keras.layers.Layer, shape: tuple[int, ...] = (2,)) -> Any:
    model = keras.Sequential([keras.Input(shape), *inner])
    model.compile("sgd", "mse")
    return twin_network(model)


def test_what_is_small_enough_to_be_written_out() -> None:
    dense = layers.Dense
    assert is_written_out(small(dense(3, "tanh"), layers.Dropout(0.5), dense(1)))
    assert is_written_out(small(layers.Flatten(), dense(2), layers.ReLU(), shape=(2, 2)))
    assert is_written_out(small(dense(20)))  # 60 weights
    assert not is_written_out(small(dense(20), layers.Activation("tanh"), dense(1)))
    assert not is_written_out(small(dense(2), shape=(2, 2)))
    assert not is_written_out(small(dense(4, "glu")))
    assert not is_written_out(small(dense(2), layers.LayerNormalization(), dense(1)))
    x, twice = keras.Input((2,)), dense(2)
    shared = keras.Model(x, twice(twice(x)))
    shared.compile("sgd", "mse")
    assert not is_written_out(twin_network(shared))


def test_what_has_no_chain_is_left_out() -> None:
    keras.utils.set_random_seed(4)
    twice = layers.Dense(2, name="twice")
    norm, last = layers.LayerNormalization(name="norm"), layers.Dense(1, name="last")
    model = keras.Sequential([keras.Input((2,)), twice, norm, last])
    model.compile("sgd", "mse")
    x = keras.Input((2,))
    shared = keras.Model(x, last(twice(norm(twice(x)))))
    shared.compile("sgd", "mse")
    found = chains(step_by_hand(*seen(shared, X, X[:, :1])))
    assert {place.partition("[")[0] for place in found if "/" in place} == {
        "last/kernel",
        "last/bias",
    }
    assert {"twice[0]", "twice@2[1]", "last[0]"} <= found.keys()
    model.optimizer.loss_scale_factor = 2.0
    scaled = step_by_hand(*seen(model, X, X[:, :1]))
    assert chains(scaled) == {}
