"""The recurrent layers SimpleRNN, LSTM and GRU, each its own cell, and RNN, which is given some."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from manual.layers.base import Layer, Shape
from manual.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from manual.layers.recurrence import Loop, OverTime, Recurrent, first
from manual.layers.stacked_cells import cells_of
from manual.layers.wrapper import Wrapper, adopted
from manual.registry import twin_of


@twin_of("SimpleRNN")
class SimpleRNN(Recurrent, SimpleRNNCell):
    """The plain recurrent layer of Elman (1990): `SimpleRNNCell` at every step."""

    cell_name = "simple_rnn_cell"


@twin_of("LSTM")
class LSTM(Recurrent, LSTMCell):
    """Long short-term memory (Hochreiter & Schmidhuber 1997): `LSTMCell` at every step."""

    cell_name = "lstm_cell"


@twin_of("GRU")
class GRU(Recurrent, GRUCell):
    """The gated recurrent unit (Cho et al. 2014): `GRUCell` at every step."""

    cell_name = "gru_cell"


@twin_of("RNN")
class RNN(OverTime, Wrapper):
    """A cell at every step of a sequence, or several, one upon the other.

    Cells upon each other may as well go through time one after the other, and do: the first
    through the sequence, the second through what the first gives. Where a mask leaves out a step,
    what a cell gives is of no account, as no state above moves.

    Parameters
    ----------
    cell : Keras configuration of a cell, or of StackedRNNCells
    """

    derivation = {
        "forward": "at every step y, state = cell(x, state)",
        "input gradient": "dx, dstate of the step before = the cell's, for dy and dstate",
    }

    def __init__(self, cell: Mapping[str, Any], **options: Any) -> None:
        super().__init__(**options)
        self.cells = cells_of(cell, self.name, self.trainable)
        *below, top = [one for _, one in self.cells]
        last = {
            "return_sequences": self.return_sequences,
            "zero_output_for_mask": self.zero_output_for_mask,
            "unroll": self.unroll,
        }
        self.loops = [Loop(one, return_sequences=True) for one in below] + [Loop(top, **last)]
        self.loops[0].go_backwards = self.go_backwards
        self._holds(*(one for _, one in self.cells))

    @property
    def carries(self) -> list[Shape]:
        return [shape for loop in self.loops for shape in loop.carries]

    def parts(self) -> list[tuple[str, Layer]]:
        return list(self.cells)

    @property
    def output_of_a_step(self) -> Shape:
        return self.loops[-1].carries[0]

    def build(self, input_shape: Any, generator: np.random.Generator) -> None:
        _, *step = first(input_shape)
        shape = tuple(step)
        for _, cell in self.cells:
            cell.build(shape, generator)
            shape = cell.state_shapes[0]
        adopted(self, self.cells)
        self.remember()

    def forward(
        self, x: Any, *, training: bool = False, mask: Any = None, masked: bool = False
    ) -> tuple[Any, Any]:
        x, *given = x if isinstance(x, list) else [x]
        mask, start = first(mask) if masked or not given else None, list(self.started(given))
        kept, last, written = [], [], mask
        for loop in self.loops:
            own, start = start[: loop.cell.carried], start[loop.cell.carried :]
            (x, *state), saved = loop.forward(
                [x, *own], training=training, mask=mask, masked=True, written=written
            )
            if loop.go_backwards and mask is not None:
                mask = mask[:, ::-1]
            last += state
            kept.append(saved)
        return [x, *last] if self.return_state else x, (kept, len(given), last)

    def backward(self, dy: Any, saved: Any) -> Any:
        kept, given, _ = saved
        dy, *dlast = dy if isinstance(dy, list) else [dy]
        dlast = dlast or [None] * len(self.carries)
        known = next(one for one in (dy, *dlast) if one is not None)
        dstart: list[Any] = []
        for loop, one in zip(reversed(self.loops), reversed(kept), strict=True):
            at = len(dlast) - loop.cell.carried
            back = [dy, *dlast[at:]]
            dlast = dlast[:at]
            if all(arrived is None for arrived in back):  # nothing depends on the cells so far
                dstart = loop.cell.zeros(known) + dstart
                continue
            made = loop.backward(back, one)
            dy, *own = made if isinstance(made, list) else [made]
            dstart = own + dstart
        return [dy, *dstart] if given else dy

    def update_state(self, saved: Any) -> None:
        *_, last = saved
        for parameter, one in zip(self.remembered, last, strict=False):
            parameter.value[...] = one
