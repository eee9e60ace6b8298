"""Slips in recurrent layers: in what a step does, and in how the gradient goes back in time."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.cells import FUNCTIONS, Cell, Gru, Knobs, Lstm, Simple
from compare.causes.recurrence import Setting, forward, gradients
from compare.judge import judge
from manual.layers import GRU, LSTM
from manual.layers.recurrence import Recurrent
from manual.layers.recurrent import Gated

LETTERS = {"ifco": "i, f, c, o", "zrh": "z, r, h"}
NAMES = {
    "ifco": {"i": "input gate", "f": "forget gate", "c": "new content", "o": "output gate"},
    "zrh": {"z": "update gate", "r": "reset gate", "h": "new content"},
    "h": {"h": "state"},
}
ORDERS = {"ifco": "", "zrh": "rzh", "h": ""}
"""PyTorch's order of the gates, where it is another."""


def setting_of(place: Place) -> Setting | None:
    """Lay out what a recurrent layer takes; None if there is something here that isn't known."""
    layer = place.map
    if not isinstance(layer, Recurrent) or not place.has("x", "dz", "W", "recurrent_kernel"):
        return None
    if layer.dropout or layer.recurrent_dropout:
        return None
    cell: Cell = (
        Lstm()
        if isinstance(layer, LSTM)
        else Gru(layer.reset_after)
        if isinstance(layer, GRU)
        else Simple()
    )
    content = type(layer.squash).__name__.lower()
    functions = {"h": content, "c": content, "state": content}
    if isinstance(layer, Gated):
        functions |= dict.fromkeys("ifozr", type(layer.gate).__name__.lower())
    if not set(functions.values()) <= set(FUNCTIONS):
        return None
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
    )


def in_forward(s: Setting) -> Iterator[tuple[str, Knobs, str]]:
    """Give each slip in what a step does: how it is called, its knobs, and what was computed."""
    gates, names = s.gates, NAMES[s.gates]
    for order in map("".join, permutations(gates)):
        if order != gates:
            sentence = f"the gates are taken to lie in the order {', '.join(order)}"
            if order == ORDERS[gates]:
                sentence += ", which is PyTorch's"
            yield sentence, {"order": order}, f"Keras: {LETTERS[gates]}"
    for gate, name in names.items():
        right = s.functions[gate]
        yield f"the activation of the {name} is missing", {"function": {gate: "linear"}}, ""
        for other in {"tanh", "sigmoid", "hard_sigmoid", "relu"} - {right}:
            sentence = f"{other} is applied in the {name} instead of {right}"
            yield sentence, {"function": {gate: other}}, ""
    yield "the state before is not carried on", {"state_forgotten": True}, "h⁺ without h U"
    yield "the recurrent kernel is transposed", {"U_turned": True}, "h · Uᵀ"
    yield "time runs backwards", {"time_turned": True}, "t = T … 1"
    yield "the state starts at 1 instead of 0", {"initial": 1.0}, "h₀ = 1"
    if s.b is not None:
        second = " of the input's product" if s.b.ndim == 2 else ""
        for times, told in ((0.0, "forgotten"), (2.0, "added twice"), (-1.0, "subtracted")):
            yield f"the bias{second} is {told}", {"bias": dict.fromkeys(gates, times)}, ""
        for gate, name in names.items() if len(gates) > 1 else ():
            for times, told in ((0.0, "forgotten"), (2.0, "added twice")):
                yield f"the bias of the {name}{second} is {told}", {"bias": {gate: times}}, ""
    if s.options["return_sequences"]:
        yield "the outputs stand in the order of time turned round", {"output_turned": True}, ""
    else:
        yield "the output of the first step is returned", {"output": "first"}, "y = h₁"
        yield "the outputs of all steps are averaged", {"output": "mean"}, "y = 1/T Σ hₜ"
        yield "the outputs of all steps are added up", {"output": "sum"}, "y = Σ hₜ"
    if s.mask is not None:
        yield "the mask is ignored", {"mask_ignored": True}, ""
        yield "the mask is inverted", {"mask_inverted": True}, ""
        yield "a masked step sets the state to 0", {"mask_clears": True}, "h⁺ = m h⁺"
        yield (
            "the mask holds the output but not the state",
            {"mask_output_only": True},
            "only y is held where m = 0",
        )
        yield "the mask is read one step late", {"mask_late": True}, "mₜ₋₁"
        yield "the mask is not turned round with time", {"mask_turned": True}, "m_T₊₁₋ₜ"
        zeroes = s.options["zero_output_for_mask"]
        sentence = "repeats the last output instead of 0" if zeroes else "gives 0 as its output"
        yield f"a masked step {sentence}", {"other_output": True}, ""
    yield from {"ifco": _in_lstm, "zrh": _in_gru, "h": lambda s: iter(())}[gates](s)


