"""Slips in how the gradient goes back through a recurrent layer, each with the knobs it turns."""

from __future__ import annotations

from itertools import combinations, permutations

from compare.causes.base import Place
from compare.causes.cells import Knobs
from compare.causes.recurrence import Setting
from compare.causes.recurrent_forward import DROPS, LETTERS, NAMES, Slips
from compare.causes.squashing import wrong_slopes


def in_backward(s: Setting, place: Place) -> Slips:
    """Give each slip in how the gradient goes back through time."""
    if place.phase == "weight gradient":
        yield from _of_weights(s, place)
    else:
        yield from _of_input(s, place)
    yield "the gradient is not carried to the step before", {"truncated": True}, "dh = dc = 0"
    yield "the recurrent kernel is not transposed", {"U_not_turned": True}, "dh = dz · U"
    if place.has("recurrent_kernel_new"):
        new = {"U_new": place.inputs["recurrent_kernel_new"]}
        yield "the already updated recurrent kernel is used", new, "dh = dz · U⁺ᵀ"
    yield from _slopes(s)
    yield CUT, {"cut_h": True}, "dh without dz · Uᵀ"
    names = NAMES[s.gates]
    for gate, name in names.items() if len(names) > 1 else ():
        yield f"{CUT} in the {name}", {"cut_gate": gate}, ""
        yield f"the {name} is treated as a constant", {"constant": gate}, ""
    for one, other in combinations(names, 2):
        sentence = f"the recurrent kernels of the {names[one]} and the {names[other]} are swapped"
        yield f"{sentence} on the way back", {"U_swapped": (one, other)}, ""
    if len(names) > 1:
        gates = tuple(gate for gate in names if gate in "ifozr")
        yield "the gates are treated as constants", {"constant": gates}, ""
    if s.options["return_sequences"]:
        yield "only the last output's gradient enters", {"last_output": True}, "dh = dy_T"
    else:
        yield "the gradient of the output enters at every step", {"every_output": True}, "dh += dy"
        for steps in range(2, len(s.x)):
            sentence = f"the gradient goes back {steps} steps only"
            yield sentence, {"reach": steps}, f"dh = 0 before step T − {steps - 1}"
    if s.mask is not None:
        yield "the mask is ignored on the way back", {"mask_ignored": True}, ""
        yield "the mask is inverted on the way back", {"mask_inverted": True}, ""
        yield "a masked step stops the gradient", {"mask_stops": True}, "dh = 0 where m = 0"
        yield "the mask is not turned round with time", {"mask_turned": True}, ""
        if s.options["zero_output_for_mask"]:
            sentence = "the gradient at the zero output of a masked step is let through"
            yield sentence, {"other_output": True}, ""
    for how in ("left out", "not enlarged", "inverted", "one for all"):
        if s.draws["h"]:
            told = DROPS[how].format("h") + " on the way back"
            yield told, {"drop": {("h", "back"): how}}, ""
    if s.gates == "ifco":
        yield from _lstm_back()
    elif s.gates == "zrh":
        yield from _gru_back(s, place)


CUT = "the gradient through the hidden state is forgotten"


def _of_weights(s: Setting, place: Place) -> Slips:
    quantity = place.name.split("/")[-1]
    yield "the shares of the steps are averaged", {"share": "mean"}, "dW = 1/T Σ"
    sentence = "the shares of all steps and samples are averaged"
    yield sentence, {"share": "mean of all"}, "dW = 1/(N T) Σ"
    yield "only the last step's share is there", {"share": "last"}, "dW = x_Tᵀ · dz_T"
    yield "only the first step's share is there", {"share": "first"}, "dW = x₁ᵀ · dz₁"
    if quantity == "recurrent_kernel":
        sentence = "the state after the step is used instead of the one before"
        yield sentence, {"rows_after": True}, "dU = h⁺ᵀ · dz"
    if quantity == "kernel":
        for by, told, t in ((1, "after", "t+1"), (-1, "before", "t−1")):
            sentence = f"the input of the step {told} is used"
            yield sentence, {"x_moved": by}, f"dW = Σ x({t})ᵀ · dz(t)"
    of = {"kernel": "x", "recurrent_kernel": "h"}.get(quantity)
    if of is not None and s.draws[of]:
        for how in ("left out", "not enlarged", "inverted", "one for all"):
            told = f"{DROPS[how].format(of)} in the kernel's gradient"
            yield told, {"drop": {(of, "rows"): how}}, ""
    for order in map("".join, permutations(s.gates)):
        if order != s.gates:
            sentence = f"the gates' gradients lie in the order {', '.join(order)}"
            yield sentence, {"order_back": order}, f"Keras: {LETTERS[s.gates]}"
    if quantity == "bias" and s.b is not None and s.b.ndim == 2:
        sentence = "the recurrent bias gets the gradient of the input's bias"
        yield sentence, {"biases": "input"}, "db′ = db"
        sentence = "the input's bias gets the gradient of the recurrent bias"
        yield sentence, {"biases": "state"}, "db = db′"
        yield "the gradients of the two biases are swapped", {"biases": "swapped"}, ""


