"""Bugs in recurrent layers: in what a step does, and in the weights' gradients."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from operator import mul
from typing import Any

import numpy as np

from compare.score.bugs.base import FACTORS, Bug, Function
from compare.score.bugs.gates import in_gates
from compare.score.bugs.sequences import (
    BACKWARDS,
    GRU_BEFORE,
    GRUS,
    LENGTH,
    LSTMS,
    SIMPLE,
    Network,
)
from compare.score.bugs.through_time import through_time
from manual.layers import GRUCell, LSTMCell, SimpleRNNCell
from manual.layers.cell import Cell
from manual.layers.recurrence import Recurrent


def in_recurrent_layers() -> Iterator[Bug]:
    """Give slips in each layer's step, in its derivative, and in its weights' gradients."""
    yield from in_steps()
    yield from through_time()
    yield from in_gates()
    yield from in_weight_gradients()
    yield from off_by_little()


def in_steps() -> Iterator[Bug]:
    """Give slips in a step's forward map."""

    def scaled(cell: Any, state: int) -> Function:
        right: Function = cell.step

        def step(self: Any, a: Any, state_: Any, drop: Any) -> Any:
            none = tuple(one * 0.0 if place == state else one for place, one in enumerate(state_))
            return right(self, a, none, drop)

        return step

    def reordered(cell: Any, order: list[int]) -> Function:
        right: Function = cell.step

        def step(self: Any, a: Any, state: Any, drop: Any) -> Any:
            kept = [(one, one.value) for one in (self.recurrent_kernel, self.bias)]
            for parameter, value in kept:
                parameter.value = blocks(value, order)
            try:
                return right(self, blocks(a, order), state, drop)
            finally:
                for parameter, value in kept:
                    parameter.value = value

        return step

    def lstm(self: Any, a: Any, state: Any, drop: Any, **lines: Any) -> Any:
        h, c = state
        zi, zf, zg, zo = z = np.split(a + h @ self.recurrent_kernel.value, 4, axis=-1)
        i, f, o = (self.gate.forward(one) for one in (zi, zf + lines.get("more", 0.0), zo))
        g = lines.get("g", np.tanh)(zg)
        if "f" in lines:
            f = lines["f"](i, f, zf)
        after = f * c + i * g
        shown = lines.get("show", np.tanh)(after)
        return (o * shown, after), ([h], z, (i, f, g, o), c, after, shown)

    def gru(self: Any, a: Any, state: Any, drop: Any, **lines: Any) -> Any:
        (after,), (rows, h, inner, zs, (z, r, content)) = _right_gru(self, a, state, drop)
        after = lines["after"](z, h, content)
        return (after,), (rows, h, inner, zs, (z, r, content))

    def with_(function: Function, **lines: Any) -> Function:
        return lambda self, a, state, drop: function(self, a, state, drop, **lines)

    def unsquashed(self: Any, a: Any, state: Any, drop: Any) -> Any:
        z = a + state[0] @ self.recurrent_kernel.value
        return (z,), ([state[0]], z, z)

    def transposed(self: Any, a: Any, state: Any, drop: Any) -> Any:
        z = a + state[0] @ self.recurrent_kernel.value.T
        return (np.tanh(z),), ([state[0]], z, np.tanh(z))

    _right_gru: Function = GRUCell.step
    slips: dict[str, tuple[Any, Network, Function, str]] = {
        "SimpleRNN: h not carried": (
            SimpleRNNCell,
            SIMPLE,
            scaled(SimpleRNNCell, 0),
            "the state before is not carried on",
        ),
        "SimpleRNN: no activation": (
            SimpleRNNCell,
            SIMPLE,
            unsquashed,
            "the activation of the state",
        ),
        "SimpleRNN: U turned": (
            SimpleRNNCell,
            SIMPLE,
            transposed,
            "the recurrent kernel is transposed",
        ),
        "LSTM: h not carried": (
            LSTMCell,
            LSTMS,
            scaled(LSTMCell, 0),
            "the state before is not carried on",
        ),
        "LSTM: c not carried": (LSTMCell, LSTMS, scaled(LSTMCell, 1), "the cell of the step"),
        "LSTM: order f, i": (
            LSTMCell,
            LSTMS,
            reordered(LSTMCell, [1, 0, 2, 3]),
            "the gates are taken to lie in the order f, i, c, o",
        ),
        "LSTM: order i, f, o, c": (
            LSTMCell,
            LSTMS,
            reordered(LSTMCell, [0, 1, 3, 2]),
            "the gates are taken to lie in the order i, f, o, c",
        ),
        "LSTM: forget bias twice": (
            LSTMCell,
            LSTMS,
            with_(lstm, more=1.0),
            "the bias of the forget gate is added twice",  # it is 1
        ),
        "LSTM: coupled": (
            LSTMCell,
            LSTMS,
            with_(lstm, f=lambda i, f, z: 1.0 - i),
            "the forget gate",
        ),
        "LSTM: no forget gate": (
            LSTMCell,
            LSTMS,
            with_(lstm, f=lambda i, f, z: f * 0.0 + 1.0),
            "the forget gate is left out",
        ),
        "LSTM: bare forget gate": (
            LSTMCell,
            LSTMS,
            with_(lstm, f=lambda i, f, z: z),
            "the activation of the forget gate is missing",
        ),
        "LSTM: σ for the content": (
            LSTMCell,
            LSTMS,
            with_(lstm, g=lambda z: 1.0 / (1.0 + np.exp(-z))),
            "sigmoid is applied in the new content",
        ),
        "LSTM: bare cell": (
            LSTMCell,
            LSTMS,
            with_(lstm, show=lambda c: c),
            "the cell is shown",
        ),
        "GRU: PyTorch's order": (
            GRUCell,
            GRUS,
            reordered(GRUCell, [1, 0, 2]),
            "the gates are taken to lie in the order r, z, h, which is PyTorch's",
        ),
        "GRU: update reversed": (
            GRUCell,
            GRUS,
            with_(gru, after=lambda z, h, n: (1.0 - z) * h + z * n),
            "the update gate's meaning is reversed",
        ),
        "GRU: content undamped": (
            GRUCell,
            GRUS,
            with_(gru, after=lambda z, h, n: z * h + n),
            "1 − z is missing before the new content",
        ),
        "GRU, reset before: h not carried": (
            GRUCell,
            GRU_BEFORE,
            scaled(GRUCell, 0),
            "the state before is not carried on",
        ),
    }
    for slip, (owner, network, function, cause) in slips.items():
        yield Bug(slip, owner, "step", function, "activation", "memory", (cause,), network=network)


