"""The sweep's tables unfold as they promise, and what unfolds can fail."""

from __future__ import annotations

from itertools import combinations, product
from typing import Any

import numpy as np
import pytest
from sweep import ALL, TABLES, Configuration, Table, configurations

from manual.layers import Dense
from manual.registry import twins

SMALL = Table(
    "Dense",
    [(2, 3), (1, 1)],
    {"units": [1, 2, 3], "use_bias": [True, False], "activation": [None, "relu", "tanh"]},
    never=[{"units": 3, "activation": ["relu", "tanh"]}],
)


def test_any_two_values_meet_that_go_together() -> None:
    unfolded = list(configurations(SMALL))
    assert len(unfolded) < 3 * 2 * 3 * 2 / 2
    for one, other in combinations(SMALL.columns, 2):
        for i, j in product(range(len(SMALL.columns[one])), range(len(SMALL.columns[other]))):
            meet = any(each.choice[one] == i and each.choice[other] == j for each in unfolded)
            assert meet == SMALL.allows({one: i, other: j}), (one, i, other, j)
    assert all(each.choice["units"] < 2 or each.choice["activation"] == 0 for each in unfolded)


def test_every_value_of_every_table_is_swept() -> None:
    for table in TABLES:
        unfolded = list(configurations(table))
        for option, values in table.columns.items():
            used = {one.choice[option] for one in unfolded}
            assert used == set(range(len(values))), f"{table.name}: {option}"


MADE_OF_OTHERS = {"InputLayer", "Lambda", "Functional", "Sequential"}
PIECES = {"AddedLoss", "DrawnNumbers", "ForEachSample", "GivenNumbers", "OwnWeight"}
"""What a user's own layer is taken apart into: no layers of Keras's."""


def test_every_layer_with_a_twin_is_swept() -> None:
    """But for Input, which has no map, and what is made of other maps."""
    own = {name for name, one in twins("layer").items() if one.__module__.startswith("manual.")}
    without = own - {one.table.name for one in ALL} - MADE_OF_OTHERS - PIECES
    assert not without, f"no table in tests/manual/layers/sweep/ has the options of {without}"


def test_channels_stand_where_the_layer_wants_them(generator: np.random.Generator) -> None:
    table = Table("Conv1D", [(2, 5, 3)], {"data_format": ["channels_first"]})
    (one,) = [Configuration(table, {"shapes": 0, "data_format": 0})]
    assert [x.shape for x in one.inputs(generator, "float32")] == [(2, 3, 5)]


def test_a_forgotten_option_is_found(
    monkeypatch: pytest.MonkeyPatch, hold_layer: Any, ruler: Any, generator: np.random.Generator
) -> None:
    """Of a layer that computes the same whatever it is told, the first such configuration fails."""
    right = Dense.forward

    def forgetful(self: Any, x: Any, *, training: bool = False) -> Any:
        use_bias, self.use_bias = self.use_bias, False
        try:
            return right(self, x, training=training)
        finally:
            self.use_bias = use_bias

    monkeypatch.setattr(Dense, "forward", forgetful)
    for one in configurations(Table("Dense", [(2, 3)], {"units": [2], "use_bias": [False, True]})):
        xs = one.inputs(generator, ruler.precision)
        if not one.chosen(["use_bias"])["use_bias"]:
            hold_layer(one.make(), *xs)
        else:
            with pytest.raises(AssertionError, match="output: Verdict"):
                hold_layer(one.make(), *xs)