def _of_input(s: Setting, place: Place) -> Slips:
    if len(s.W) == len(s.U):
        yield "the kernel is not transposed", {"W_not_turned": True}, "dx = dz · W"
    if place.has("W_new"):
        new = {"W_new": place.inputs["W_new"]}
        yield "the already updated kernel is used", new, "dx = dz · W⁺ᵀ"
    yield "the gradient is not turned back with time", {"turned_back": True}, "dx_T₊₁₋ₜ"
    for how in ("left out", "not enlarged", "inverted", "one for all"):
        if s.draws["x"]:
            told = DROPS[how].format("x") + " on the way back"
            yield told, {"drop": {("x", "back"): how}}, ""


def _slopes(s: Setting) -> Slips:
    names = {gate: f"the {name}" for gate, name in NAMES[s.gates].items()}
    if s.gates == "ifco":
        names["state"] = "the cell"
    for gate, name in names.items():
        missing = f"the derivative of {name}'s activation is missing"
        if gate == "state":
            missing = "the derivative of the cell's tanh is missing"
        yield missing, {"no_slope": (gate,)}, "dc⁺ += dh⁺ o" if gate == "state" else ""
        for sentence, slope, formula in wrong_slopes(s.functions[gate]):
            yield sentence.format(name), {"slope": {gate: slope}}, formula
        for other, its in names.items():
            if other != gate and {gate, other} <= set("ifozr"):
                sentence = f"the derivative of {name}'s activation is taken at {its}"
                yield sentence, {"slope_at": {gate: other}}, ""
        if gate == "state" or s.gates == "h":
            sentence = f"the derivative of {name}'s activation is taken at the step before"
            yield sentence, {"slope_at": {gate: "before"}}, ""
    if len(names) > 1:
        missing = "the derivatives of {} activations are missing"
        yield missing.format("all"), {"no_slope": tuple(names)}, ""
        gates = tuple(gate for gate in names if gate in "ifozr")
        yield missing.format("the gates'"), {"no_slope": gates}, ""
        for sentence, slope, formula in wrong_slopes(s.functions[gates[0]]):
            yield sentence.format("every gate"), {"slope": dict.fromkeys(gates, slope)}, formula


def often_together(s: Setting) -> list[tuple[str, Knobs, str]]:
    """Give the slips on the way back that come in pairs, too."""
    content = "h" if s.gates != "ifco" else "c"
    name = NAMES[s.gates][content]
    slips: list[tuple[str, Knobs, str]] = [
        ("the gradient is not carried to the step before", {"truncated": True}, ""),
        (f"the derivative of the {name}'s activation is missing", {"no_slope": (content,)}, ""),
        ("the recurrent kernel is not transposed", {"U_not_turned": True}, ""),
    ]
    if s.mask is not None:
        slips.append(("the mask is ignored on the way back", {"mask_ignored": True}, ""))
    if s.options["return_sequences"]:
        slips.append(("only the last output's gradient enters", {"last_output": True}, ""))
    if s.gates == "ifco":
        slips.append(("the cell's gradient skips the forget gate", {"undamped_cell": True}, ""))
        slips.append(("the output's gradient doesn't reach the cell", {"h_not_to_c": True}, ""))
    if s.gates == "zrh":
        slips.append(("the gradient past the update gate is forgotten", {"cut_state": True}, ""))
        sentence = "the update gate's gradient has its sign reversed"
        slips.append((sentence, {"turned_update": True}, ""))
    return slips


