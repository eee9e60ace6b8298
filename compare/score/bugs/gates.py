"""Bugs in the gates of recurrent layers, in their functions, and in what dropout does to them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.sequences import (
    ELU,
    GELU,
    GRU_DROPPED,
    GRUS,
    LSTM_DROPPED,
    LSTMS,
    MASKED,
    SIMPLE,
    SIMPLE_DROPPED,
    SOFTMAX,
    SOFTSIGN,
    Network,
)
from manual.layers import GRUCell, LSTMCell, SimpleRNNCell
from manual.layers.cell import Cell
from manual.layers.recurrence import Recurrent

Back = Callable[[Any, Any, Any, Any], Any]
"""Makes dz of the right function, da, z and a."""


class Slope:
    """A function whose derivative is another."""

    def __init__(self, own: Any, back: Back) -> None:
        self.own, self.back = own, back

    def forward(self, z: Any) -> Any:
        return self.own.forward(z)

    def backward(self, da: Any, z: Any, a: Any) -> Any:
        return self.back(self.own, da, z, a)


def in_gates() -> Iterator[Bug]:
    """Give slips in the functions of gates, in the gates' shares, and in the dropout of x and h."""
    yield from _slopes()
    yield from _shares()
    yield from _dropout()


def _slopes() -> Iterator[Bug]:
    def with_slope(cell: Any, function: str, back: Back) -> Function:
        right: Function = cell.step_back

        def step_back(self: Any, dstate: Any, saved: Any, drop: Any) -> Any:
            own = getattr(self, function)
            setattr(self, function, Slope(own, back))
            try:
                return right(self, dstate, saved, drop)
            finally:
                setattr(self, function, own)

        return step_back

    def twice(own: Any, da: Any, z: Any, a: Any) -> Any:
        return own.backward(own.backward(da, z, a), z, a)

    def at_a(own: Any, da: Any, z: Any, a: Any) -> Any:
        return own.backward(da, a, own.forward(a))

    def diagonal(own: Any, da: Any, z: Any, a: Any) -> Any:
        return da * a * (1.0 - a)

    slips: list[tuple[str, Any, Network, str, Back, str]] = [
        ("SimpleRNN, elu: derivative twice", SimpleRNNCell, ELU, "squash", twice, "applied twice"),
        ("SimpleRNN, elu: derivative at a", SimpleRNNCell, ELU, "squash", at_a, "taken at the"),
        ("GRU, gelu: derivative at a", GRUCell, GELU, "squash", at_a, "taken at the activation"),
    ]
    for name, cell, network, function, back, told in slips:
        whose = "the state" if cell is SimpleRNNCell else "the new content"
        cause = f"the derivative of {whose}'s activation is {told}"
        yield _back(name, cell, with_slope(cell, function, back), network, cause)
    for name, cell, network, function, back, cause in (
        (
            "SimpleRNN: 1 − z²",
            SimpleRNNCell,
            SIMPLE,
            "squash",
            lambda own, da, z, a: da * (1.0 - z * z),
            "1 − a² is computed from the pre-activation of the state",
        ),
        (
            "SimpleRNN, softmax: the diagonal",
            SimpleRNNCell,
            SOFTMAX,
            "squash",
            diagonal,
            "only the diagonal of softmax's derivative is used in the state",
        ),
        (
            "GRU: the gates' derivative twice",
            GRUCell,
            GRUS,
            "gate",
            twice,
            "the derivative of every gate's activation is applied twice",
        ),
        (
            "LSTM, hard_sigmoid: the gates undifferentiated",
            LSTMCell,
            SOFTSIGN,
            "gate",
            lambda own, da, z, a: da,
            "the derivatives of the gates' activations are missing",
        ),
        (
            "GRU: the gates as constants",
            GRUCell,
            GELU,
            "gate",
            lambda own, da, z, a: da * 0.0,
            "the gates are treated as constants",
        ),
    ):
        yield _back(name, cell, with_slope(cell, function, back), network, cause)


