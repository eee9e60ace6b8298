"""Recurrent layers run through time once more, forward and back, with every decision as a knob."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from compare.causes.cells import Cell, Gates, Gru, Knobs, Step, dropped
from compare.causes.squashing import Squash


@dataclass(frozen=True)
class Setting:
    """What a recurrent layer takes: time first in x, dy and mask, as the layer runs through it."""

    x: list[Any]
    dy: list[Any]
    mask: list[Any] | None
    W: Any
    U: Any
    b: Any
    functions: Mapping[str, Squash]
    """By gate; ``"state"`` is the function through which an LSTM's cell shows."""
    cell: Cell
    options: Mapping[str, Any]
    draws: Mapping[str, list[Any]]
    """What dropout drew for ``"x"`` and for ``"h"``: nothing, once for all gates, or for each."""

    @property
    def gates(self) -> str:
        return self.cell.gates

    def by_gate(self, array: Any, order: str) -> Gates:
        """Cut what lies side by side into gates, taken to lie in the given order."""
        parts = np.split(array, len(self.gates), axis=-1)
        return {gate: parts[order.index(gate)] for gate in self.gates}

    def rate(self, of: str) -> float:
        return float(self.options["dropout" if of == "x" else "recurrent_dropout"])

    def factors(self, of: str, where: str, k: Knobs) -> Gates:
        """Return by gate what dropout multiplies to x or h: None where nothing is dropped.

        ``where`` is one of forward, rows (of a kernel's gradient) and back: a slip may be in one.
        """
        other = "h" if of == "x" else "x"
        draws = self.draws[other if k.get("draws_swapped") else of]
        how = k.get("drop", {}).get((of, where))
        if not draws or how == "left out":
            return dict.fromkeys(self.gates)
        rate, found = self.rate(other if k.get("rates_swapped") else of), {}
        for place, gate in enumerate(self.gates):
            u = draws[place if len(draws) > 1 and how != "one for all" else 0]
            kept = u < rate if how == "inverted" else u >= rate
            scale = {"not enlarged": 1.0, "multiplied": 1.0 - rate}.get(
                how or "", 1.0 / (1.0 - rate)
            )
            found[gate] = np.where(kept, scale, 0.0)
        return found


def forward(s: Setting, k: Knobs) -> tuple[Any, list[Any]]:
    """Run a layer through time with the knobs turned; return its output, and what was kept."""
    step = _step(s, k, s.U)
    W, b = s.by_gate(s.W, k.get("order", s.gates)), _bias(s, k)
    drop = s.factors("x", "forward", k)
    zero = (s.x[0] @ W[s.gates[0]]) * 0.0
    h = c = zero + k.get("initial", 0.0)
    kept, outputs = [], []
    for t, x in enumerate(s.x[::-1] if k.get("time_turned") else s.x):
        a = {gate: dropped(x, drop[gate]) @ W[gate] + b[gate] for gate in s.gates}
        new_h, new_c, saved = s.cell.forward(a, zero if k.get("state_forgotten") else h, c, step)
        y, counts = new_h, _counts(s, k, t)
        if counts is not None:
            held_h, held_c = (zero, zero) if k.get("mask_clears") else (h, c)
            y = np.where(counts, new_h, zero if _zeroes(s, k) else held_h)
            holds = k.get("mask_holds", "hc")
            new_h = np.where(counts, new_h, held_h) if "h" in holds else new_h
            new_c = np.where(counts, new_c, held_c) if "c" in holds else new_c
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
    forward, back, rows = (s.factors("h", where, k) for where in ("forward", "back", "rows"))
    return Step(U, extra, s.functions, forward, back, rows, k)


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


Share = tuple[int, Gates, Gates, Gates]
"""A step, the gradients at x W and at h U in it, and the rows of the latter."""


LATE = frozenset(
    {"share", "order_back", "x_moved", "W_new", "W_not_turned", "turned_back", "biases", "reach"}
)
"""Knobs that change nothing in the way back itself, only what is made of the steps' shares."""


def gradients(s: Setting, shares: list[Share], k: Knobs) -> dict[str, Any]:
    """Make every gradient, by its weight's name, of the steps' shares in it."""
    return {**_of_weights(s, shares, k), "x": _of_input(s, shares, k)}


