"""Rules that look at a weight's rows and columns, or directions: Adafactor, Muon."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from compare.causes.optimizers.adam import ADAM, adam
from compare.causes.optimizers.state import Knobs, Rule, Slots, State, norm, squares


def adafactor(s: State, k: Knobs) -> Slots:
    """Put the product of row and column means in the place of v."""
    eps_1, eps_2, power = (s.settings[n] for n in ("epsilon_1", "epsilon_2", "beta_2_decay"))
    t = s.t + k.get("late", 0.0)
    beta = k.get("beta", 1.0 - float(np.float64(t) ** power))
    into = squares(s.g, k) + eps_1
    slots: Slots = {}
    if "r" in s.slots:
        ways = (-2, -1) if k.get("turned") and s.w.shape[-1] == s.w.shape[-2] else (-1, -2)
        means = [into.sum(axis=a) if k.get("summed") else into.mean(axis=a) for a in ways]
        r, c = (
            s.slots[name] * beta + mean * (1.0 - beta)
            for name, mean in zip(("r", "c"), means, strict=True)
        )
        slots |= {"r": r, "c": c}
        by = r.sum(axis=-1, keepdims=True) if k.get("by_sum") else r.mean(axis=-1, keepdims=True)
        rows = r if k.get("unnormalized") else r / by
        v = rows[..., None] * c[..., None, :]
    else:
        v = s.slots["velocity"] * beta + into * (1.0 - beta)
    slots["velocity"] = v
    u = s.g / (v if k.get("no_root") else np.sqrt(v))
    size = np.sqrt((u * u).mean())
    if k.get("by_norm"):
        size = norm(u)
    share = size / s.settings["clip_threshold"]
    if not k.get("unclipped"):
        u = u / (share if k.get("always") else np.maximum(share, 1.0))
    rate = s.learning_rate if k.get("unbounded") else min(s.learning_rate, 1.0 / t**0.5)
    of_w = norm(s.w) if k.get("norm_of_w") else np.sqrt((s.w * s.w).mean())
    alpha = 1.0 if k.get("unmeasured") else np.maximum(of_w, k.get("eps_2", eps_2))
    return {**slots, "weight": s.w - alpha * rate * u}


ADAFACTOR: dict[str, Knobs] = {
    "the step isn't measured by the weight: max(ε₂, rms(w)) is missing": {"unmeasured": True},
    "the weight's norm is used instead of its root mean square": {"norm_of_w": True},
    "the update is not clipped by its root mean square": {"unclipped": True},
    "the update is clipped by its norm instead of its root mean square": {"by_norm": True},
    "the update is brought to the bound even where it is below": {"always": True},
    "the learning rate is not bounded by 1/√t": {"unbounded": True},
    "the step count is one too large": {"late": 1.0},
    "β₂ is 0.999 instead of 1 − t^−0.8": {"beta": 0.999},
    "rows and columns are swapped": {"turned": True},
    "r and c are sums instead of means": {"summed": True},
    "the product isn't divided by the mean of the rows": {"unnormalized": True},
    "the product is divided by the sum of the rows instead of their mean": {"by_sum": True},
    "the gradient isn't squared": {"unsquared": True},
    "|g| stands for g²": {"absolute": True},
    "the root of v is missing": {"no_root": True},
    "ε₂ is forgotten": {"eps_2": 0.0},
}


POLYNOMIAL = 3.4445, -4.775, 2.0315


def muon(s: State, k: Knobs) -> Slots:
    """Momentum, orthogonalized."""
    mu, nesterov = s.settings["momentum"], s.settings["nesterov"] != k.get("other_look", False)
    m = s.slots["momentum"] * mu + s.g * (1.0 - mu if k.get("damped") else 1.0)
    M = s.g + mu * m if nesterov else m
    a, b, c = k.get("polynomial", POLYNOMIAL)
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
    factor = max(1.0, s.w.shape[0] / s.w.shape[1]) ** 0.5 if k.get("by_ratio") else factor
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
    "the factor is √max(1, rows / columns), as in Jordan's own code": {"by_ratio": True},
    "the iteration's b and c are swapped": {"polynomial": (3.4445, 2.0315, -4.775)},
    "the iteration has the coefficients 15/8, −10/8, 3/8": {"polynomial": (1.875, -1.25, 0.375)},
    "the iteration is the cubic one: 3/2, −1/2": {"polynomial": (1.5, -0.5, 0.0)},
}


def by_adam(s: State, k: Knobs) -> Slots:
    """Adam, for the weights that Muon leaves to it, at a learning rate of their own."""
    ratio = k.get("ratio", s.settings["adam_lr_ratio"])
    return adam(replace(s, learning_rate=s.learning_rate * ratio), k)


BY_ADAM: dict[str, Knobs] = {
    **{sentence: knobs for sentence, knobs in ADAM.items() if "amsgrad" not in sentence},
    "adam_lr_ratio is forgotten": {"ratio": 1.0},
}


RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "Adafactor": (adafactor, ADAFACTOR),
    "Muon": (muon, MUON),
    "Muon, by Adam": (by_adam, BY_ADAM),
}