def _shares() -> Iterator[Bug]:
    right_lstm: Function = LSTMCell.step_back
    right_gru: Function = GRUCell.step_back
    right_back: Function = Recurrent.backward
    right_forward: Function = Recurrent.forward

    def by_input_gate(self: Any, dstate: Any, saved: Any, drop: Any) -> Any:
        da, ds, rows, (dh, dc) = right_lstm(self, dstate, saved, drop)
        i, f, _, _ = saved[2]
        return da, ds, rows, (dh, dc / f * i)

    def swapped(self: Any, dstate: Any, saved: Any, drop: Any) -> Any:
        rows, zs, (i, f, g, o), c, after, shown = saved
        dh, dc = dstate
        dc = dc + self.squash.backward(dh * o, after, shown)
        parts = [
            self.gate.backward(dc * c, zs[0], i),
            self.gate.backward(dc * g, zs[1], f),
            self.squash.backward(dc * i, zs[2], g),
            self.gate.backward(dh * shown, zs[3], o),
        ]
        dz = np.concatenate(parts, axis=-1)
        return dz, dz, rows, (dz @ self.recurrent_kernel.value.T, dc * f)

    def content_by_z(self: Any, dstate: Any, saved: Any, drop: Any) -> Any:
        z, own = saved[4][0], self.squash
        self.squash = Slope(own, lambda own, da, zh, a: own.backward(da / (1.0 - z) * z, zh, a))
        try:
            return right_gru(self, dstate, saved, drop)
        finally:
            self.squash = own

    def at_every_step(self: Any, dy: Any, saved: Any) -> Any:
        self.return_sequences = True
        try:
            return right_back(self, np.stack([dy] * len(saved[1]), axis=1), saved)
        finally:
            self.return_sequences = False

    def half_held(self: Any, x: Any, *, training: bool = False, mask: Any = None) -> Any:
        right: Function = LSTMCell.step
        cells: list[Any] = []

        def step(a: Any, state: Any, drop: Any) -> Any:
            before = cells[-1] if cells else state[1]
            (h, c), saved = right(self, a, (state[0], before), drop)
            cells.append(c)
            return (h, c), saved

        self.step = step
        try:
            return right_forward(self, x, training=training, mask=mask)
        finally:
            del self.step

    yield _back(
        "LSTM: dc by the input gate", LSTMCell, by_input_gate, LSTMS, "the cell's gradient pass"
    )
    factors = "the factors in the gradients of the input gate and the forget gate are swapped"
    yield _back("LSTM: di and df swapped", LSTMCell, swapped, LSTMS, factors)
    content = "z stands for 1 − z in the new content"
    yield _back("GRU: the content by z", GRUCell, content_by_z, GRUS, content)
    every = "the gradient of the output enters at every step"
    yield _back("LSTM: dy at every step", Recurrent, at_every_step, LSTMS, every, "backward")
    held = "the mask holds the state but not the cell"
    yield _forward("LSTM, masked: the cell moves on", Recurrent, half_held, MASKED, held)


def _dropout() -> Iterator[Bug]:
    right_drawn: Function = Cell._drawn
    right_back: Function = Recurrent.backward
    right_forward: Function = Recurrent.forward

    def drawn(change: Callable[[Any, Any], Any]) -> Function:
        return lambda self, x: change(*right_drawn(self, x))

    def without(x: bool, h: bool) -> Function:
        def backward(self: Any, dy: Any, saved: Any) -> Any:
            rows, steps, mask, of_x, of_h, *rest = saved
            return right_back(
                self, dy, (rows, steps, mask, None if x else of_x, None if h else of_h, *rest)
            )

        return backward

    def bare_rows(self: Any, x: Any, *, training: bool = False, mask: Any = None) -> Any:
        y, (rows, *rest) = right_forward(self, x, training=training, mask=mask)
        return y, ([x] * len(rows), *rest)

    def bare(rate: float) -> Callable[[Any], Any]:
        return lambda draws: [one * (1.0 - rate) for one in draws]

    left_out = "the dropout of {} is left out"
    of_x, of_h, one = left_out.format("x"), left_out.format("h"), "one mask drops h for all gates"
    for kind, cell, network in (
        ("SimpleRNN", SimpleRNNCell, SIMPLE_DROPPED),
        ("LSTM", LSTMCell, LSTM_DROPPED),
        ("GRU", GRUCell, GRU_DROPPED),
    ):
        for name, change, cause in (
            ("x not dropped", lambda x, h: ([m * 0.0 + 1.0 for m in x], h), of_x),
            ("h not dropped", lambda x, h: (x, [m * 0.0 + 1.0 for m in h]), of_h),
            ("not enlarged", lambda x, h: (bare(0.3)(x), bare(0.25)(h)), "what dropout keeps of"),
            ("one mask for all gates", lambda x, h: (x, h[:1] * len(h)), one),
            ("masks swapped", lambda x, h: (h, x), "the masks of x and h are swapped"),
        ):
            if cell is not SimpleRNNCell or name != "one mask for all gates":
                yield _forward(f"{kind}: {name}", Cell, drawn(change), network, cause, "_drawn")
        yield _back(
            f"{kind}: dx not dropped", Recurrent, without(True, False), network, of_x, "backward"
        )
        yield _back(
            f"{kind}: dh not dropped", Recurrent, without(False, True), network, of_h, "backward"
        )
        yield Bug(
            f"{kind}: dW of x before dropout",
            Recurrent,
            "forward",
            bare_rows,
            "weight gradient",
            "memory/kernel",
            ("the dropout of x is left out in the kernel's gradient",),
            network=network,
        )


def _forward(
    name: str, owner: Any, function: Function, network: Network, cause: str, method: str = "forward"
) -> Bug:
    return Bug(name, owner, method, function, "activation", "memory", (cause,), network=network)


def _back(
    name: str, owner: Any, function: Function, network: Network, cause: str, method: str = ""
) -> Bug:
    method, phase = method or "step_back", "activation gradient"
    return Bug(f"{name}, back", owner, method, function, phase, "below", (cause,), network=network)
