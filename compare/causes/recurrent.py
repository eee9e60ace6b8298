"""Slips in recurrent layers: in what a step does, and in how the gradient goes back in time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.cells import Cell, Gru, Knobs, Lstm, Simple
from compare.causes.recurrence import LATE, Setting, Share, forward, gradients, shares_of
from compare.causes.recurrent_backward import in_backward, often_together
from compare.causes.recurrent_forward import in_forward
from compare.causes.squashing import squash_of
from compare.rounding.judge import judge
from manual.layers import GRU, LSTM, SimpleRNN
from manual.layers.cells import Gated


def setting_of(place: Place) -> Setting | None:
    """Lay out what a recurrent layer takes; None if there is something here that isn't known."""
    layer = place.map
    if not isinstance(layer, SimpleRNN | LSTM | GRU) or layer.return_state or layer.stateful:
        return None
    if not place.has("x", "dz", "W", "recurrent_kernel") or isinstance(place.inputs["x"], list):
        return None
    cell: Cell = (
        Lstm()
        if isinstance(layer, LSTM)
        else Gru(layer.reset_after)
        if isinstance(layer, GRU)
        else Simple()
    )
    content = squash_of(layer.squash)
    gate = squash_of(layer.gate) if isinstance(layer, Gated) else content
    if content is None or gate is None:
        return None
    functions = {"h": content, "c": content, "state": content}
    if isinstance(layer, Gated):
        functions |= dict.fromkeys("ifozr", gate)
    x, dy, mask = place.inputs["x"], place.inputs["dz"], place.inputs.get("mask")
    if layer.go_backwards:
        x, mask = x[:, ::-1], None if mask is None else mask[:, ::-1]
    steps = range(x.shape[1])
    each = (
        [dy[:, t] for t in steps]
        if layer.return_sequences
        else [dy * (1.0 if t == steps[-1] else 0.0) for t in steps]
    )
    return Setting(
        x=[x[:, t] for t in steps],
        dy=each,
        mask=None if mask is None else [mask[:, t, None] for t in steps],
        W=place.inputs["W"],
        U=place.inputs["recurrent_kernel"],
        b=place.inputs.get("b"),
        functions=functions,
        cell=cell,
        options=vars(layer),
        draws=_draws(layer, list(place.inputs.get("drawn") or ())),
    )


def _draws(layer: SimpleRNN | LSTM | GRU, drawn: list[Any]) -> dict[str, list[Any]]:
    """Sort what was drawn: for x first; with dropout of h once for each gate, else once."""
    each = layer.gates if layer.recurrent_dropout else 1
    of_x = each if layer.dropout else 0
    return {"x": drawn[:of_x], "h": drawn[of_x:]}


@hypothesis("activation")
def what_a_step_does(place: Place) -> Iterator[Candidate]:
    """Propose every layer that differs from the right one in one decision."""
    setting = setting_of(place)
    if setting is None:
        return
    plain = forward(setting, {})[0]
    for sentence, knobs, formula in in_forward(setting):
        value = forward(setting, knobs)[0]
        if not judge(value.value, plain).agrees:  # a knob that turns nothing takes no blame
            yield Candidate(sentence, value, formula)


@hypothesis("activation gradient", "weight gradient")
def back_through_time(place: Place) -> Iterator[Candidate]:
    """Propose every gradient that differs from the right one in one decision, or in two."""
    setting = setting_of(place)
    if setting is None:
        return
    quantity = "x" if place.phase == "activation gradient" else place.name.split("/")[-1]
    _, kept = forward(setting, {})
    right = shares_of(setting, kept, {})
    plain = gradients(setting, right, {})[quantity]

    def made(knobs: Knobs) -> Any:
        shares: list[Share] = right if LATE.issuperset(knobs) else shares_of(setting, kept, knobs)
        value = gradients(setting, shares, knobs)[quantity]
        return None if judge(value.value, plain).agrees else value

    for sentence, knobs, formula in in_backward(setting, place):
        value = made(knobs)
        if value is not None:
            yield Candidate(sentence, value, formula)
    for (one, knobs, _), (other, more, _) in combinations(often_together(setting), 2):
        if knobs.keys().isdisjoint(more):
            value = made({**knobs, **more})
            if value is not None:
                yield Candidate(f"{one}, and {other}", value, slips=2)