def _lstm_back() -> Slips:
    yield "the gradient through the cell state is forgotten", {"cut_cell": True}, "dc = 0"
    yield "the cell's gradient skips the forget gate", {"undamped_cell": True}, "dc = dc⁺"
    for gate in "io":
        sentence = (
            f"the cell's gradient passes the {NAMES['ifco'][gate]} instead of the forget gate"
        )
        yield sentence, {"damped_by": gate}, f"dc = dc⁺ {gate}"
    yield (
        "the carried gradient of the cell is overwritten",
        {"cell_overwritten": True},
        "dc⁺ = dh⁺ o (1 − tanh² c⁺)",
    )
    yield "the output's gradient doesn't reach the cell", {"h_not_to_c": True}, "dc⁺ without dh⁺"
    sentence = "the cell after the step is used instead of the one before"
    yield sentence, {"c_after": True}, "df = dc⁺ c⁺"
    yield "the cell's tanh is missing in the output gate", {"cell_shown_bare": True}, "do = dh⁺ c⁺"
    factors = {"i": "g", "f": "c", "c": "i", "o": "tanh c⁺"}
    for gate, factor in factors.items():
        sentence = f"the factor {factor} is missing in the gradient of the {NAMES['ifco'][gate]}"
        yield sentence, {"factor_out": gate}, ""
    sentence = "the output gate is missing in what the cell gets of the output's gradient"
    yield sentence, {"factor_out": "state"}, "dc⁺ += dh⁺ (1 − tanh² c⁺)"
    for one, other in ("if", "ic", "fc"):
        names = (NAMES["ifco"][gate] for gate in (one, other))
        sentence = "the factors in the gradients of the {} and the {} are swapped".format(*names)
        formula = f"d{one} = dc⁺ {factors[other]}, d{other} = dc⁺ {factors[one]}"
        yield sentence, {"exchanged": (one, other)}, formula


def _gru_back(s: Setting, place: Place) -> Slips:
    yield "the gradient past the update gate is forgotten", {"cut_state": True}, "dh without dh⁺ z"
    both = {"past_by_rest": True, "content_by_z": True}
    yield "z and 1 − z are swapped on the way back", both, "dh = dh⁺ (1 − z), dh̃ = dh⁺ z"
    yield "z stands for 1 − z in the new content", {"content_by_z": True}, "dh̃ = dh⁺ z"
    yield "1 − z stands for z in the old state", {"past_by_rest": True}, "dh = dh⁺ (1 − z)"
    both = {**both, "turned_update": True}
    yield "the update gate's meaning is reversed", both, "h⁺ = (1 − z) h + z h̃"
    yield "the update gate's gradient has its sign reversed", {"turned_update": True}, "h̃ − h"
    yield "the new content is forgotten in the update gate", {"update_of": "h"}, "dz = dh⁺ h"
    yield "the old state is forgotten in the update gate", {"update_of": "content"}, "dz = −dh⁺ h̃"
    sentence = "the state after the step stands for the one before in the update gate"
    yield sentence, {"update_of": "after"}, "dz = dh⁺ (h⁺ − h̃)"
    sentence = "the reset gate is forgotten in the gradient of h's product"
    yield sentence, {"reset_left_back": True}, "ds without r"
    sentence = "what the reset gate is multiplied to is missing in its gradient"
    yield sentence, {"factor_out": "r"}, "dr = dh̃"
    if s.options["reset_after"]:
        sentence = "the state stands for its product in the reset gate's gradient"
        yield sentence, {"bare_state": True}, "dr = dh̃ h"
    elif place.name.endswith("/recurrent_kernel"):
        sentence = "the reset gate is forgotten in the rows of the recurrent kernel's gradient"
        yield sentence, {"reset_left_rows": True}, "dUₕ = hᵀ · dh̃"
