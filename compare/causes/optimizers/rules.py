"""Every update rule once more, told apart slot by slot: here those of SGD, Lion and RMSprop.

Every decision is a knob, so that turning one knob is one slip. Beside each knob stands what it
means.
"""

from __future__ import annotations

import numpy as np

from compare.causes.optimizers import adam, adaptive, tensors
from compare.causes.optimizers.state import Knobs, Rule, Slots, State, as_asked, rounded, squares


def sgd(s: State, k: Knobs) -> Slots:
    """m⁺ = μ m − η g, w⁺ = w + m⁺."""
    eta, g = s.learning_rate, s.g
    mu = k.get("mu", rounded(s.settings["momentum"]))
    mu = as_asked(mu) if k.get("exact_mu") else mu
    if not s.settings["momentum"]:
        return {"weight": s.w - eta * g}
    m = s.slots["momentum"]
    if k.get("rate_outside"):
        after = mu * m + g
        return {"momentum": after, "weight": s.w - eta * after}
    if k.get("dampened"):
        g = g * (1.0 - mu)
    after = mu * m - eta * g * k.get("sign", 1.0)
    after = mu * (m - eta * g) if k.get("all_fades") else after
    ahead = s.settings["nesterov"] != k.get("other_look", False)
    if k.get("old_velocity"):
        return {"momentum": after, "weight": s.w + m}
    further = (1.0 if k.get("undamped_look") else mu) * after - eta * g
    step = further if ahead else after - eta * g if k.get("beside") else after
    return {"momentum": after, "weight": s.w + step}


SGD_KNOBS: dict[str, Knobs] = {
    "Nesterov's look ahead is missing, or there without being asked for": {"other_look": True},
    "the learning rate is applied outside the velocity": {"rate_outside": True},
    "the gradient in the velocity is damped by 1 − μ": {"dampened": True},
    "the gradient enters the velocity with the wrong sign": {"sign": -1.0},
    "the momentum fades the new gradient as well: μ (m − η g)": {"all_fades": True},
    "the velocity of the step before moves the weights": {"old_velocity": True},
    "μ is missing before the velocity in Nesterov's look ahead": {"undamped_look": True},
    "the gradient moves the weights once more, beside the velocity": {"beside": True},
    "the momentum is forgotten": {"mu": 0.0},
    "Keras rounds μ to float32; the exact μ was used": {"exact_mu": True},
}


def lion(s: State, k: Knobs) -> Slots:
    """Take the sign of one running mean; keep another."""
    exact = bool(k.get("exact"))
    b1, b2 = (as_asked(s.settings[n]) if exact else s.settings[n] for n in ("beta_1", "beta_2"))
    if k.get("swapped"):
        b1, b2 = b2, b1
    m = s.slots["momentum"]
    after = m * (b1 if k.get("only_1") else b2)
    after = after + s.g * (1.0 if k.get("undamped") else 1.0 - (b1 if k.get("only_1") else b2))
    b1 = b2 if k.get("only_2") else b1
    base = after if k.get("early") else m
    mean = base * b1 + s.g * (1.0 - b1)
    mean = s.g if k.get("plain_g") else m if k.get("old_m") else after if k.get("new_m") else mean
    step = mean if k.get("no_sign") else np.sign(mean)
    return {"momentum": after, "weight": s.w - s.learning_rate * step}


LION: dict[str, Knobs] = {
    "the sign is forgotten": {"no_sign": True},
    "β₁ and β₂ are swapped": {"swapped": True},
    "β₁ is used for the memory too": {"only_1": True},
    "β₂ is used for the sign too": {"only_2": True},
    "the memory is updated before the sign is taken": {"early": True},
    "the sign is that of the new memory": {"new_m": True},
    "the sign is that of the gradient alone: signSGD": {"plain_g": True},
    "the sign is that of the old memory alone": {"old_m": True},
    "1 − β₂ is missing before the gradient": {"undamped": True},
    "Keras rounds the betas to float32; the exact ones were used": {"exact": True},
}


def rmsprop(s: State, k: Knobs) -> Slots:
    """v⁺ = ρ v + (1 − ρ) g², and ε inside the root."""
    rho, eps = k.get("rho", s.settings["rho"]), k.get("eps", s.settings["epsilon"])
    rho = rounded(rho) if k.get("rounded_rho") else rho
    eta, g = s.learning_rate, s.g
    keep, take = (1.0 - rho, rho) if k.get("reversed") else (rho, 1.0 - rho)
    v = s.slots["velocity"] * keep + squares(g, k) * (1.0 if k.get("undamped") else take)
    slots = {"velocity": v}
    spread = s.slots["velocity"] if k.get("old_v") else v
    if s.settings.get("centered"):
        old = s.slots["average_gradient"]
        mean = slots["average_gradient"] = old * rho + g * (1.0 - rho)
        mean = old if k.get("old_mean") else mean
        if not k.get("uncentered"):
            spread = spread - (mean if k.get("mean_unsquared") else mean * mean)
    if k.get("eps_outside"):
        below = np.sqrt(spread) + eps
    else:
        below = spread + eps if k.get("no_root") else np.sqrt(spread + eps)
    outside = bool(k.get("rate_outside"))
    move = g / below if outside else eta * g / below
    if s.settings["momentum"] and not k.get("no_momentum"):
        mu = s.settings["momentum"]
        mu = rounded(mu) if k.get("rounded_mu") else mu
        move = move * (1.0 - mu) if k.get("dampened") else move
        move = slots["momentum"] = s.slots["momentum"] * mu + move
    slots["weight"] = s.w - (eta * move if outside else move)
    return slots


RMSPROP_KNOBS: dict[str, Knobs] = {
    "ε stands outside the root": {"eps_outside": True},
    "ε is forgotten": {"eps": 0.0},
    "ε is 1e-8, PyTorch's, instead": {"eps": 1e-8},
    "ρ is 0.99, PyTorch's, instead": {"rho": 0.99},
    "ρ and 1 − ρ are swapped": {"reversed": True},
    "1 − ρ is missing before the squared gradient": {"undamped": True},
    "the gradient isn't squared in v": {"unsquared": True},
    "v has |g| instead of g²": {"absolute": True},
    "the root of v is missing": {"no_root": True},
    "the velocity of the step before is used": {"old_v": True},
    "the mean gradient is not subtracted": {"uncentered": True},
    "the mean gradient isn't squared before it is subtracted": {"mean_unsquared": True},
    "the mean gradient of the step before is subtracted": {"old_mean": True},
    "the momentum is forgotten": {"no_momentum": True},
    "the learning rate is applied outside the momentum, as in PyTorch": {"rate_outside": True},
    "the increment in the momentum is damped by 1 − μ": {"dampened": True},
    "ρ is rounded to float32; Keras has the exact ρ": {"rounded_rho": True},
    "μ is rounded to float32; Keras has the exact μ": {"rounded_mu": True},
}

RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "SGD": (sgd, SGD_KNOBS),
    "Lion": (lion, LION),
    "RMSprop": (rmsprop, RMSPROP_KNOBS),
    **adam.RULES,
    **adaptive.RULES,
    **tensors.RULES,
}


def rule_of(name: str, s: State) -> tuple[Rule, dict[str, Knobs]] | None:
    """Return an optimizer's rule for a weight, and its knobs; None if it isn't known.

    Muon leaves some weights to Adam, and these have a memory of their own.
    """
    return RULES.get("Muon, by Adam" if name == "Muon" and "velocity" in s.slots else name)
