"""Slips in what a recurrent layer does at a step, each with the knobs that it turns.

All are given as a sentence, the knobs of `compare.causes.cells` and `compare.causes.recurrence`,
and what was computed instead.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from compare.causes.cells import Knobs
from compare.causes.recurrence import Setting
from compare.causes.squashing import OTHERS

Slips = Iterator[tuple[str, Knobs, str]]

LETTERS = {"ifco": "i, f, c, o", "zrh": "z, r, h"}
NAMES = {
    "ifco": {"i": "input gate", "f": "forget gate", "c": "new content", "o": "output gate"},
    "zrh": {"z": "update gate", "r": "reset gate", "h": "new content"},
    "h": {"h": "state"},
}
ORDERS = {"ifco": "", "zrh": "rzh", "h": ""}
"""PyTorch's order of the gates, where it is another."""


def in_forward(s: Setting) -> Slips:
    """Give each slip in what a step does."""
    gates = s.gates
    for order in map("".join, permutations(gates)):
        if order != gates:
            sentence = f"the gates are taken to lie in the order {', '.join(order)}"
            if order == ORDERS[gates]:
                sentence += ", which is PyTorch's"
            yield sentence, {"order": order}, f"Keras: {LETTERS[gates]}"
    yield from _other_functions(s)
    yield "the state before is not carried on", {"state_forgotten": True}, "h⁺ without h U"
    yield "the recurrent kernel is transposed", {"U_turned": True}, "h · Uᵀ"
    yield "time runs backwards", {"time_turned": True}, "t = T … 1"
    yield "the state starts at 1 instead of 0", {"initial": 1.0}, "h₀ = 1"
    yield from _biases(s)
    if s.options["return_sequences"]:
        yield "the outputs stand in the order of time turned round", {"output_turned": True}, ""
    else:
        yield "the output of the first step is returned", {"output": "first"}, "y = h₁"
        yield "the outputs of all steps are averaged", {"output": "mean"}, "y = 1/T Σ hₜ"
        yield "the outputs of all steps are added up", {"output": "sum"}, "y = Σ hₜ"
    if s.mask is not None:
        yield from _masks(s)
    for of in "xh":
        for how, told in DROPS.items() if s.draws[of] else ():
            yield told.format(of), {"drop": {(of, "forward"): how}}, ""
    if s.draws["x"] and s.draws["h"]:
        how = "not enlarged"
        both = {("x", "forward"): how, ("h", "forward"): how}
        yield "what dropout keeps of x and of h is not enlarged", {"drop": both}, ""
        if s.draws["x"][0].shape == s.draws["h"][0].shape:
            swapped = {"draws_swapped": True, "rates_swapped": True}
            yield "the masks of x and h are swapped", swapped, ""
            yield "what was drawn for x and for h is swapped", {"draws_swapped": True}, ""
        yield "the rates of the two dropouts are swapped", {"rates_swapped": True}, ""
    if gates == "ifco":
        yield from _in_lstm()
    elif gates == "zrh":
        yield from _in_gru(s)


DROPS = {
    "left out": "the dropout of {} is left out",
    "not enlarged": "what dropout keeps of {} is not enlarged",
    "multiplied": "what dropout keeps of {} is multiplied by 1 − rate instead of divided",
    "inverted": "the dropout of {} drops what should be kept",
    "one for all": "one mask drops {} for all gates instead of one each",
}


def _other_functions(s: Setting) -> Slips:
    for gate, name in NAMES[s.gates].items():
        right = s.functions[gate].name
        if right != "linear":
            yield f"{right} is applied twice in the {name}", {"twice": (gate,)}, ""
        for other in OTHERS:
            if other == right:
                continue
            sentence = f"{other} is applied in the {name} instead of {right}"
            if other == "linear":
                sentence = f"the activation of the {name} is missing"
            yield sentence, {"function": {gate: other}}, ""
    groups = [("all gates", [gate for gate in s.gates if gate in "ifozr"])]
    if s.gates == "ifco":
        groups.append(("content and cell", ["c", "state"]))
    for where, some in groups if len(s.gates) > 1 else ():
        right = s.functions[some[0]].name
        for other in OTHERS:
            if other not in ("linear", right):
                sentence = f"{other} is applied in {where} instead of {right}"
                yield sentence, {"function": dict.fromkeys(some, other)}, ""


