"""Recurrent layers run through time once more, forward and back, with every decision as a knob."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.causes.cells import Cell, Gates, Gru, Knobs, Step


@dataclass(frozen=True)
class Setting:
    """What a recurrent layer takes: time first in x, dy and mask, as the layer runs through it."""

    x: list[Any]
    dy: list[Any]
    mask: list[Any] | None
    W: Any
    U: Any
    b: Any
    functions: Mapping[str, str]
    """By gate; ``"state"`` is the function through which an LSTM's cell shows."""
    cell: Cell
    options: Mapping[str, Any]

    @property
    def gates(self) -> str:
        return self.cell.gates

    def by_gate(self, array: Any, order: str) -> Gates:
        """Cut what lies side by side into gates, taken to lie in the given order."""
        parts = np.split(array, len(self.gates), axis=-1)
        return {gate: parts[order.index(gate)] for gate in self.gates}


def forward(s: Setting, k: Knobs) -> tuple[Any, list[Any]]:
    """Run a layer through time with the knobs turned; return its output, and what was kept."""
    step = _step(s, k, s.U)
    W, b = s.by_gate(s.W, k.get("order", s.gates)), _bias(s, k)
    zero = (s.x[0] @ W[s.gates[0]]) * 0.0
    h = c = zero + k.get("initial", 0.0)
    kept, outputs = [], []
    for t, x in enumerate(s.x[::-1] if k.get("time_turned") else s.x):
        a = {gate: x @ W[gate] + b[gate] for gate in s.gates}
        new_h, new_c, saved = s.cell.forward(a, zero if k.get("state_forgotten") else h, c, step)
        y, counts = new_h, _counts(s, k, t)
        if counts is not None:
            held_h, held_c = (zero, zero) if k.get("mask_clears") else (h, c)
            y = np.where(counts, new_h, zero if _zeroes(s, k) else held_h)
            if not k.get("mask_output_only"):
                new_h, new_c = np.where(counts, new_h, held_h), np.where(counts, new_c, held_c)
        h, c = new_h, new_c
        outputs.append(y)
        kept.append(saved)
    return _output(s, k, outputs), kept


def _step(s: Setting, k: Knobs, kernel: Any) -> Step:
    order = k.get("order", s.gates)
    U = s.by_gate(kernel, order)
    if k.get("U_turned"):
        U = {gate: part.T for gate, part in U.items()}
    extra = None
    if s.b is not None and s.b.ndim == 2:
        extra = {g: b * k.get("second_bias", 1.0) for g, b in s.by_gate(s.b[1], order).items()}
    return Step(U, extra, s.functions, k)


def _bias(s: Setting, k: Knobs) -> Gates:
    if s.b is None:
        return dict.fromkeys(s.gates, 0.0)
    found = s.by_gate(s.b[0] if s.b.ndim == 2 else s.b, k.get("order", s.gates))
    return {gate: b * k.get("bias", {}).get(gate, 1.0) for gate, b in found.items()}


def _counts(s: Setting, k: Knobs, t: int) -> Any:
    """Return which samples count at a step, as the layer with the slip sees it."""
    if s.mask is None or k.get("mask_ignored"):
        return None
    if k.get("mask_late"):
        t = max(t - 1, 0)
    if k.get("mask_turned"):
        t = len(s.mask) - 1 - t
    return ~s.mask[t] if k.get("mask_inverted") else s.mask[t]


def _zeroes(s: Setting, k: Knobs) -> bool:
    return bool(s.options["zero_output_for_mask"]) != bool(k.get("other_output"))


def _output(s: Setting, k: Knobs, outputs: list[Any]) -> Any:
    if s.options["return_sequences"]:
        return np.stack(outputs[::-1] if k.get("output_turned") else outputs, axis=1)
    if k.get("output") == "first":
        return outputs[0]
    if k.get("output") == "mean":
        return np.stack(outputs, axis=1).mean(axis=1)
    if k.get("output") == "sum":
        return np.stack(outputs, axis=1).sum(axis=1)
    return outputs[-1]


def gradients(s: Setting, kept: list[Any], k: Knobs) -> dict[str, Any]:
    """Go back through time with the knobs turned; return every gradient, by its weight's name."""
    gates, length = s.gates, len(kept)
    step = _step(s, k, k.get("U_new", s.U))
    W = s.by_gate(k.get("W_new", s.W), gates)
    W_back = {g: one if k.get("W_not_turned") else one.T for g, one in W.items()}
    U_back = {g: one if k.get("U_not_turned") else one.T for g, one in step.U.items()}
    zero = (s.x[0] @ W[gates[0]]) * 0.0
    dh = dc = zero
    shares: list[tuple[Any, Gates, Gates, Gates]] = []
    dx: list[Any] = []
    for t in reversed(range(length)):
        dy, counts = s.dy[t], _counts(s, k, t)
        if counts is not None and _zeroes(s, k):
            dy = np.where(counts, dy, 0.0)
        if k.get("last_output") and t < length - 1:
            dy = zero
        dh = dh + dy
        into_h, into_c = dh, dc
        if counts is not None:
            into_h, into_c = np.where(counts, dh, 0.0), np.where(counts, dc, 0.0)
        da, ds, rows, (past_h, past_c) = s.cell.backward(into_h, into_c, kept[t], step)
        shares.append((s.x[t], da, ds, rows))
        dx.append(_sum([da[g] @ W_back[g] for g in gates]))
        by_cell = isinstance(s.cell, Gru) and not s.cell.reset_after  # r h is no product of h
        passing = [
            g for g in gates if g not in k.get("cut_gate", "") and not (by_cell and g == "h")
        ]
        carried = [ds[g] @ U_back[g] for g in passing]
        if not k.get("cut_h"):
            past_h = _sum([past_h, *carried])
        if counts is not None and not k.get("mask_stops"):
            past_h, past_c = np.where(counts, past_h, dh), np.where(counts, past_c, dc)
        dh, dc = (zero, zero) if k.get("truncated") else (past_h, past_c)
    shares.reverse()
    chosen = {"last": shares[-1:], "first": shares[:1]}.get(k.get("share", ""), shares)
    over = float(length) if k.get("share") == "mean" else 1.0
    xs = np.concatenate([one[0] for one in chosen], axis=0)
    das, dss, rows = (
        {g: np.concatenate([one[i][g] for one in chosen], axis=0) for g in gates} for i in (1, 2, 3)
    )
    order = k.get("order_back", gates)
    joined = {
        "kernel": [xs.T @ das[g] for g in order],
        "recurrent_kernel": [rows[g].T @ dss[g] for g in order],
        "bias": [das[g].sum(axis=0) for g in order],
        "second": [dss[g].sum(axis=0) for g in order],
    }
    found = {name: np.concatenate(parts, axis=-1) / over for name, parts in joined.items()}
    second = found.pop("second")
    if s.b is not None and s.b.ndim == 2:
        found["bias"] = np.stack([found["bias"], found["bias"] if k.get("one_bias") else second])
    found["x"] = np.stack(dx[::-1], axis=1)
    if s.options["go_backwards"] != bool(k.get("turned_back")):
        found["x"] = found["x"][:, ::-1]
    return found


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