def _in_lstm(s: Setting) -> Iterator[tuple[str, Knobs, str]]:
    for gate in "ifo":
        yield f"the {NAMES['ifco'][gate]} is left out", {"left_out": gate}, f"{gate} = 1"
    every = dict.fromkeys("ifo", "hard_sigmoid")
    yield "hard_sigmoid is applied in all gates instead of sigmoid", {"function": every}, ""
    swapped = {**dict.fromkeys("ifo", s.functions["c"]), "c": s.functions["i"]}
    yield "the functions of gates and content are swapped", {"function": swapped}, "i, f, o = tanh"
    yield "the cell is shown without its tanh", {"function": {"state": "linear"}}, "h⁺ = o c⁺"
    yield "sigmoid is applied to the cell", {"function": {"state": "sigmoid"}}, "h⁺ = o σ(c⁺)"
    yield "the cell of the step before is shown", {"shows_old": True}, "h⁺ = o tanh c"
    yield "the cell of the step before is not carried on", {"cell_forgotten": True}, "c⁺ = i g"
    yield "the forget gate is 1 minus the input gate", {"coupled": True}, "f = 1 − i"
    yield "1 is added to the forget gate's bias once more", {"forget_bias": 1.0}, "f = σ(zf + 1)"
    yield "the 1 in the forget gate's bias is missing", {"forget_bias": -1.0}, "f = σ(zf − 1)"


def _in_gru(s: Setting) -> Iterator[tuple[str, Knobs, str]]:
    yield "the update gate's meaning is reversed", {"reversed": True}, "h⁺ = (1 − z) h + z h̃"
    yield "the reset gate is left out", {"left_out": "r"}, "r = 1"
    every = dict.fromkeys("zr", "hard_sigmoid")
    yield "hard_sigmoid is applied in all gates instead of sigmoid", {"function": every}, ""
    yield "1 − z is missing before the new content", {"undamped_content": True}, "h⁺ = z h + h̃"
    if not s.options["reset_after"]:
        yield (
            "the reset gate is applied after the product instead of before",
            {"other_reset": True},
            "r (h Uₕ)",
        )
        return
    yield (
        "the reset gate is applied before the product instead of after",
        {"other_reset": True},
        "(r h) Uₕ",
    )
    if s.b is not None:
        yield "the second, recurrent bias is forgotten", {"second_bias": 0.0}, "h U without b′"
        yield (
            "the recurrent bias of the new content is added outside the reset gate",
            {"bias_outside": True},
            "r (h Uₕ) + b′ₕ",
        )


def in_backward(s: Setting, place: Place) -> Iterator[tuple[str, Knobs, str]]:
    """Give each slip in how the gradient goes back through time."""
    gates, names = s.gates, NAMES[s.gates]
    lstm = gates == "ifco"
    if place.phase == "weight gradient":
        yield "the shares of the steps are averaged", {"share": "mean"}, "dW = 1/T Σ"
        yield "only the last step's share is there", {"share": "last"}, "dW = x_Tᵀ · dz_T"
        yield "only the first step's share is there", {"share": "first"}, "dW = x₁ᵀ · dz₁"
    yield "the gradient is not carried to the step before", {"truncated": True}, "dh = dc = 0"
    yield "the recurrent kernel is not transposed", {"U_not_turned": True}, "dh = dz · U"
    if place.has("recurrent_kernel_new"):
        new = {"U_new": place.inputs["recurrent_kernel_new"]}
        yield "the already updated recurrent kernel is used", new, "dh = dz · U⁺ᵀ"
    cut = "the gradient through the hidden state is forgotten"
    yield cut, {"cut_h": True}, "dh without dz · Uᵀ"
    for gate, name in names.items():
        yield f"the derivative of the {name}'s activation is missing", {"no_slope": (gate,)}, ""
        right = s.functions[gate]
        for other in {"tanh", "sigmoid"} - {right}:
            sentence = f"the derivative of {other} is taken in the {name} instead of {right}'s"
            yield sentence, {"slope_of": {gate: other}}, ""
        if len(gates) > 1:
            yield f"{cut} in the {name}", {"cut_gate": gate}, ""
    if len(gates) > 1:
        yield "the derivatives of all activations are missing", {"no_slope": (*gates, "state")}, ""
        others = gates.replace("c" if lstm else "h", "")
        yield (
            "the derivatives of the gates' activations are missing",
            {"no_slope": tuple(others)},
            "",
        )
    if place.phase == "weight gradient":
        if place.name.endswith("/recurrent_kernel"):
            sentence = "the state after the step is used instead of the one before"
            yield sentence, {"rows_after": True}, "dU = h⁺ᵀ · dz"
        for order in map("".join, permutations(gates)):
            if order != gates:
                sentence = f"the gates' gradients lie in the order {', '.join(order)}"
                yield sentence, {"order_back": order}, f"Keras: {LETTERS[gates]}"
    else:
        if len(s.W) == len(s.U):
            yield "the kernel is not transposed", {"W_not_turned": True}, "dx = dz · W"
        if place.has("W_new"):
            new = {"W_new": place.inputs["W_new"]}
            yield "the already updated kernel is used", new, "dx = dz · W⁺ᵀ"
        yield "the gradient is not turned back with time", {"turned_back": True}, "dx_T₊₁₋ₜ"
    if s.options["return_sequences"]:
        yield "only the last output's gradient enters", {"last_output": True}, "dh = dy_T"
    if s.mask is not None:
        yield "the mask is ignored on the way back", {"mask_ignored": True}, ""
        yield "the mask is inverted on the way back", {"mask_inverted": True}, ""
        yield "a masked step stops the gradient", {"mask_stops": True}, "dh = 0 where m = 0"
        yield "the mask is not turned round with time", {"mask_turned": True}, ""
        if s.options["zero_output_for_mask"]:
            sentence = "the gradient at the zero output of a masked step is let through"
            yield sentence, {"other_output": True}, ""
    if lstm:
        yield from _lstm_back()
    elif gates == "zrh":
        yield from _gru_back(s, place)