def _biases(s: Setting) -> Slips:
    if s.b is None:
        return
    gates, second = s.gates, " of the input's product" if s.b.ndim == 2 else ""
    for times, told in ((0.0, "forgotten"), (2.0, "added twice"), (-1.0, "subtracted")):
        yield f"the bias{second} is {told}", {"bias": dict.fromkeys(gates, times)}, ""
    for gate, name in NAMES[gates].items() if len(gates) > 1 else ():
        for times, told in ((0.0, "forgotten"), (2.0, "added twice")):
            yield f"the bias of the {name}{second} is {told}", {"bias": {gate: times}}, ""


def _masks(s: Setting) -> Slips:
    yield "the mask is ignored", {"mask_ignored": True}, ""
    yield "the mask is inverted", {"mask_inverted": True}, ""
    sentence = "repeats the last output instead of 0"
    if not s.options["zero_output_for_mask"]:
        sentence = "gives 0 as its output instead of the last one"
    yield f"a masked step {sentence}", {"other_output": True}, ""
    yield "a masked step sets the state to 0", {"mask_clears": True}, "h⁺ = m h⁺"
    sentence = "the mask holds the output but not the state"
    yield sentence, {"mask_holds": ""}, "only y is held where m = 0"
    if s.gates == "ifco":
        yield "the mask holds the state but not the cell", {"mask_holds": "h"}, "c⁺ where m = 0"
        yield "the mask holds the cell but not the state", {"mask_holds": "c"}, "h⁺ where m = 0"
    yield "the mask is read one step late", {"mask_late": True}, "mₜ₋₁"
    yield "the mask is not turned round with time", {"mask_turned": True}, "m_T₊₁₋ₜ"


def _in_lstm() -> Slips:
    for gate in "ifo":
        yield f"the {NAMES['ifco'][gate]} is left out", {"left_out": gate}, f"{gate} = 1"
    swapped = {**dict.fromkeys("ifo", "tanh"), "c": "sigmoid"}
    yield "the functions of gates and content are swapped", {"function": swapped}, "i, f, o = tanh"
    yield "the cell is shown without its tanh", {"function": {"state": "linear"}}, "h⁺ = o c⁺"
    yield "sigmoid is applied to the cell", {"function": {"state": "sigmoid"}}, "h⁺ = o σ(c⁺)"
    yield "the cell of the step before is shown", {"shows": "before"}, "h⁺ = o tanh c"
    shown = "the new content is shown instead of the cell"
    yield shown, {"shows": "content"}, "h⁺ = o g"
    yield f"{shown}, squashed once more", {"shows": "squashed content"}, "h⁺ = o tanh g"
    yield "the cell of the step before is not carried on", {"cell_forgotten": True}, "c⁺ = i g"
    yield "the forget gate is 1 minus the input gate", {"coupled": True}, "f = 1 − i"
    yield "1 is added to the forget gate's bias once more", {"forget_bias": 1.0}, "f = σ(zf + 1)"
    yield "the 1 in the forget gate's bias is missing", {"forget_bias": -1.0}, "f = σ(zf − 1)"


def _in_gru(s: Setting) -> Slips:
    yield "the update gate's meaning is reversed", {"reversed": True}, "h⁺ = (1 − z) h + z h̃"
    yield "the reset gate is left out", {"left_out": "r"}, "r = 1"
    yield "1 − z is missing before the new content", {"undamped_content": True}, "h⁺ = z h + h̃"
    if s.draws["h"]:
        sentence = "what dropout leaves of h is carried on, instead of h itself"
        yield sentence, {"carries_dropped": True}, "h⁺ = z (h · m) + (1 − z) h̃"
    after = s.options["reset_after"]
    one, other = ("before", "after") if after else ("after", "before")
    sentence = f"the reset gate is applied {one} the product instead of {other}"
    yield sentence, {"other_reset": True}, "(r h) Uₕ" if after else "r (h Uₕ)"
    if after and s.b is not None:
        yield "the second, recurrent bias is forgotten", {"second_bias": 0.0}, "h U without b′"
        sentence = "the recurrent bias of the new content is added outside the reset gate"
        yield sentence, {"bias_outside": True}, "r (h Uₕ) + b′ₕ"
