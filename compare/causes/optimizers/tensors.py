"""Rules that look at a weight as a whole: Lamb, Adafactor, Muon."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.optimizers.state import Knobs, Rule, Slots, State, norm, rounded


def lamb(s: State, k: Knobs) -> Slots:
    """Adam's step, stretched to the length of the weight."""
    b1, b2, eps = (s.settings[name] for name in ("beta_1", "beta_2", "epsilon"))
    if k.get("swapped"):
        b1, b2 = b2, b1
    t = s.t + k.get("late", 0.0)
    m = s.slots["momentum"] * b1 + s.g * (1.0 if k.get("m_undamped") else 1.0 - b1)
    squares = s.g if k.get("unsquared") else s.g * s.g
    v = s.slots["velocity"] * b2 + squares * (1.0 if k.get("v_undamped") else 1.0 - b2)
    power_1, power_2 = (b1, b2) if k.get("exact") else (rounded(b1), rounded(b2))
    first = m if k.get("uncorrected_m") else m / np.float64(1.0 - power_1**t)
    second = v if k.get("uncorrected_v") else v / np.float64(1.0 - power_2**t)
    if k.get("inside"):
        u = first / np.sqrt(second + eps)
    else:
        u = first / (second + eps if k.get("no_root") else np.sqrt(second) + k.get("eps", eps))
    above, below = norm(s.w), norm(s.g if k.get("of_g") else u)
    if k.get("absolute"):
        above, below = np.abs(s.w).sum(), np.abs(u).sum()
    if k.get("squared"):
        above, below = above * above, below * below
    known = bool(above.value > 0) and bool(below.value > 0)
    ratio: Any = above / below if known else 1.0
    if k.get("inverse"):
        ratio = 1.0 / ratio
    if k.get("capped"):
        ratio = np.minimum(ratio, 1.0)
    ratio = 1.0 if k.get("untrusting") else above if k.get("only_w") else ratio
    return {"momentum": m, "velocity": v, "weight": s.w - ratio * s.learning_rate * u}


LAMB: dict[str, Knobs] = {
    "the trust ratio is missing: this is Adam": {"untrusting": True},
    "the trust ratio is upside down": {"inverse": True},
    "the trust ratio is capped at 1": {"capped": True},
    "the trust ratio isn't divided by the step's norm": {"only_w": True},
    "the trust ratio has the gradient's norm instead of the step's": {"of_g": True},
    "the norms are sums of absolute values": {"absolute": True},
    "the norms aren't rooted": {"squared": True},
    "the bias correction is missing": {"uncorrected_m": True, "uncorrected_v": True},
    "the bias correction of m is missing": {"uncorrected_m": True},
    "the bias correction of v is missing": {"uncorrected_v": True},
    "the step count is one too small: it starts at 0": {"late": -1.0},
    "the step count is one too large": {"late": 1.0},
    "β₁ and β₂ are swapped": {"swapped": True},
    "1 − β₁ is missing before the gradient": {"m_undamped": True},
    "1 − β₂ is missing before the squared gradient": {"v_undamped": True},
    "the gradient isn't squared in v": {"unsquared": True},
    "the root of v is missing": {"no_root": True},
    "ε stands inside the root": {"inside": True},
    "ε is forgotten": {"eps": 0.0},
    "Keras rounds both betas to float32 in their powers; the exact ones were used": {"exact": True},
}


