"""One step of each recurrent layer, with every decision as a knob.

Turning one knob is one slip; `recurrent_forward` and `recurrent_backward` say what each means. The
cells work gate by gate, so that each gate can be moved, left out, or given another function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compare.causes.squashing import OTHERS, Squash

Knobs = Mapping[str, Any]
Gates = dict[str, Any]
"""One array for each gate, by its letter."""


@dataclass(frozen=True)
class Step:
    """What one step needs from its layer.

    All but the knobs lie there by gate. ``extra`` is the second bias; ``drop`` is what dropout
    multiplies to h before the product with U, ``drop_rows`` the same in the gradient of U, and
    ``drop_back`` in that of h; None where nothing is dropped.
    """

    U: Gates
    extra: Gates | None
    functions: Mapping[str, Squash]
    drop: Gates
    drop_back: Gates
    drop_rows: Gates
    knobs: Knobs

    def f(self, gate: str, z: Any) -> Any:
        """Apply a gate's function."""
        if gate in self.knobs.get("left_out", ""):
            return z * 0.0 + 1.0
        other = self.knobs.get("function", {}).get(gate)
        f = (self.functions[gate] if other is None else OTHERS[other]).f
        return f(f(z)) if gate in self.knobs.get("twice", "") else f(z)

    def back(self, gate: str, da: Any, z: Gates, a: Gates, before: Any = None) -> Any:
        """Carry a gradient back through a gate's function.

        ``z`` and ``a`` are the pre-activations and activations of all gates; ``before`` is what
        stood in the place of a in the step before.
        """
        at = self.knobs.get("slope_at", {}).get(gate, gate)
        z_here, a_here = (before, before) if at == "before" else (z[at], a[at])
        if gate in self.knobs.get("constant", ""):
            return da * 0.0
        if gate in self.knobs.get("no_slope", ""):
            return da
        slope = self.knobs.get("slope", {}).get(gate)
        if slope is None:
            return self.functions[gate].back(da, z_here, a_here)
        return da * slope(z_here, a_here)


def dropped(h: Any, factor: Any) -> Any:
    """Return what dropout leaves of an array."""
    return h if factor is None else h * factor


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
        z = a["h"] + dropped(h, s.drop["h"]) @ s.U["h"]
        after = s.f("h", z)
        return after, c, (h, z, after)

    def backward(self, dh: Any, dc: Any, kept: Any, s: Step) -> tuple[Gates, Gates, Gates, Any]:
        h, z, after = kept
        dz = {"h": s.back("h", dh, {"h": z}, {"h": after}, h)}
        row = after if s.knobs.get("rows_after") else h
        return dz, dz, {"h": dropped(row, s.drop_rows["h"])}, (dh * 0.0, dc)


