"""One step of each recurrent layer, with every decision as a knob.

Turning one knob is one slip; `compare.causes.recurrent` says what each means. The cells work gate
by gate, so that each gate can be moved, left out, or given another function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Knobs = Mapping[str, Any]
Gates = dict[str, Any]
"""One array for each gate, by its letter."""


def _sigmoid(z: Any) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


FUNCTIONS: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "tanh": (np.tanh, lambda a: 1.0 - a * a),
    "sigmoid": (_sigmoid, lambda a: a * (1.0 - a)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda a: 1.0 * (a > 0.0)),
    "linear": (lambda z: z, lambda a: a * 0.0 + 1.0),
    "hard_sigmoid": (
        lambda z: np.minimum(np.maximum(z / 6.0 + 0.5, 0.0), 1.0),
        lambda a: ((a > 0.0) & (a < 1.0)) / 6.0,
    ),
}
"""Each function, and its derivative written in its value."""


@dataclass(frozen=True)
class Step:
    """What one step needs from its layer: recurrent kernel and second bias by gate, functions."""

    U: Gates
    extra: Gates | None
    functions: Mapping[str, str]
    knobs: Knobs

    def f(self, gate: str, z: Any) -> Any:
        """Apply a gate's function."""
        name = self.knobs.get("function", {}).get(gate, self.functions[gate])
        if gate in self.knobs.get("left_out", ""):
            return z * 0.0 + 1.0
        return FUNCTIONS[name][0](z)

    def df(self, gate: str, a: Any) -> Any:
        """Return the derivative of a gate's function, from its value."""
        if gate in self.knobs.get("no_slope", ""):
            return a * 0.0 + 1.0
        if gate in self.knobs.get("left_out", ""):
            return a * 0.0
        return FUNCTIONS[self.knobs.get("slope_of", {}).get(gate, self.functions[gate])][1](a)


class Cell:
    """One step of a layer, and its derivative."""

    gates = ""

    def forward(self, a: Gates, h: Any, c: Any, s: Step) -> tuple[Any, Any, Any]:
        """Return h and c after the step, and what `backward` needs."""
        raise NotImplementedError

    def backward(self, dh: Any, dc: Any, kept: Any, s: Step) -> tuple[Gates, Gates, Gates, Any]:
        """Return the gradients at x W and at h U, the rows of the latter, and dh but for h U.

        An LSTM returns the gradient at its cell beside the last.
        """
        raise NotImplementedError


class Simple(Cell):
    """h⁺ = f(x W + h U + b)."""

    gates = "h"

    def forward(self, a: Gates, h: Any, c: Any, s: Step) -> tuple[Any, Any, Any]:
        after = s.f("h", a["h"] + h @ s.U["h"])
        return after, c, (h, after)

    def backward(self, dh: Any, dc: Any, kept: Any, s: Step) -> tuple[Gates, Gates, Gates, Any]:
        h, after = kept
        dz = {"h": dh * s.df("h", after)}
        return dz, dz, {"h": after if s.knobs.get("rows_after") else h}, (dh * 0.0, dc)