def adafactor(s: State, k: Knobs) -> Slots:
    """Put the product of row and column means in the place of v."""
    eps_1, eps_2, power = (s.settings[n] for n in ("epsilon_1", "epsilon_2", "beta_2_decay"))
    t = s.t + k.get("late", 0.0)
    beta = k.get("beta", 1.0 - float(np.float64(t) ** power))
    squares = (np.abs(s.g) if k.get("unsquared") else s.g * s.g) + eps_1
    slots: Slots = {}
    if "r" in s.slots:
        ways = (-2, -1) if k.get("turned") and s.w.shape[-1] == s.w.shape[-2] else (-1, -2)
        means = [squares.sum(axis=a) if k.get("summed") else squares.mean(axis=a) for a in ways]
        r, c = (
            s.slots[name] * beta + mean * (1.0 - beta)
            for name, mean in zip(("r", "c"), means, strict=True)
        )
        slots |= {"r": r, "c": c}
        rows = r if k.get("unnormalized") else r / r.mean(axis=-1, keepdims=True)
        v = rows[..., None] * c[..., None, :]
    else:
        v = s.slots["velocity"] * beta + squares * (1.0 - beta)
    slots["velocity"] = v
    u = s.g / (v if k.get("no_root") else np.sqrt(v))
    size = np.sqrt((u * u).mean())
    if k.get("by_norm"):
        size = norm(u)
    if not k.get("unclipped"):
        u = u / np.maximum(size / s.settings["clip_threshold"], 1.0)
    rate = s.learning_rate if k.get("unbounded") else min(s.learning_rate, 1.0 / t**0.5)
    of_w = norm(s.w) if k.get("norm_of_w") else np.sqrt((s.w * s.w).mean())
    alpha = 1.0 if k.get("absolute") else np.maximum(of_w, k.get("eps_2", eps_2))
    return {**slots, "weight": s.w - alpha * rate * u}


ADAFACTOR: dict[str, Knobs] = {
    "the step isn't measured by the weight: max(ε₂, rms(w)) is missing": {"absolute": True},
    "the weight's norm is used instead of its root mean square": {"norm_of_w": True},
    "the update is not clipped by its root mean square": {"unclipped": True},
    "the update is clipped by its norm instead of its root mean square": {"by_norm": True},
    "the learning rate is not bounded by 1/√t": {"unbounded": True},
    "the step count is one too large": {"late": 1.0},
    "β₂ is 0.999 instead of 1 − t^−0.8": {"beta": 0.999},
    "rows and columns are swapped": {"turned": True},
    "r and c are sums instead of means": {"summed": True},
    "the product isn't divided by the mean of the rows": {"unnormalized": True},
    "the gradient isn't squared": {"unsquared": True},
    "the root of v is missing": {"no_root": True},
    "ε₂ is forgotten": {"eps_2": 0.0},
}


def muon(s: State, k: Knobs) -> Slots:
    """Momentum, orthogonalized; Adam for what isn't a matrix (whose knobs are Adam's)."""
    if "velocity" in s.slots:
        return {}
    mu, nesterov = s.settings["momentum"], s.settings["nesterov"] != k.get("other_look", False)
    m = s.slots["momentum"] * mu + s.g * (1.0 - mu if k.get("damped") else 1.0)
    M = s.g + mu * m if nesterov else m
    a, b, c = k.get("polynomial", (3.4445, -4.775, 2.0315))
    tall = s.w.shape[0] > s.w.shape[1]
    X = M if k.get("unnormalized") else M / (norm(M) + 1e-7)
    X = X.T if tall else X
    for _ in range(int(s.settings["ns_steps"]) + k.get("more", 0)):
        A = X @ X.T
        X = a * X + (b * A + c * (A @ A)) @ X
    X = M if k.get("bare") else X.T if tall else X
    scale = s.settings["rms_rate"]
    shape = min(s.w.shape) if k.get("smaller") else max(s.w.shape)
    factor = 1.0 if scale is None else scale * (1.0 if k.get("unscaled") else shape**0.5)
    factor = factor if not k.get("rateless") or scale is None else shape**0.5
    return {"momentum": m, "weight": s.w - s.learning_rate * factor * X}


MUON: dict[str, Knobs] = {
    "the orthogonalization is missing": {"bare": True},
    "Nesterov's look ahead is missing, or there without being asked for": {"other_look": True},
    "the gradient in the momentum is damped by 1 − μ": {"damped": True},
    "one step of Newton and Schulz's iteration too few": {"more": -1},
    "one step of Newton and Schulz's iteration too many": {"more": 1},
    "the matrix is not divided by its norm first": {"unnormalized": True},
    "√max(rows, columns) is missing": {"unscaled": True},
    "the smaller of rows and columns is under the root": {"smaller": True},
    "the factor 0.2 (rms_rate) is missing": {"rateless": True},
    "the iteration has the coefficients 15/8, −10/8, 3/8": {"polynomial": (1.875, -1.25, 0.375)},
    "the iteration is the cubic one: 3/2, −1/2": {"polynomial": (1.5, -0.5, 0.0)},
}

RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "Lamb": (lamb, LAMB),
    "Adafactor": (adafactor, ADAFACTOR),
    "Muon": (muon, MUON),
}
