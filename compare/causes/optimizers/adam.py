"""Adam and what came of it: Adamax, Nadam, ScheduleFreeAdamW, Lamb."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.optimizers import moments
from compare.causes.optimizers.moments import betas, corrections, count, divisor, mean, mean_square
from compare.causes.optimizers.state import (
    Knobs,
    Rule,
    Slots,
    State,
    as_asked,
    norm,
    numbers,
    rounded,
)


def adam(s: State, k: Knobs) -> Slots:
    """m, v, their bias corrections, and ε outside the root and before the correction."""
    b1, b2 = betas(s, k)
    c1, c2 = corrections(k, count(s, k), b1, b2)
    b1, b2 = (
        (rounded(b1) if k.get("rounded_1") else b1),
        (rounded(b2) if k.get("rounded_2") else b2),
    )
    m = mean(s, k, b1)
    v = mean_square(s, k, b2, m)
    slots, used = {"momentum": m, "velocity": v}, s.slots["velocity"] if k.get("old_v") else v
    if s.settings.get("amsgrad"):
        either = np.minimum if k.get("minimum") else np.maximum
        largest = v if k.get("no_maximum") else either(s.slots["velocity_hat"], v)
        slots["velocity_hat"] = largest
        used = used if k.get("maximum_unused") else largest
        if k.get("maximum_kept"):
            slots["velocity"] = largest
    first = s.slots["momentum"] if k.get("old_m") else s.g if k.get("plain_g") else m
    first = b1 * m + (1.0 - b1) * s.g if k.get("look") else first
    move = first / c1 * s.learning_rate / divisor(used, c2, s.settings["epsilon"], k, early=True)
    return {**slots, "weight": s.w - move}


ADAM: dict[str, Knobs] = {
    **moments.EPSILON,
    **moments.EPSILON_EARLY,
    **moments.CORRECTIONS,
    **moments.COUNT,
    **moments.MOMENTS,
    "β₁ is 0.99 instead": {"beta_1": 0.99},
    "β₂ is 0.99 instead": {"beta_2": 0.99},
    "β₁ is 0.9 instead": {"beta_1": 0.9},
    "β₂ is 0.999 instead": {"beta_2": 0.999},
    "v has (g − m)² instead of g², as in AdaBelief": {"centred": True},
    "the momentum of the step before moves the weights": {"old_m": True},
    "v of the step before is used": {"old_v": True},
    "the gradient stands for its running mean m": {"plain_g": True},
    "m looks ahead as Nesterov's momentum does: β₁ m⁺ + (1 − β₁) g stands for it": {"look": True},
    "Keras rounds β₁ to float32 in β₁ᵗ; the exact β₁ was used": {"exact_1": True},
    "Keras rounds β₂ to float32 in β₂ᵗ; the exact β₂ was used": {"exact_2": True},
    **moments.EXACT_POWERS,
    "β₁ is rounded to float32; Keras has the exact β₁ in 1 − β₁": {"rounded_1": True},
    "β₂ is rounded to float32; Keras has the exact β₂ in 1 − β₂": {"rounded_2": True},
    "amsgrad's maximum is missing": {"no_maximum": True},
    "amsgrad's maximum is kept, but v itself is used": {"maximum_unused": True},
    "amsgrad's maximum is kept in v too": {"maximum_kept": True},
    "amsgrad has a minimum instead of a maximum": {"minimum": True},
}


def adamax(s: State, k: Knobs) -> Slots:
    """Divide the running mean of g by the largest |g|, which fades by β₂."""
    b1, b2 = betas(s, k)
    c1, c2 = corrections(k, count(s, k), b1, b2)
    b1, b2 = (
        (rounded(b1) if k.get("rounded_1") else b1),
        (rounded(b2) if k.get("rounded_2") else b2),
    )
    m, eps = mean(s, k, b1), k.get("eps", s.settings["epsilon"])
    old = s.slots["norm"] * (1.0 if k.get("lasting") else b2)
    size = s.g if k.get("signed") else s.g * s.g if k.get("squared") else np.abs(s.g)
    size = size + eps if k.get("eps_kept") else size
    if k.get("added"):
        u = old + size
    elif k.get("mean"):
        u = old + (1.0 - b2) * size
    else:
        u = np.minimum(old, size) if k.get("smaller") else np.maximum(old, size)
    c1 = c1 / c2 if k.get("corrected_u") else c1
    first = s.slots["momentum"] if k.get("old_m") else s.g if k.get("plain_g") else m
    below = np.sqrt(u) if k.get("rooted") else s.slots["norm"] if k.get("old_u") else u
    if k.get("eps_kept"):
        below = c1 * below
    else:
        below = below * c1 + eps if k.get("eps_moved") else c1 * (below + eps)
    return {"momentum": m, "norm": u, "weight": s.w - s.learning_rate * first / below}


ADAMAX: dict[str, Knobs] = {
    "the bias correction is missing": {"uncorrected_m": True},
    "u is bias-corrected too, which a maximum doesn't need": {"corrected_u": True},
    "β₂ᵗ stands in the bias correction of m instead of β₁ᵗ": {"corrections_swapped": True},
    **moments.COUNT,
    "β₁ and β₂ are swapped": {"swapped": True},
    "1 − β₁ is missing before the gradient": {"m_undamped": True},
    "the old m is lost: its mean starts anew at every step": {"m_lost": True},
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
    "ε is added to |g| inside the maximum, as in PyTorch": {"eps_kept": True},
    **moments.EPSILON_EARLY,
    "ε is 1e-8, PyTorch's, instead": {"eps": 1e-8},
    "Keras rounds β₁ to float32 in β₁ᵗ; the exact β₁ was used": {"exact_1": True},
    "β₁ is rounded to float32; Keras has the exact β₁ in 1 − β₁": {"rounded_1": True},
    "β₂ is rounded to float32; Keras has the exact β₂": {"rounded_2": True},
}


def nadam(s: State, k: Knobs) -> Slots:
    """Adam with the momentum of the next step."""
    b1, b2 = betas(s, k)
    b1, b2, base = (v if k.get("exact") else rounded(v) for v in (b1, b2, 0.96))
    t, half, pace = count(s, k), k.get("half", 0.5), k.get("pace", 1.0)

    def warm(step: float, beta: float, base: float) -> Any:
        return beta if k.get("constant") else beta * (1.0 - half * base ** (pace * step))

    now, following = warm(t, b1, base), warm(t + 1.0, b1, base)
    asked = s.settings["beta_1"], 0.96
    growth = warm(t, *(map(rounded, asked) if k.get("rounded_product") else asked))
    product = growth if k.get("product_lost") else s.slots["u_product"] * growth
    product = s.slots["u_product"] if k.get("product_kept") else product
    m = mean(s, k, b1)
    v = mean_square(s, k, b2)
    ahead = now if k.get("no_look") or k.get("now_twice") else following
    below_m = 1.0 - (product if k.get("no_look") else product * ahead)
    m_hat = ahead * m / (1.0 if k.get("uncorrected_m") else below_m)
    own = (1.0 - now) * s.g / (1.0 if k.get("uncorrected_m") else 1.0 - product)
    m_hat = m_hat if k.get("no_gradient") else m_hat + own
    c1, c2 = corrections({**k, "exact_1": True, "exact_2": True}, t, b1, b2)
    m_hat = m / c1 if k.get("adam") else m_hat
    move = m_hat * s.learning_rate / divisor(v, c2, s.settings["epsilon"], k, early=False)
    return {"u_product": product, "momentum": m, "velocity": v, "weight": s.w - move}


NADAM: dict[str, Knobs] = {
    "the look ahead is missing: βₜ stands for βₜ₊₁": {"no_look": True},
    "βₜ stands for βₜ₊₁, in the product as well": {"now_twice": True},
    "the gradient's own share (1 − βₜ) g is missing": {"no_gradient": True},
    "this is Adam: neither look ahead nor warm-up of β₁": {"adam": True},
    "β₁ doesn't warm up: 1 − ½ 0.96ᵗ is missing": {"constant": True},
    "the ½ of 1 − ½ 0.96ᵗ is missing": {"half": 1.0},
    "β₁ warms up by 0.96^(0.004 t), as in PyTorch, instead of 0.96ᵗ": {"pace": 0.004},
    "the product of the βₜ is not carried on": {"product_kept": True},
    "the product of the βₜ starts anew at every step": {"product_lost": True},
    **moments.CORRECTIONS,
    **moments.COUNT,
    **moments.MOMENTS,
    **moments.EPSILON,
    **moments.EPSILON_LATE,
    "Keras rounds β₁, β₂ and 0.96 to float32; the exact ones were used": {"exact": True},
    "β₁ and 0.96 are rounded to float32 in the product; Keras has the exact ones there": {
        "rounded_product": True
    },
}


def schedule_free(s: State, k: Knobs) -> Slots:
    """Average z into x, with Keras's new z in the place of the paper's old one."""
    exact, names = bool(k.get("exact")), ("beta_1", "beta_2", "epsilon")
    asked = {n: as_asked(s.settings[n]) if exact else s.settings[n] for n in names}
    b1, b2 = betas(State(s.w, s.g, s.slots, s.t, s.learning_rate, asked), k)
    t, warm = count(s, k), s.settings.get("warmup_steps") or 0
    eta = s.learning_rate
    if warm and not k.get("no_warm_up"):
        eta = eta * min(t / warm, 1.0)
    _, c2 = corrections({**k, "exact_2": True}, t, b1, b2)
    v = mean_square(s, k, b2)
    z = s.slots["momentum"] - eta * s.g / divisor(v, c2, asked["epsilon"], k, early=False)
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
    "the bias correction of v is missing": {"uncorrected_v": True},
    **moments.COUNT,
    "β₁ and β₂ are swapped": {"swapped": True},
    **moments.SQUARES,
    **moments.EPSILON,
    **moments.EPSILON_LATE,
    "Keras rounds the betas and ε to float32; the exact ones were used": {"exact": True},
}


def lamb(s: State, k: Knobs) -> Slots:
    """Adam's step, stretched to the length of the weight."""
    b1, b2 = betas(s, k)
    c1, c2 = corrections(k, count(s, k), b1, b2)
    m = mean(s, k, b1)
    v = mean_square(s, k, b2)
    u = m / c1 / divisor(v, c2, s.settings["epsilon"], k, early=False)
    if k.get("decay_inside"):
        u = u + (s.settings.get("weight_decay") or 0.0) * s.w
    above, below = norm(s.w), norm(s.g if k.get("of_g") else u)
    if k.get("absolute_norms"):
        above, below = np.abs(s.w).sum(), np.abs(u).sum()
    if k.get("squared"):
        above, below = above * above, below * below
    known = bool(numbers(above) > 0) and bool(numbers(below) > 0)
    ratio: Any = above / below if known else 1.0
    if k.get("inverse"):
        ratio = 1.0 / ratio
    if k.get("capped"):
        ratio = np.minimum(ratio, k["capped"])
    ratio = 1.0 if k.get("untrusting") else above if k.get("only_w") else ratio
    return {"momentum": m, "velocity": v, "weight": s.w - ratio * s.learning_rate * u}


LAMB: dict[str, Knobs] = {
    "the trust ratio is missing: this is Adam": {"untrusting": True},
    "the trust ratio is upside down": {"inverse": True},
    "the trust ratio is capped at 1": {"capped": 1.0},
    "the trust ratio is capped at 10": {"capped": 10.0},
    "the trust ratio isn't divided by the step's norm": {"only_w": True},
    "the trust ratio has the gradient's norm instead of the step's": {"of_g": True},
    "the weight decay is inside the trust ratio, as in the paper": {
        "decay_inside": True,
        "decay_factor": 0.0,
    },
    "the norms are sums of absolute values": {"absolute_norms": True},
    "the norms aren't rooted": {"squared": True},
    **moments.CORRECTIONS,
    **moments.COUNT,
    **moments.MOMENTS,
    **moments.EPSILON,
    **moments.EPSILON_LATE,
    **moments.EXACT_POWERS,
}

RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "Adam": (adam, ADAM),
    "AdamW": (adam, ADAM),
    "Adamax": (adamax, ADAMAX),
    "Nadam": (nadam, NADAM),
    "ScheduleFreeAdamW": (schedule_free, SCHEDULE_FREE),
    "Lamb": (lamb, LAMB),
}
