"""Bugs in how a recurrent layer's gradient goes from a step to the one before."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.sequences import GRUS, LSTMS, SIMPLE, Network
from manual.layers import GRUCell, LSTMCell, SimpleRNNCell


def through_time() -> Iterator[Bug]:
    """Give slips in how the gradient goes from a step to the one before."""

    def altered(cell: Any, line: Function) -> Function:
        right: Function = cell.step_back
        return lambda self, dstate, saved, drop: line(
            self, dstate, saved, right(self, dstate, saved, drop)
        )

    def through_u(self: Any, dstate: Any, saved: Any, back: Any) -> Any:
        da, ds, rows, _ = back
        return da, ds, rows, (ds @ self.recurrent_kernel.value,)

    def no_forget(self: Any, dstate: Any, saved: Any, back: Any) -> Any:
        da, ds, rows, past = back
        f = saved[2][1]
        return da, ds, rows, (past[0], past[1] / f)

    def cell_only(self: Any, dstate: Any, saved: Any, back: Any) -> Any:
        da, ds, rows, past = back
        return da, ds, rows, (past[0] * 0.0, past[1])

    def no_cell(self: Any, dstate: Any, saved: Any, back: Any) -> Any:
        da, ds, rows, past = back
        return da, ds, rows, (past[0], past[1] * 0.0)

    def nothing(self: Any, dstate: Any, saved: Any, back: Any) -> Any:
        da, ds, rows, past = back
        return da, ds, rows, tuple(one * 0.0 for one in past)

    def no_past(self: Any, dstate: Any, saved: Any, back: Any) -> Any:
        da, ds, rows, past = back
        z = saved[4][0]
        return da, ds, rows, (past[0] - dstate[0] * z,)

    def lstm_back(self: Any, dstate: Any, saved: Any, drop: Any, **lines: Any) -> Any:
        rows, (zi, zf, zg, zo), (i, f, g, o), c, after, shown = saved
        dh, dc = dstate
        dc = dc + lines.get("state", self.squash.backward)(dh * o, after, shown)
        old = after if "c_after" in lines else c
        dz = np.concatenate(
            [
                self.gate.backward(dc * g, zi, i),
                lines.get("f", self.gate.backward)(dc * old, zf, f),
                self.squash.backward(dc * i, zg, g),
                lines.get("o", self.gate.backward)(dh * shown, zo, o),
            ],
            axis=-1,
        )
        return dz, dz, rows, (dz @ self.recurrent_kernel.value.T, dc * f)

    def with_(**lines: Any) -> Function:
        return lambda self, dstate, saved, drop: lstm_back(self, dstate, saved, drop, **lines)

    cut = "the gradient through the hidden state is forgotten"
    truncated = "the gradient is not carried to the step before"
    slips: dict[str, tuple[Any, Network, Function, tuple[str, ...]]] = {
        "SimpleRNN: truncated": (
            SimpleRNNCell,
            SIMPLE,
            altered(SimpleRNNCell, nothing),
            (truncated, cut),
        ),
        "SimpleRNN: U not turned": (
            SimpleRNNCell,
            SIMPLE,
            altered(SimpleRNNCell, through_u),
            ("the recurrent kernel is not transposed",),
        ),
        "LSTM: truncated": (LSTMCell, LSTMS, altered(LSTMCell, nothing), (truncated,)),
        "LSTM: through the cell only": (LSTMCell, LSTMS, altered(LSTMCell, cell_only), (cut,)),
        "LSTM: through h only": (
            LSTMCell,
            LSTMS,
            altered(LSTMCell, no_cell),
            ("the gradient through the cell state is forgotten",),
        ),
        "LSTM: the cell undamped": (
            LSTMCell,
            LSTMS,
            altered(LSTMCell, no_forget),
            ("the cell's gradient skips the forget gate",),
        ),
        "LSTM: the cell's tanh undifferentiated": (
            LSTMCell,
            LSTMS,
            with_(state=lambda d, z, a: d),
            ("the derivative of the cell's tanh is missing",),
        ),
        "LSTM: the forget gate undifferentiated": (
            LSTMCell,
            LSTMS,
            with_(f=lambda d, z, a: d),
            ("the derivative of the forget gate's activation is missing",),
        ),
        "LSTM: the output gate undifferentiated": (
            LSTMCell,
            LSTMS,
            with_(o=lambda d, z, a: d),
            ("the derivative of the output gate's activation is missing",),
        ),
        "LSTM: c after the step": (
            LSTMCell,
            LSTMS,
            with_(c_after=True),
            ("the cell after the step is used instead of the one before",),
        ),
        "GRU: truncated": (GRUCell, GRUS, altered(GRUCell, nothing), (truncated,)),
        "GRU: not past the update gate": (
            GRUCell,
            GRUS,
            altered(GRUCell, no_past),
            ("the gradient past the update gate is forgotten",),
        ),
    }
    for slip, (owner, network, function, causes) in slips.items():
        yield Bug(
            f"{slip}, on the way back",
            owner,
            "step_back",
            function,
            "activation gradient",
            "below",
            causes,
            network=network,
        )