def _lstm_back() -> Iterator[tuple[str, Knobs, str]]:
    yield "the gradient through the cell state is forgotten", {"cut_cell": True}, "dc = 0"
    yield "the cell's gradient skips the forget gate", {"undamped_cell": True}, "dc = dc⁺"
    yield "the derivative of the cell's tanh is missing", {"no_slope": ("state",)}, "dc⁺ += dh⁺ o"
    yield (
        "the carried gradient of the cell is overwritten",
        {"cell_overwritten": True},
        "dc⁺ = dh⁺ o (1 − tanh² c⁺)",
    )
    yield "the output's gradient doesn't reach the cell", {"h_not_to_c": True}, "dc⁺ without dh⁺"
    yield (
        "the cell after the step is used instead of the one before",
        {"c_after": True},
        "df = dc⁺ c⁺",
    )
    yield "the cell's tanh is missing in the output gate", {"cell_shown_bare": True}, "do = dh⁺ c⁺"
    for gate, factor in (("i", "g"), ("f", "c"), ("c", "i"), ("o", "tanh c⁺")):
        sentence = f"the factor {factor} is missing in the gradient of the {NAMES['ifco'][gate]}"
        yield sentence, {"factor_out": gate}, ""


def _gru_back(s: Setting, place: Place) -> Iterator[tuple[str, Knobs, str]]:
    yield "the gradient past the update gate is forgotten", {"cut_state": True}, "dh without dh⁺ z"
    yield "z and 1 − z are swapped on the way back", {"reversed_back": True}, "dh = dh⁺ (1 − z)"
    both = {"reversed_back": True, "turned_update": True}
    yield "the update gate's meaning is reversed", both, "h⁺ = (1 − z) h + z h̃"
    yield "the update gate's gradient has its sign reversed", {"turned_update": True}, "h̃ − h"
    yield "the new content is forgotten in the update gate", {"update_of": "h"}, "dz = dh⁺ h"
    yield "the old state is forgotten in the update gate", {"update_of": "content"}, "dz = −dh⁺ h̃"
    sentence = "the reset gate is forgotten in the gradient of h's product"
    yield sentence, {"reset_left_back": True}, "ds without r"
    sentence = "what the reset gate is multiplied to is missing in its gradient"
    yield sentence, {"factor_out": "r"}, "dr = dh̃"
    if s.options["reset_after"]:
        sentence = "the state stands for its product in the reset gate's gradient"
        yield sentence, {"bare_state": True}, "dr = dh̃ h"
        if place.name.endswith("/bias"):
            sentence = "the recurrent bias gets the gradient of the input's bias"
            yield sentence, {"one_bias": True}, "db′ = db"
    elif place.name.endswith("/recurrent_kernel"):
        sentence = "the reset gate is forgotten in the rows of the recurrent kernel's gradient"
        yield sentence, {"reset_left_rows": True}, "dUₕ = hᵀ · dh̃"


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
    """Propose every gradient that differs from the right one in one decision."""
    setting = setting_of(place)
    if setting is None:
        return
    quantity = "x" if place.phase == "activation gradient" else place.name.split("/")[-1]
    _, kept = forward(setting, {})
    plain = gradients(setting, kept, {})[quantity]
    for sentence, knobs, formula in in_backward(setting, place):
        value = gradients(setting, kept, knobs)[quantity]
        if not judge(value.value, plain).agrees:
            yield Candidate(sentence, value, formula)
