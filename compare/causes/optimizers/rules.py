"""The rules of SGD, Adam and RMSprop once more, told apart slot by slot.

Every decision is a knob, so that turning one knob is one slip. Beside each knob stands what it
means.
"""

from __future__ import annotations

import numpy as np

from compare.causes.optimizers import adaptive, moments, tensors
from compare.causes.optimizers.state import Knobs, Rule, Slots, State, as_asked, rounded


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
    "Keras rounds μ to float32; the exact μ was used": {"exact_mu": True},
}


def adam(s: State, k: Knobs) -> Slots:
    """m, v, their bias corrections, and ε outside the root."""
    b1, b2 = s.settings["beta_1"], s.settings["beta_2"]
    if k.get("swapped"):
        b1, b2 = b2, b1
    b1, b2 = k.get("beta_1", b1), k.get("beta_2", b2)
    t, eps = s.t + k.get("late", 0.0), s.settings["epsilon"]
    eta, g = s.learning_rate, s.g
    b1 = rounded(b1) if k.get("rounded_1") else b1
    b2 = rounded(b2) if k.get("rounded_2") else b2
    m = s.slots["momentum"] * b1 + g * (1.0 if k.get("m_undamped") else 1.0 - b1)
    squared = g if k.get("unsquared") else g * g
    v = s.slots["velocity"] * b2 + squared * (1.0 if k.get("v_undamped") else 1.0 - b2)
    slots = {"momentum": m, "velocity": v}
    power_1 = b1 if k.get("exact_1") else rounded(b1)
    power_2 = b2 if k.get("exact_2") else rounded(b2)
    c1 = np.float64(1.0 if k.get("uncorrected_m") else 1.0 - power_1**t)  # 0 if t is
    c2 = np.float64(1.0 if k.get("uncorrected_v") else 1.0 - power_2**t)
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
    "Keras rounds β₁ to float32 in β₁ᵗ; the exact β₁ was used": {"exact_1": True},
    "Keras rounds β₂ to float32 in β₂ᵗ; the exact β₂ was used": {"exact_2": True},
    "Keras rounds both betas to float32 in their powers; the exact ones were used": {
        "exact_1": True,
        "exact_2": True,
    },
    "β₁ is rounded to float32; Keras has the exact β₁ in 1 − β₁": {"rounded_1": True},
    "β₂ is rounded to float32; Keras has the exact β₂ in 1 − β₂": {"rounded_2": True},
}


def rmsprop(s: State, k: Knobs) -> Slots:
    """v⁺ = ρ v + (1 − ρ) g², and ε inside the root."""
    rho, eps = k.get("rho", s.settings["rho"]), k.get("eps", s.settings["epsilon"])
    rho = rounded(rho) if k.get("rounded_rho") else rho
    eta, g = s.learning_rate, s.g
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
        mu = s.settings["momentum"]
        mu = rounded(mu) if k.get("rounded_mu") else mu
        move = slots["momentum"] = s.slots["momentum"] * mu + move
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
    "ρ is rounded to float32; Keras has the exact ρ": {"rounded_rho": True},
    "μ is rounded to float32; Keras has the exact μ": {"rounded_mu": True},
}

RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "SGD": (sgd, SGD_KNOBS),
    "Adam": (adam, ADAM_KNOBS),
    "AdamW": (adam, ADAM_KNOBS),
    "RMSprop": (rmsprop, RMSPROP_KNOBS),
    **moments.RULES,
    **adaptive.RULES,
    **tensors.RULES,
}
