"""The cells of SimpleRNN, LSTM and GRU: what each does at one step, and its derivative."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from manual import sums
from manual.arrays import Array
from manual.layers.cell import Cell, State
from manual.layers.gatewise import Rows, back_through, dropped, of_each, through, undropped
from manual.registry import from_keras, twin_of


@twin_of("SimpleRNNCell")
class SimpleRNNCell(Cell):
    """A step of the plain recurrent layer of Elman (1990), h⁺ = tanh(x W + h U + b).

    Kernel ``(inputs, units)``, recurrent kernel ``(units, units)``, bias ``(units,)``.
    """

    derivation = {
        "forward": "at every step z = x W + h U + b, h⁺ = tanh z",
        "input gradient": "dx = dz · Wᵀ, with dz = dh⁺ · (1 − h⁺²); "
        "to the step before: dh = dz · Uᵀ",
        "kernel gradient": "dW = Σ xᵀ · dz over the steps",
        "recurrent_kernel gradient": "dU = Σ hᵀ · dz over the steps, h of the step before",
        "bias gradient": "db = Σ dz over samples and steps",
    }
    gates = 1

    def step(self, a: Array, state: State, drop: Rows | None) -> tuple[State, Any]:
        (h,) = state
        rows = dropped(h, drop)
        z = a + self.products(rows)
        after = self.squash.forward(z)
        return (after,), (rows, z, after)

    def step_back(
        self, dstate: State, saved: Any, drop: Rows | None
    ) -> tuple[Array, Array, Rows, State]:
        rows, z, after = saved
        dz = self.squash.backward(dstate[0], z, after)
        parts = self.products_back(dz, len(rows))
        return dz, dz, rows, (undropped(parts, drop),)


class Gated(Cell):
    """A cell with gates, which have an activation of their own."""

    drops_all = False

    def __init__(
        self,
        units: int,
        activation: str | Mapping[str, Any] | None = "tanh",
        recurrent_activation: str | Mapping[str, Any] | None = "sigmoid",
        use_bias: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(units, activation, use_bias, **options)
        self.gate = from_keras(
            "activation", recurrent_activation or "linear", f"layer {self.name!r}"
        )


@twin_of("LSTMCell")
class LSTMCell(Gated):
    """A step of long short-term memory (Hochreiter & Schmidhuber 1997).

    With the forget gate of Gers 2000. The gates lie in the order i, f, c, o (PyTorch has the same,
    and calls the third g): kernel ``(inputs, 4 units)``, recurrent kernel ``(units, 4 units)``,
    bias ``(4 units,)``, of which the forget gate's quarter starts at 1 with ``unit_forget_bias``
    (Jozefowicz et al. 2015). There are no peepholes.
    """

    derivation = {
        "forward": "at every step [zi, zf, zg, zo] = x W + h U + b; i, f, o = σ(zi, zf, zo), "
        "g = tanh zg; c⁺ = f c + i g, h⁺ = o tanh c⁺",
        "input gradient": "dx = dz · Wᵀ, with dc⁺ += dh⁺ o (1 − tanh² c⁺); do = dh⁺ tanh c⁺, "
        "di = dc⁺ g, df = dc⁺ c, dg = dc⁺ i, each times its gate's derivative; "
        "to the step before: dh = dz · Uᵀ, dc = dc⁺ f",
        "kernel gradient": "dW = Σ xᵀ · dz over the steps",
        "recurrent_kernel gradient": "dU = Σ hᵀ · dz over the steps, h of the step before",
        "bias gradient": "db = Σ dz over samples and steps",
    }
    gates = 4
    carried = 2

    def __init__(
        self, units: int, *args: Any, unit_forget_bias: bool = True, **options: Any
    ) -> None:
        super().__init__(units, *args, **options)
        self.unit_forget_bias = unit_forget_bias

    def initial_bias(self) -> Array:
        bias = super().initial_bias()
        bias[self.units : 2 * self.units] = float(self.unit_forget_bias)
        return bias

    def step(self, a: Array, state: State, drop: Rows | None) -> tuple[State, Any]:
        h, c = state
        rows = dropped(h, drop)
        z = a + self.products(rows)
        _, _, zg, zo = by_gate = np.split(z, 4, axis=-1)
        i, f = of_each(self.gate, z[..., : 2 * self.units], 2)
        g, o = self.squash.forward(zg), self.gate.forward(zo)
        after = f * c + i * g
        squashed = self.squash.forward(after)
        return (o * squashed, after), (rows, by_gate, (i, f, g, o), c, after, squashed)

    def step_back(
        self, dstate: State, saved: Any, drop: Rows | None
    ) -> tuple[Array, Array, Rows, State]:
        rows, (zi, zf, zg, zo), (i, f, g, o), c, after, squashed = saved
        dh, dc = dstate
        dc = dc + self.squash.backward(dh * o, after, squashed)
        gates = (
            self.gate.backward(dc * g, zi, i),
            self.gate.backward(dc * c, zf, f),
            self.squash.backward(dc * i, zg, g),
            self.gate.backward(dh * squashed, zo, o),
        )
        dz = np.concatenate(gates, axis=-1)
        parts = self.products_back(dz, len(rows))
        return dz, dz, rows, (undropped(parts, drop), dc * f)


@twin_of("GRUCell")
class GRUCell(Gated):
    """A step of the gated recurrent unit (Cho et al. 2014).

    The gates lie in the order z (update), r (reset), h (content): kernel ``(inputs, 3 units)``,
    recurrent kernel ``(units, 3 units)``. As in Keras, z says how much of the *old* state stays,
    and with ``reset_after`` (the default, which cuDNN has too) the reset gate acts after the matrix
    product: the bias is then ``(2, 3 units)``, one row for each product; without, ``(3 units,)``.
    """

    derivation = {
        "forward": "at every step z, r = σ(x W + h U + b), h̃ = tanh(x Wₕ + bₕ + r (h Uₕ + b′ₕ)), "
        "or r h before the product, (r h) Uₕ; h⁺ = z h + (1 − z) h̃",
        "input gradient": "dx = da · Wᵀ, with dh̃ = dh⁺ (1 − z), dz = dh⁺ (h − h̃), "
        "dr = dh̃′ (h Uₕ + b′ₕ), each times its gate's derivative; "
        "to the step before: dh = dh⁺ z + ds · Uᵀ, where ds has dh̃′ r for dh̃′",
        "kernel gradient": "dW = Σ xᵀ · da over the steps",
        "recurrent_kernel gradient": "dU = Σ hᵀ · ds over the steps, h of the step before "
        "(r h for Uₕ if it is reset before the product)",
        "bias gradient": "db = Σ da over samples and steps; db′ = Σ ds",
    }
    gates = 3

    def __init__(self, units: int, *args: Any, reset_after: bool = True, **options: Any) -> None:
        super().__init__(units, *args, **options)
        self.reset_after = reset_after

    def initial_bias(self) -> Array:
        return np.zeros((2, 3 * self.units) if self.reset_after else 3 * self.units)

    @property
    def input_bias(self) -> Array:
        return self.bias.value[0] if self.reset_after else self.bias.value

    def add_bias_gradient(self, da: Array, ds: Array) -> None:
        if not self.reset_after:
            return super().add_bias_gradient(da, ds)
        self.bias.gradient += np.stack([sums.over_rows(da), sums.over_rows(ds)])

    def step(self, a: Array, state: State, drop: Rows | None) -> tuple[State, Any]:
        (h,) = state
        U, units = self.recurrent_kernel.value, self.units
        if self.reset_after:
            rows = dropped(h, drop)
            s = through(rows, U)
            if self.use_bias:
                s = s + self.bias.value[1]
            inner = s[:, 2 * units :]
        else:
            *rows, inner = dropped(h, drop) if drop else [h, h, h]
            s = through(rows, U[:, : 2 * units])
        both = a[:, : 2 * units] + s[:, : 2 * units]
        zz, zr = np.split(both, 2, axis=-1)
        z, r = of_each(self.gate, both, 2)
        reset = r * inner
        if not self.reset_after:
            rows = [*rows, reset]
        zh = a[:, 2 * units :] + (reset if self.reset_after else reset @ U[:, 2 * units :])
        content = self.squash.forward(zh)
        after = z * h + (1.0 - z) * content
        return (after,), (rows, h, inner, (zz, zr, zh), (z, r, content))

    def step_back(
        self, dstate: State, saved: Any, drop: Rows | None
    ) -> tuple[Array, Array, Rows, State]:
        rows, h, inner, (zz, zr, zh), (z, r, content) = saved
        (dh,) = dstate
        U, units = self.recurrent_kernel.value, self.units
        dzz = self.gate.backward(dh * h - dh * content, zz, z)
        dzh = self.squash.backward(dh * (1.0 - z), zh, content)
        dreset = dzh if self.reset_after else dzh @ U[:, 2 * units :].T
        dzr = self.gate.backward(dreset * inner, zr, r)
        da = np.concatenate([dzz, dzr, dzh], axis=-1)
        if self.reset_after:
            ds = np.concatenate([dzz, dzr, dreset * r], axis=-1)
            parts = back_through(ds, U, len(rows))
        else:
            ds = da
            parts = [*back_through(da[:, : 2 * units], U[:, : 2 * units], 2), dreset * r]
        return da, ds, rows, (dh * z + undropped(parts, drop),)
