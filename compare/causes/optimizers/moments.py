"""Rules that move by running means of the gradient: Adamax, Nadam, ScheduleFreeAdamW, Lion."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.optimizers.state import Knobs, Rule, Slots, State, as_asked, rounded


def adamax(s: State, k: Knobs) -> Slots:
    """Divide the running mean of g by the largest |g|, which fades by β₂."""
    b1, b2, eps = (s.settings[name] for name in ("beta_1", "beta_2", "epsilon"))
    if k.get("swapped"):
        b1, b2 = b2, b1
    keep_1 = rounded(b1) if k.get("rounded_1") else b1
    b2, t = (rounded(b2) if k.get("rounded_2") else b2), s.t + k.get("late", 0.0)
    m = s.slots["momentum"] * keep_1 + s.g * (1.0 if k.get("undamped") else 1.0 - keep_1)
    old = s.slots["norm"] * (1.0 if k.get("lasting") else b2)
    size = s.g if k.get("signed") else s.g * s.g if k.get("squared") else np.abs(s.g)
    if k.get("added"):
        u = old + size
    elif k.get("mean"):
        u = old + (1.0 - b2) * size
    else:
        u = np.minimum(old, size) if k.get("smaller") else np.maximum(old, size)
    power = (b1 if k.get("exact") else rounded(b1)) if not k.get("power_2") else rounded(b2)
    correction = np.float64(1.0 if k.get("uncorrected") else 1.0 - power**t)
    if k.get("corrected_u"):
        correction = correction / (1.0 - rounded(b2) ** t)
    first = s.slots["momentum"] if k.get("old_m") else s.g if k.get("plain_g") else m
    below = np.sqrt(u) if k.get("rooted") else s.slots["norm"] if k.get("old_u") else u
    if k.get("eps_late"):
        move = s.learning_rate * first / (below * correction + eps)
    else:
        move = s.learning_rate * first / (correction * (below + k.get("eps", eps)))
    return {"momentum": m, "norm": u, "weight": s.w - move}


ADAMAX: dict[str, Knobs] = {
    "the bias correction is missing": {"uncorrected": True},
    "u is bias-corrected too, which a maximum doesn't need": {"corrected_u": True},
    "β₂ᵗ stands in the bias correction of m instead of β₁ᵗ": {"power_2": True},
    "the step count is one too small: it starts at 0": {"late": -1.0},
    "the step count is one too large": {"late": 1.0},
    "β₁ and β₂ are swapped": {"swapped": True},
    "1 − β₁ is missing before the gradient": {"undamped": True},
    "β₂ is missing: the largest gradient never fades": {"lasting": True},
    "the absolute value is missing in u": {"signed": True},
    "u has g² instead of |g|": {"squared": True},
    "u is a sum instead of a maximum": {"added": True},
    "u is a running mean instead of a maximum": {"mean": True},
    "u is a minimum instead of a maximum": {"smaller": True},
    "the root of u is taken": {"rooted": True},
    "the momentum of the step before moves the weights": {"old_m": True},
    "u of the step before is used": {"old_u": True},
    "the gradient stands for its running mean m": {"plain_g": True},
    "ε is forgotten": {"eps": 0.0},
    "ε is added after the bias correction instead of before": {"eps_late": True},
    "ε is 1e-8, PyTorch's, instead of 1e-7": {"eps": 1e-8},
    "Keras rounds β₁ to float32 in β₁ᵗ; the exact β₁ was used": {"exact": True},
    "β₁ is rounded to float32; Keras has the exact β₁ in 1 − β₁": {"rounded_1": True},
    "β₂ is rounded to float32; Keras has the exact β₂": {"rounded_2": True},
}


def nadam(s: State, k: Knobs) -> Slots:
    """Adam with the momentum of the next step."""
    asked = {name: s.settings[name] for name in ("beta_1", "beta_2")}
    b1, b2 = (v if k.get("exact") else rounded(v) for v in asked.values())
    if k.get("swapped"):
        b1, b2 = b2, b1
    eps, t = k.get("eps", s.settings["epsilon"]), s.t + k.get("late", 0.0)
    decay, half = (0.96 if k.get("exact") else rounded(0.96)), k.get("half", 0.5)

    def warm(step: float, beta: float, base: float) -> Any:
        return beta if k.get("constant") else beta * (1.0 - half * base**step)

    now, following = warm(t, b1, decay), warm(t + 1.0, b1, decay)
    in_product = rounded(asked["beta_1"]) if k.get("rounded_product") else asked["beta_1"]
    growth = warm(t, in_product, rounded(0.96) if k.get("rounded_product") else 0.96)
    product = s.slots["u_product"] * (1.0 if k.get("product_kept") else growth)
    m = s.slots["momentum"] * b1 + s.g * (1.0 if k.get("m_undamped") else 1.0 - b1)
    squares = s.g if k.get("unsquared") else s.g * s.g
    v = s.slots["velocity"] * b2 + squares * (1.0 if k.get("v_undamped") else 1.0 - b2)
    ahead = now if k.get("no_look") else following
    below_m = 1.0 - (product if k.get("no_look") else product * ahead)
    m_hat = ahead * m / (1.0 if k.get("uncorrected_m") else below_m)
    own = (1.0 - now) * s.g / (1.0 if k.get("uncorrected_m") else 1.0 - product)
    m_hat = m_hat if k.get("no_gradient") else m_hat + own
    m_hat = m / (1.0 - rounded(asked["beta_1"]) ** t) if k.get("adam") else m_hat
    corrected = v if k.get("uncorrected_v") else v / np.float64(1.0 - b2**t)
    if k.get("eps_inside"):
        below = np.sqrt(corrected + eps)
    elif k.get("no_root"):
        below = corrected + eps
    elif k.get("eps_early"):
        below = (np.sqrt(v) + eps) / np.sqrt(np.float64(1.0 - b2**t))
    else:
        below = np.sqrt(corrected) + eps
    weight = s.w - m_hat * s.learning_rate / below
    return {"u_product": product, "momentum": m, "velocity": v, "weight": weight}


NADAM: dict[str, Knobs] = {
    "the look ahead is missing: βₜ stands for βₜ₊₁": {"no_look": True},
    "the gradient's own share (1 − βₜ) g is missing": {"no_gradient": True},
    "this is Adam: neither look ahead nor warm-up of β₁": {"adam": True},
    "β₁ doesn't warm up: 1 − ½ 0.96ᵗ is missing": {"constant": True},
    "the ½ of 1 − ½ 0.96ᵗ is missing": {"half": 1.0},
    "the product of the βₜ is not carried on": {"product_kept": True},
    "the bias correction of m is missing": {"uncorrected_m": True},
    "the bias correction of v is missing": {"uncorrected_v": True},
    "the bias correction is missing": {"uncorrected_m": True, "uncorrected_v": True},
    "the step count is one too small: it starts at 0": {"late": -1.0},
    "the step count is one too large": {"late": 1.0},
    "β₁ and β₂ are swapped": {"swapped": True},
    "1 − β₁ is missing before the gradient": {"m_undamped": True},
    "1 − β₂ is missing before the squared gradient": {"v_undamped": True},
    "the gradient isn't squared in v": {"unsquared": True},
    "the root of v is missing": {"no_root": True},
    "ε is forgotten": {"eps": 0.0},
    "ε is 1e-8, PyTorch's, instead of 1e-7": {"eps": 1e-8},
    "ε stands inside the root": {"eps_inside": True},
    "ε is added before the bias correction instead of after": {"eps_early": True},
    "Keras rounds β₁, β₂ and 0.96 to float32; the exact ones were used": {"exact": True},
    "β₁ and 0.96 are rounded to float32 in the product; Keras has the exact ones there": {
        "rounded_product": True
    },
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


def schedule_free(s: State, k: Knobs) -> Slots:
    """Average z into x, with Keras's new z in the place of the paper's old one."""
    exact = bool(k.get("exact"))
    names = ("beta_1", "beta_2", "epsilon")
    b1, b2, eps = (as_asked(s.settings[n]) if exact else s.settings[n] for n in names)
    if k.get("swapped"):
        b1, b2 = b2, b1
    t, warm = s.t + k.get("late", 0.0), s.settings.get("warmup_steps") or 0
    eta = s.learning_rate
    if warm and not k.get("no_warm_up"):
        eta = eta * min(t / warm, 1.0)
    squares = s.g if k.get("unsquared") else s.g * s.g
    v = s.slots["velocity"] * b2 + squares * (1.0 if k.get("undamped") else 1.0 - b2)
    corrected = v if k.get("uncorrected") else v / np.float64(1.0 - b2**t)
    below = np.sqrt(corrected + eps) if k.get("inside") else np.sqrt(corrected) + k.get("eps", eps)
    z = s.slots["momentum"] - eta * s.g / (corrected + eps if k.get("no_root") else below)
    share = 1.0 if k.get("no_mean") else 1.0 / np.float64(t + k.get("later", 0.0))
    if k.get("paper"):
        x = (s.w - (1.0 - b1) * s.slots["momentum"]) / b1
        weight = (1.0 - b1) * z + b1 * ((1.0 - share) * x + share * z)
    else:  # with the new z on both sides β₁ drops out
        weight = (1.0 - share) * s.w + share * z
    return {"velocity": v, "momentum": z, "weight": weight}


SCHEDULE_FREE: dict[str, Knobs] = {
    "x is taken out of y with the old z, as in the paper: Keras has the new one there": {
        "paper": True
    },
    "the average is missing: the weights are z": {"no_mean": True},
    "the average has 1/(t + 1) instead of 1/t": {"later": 1.0},
    "the warm-up is missing": {"no_warm_up": True},
    "the bias correction of v is missing": {"uncorrected": True},
    "the step count is one too small: it starts at 0": {"late": -1.0},
    "the step count is one too large": {"late": 1.0},
    "β₁ and β₂ are swapped": {"swapped": True},
    "1 − β₂ is missing before the squared gradient": {"undamped": True},
    "the gradient isn't squared in v": {"unsquared": True},
    "the root of v is missing": {"no_root": True},
    "ε stands inside the root": {"inside": True},
    "ε is forgotten": {"eps": 0.0},
    "Keras rounds the betas and ε to float32; the exact ones were used": {"exact": True},
}

RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "Adamax": (adamax, ADAMAX),
    "Nadam": (nadam, NADAM),
    "Lion": (lion, LION),
    "ScheduleFreeAdamW": (schedule_free, SCHEDULE_FREE),
}
