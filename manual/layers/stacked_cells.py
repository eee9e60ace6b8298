"""Cells upon each other, which make one cell together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.layers.base import Shape
from manual.layers.cell import Cell
from manual.layers.wrapper import Wrapper, adopted
from manual.registry import NoTwin, keras_name, twin, twin_of

Config = Mapping[str, Any]


def cells_of(config: Config, owner: str, trainable: bool) -> list[tuple[str, Cell]]:
    """Make the cells that a configuration of one, or of several, asks for.

    Returns
    -------
    pairs of str and Cell
        Each with the path at which it lies.
    """
    return list(_cells_of(config, owner, trainable, ""))


def _cells_of(config: Config, owner: str, trainable: bool, path: str) -> Iterator[tuple[str, Cell]]:
    own, kind = config["config"], keras_name(config)
    trainable = trainable and own.get("trainable", True)
    path += own["name"]
    if kind == "StackedRNNCells":
        for one in own["cells"]:
            yield from _cells_of(one, owner, trainable, f"{path}/")
        return
    made = twin("layer", kind, f"layer {owner!r}")
    if not issubclass(made, Cell):
        raise NoTwin(f"layer {owner!r}: {kind} has no twin as a cell.")
    cell = made.from_config({**own, "trainable": trainable})
    assert isinstance(cell, Cell)
    if cell.activity_regularizer is not None:
        raise NoTwin(
            f"layer {owner!r}: Keras charges for what its cell gives at every step, and only if "
            "its loop over time is unrolled. Give the activity_regularizer to the layer around it."
        )
    yield path, cell


@twin_of("StackedRNNCells")
class StackedRNNCells(Wrapper):
    """A step of several cells, each of which takes what the one before gives.

    Takes ``[x, *states]`` and returns the last cell's output and the states after the step.

    Parameters
    ----------
    cells : list of Keras configurations of cells
    """

    derivation = {
        "forward": "x, state = cell(x, state) for one cell after the other",
        "input gradient": "dx, dstate = the cell's for dx and dstate, from the last to the first",
    }
    tensor_arguments = ("inputs", "states")
    keeps_draws = True

    def __init__(
        self, cells: list[Config], *, name: str | None = None, trainable: bool = True
    ) -> None:
        super().__init__(name=name, trainable=trainable)
        self.cells = [pair for one in cells for pair in cells_of(one, self.name, trainable)]
        self._holds(*(cell for _, cell in self.cells))

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        shape: Shape = input_shape[0]
        for _, cell in self.cells:
            cell.build(shape, generator)
            shape = cell.state_shapes[0]
        adopted(self, self.cells)

    def output_shape(self, input_shape: Any) -> list[Shape]:
        states = [shape for _, cell in self.cells for shape in cell.state_shapes]
        return [self.cells[-1][1].state_shapes[0], *states]

    def compute_mask(self, x: Any, mask: Any) -> None:
        """Return None: a step has no time."""

    def forward(self, inputs: Any, *, training: bool = False) -> tuple[list[Array], Any]:
        x, *before = inputs
        after, kept = [], []
        for _, cell in self.cells:
            own, before = before[: cell.carried], before[cell.carried :]
            (x, *state), saved = cell.forward([x, *own], training=training)
            after += state
            kept.append(saved)
        return [x, *after], kept

    def backward(self, dys: Any, saved: Any) -> list[Any]:
        dx, *dafter = dys
        known = next(one for one in dys if one is not None)
        dbefore: list[Any] = []
        for (_, cell), kept in zip(reversed(self.cells), reversed(saved), strict=True):
            at = len(dafter) - cell.carried
            back, dafter = [dx, *dafter[at:]], dafter[:at]
            if all(one is None for one in back):  # nothing depends on the cells so far
                dbefore = cell.zeros(known) + dbefore
                continue
            dx, *own = cell.backward(back, kept)
            dbefore = own + dbefore
        return [dx, *dbefore]