class Lstm(Cell):
    """c⁺ = f c + i g, h⁺ = o tanh c⁺."""

    gates = "ifco"

    def forward(self, a: Gates, h: Any, c: Any, s: Step) -> tuple[Any, Any, Any]:
        k = s.knobs
        z = {gate: a[gate] + h @ s.U[gate] for gate in self.gates}
        z["f"] = z["f"] + k.get("forget_bias", 0.0)
        v = {gate: s.f(gate, z[gate]) for gate in self.gates}
        if k.get("coupled"):
            v["f"] = 1.0 - v["i"]
        after = v["f"] * (c * 0.0 if k.get("cell_forgotten") else c) + v["i"] * v["c"]
        shown = s.f("state", c if k.get("shows_old") else after)
        return v["o"] * shown, after, (h, c, after, shown, v, v["o"] * shown)

    def backward(self, dh: Any, dc: Any, kept: Any, s: Step) -> tuple[Gates, Gates, Gates, Any]:
        h, c, after, shown, v, h_after = kept
        k = s.knobs
        through = dh * v["o"] * s.df("state", shown)
        dc = through if k.get("cell_overwritten") else dc if k.get("h_not_to_c") else dc + through
        da = {
            "i": dc * (1.0 if k.get("factor_out") == "i" else v["c"]),
            "f": dc * (1.0 if k.get("factor_out") == "f" else after if k.get("c_after") else c),
            "c": dc * (1.0 if k.get("factor_out") == "c" else v["i"]),
            "o": dh * (after if k.get("cell_shown_bare") else shown),
        }
        if k.get("factor_out") == "o":
            da["o"] = dh * 1.0
        dz = {gate: da[gate] * s.df(gate, v[gate]) for gate in self.gates}
        rows = dict.fromkeys(self.gates, h_after if k.get("rows_after") else h)
        dc = dc * (1.0 if k.get("undamped_cell") else v["f"])
        return dz, dz, rows, (dh * 0.0, dc * 0.0 if k.get("cut_cell") else dc)


class Gru(Cell):
    """h⁺ = z h + (1 − z) h̃, with the reset gate after the product with h or before it."""

    gates = "zrh"

    def __init__(self, reset_after: bool) -> None:
        self.reset_after = reset_after

    def forward(self, a: Gates, h: Any, c: Any, s: Step) -> tuple[Any, Any, Any]:
        k = s.knobs
        after = self.reset_after != k.get("other_reset", False)
        extra = s.extra or dict.fromkeys(self.gates, 0.0)
        v = {gate: s.f(gate, a[gate] + (h @ s.U[gate] + extra[gate])) for gate in "zr"}
        if after:
            outside = extra["h"] if k.get("bias_outside") else 0.0
            inner = h @ s.U["h"] + (0.0 if k.get("bias_outside") else extra["h"])
            z = a["h"] + v["r"] * inner + outside
        else:
            inner = h
            z = a["h"] + (v["r"] * h) @ s.U["h"] + extra["h"]
        v["h"] = s.f("h", z)
        keep = 1.0 - v["z"] if k.get("reversed") else v["z"]
        new = keep * h + (1.0 - keep) * v["h"]
        if k.get("undamped_content"):
            new = v["z"] * h + v["h"]
        return new, c, (h, inner, v, new)

    def backward(self, dh: Any, dc: Any, kept: Any, s: Step) -> tuple[Gates, Gates, Gates, Any]:
        h, inner, v, new = kept
        k = s.knobs
        keep = 1.0 - v["z"] if k.get("reversed_back") else v["z"]
        dv = {"z": dh * h - dh * v["h"], "h": dh * (1.0 - keep)}
        if k.get("turned_update"):
            dv["z"] = -dv["z"]
        if k.get("update_of") == "h":
            dv["z"] = dh * h
        if k.get("update_of") == "content":
            dv["z"] = -(dh * v["h"])
        dz = {gate: dv[gate] * s.df(gate, v[gate]) for gate in "zh"}
        dreset = dz["h"] if self.reset_after else dz["h"] @ s.U["h"].T
        times = 1.0 if k.get("factor_out") == "r" else h if k.get("bare_state") else inner
        dz["r"] = dreset * times * s.df("r", v["r"])
        damped = 1.0 if k.get("reset_left_back") else v["r"]
        row = new if k.get("rows_after") else h
        rows, ds = dict.fromkeys(self.gates, row), dict(dz)
        if self.reset_after:
            ds["h"] = dz["h"] * damped
        else:
            rows["h"] = row if k.get("reset_left_rows") else v["r"] * row
        past = dh * 0.0 if k.get("cut_state") else dh * keep
        if not self.reset_after and not k.get("cut_h") and k.get("cut_gate") != "h":
            past = past + dreset * damped
        return dz, ds, rows, (past, dc)