def blocks(array: Any, order: list[int]) -> Any:
    """Put the gates' columns in another order."""
    parts = np.split(array, len(order), axis=-1)
    return np.concatenate([parts[place] for place in order], axis=-1)


def spoilt(line: Callable[[Any, Any, Any], None]) -> Function:
    """Return a derivative that is right until a line spoils what it has left behind."""
    right: Function = Recurrent.backward

    def backward(self: Any, dy: Any, saved: Any) -> Any:
        dx = right(self, dy, saved)
        line(self, dy, saved)
        return dx

    return backward


def in_weight_gradients() -> Iterator[Bug]:
    """Give slips in the weights' gradients."""

    def over(weight: str, change: Callable[[Any], Any]) -> Function:
        def line(self: Any, dy: Any, saved: Any) -> None:
            gradient = getattr(self, weight).gradient
            gradient[...] = change(gradient)

        return spoilt(line)

    def one_bias(self: Any, da: Any, ds: Any) -> None:
        total = da.reshape(-1, da.shape[-1]).sum(axis=0)
        self.bias.gradient += np.stack([total, total])

    def last_bias(self: Any, da: Any, ds: Any) -> None:
        self.bias.gradient += da[-1].sum(axis=0)

    average = "the shares of the steps are averaged"
    slips: list[tuple[str, Any, str, Function, Network, str, tuple[str, ...]]] = [
        (
            f"{kind}: {weight} averaged over the steps",
            Recurrent,
            "backward",
            over(weight, lambda g: g / float(LENGTH)),
            network,
            weight,
            (average,),
        )
        for kind, network in (("SimpleRNN", SIMPLE), ("LSTM", LSTMS), ("GRU", GRUS))
        for weight in ("kernel", "recurrent_kernel", "bias")
    ]
    slips += [
        (
            f"{kind}: {weight} times {factor:g}",
            Recurrent,
            "backward",
            over(weight, partial(mul, factor)),
            network,
            weight,
            (cause,),
        )
        for kind, network in (("LSTM", LSTMS), ("GRU", GRU_BEFORE))
        for weight in ("kernel", "recurrent_kernel")
        for factor, cause in FACTORS.items()
    ]
    slips += [
        (
            "LSTM: f and i swapped in the kernel's gradient",
            Recurrent,
            "backward",
            over("kernel", lambda g: blocks(g, [1, 0, 2, 3])),
            LSTMS,
            "kernel",
            ("the gates' gradients lie in the order f, i, c, o",),
        ),
        (
            "GRU: one gradient for both biases",
            GRUCell,
            "add_bias_gradient",
            one_bias,
            GRUS,
            "bias",
            ("the recurrent bias gets the gradient of the input's bias",),
        ),
        (
            "LSTM: the last step's bias gradient",
            Cell,
            "add_bias_gradient",
            last_bias,
            LSTMS,
            "bias",
            ("only the last step's share is there",),
        ),
    ]
    for name, owner, method, function, network, weight, causes in slips:
        where = f"memory/{weight}"
        yield Bug(name, owner, method, function, "weight gradient", where, causes, network=network)


def off_by_little() -> Iterator[Bug]:
    """Give what has no algebraic cause."""

    def one_step(self: Any, dy: Any, saved: Any) -> None:
        gradient = self.recurrent_kernel.gradient
        gradient[1, 2] = gradient[1, 2] * 1.001

    def tiny(self: Any, dy: Any, saved: Any) -> None:
        self.kernel.gradient += self.kernel.value * 1e-6

    for name, line, where in (
        ("one element off by a thousandth", one_step, "memory/recurrent_kernel"),
        ("off by less than 1e-5", tiny, "memory/kernel"),
    ):
        for kind, network in (("LSTM", LSTMS), ("GRU", GRUS), ("backwards", BACKWARDS)):
            yield Bug(
                f"trap, {kind}: {name}",
                Recurrent,
                "backward",
                spoilt(line),
                "weight gradient",
                where,
                (),
                network=network,
            )
