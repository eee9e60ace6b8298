"""Slips in an update rule, told apart slot by slot.

The rules are written here once more with every decision as a knob, so that turning one knob is one
slip. Beside each knob stands what it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.judge import judge

Slots = dict[str, Any]
Knobs = Mapping[str, Any]
Rule = Callable[["State", Knobs], Slots]


@dataclass(frozen=True)
class State:
    """What an update starts from: weights, gradient, slots, the number of the update, settings."""

    w: Any
    g: Any
    slots: Slots
    t: float
    learning_rate: float
    settings: Mapping[str, Any] = field(default_factory=dict)
    raw: Any = None
    iterations: int = 0
    decays: bool = True


def rounded(number: float) -> float:
    """Round to float32, as Keras on TensorFlow does with some hyper-parameters."""
    return float(np.float32(number))


def sgd(s: State, k: Knobs) -> Slots:
    """m⁺ = μ m − η g, w⁺ = w + m⁺."""
    eta, g = k.get("eta", s.learning_rate), s.g * k.get("factor", 1.0)
    mu = k.get("mu", rounded(s.settings["momentum"]))
    if not s.settings["momentum"]:
        return {"weight": s.w - eta * g}
    m = s.slots["momentum"]
    if k.get("rate_outside"):
        after = mu * m + g
        return {"momentum": after, "weight": s.w - eta * after}
    if k.get("dampened"):
        g = g * (1.0 - mu)
    after = mu * m - eta * g * k.get("sign", 1.0)
    ahead = s.settings["nesterov"] != k.get("other_look", False)
    if k.get("old_velocity"):
        return {"momentum": after, "weight": s.w + m}
    step = mu * after - eta * g if ahead else after
    return {"momentum": after, "weight": s.w + step}


SGD_KNOBS: dict[str, Knobs] = {
    "Nesterov's look ahead is missing, or there without being asked for": {"other_look": True},
    "the learning rate is applied outside the velocity": {"rate_outside": True},
    "the gradient in the velocity is damped by 1 − μ": {"dampened": True},
    "the gradient enters the velocity with the wrong sign": {"sign": -1.0},
    "the velocity of the step before moves the weights": {"old_velocity": True},
    "the momentum is forgotten": {"mu": 0.0},
}


def adam(s: State, k: Knobs) -> Slots:
    """m, v, their bias corrections, and ε outside the root."""
    b1, b2 = s.settings["beta_1"], s.settings["beta_2"]
    if k.get("swapped"):
        b1, b2 = b2, b1
    b1, b2 = k.get("beta_1", b1), k.get("beta_2", b2)
    t, eps = s.t + k.get("late", 0.0), s.settings["epsilon"]
    eta, g = k.get("eta", s.learning_rate), s.g * k.get("factor", 1.0)
    m = s.slots["momentum"] * b1 + g * (1.0 if k.get("m_undamped") else 1.0 - b1)
    squared = g if k.get("unsquared") else g * g
    v = s.slots["velocity"] * b2 + squared * (1.0 if k.get("v_undamped") else 1.0 - b2)
    slots = {"momentum": m, "velocity": v}
    c1 = np.float64(1.0 if k.get("uncorrected_m") else 1.0 - rounded(b1) ** t)  # 0 if t is
    c2 = np.float64(1.0 if k.get("uncorrected_v") else 1.0 - rounded(b2) ** t)
    used = v
    if s.settings.get("amsgrad"):
        used = slots["velocity_hat"] = np.maximum(s.slots["velocity_hat"], v)
        if k.get("no_maximum"):
            used = slots["velocity_hat"] = v
    first = s.slots["momentum"] if k.get("old_m") else m
    if k.get("plain_g"):
        first = g
    if k.get("eps_in_root"):
        slots["weight"] = s.w - first * (eta * c2**0.5 / c1) / np.sqrt(used + eps)
    elif k.get("eps_after_correction"):
        slots["weight"] = s.w - (first / c1) * eta / (np.sqrt(used / c2) + eps)
    elif k.get("no_root"):
        slots["weight"] = s.w - first * (eta * c2**0.5 / c1) / (used + eps)
    else:
        slots["weight"] = s.w - first * (eta * c2**0.5 / c1) / (np.sqrt(used) + k.get("eps", eps))
    return slots


ADAM_KNOBS: dict[str, Knobs] = {
    "ε stands inside the root": {"eps_in_root": True},
    "ε is added after the bias correction instead of before": {"eps_after_correction": True},
    "ε is forgotten": {"eps": 0.0},
    "ε is 1e-8, PyTorch's, instead of 1e-7": {"eps": 1e-8},
    "the bias correction is missing": {"uncorrected_m": True, "uncorrected_v": True},
    "the bias correction of m is missing": {"uncorrected_m": True},
    "the bias correction of v is missing": {"uncorrected_v": True},
    "the step count is one too small: it starts at 0": {"late": -1.0},
    "the step count is one too large": {"late": 1.0},
    "β₁ and β₂ are swapped": {"swapped": True},
    "β₁ is 0.99 instead": {"beta_1": 0.99},
    "β₂ is 0.99 instead": {"beta_2": 0.99},
    "β₁ is 0.9 instead": {"beta_1": 0.9},
    "β₂ is 0.999 instead": {"beta_2": 0.999},
    "1 − β₁ is missing before the gradient": {"m_undamped": True},
    "1 − β₂ is missing before the squared gradient": {"v_undamped": True},
    "the gradient isn't squared in v": {"unsquared": True},
    "the root of v is missing": {"no_root": True},
    "the momentum of the step before moves the weights": {"old_m": True},
    "the gradient stands for its running mean m": {"plain_g": True},
    "amsgrad's maximum is missing": {"no_maximum": True},
}


def rmsprop(s: State, k: Knobs) -> Slots:
    """v⁺ = ρ v + (1 − ρ) g², and ε inside the root."""
    rho, eps = k.get("rho", s.settings["rho"]), k.get("eps", s.settings["epsilon"])
    eta, g = k.get("eta", s.learning_rate), s.g * k.get("factor", 1.0)
    squared = g if k.get("unsquared") else g * g
    keep, take = (1.0 - rho, rho) if k.get("reversed") else (rho, 1.0 - rho)
    v = s.slots["velocity"] * keep + squared * (1.0 if k.get("undamped") else take)
    slots = {"velocity": v}
    spread = s.slots["velocity"] if k.get("old_v") else v
    if s.settings.get("centered"):
        mean = slots["average_gradient"] = s.slots["average_gradient"] * rho + g * (1.0 - rho)
        if not k.get("uncentered"):
            spread = spread - mean * mean
    if k.get("eps_outside"):
        move = eta * g / (np.sqrt(spread) + eps)
    elif k.get("no_root"):
        move = eta * g / (spread + eps)
    else:
        move = eta * g / np.sqrt(spread + eps)
    if s.settings["momentum"] and not k.get("no_momentum"):
        move = slots["momentum"] = s.slots["momentum"] * s.settings["momentum"] + move
    slots["weight"] = s.w - move
    return slots


RMSPROP_KNOBS: dict[str, Knobs] = {
    "ε stands outside the root": {"eps_outside": True},
    "ε is forgotten": {"eps": 0.0},
    "ρ is 0.99, PyTorch's, instead": {"rho": 0.99},
    "ρ and 1 − ρ are swapped": {"reversed": True},
    "1 − ρ is missing before the squared gradient": {"undamped": True},
    "the gradient isn't squared in v": {"unsquared": True},
    "the root of v is missing": {"no_root": True},
    "the velocity of the step before is used": {"old_v": True},
    "the mean gradient is not subtracted": {"uncentered": True},
    "the momentum is forgotten": {"no_momentum": True},
}

COMMON_KNOBS: dict[str, Knobs] = {
    "the step goes uphill: the gradient is added": {"factor": -1.0},
    "the learning rate is forgotten": {"eta": 1.0},
}

RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "SGD": (sgd, SGD_KNOBS),
    "Adam": (adam, ADAM_KNOBS),
    "RMSprop": (rmsprop, RMSPROP_KNOBS),
}


@hypothesis("optimizer slot", "weight")
def one_knob(place: Place) -> Iterator[Candidate]:
    """Propose every rule that differs from the right one in one decision."""
    name = type(place.map).__name__
    if name not in RULES or not place.has("state", "quantity"):
        return
    rule, knobs = RULES[name]
    state, quantity = place.inputs["state"], place.inputs["quantity"]
    facts = place.facts
    factors: dict[str, Knobs] = {
        f"the gradient is multiplied by the batch size {facts.samples}": {"factor": facts.samples},
        f"the gradient is divided by the batch size {facts.samples}": {"factor": 1 / facts.samples},
        "the learning rate is applied twice": {"eta": state.learning_rate**2},
        "the learning rate is divided by the batch size": {
            "eta": state.learning_rate / facts.samples
        },
    }
    plain = rule(state, {})
    for sentence, turned in {**knobs, **COMMON_KNOBS, **factors}.items():
        moved = rule(state, turned)
        # A knob that turns nothing here must not take the blame for a forgotten constraint.
        if quantity in moved and not judge(moved[quantity].value, plain[quantity]).agrees:
            yield Candidate(sentence, moved[quantity])


@hypothesis("weight")
def weight_slips(place: Place) -> Iterator[Candidate]:
    """Propose an update that did not happen, happened twice, or shrank the weights."""
    if not place.has("state"):
        return
    state, right = place.inputs["state"], place.right
    yield Candidate("the weight is not updated", state.w, "w⁺ = w")
    yield Candidate("the update is applied twice", right + (right - state.w), "w⁺ = w + 2 Δw")
    name = type(place.map).__name__
    if name in RULES:  # where there is no constraint this is what is right, and explains nothing
        moved = RULES[name][0](state, {})["weight"]
        yield Candidate("the constraint is forgotten", moved, "w⁺ of the update alone")