class Lstm(Cell):
    """c⁺ = f c + i g, h⁺ = o tanh c⁺."""

    gates = "ifco"

    def forward(self, a: Gates, h: Any, c: Any, s: Step) -> tuple[Any, Any, Any]:
        k = s.knobs
        z = {gate: a[gate] + dropped(h, s.drop[gate]) @ s.U[gate] for gate in self.gates}
        z["f"] = z["f"] + k.get("forget_bias", 0.0)
        v = {gate: s.f(gate, z[gate]) for gate in self.gates}
        if k.get("coupled"):
            v["f"] = 1.0 - v["i"]
        after = v["f"] * (c * 0.0 if k.get("cell_forgotten") else c) + v["i"] * v["c"]
        others = {"before": c, "content": z["c"], "squashed content": v["c"]}
        shown = s.f("state", others.get(k.get("shows", ""), after))
        return v["o"] * shown, after, (h, c, after, shown, z, v, v["o"] * shown)

    def backward(self, dh: Any, dc: Any, kept: Any, s: Step) -> tuple[Gates, Gates, Gates, Any]:
        h, c, after, shown, z, v, h_after = kept
        k = s.knobs
        of_cell = {"state": after}, {"state": shown}
        shared = dh if k.get("factor_out") == "state" else dh * v["o"]
        through = s.back("state", shared, *of_cell, s.functions["state"].f(c))
        dc = through if k.get("cell_overwritten") else dc if k.get("h_not_to_c") else dc + through
        times = {"i": v["c"], "f": after if k.get("c_after") else c, "c": v["i"]}
        if k.get("exchanged"):
            one, other = k["exchanged"]
            times[one], times[other] = times[other], times[one]
        da = {gate: dc * factor for gate, factor in times.items()}
        da["o"] = dh * (after if k.get("cell_shown_bare") else shown)
        lacking = k.get("factor_out")
        if lacking in da:
            da[lacking] = dh * 1.0 if lacking == "o" else dc * 1.0
        dz = {gate: s.back(gate, da[gate], z, v) for gate in self.gates}
        row = h_after if k.get("rows_after") else h
        rows = {gate: dropped(row, s.drop_rows[gate]) for gate in self.gates}
        dc = dc * (1.0 if k.get("undamped_cell") else v[k.get("damped_by", "f")])
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
        left = {gate: dropped(h, s.drop[gate]) for gate in self.gates}
        z = {gate: a[gate] + (left[gate] @ s.U[gate] + extra[gate]) for gate in "zr"}
        v = {gate: s.f(gate, z[gate]) for gate in "zr"}
        if after:
            outside = extra["h"] if k.get("bias_outside") else 0.0
            inner = left["h"] @ s.U["h"] + (0.0 if k.get("bias_outside") else extra["h"])
            z["h"] = a["h"] + v["r"] * inner + outside
        else:
            inner = left["h"]
            z["h"] = a["h"] + (v["r"] * inner) @ s.U["h"] + extra["h"]
        v["h"] = s.f("h", z["h"])
        keep = 1.0 - v["z"] if k.get("reversed") else v["z"]
        carried = left["z"] if k.get("carries_dropped") else h
        new = keep * carried + (1.0 - keep) * v["h"]
        if k.get("undamped_content"):
            new = v["z"] * h + v["h"]
        return new, c, (h, inner, z, v, new)

    def backward(self, dh: Any, dc: Any, kept: Any, s: Step) -> tuple[Gates, Gates, Gates, Any]:
        h, inner, z, v, new = kept
        k = s.knobs
        of_past, of_content = v["z"], 1.0 - v["z"]
        if k.get("past_by_rest"):
            of_past = 1.0 - v["z"]
        if k.get("content_by_z"):
            of_content = v["z"]
        dv = {"z": dh * h - dh * v["h"], "h": dh * of_content}
        if k.get("turned_update"):
            dv["z"] = -dv["z"]
        if k.get("update_of") == "h":
            dv["z"] = dh * h
        if k.get("update_of") == "after":
            dv["z"] = dh * new - dh * v["h"]
        if k.get("update_of") == "content":
            dv["z"] = -(dh * v["h"])
        dz = {gate: s.back(gate, dv[gate], z, v) for gate in "zh"}
        dreset = dz["h"] if self.reset_after else dz["h"] @ s.U["h"].T
        times = 1.0 if k.get("factor_out") == "r" else h if k.get("bare_state") else inner
        dz["r"] = s.back("r", dreset * times, z, v)
        damped = 1.0 if k.get("reset_left_back") else v["r"]
        row = new if k.get("rows_after") else h
        rows, ds = {gate: dropped(row, s.drop_rows[gate]) for gate in self.gates}, dict(dz)
        if self.reset_after:
            ds["h"] = dz["h"] * damped
        elif not k.get("reset_left_rows"):
            rows["h"] = v["r"] * rows["h"]
        past = dh * 0.0 if k.get("cut_state") else dh * of_past
        if not self.reset_after and not k.get("cut_h") and k.get("cut_gate") != "h":
            past = past + dropped(dreset * damped, s.drop_back["h"])
        return dz, ds, rows, (past, dc)
