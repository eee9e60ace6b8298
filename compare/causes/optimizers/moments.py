"""Running means of the gradient and of its square, their bias corrections, and ε.

Adam and its kin share these decisions; each rule puts them together in its own way.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.optimizers.state import Knobs, State, rounded, squares


def betas(s: State, k: Knobs) -> tuple[float, float]:
    """Return β₁ and β₂."""
    b1, b2 = s.settings["beta_1"], s.settings["beta_2"]
    if k.get("swapped"):
        b1, b2 = b2, b1
    if k.get("only_1"):
        b2 = b1
    return k.get("beta_1", b2 if k.get("only_2") else b1), k.get("beta_2", b2)


def mean(s: State, k: Knobs, b1: float) -> Any:
    """m⁺ = β₁ m + (1 − β₁) g."""
    old = s.slots["momentum"] * (0.0 if k.get("m_lost") else b1)
    return old + s.g * (1.0 if k.get("m_undamped") else 1.0 - b1)


def mean_square(s: State, k: Knobs, b2: float, m: Any = None) -> Any:
    """v⁺ = β₂ v + (1 − β₂) g²."""
    into = squares(s.g - m if k.get("centred") else s.g, k)
    old = s.slots["velocity"] * (0.0 if k.get("v_lost") else b2)
    return old + into * (1.0 if k.get("v_undamped") else 1.0 - b2)


def count(s: State, k: Knobs) -> float:
    """Return t, the number of the update."""
    return float(k.get("at", s.t + k.get("late", 0.0)))


def corrections(k: Knobs, t: float, b1: float, b2: float) -> tuple[Any, Any]:
    """Return 1 − β₁ᵗ and 1 − β₂ᵗ, which may be 0, from betas that Keras rounds to float32."""
    b1, b2 = (b1 if k.get("exact_1") else rounded(b1)), (b2 if k.get("exact_2") else rounded(b2))
    if k.get("corrections_swapped"):
        b1, b2 = b2, b1
    c1 = np.float64(1.0 if k.get("uncorrected_m") else 1.0 - b1**t)
    c2 = np.float64(1.0 if k.get("uncorrected_v") else 1.0 - b2**t)
    c2 = c2 * c2 if k.get("correction_unrooted") else c2
    return (1.0 / c1, 1.0 / c2) if k.get("upside_down") else (c1, c2)


def divisor(v: Any, c2: Any, eps: float, k: Knobs, *, early: bool) -> Any:
    """Return √(v / c₂) + ε; where ε comes ``early``, (√v + ε) / √c₂."""
    eps, early = k.get("eps", eps), early != k.get("eps_moved", False)
    if not early:
        v = v / c2
    if k.get("no_root"):
        below = v + eps
    else:
        below = np.sqrt(v + eps) if k.get("eps_inside") else np.sqrt(v) + eps
    return below / c2**0.5 if early else below


COUNT: dict[str, Knobs] = {
    "the step count is one too small: it starts at 0": {"late": -1.0},
    "the step count is one too large": {"late": 1.0},
    "the step count stands still at 1": {"at": 1.0},
}
CORRECTIONS: dict[str, Knobs] = {
    "the bias correction is missing": {"uncorrected_m": True, "uncorrected_v": True},
    "the bias correction of m is missing": {"uncorrected_m": True},
    "the bias correction of v is missing": {"uncorrected_v": True},
    "the root of 1 − β₂ᵗ is missing in the bias correction": {"correction_unrooted": True},
    "the bias corrections are upside down": {"upside_down": True},
    "β₁ and β₂ are swapped in the bias corrections": {"corrections_swapped": True},
}
SQUARES: dict[str, Knobs] = {
    "1 − β₂ is missing before the squared gradient": {"v_undamped": True},
    "the old v is lost: its mean starts anew at every step": {"v_lost": True},
    "the gradient isn't squared in v": {"unsquared": True},
    "v has |g| instead of g²": {"absolute": True},
}
MOMENTS: dict[str, Knobs] = {
    "β₁ and β₂ are swapped": {"swapped": True},
    "β₁ stands for β₂ too": {"only_1": True},
    "β₂ stands for β₁ too": {"only_2": True},
    "1 − β₁ is missing before the gradient": {"m_undamped": True},
    "the old m is lost: its mean starts anew at every step": {"m_lost": True},
    **SQUARES,
}
EPSILON: dict[str, Knobs] = {
    "ε stands inside the root": {"eps_inside": True},
    "ε is forgotten": {"eps": 0.0},
    "ε is 1e-8, PyTorch's, instead": {"eps": 1e-8},
    "the root of v is missing": {"no_root": True},
}
EPSILON_EARLY: Knobs = {
    "ε is added after the bias correction instead of before": {"eps_moved": True}
}
EPSILON_LATE: Knobs = {
    "ε is added before the bias correction instead of after": {"eps_moved": True}
}
EXACT_POWERS: dict[str, Knobs] = {
    "Keras rounds both betas to float32 in their powers; the exact ones were used": {
        "exact_1": True,
        "exact_2": True,
    },
}