def shares_of(s: Setting, kept: list[Any], k: Knobs) -> list[Share]:
    """Go back through time with the knobs turned; return each step's share in the gradients."""
    gates, length = s.gates, len(kept)
    step = _step(s, k, k.get("U_new", s.U))
    U_back = {g: one if k.get("U_not_turned") else one.T for g, one in step.U.items()}
    if "U_swapped" in k:
        one, other = k["U_swapped"]
        U_back[one], U_back[other] = U_back[other], U_back[one]
    zero = (s.x[0] @ s.by_gate(s.W, gates)[gates[0]]) * 0.0
    dh = dc = zero
    shares: list[Share] = []
    for t in reversed(range(length)):
        dy, counts = s.dy[t], _counts(s, k, t)
        if k.get("every_output"):
            dy = s.dy[-1]
        if counts is not None and _zeroes(s, k):
            dy = np.where(counts, dy, 0.0)
        if k.get("last_output") and t < length - 1:
            dy = zero
        dh = dh + dy
        into_h, into_c = dh, dc
        if counts is not None:
            into_h, into_c = np.where(counts, dh, 0.0), np.where(counts, dc, 0.0)
        da, ds, rows, (past_h, past_c) = s.cell.backward(into_h, into_c, kept[t], step)
        shares.append((t, da, ds, rows))
        by_cell = isinstance(s.cell, Gru) and not s.cell.reset_after  # r h is no product of h
        passing = [
            g for g in gates if g not in k.get("cut_gate", "") and not (by_cell and g == "h")
        ]
        carried = [dropped(ds[g] @ U_back[g], step.drop_back[g]) for g in passing]
        if not k.get("cut_h"):
            past_h = _sum([past_h, *carried])
        if counts is not None and not k.get("mask_stops"):
            past_h, past_c = np.where(counts, past_h, dh), np.where(counts, past_c, dc)
        dh, dc = (zero, zero) if k.get("truncated") else (past_h, past_c)
    return shares[::-1]


def _of_input(s: Setting, shares: list[Share], k: Knobs) -> Any:
    W = s.by_gate(k.get("W_new", s.W), s.gates)
    back = {g: one if k.get("W_not_turned") else one.T for g, one in W.items()}
    drop = s.factors("x", "back", k)
    each = [_sum([dropped(da[g] @ back[g], drop[g]) for g in s.gates]) for _, da, _, _ in shares]
    if "reach" in k:
        each[: -k["reach"]] = [one * 0.0 for one in each[: -k["reach"]]]
    dx = np.stack(each, axis=1)
    return dx[:, ::-1] if s.options["go_backwards"] != bool(k.get("turned_back")) else dx


def _of_weights(s: Setting, shares: list[Share], k: Knobs) -> dict[str, Any]:
    gates, length = s.gates, len(shares)
    x, drop = s.x, s.factors("x", "rows", k)
    if k.get("x_moved"):
        x = [*x[1:], x[0] * 0.0] if k["x_moved"] > 0 else [x[0] * 0.0, *x[:-1]]
    chosen = {"last": shares[-1:], "first": shares[:1]}.get(
        k.get("share", ""), shares[-k.get("reach", length) :]
    )
    over = {"mean": float(length), "mean of all": float(length * len(x[0]))}.get(
        k.get("share", ""), 1.0
    )
    _, *by_step = zip(*chosen, strict=True)
    das, dss, rows = (
        {g: np.concatenate([one[g] for one in steps], axis=0) for g in gates} for steps in by_step
    )
    xs = {g: np.concatenate([dropped(x[one[0]], drop[g]) for one in chosen], axis=0) for g in gates}
    order = k.get("order_back", gates)
    joined = {
        "kernel": [xs[g].T @ das[g] for g in order],
        "recurrent_kernel": [rows[g].T @ dss[g] for g in order],
        "bias": [das[g].sum(axis=0) for g in order],
        "second": [dss[g].sum(axis=0) for g in order],
    }
    found = {name: np.concatenate(parts, axis=-1) / over for name, parts in joined.items()}
    second = found.pop("second")
    if s.b is not None and s.b.ndim == 2:
        both = {"input": [found["bias"]] * 2, "state": [second] * 2}
        both["swapped"] = [second, found["bias"]]
        found["bias"] = np.stack(both.get(k.get("biases", ""), [found["bias"], second]))
    return found


def _sum(terms: list[Any]) -> Any:
    total = terms[0]
    for term in terms[1:]:
        total = total + term
    return total
