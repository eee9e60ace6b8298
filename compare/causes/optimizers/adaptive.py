"""Rules that divide by a measure of past gradients: Adagrad, Adadelta, Ftrl."""

from __future__ import annotations

from typing import Any

import numpy as np

from compare.causes.optimizers.state import Knobs, Rule, Slots, State, rounded, squares


def adagrad(s: State, k: Knobs) -> Slots:
    """n⁺ = n + g², and ε inside the root."""
    old, into = s.slots["accumulator"], squares(s.g, k)
    n = into if k.get("forgetful") else old + into
    n = old * 0.9 + into * 0.1 if k.get("mean") else n
    eps, used = k.get("eps", s.settings["epsilon"]), old if k.get("old") else n
    if k.get("outside"):
        below = np.sqrt(used) + eps
    else:
        below = used + eps if k.get("no_root") else np.sqrt(used + eps)
    return {"accumulator": n, "weight": s.w - s.learning_rate * s.g / below}


ADAGRAD: dict[str, Knobs] = {
    "ε stands outside the root": {"outside": True},
    "ε is forgotten": {"eps": 0.0},
    "the root of the accumulator is missing": {"no_root": True},
    "the gradient isn't squared in the accumulator": {"unsquared": True},
    "the accumulator has |g| instead of g²": {"absolute": True},
    "the accumulator of the step before is used": {"old": True},
    "the accumulator forgets the steps before": {"forgetful": True},
    "the accumulator is a running mean with ρ = 0.9: this is RMSprop": {"mean": True},
}


def adadelta(s: State, k: Knobs) -> Slots:
    """Δ = −√(D + ε) / √(G⁺ + ε) g, ε inside both roots."""
    rho, eps = s.settings["rho"], k.get("eps", s.settings["epsilon"])
    rho = k.get("rho", rounded(rho) if k.get("rounded") else rho)
    keep, take = (1.0 - rho, rho) if k.get("reversed") else (rho, 1.0 - rho)
    take = 1.0 if k.get("undamped") else take
    old_g, old_d = s.slots["accumulated_grad"], s.slots["accumulated_delta_var"]
    after = old_g * keep + squares(s.g, k) * take
    used = old_g if k.get("old_g") else after

    def root(x: Any) -> Any:
        return np.sqrt(x) + eps if k.get("outside") else np.sqrt(x + eps)

    above = old_d + eps if k.get("no_root") or k.get("no_roots") else root(old_d)
    above = np.sqrt(old_d) if k.get("bare_above") else above
    above = 1.0 if k.get("no_deltas") else above
    below = used + eps if k.get("no_root_below") or k.get("no_roots") else root(used)
    delta = above * s.g / (np.sqrt(used) if k.get("bare_below") else below)
    kept = delta * s.learning_rate if k.get("scaled") else s.g if k.get("of_g") else delta
    deltas = old_d * keep + (kept if k.get("d_unsquared") else kept * kept) * take
    if k.get("new_d"):
        delta = root(deltas) * s.g / root(used)
    return {
        "accumulated_grad": after,
        "accumulated_delta_var": deltas,
        "weight": s.w - s.learning_rate * delta,
    }


ADADELTA: dict[str, Knobs] = {
    "ε stands outside the roots": {"outside": True},
    "ε is forgotten": {"eps": 0.0},
    "ε is 1e-6, PyTorch's, instead": {"eps": 1e-6},
    "ρ is 0.9, PyTorch's, instead": {"rho": 0.9},
    "ρ and 1 − ρ are swapped": {"reversed": True},
    "1 − ρ is missing before the squares": {"undamped": True},
    "the gradient isn't squared in its mean": {"unsquared": True},
    "the mean has |g| instead of g²": {"absolute": True},
    "the step isn't squared in its mean": {"d_unsquared": True},
    "the root of the past steps is missing: this is RMSprop": {"no_deltas": True},
    "ε is forgotten in the root above": {"bare_above": True},
    "ε is forgotten in the root below": {"bare_below": True},
    "the root above is not taken": {"no_root": True},
    "the root below is not taken": {"no_root_below": True},
    "neither root is taken": {"no_roots": True},
    "the squared gradients of the step before are used": {"old_g": True},
    "the past steps include this one already": {"new_d": True},
    "the learning rate is in the remembered steps": {"scaled": True},
    "gradients are remembered in the place of steps": {"of_g": True},
    "ρ is rounded to float32; Keras has the exact ρ": {"rounded": True},
}


def ftrl(s: State, k: Knobs) -> Slots:
    """Z gathers gradients and what the changing rates make of the weight; w is read off z."""
    power, l1, l2, shrinkage, beta = (
        s.settings[name] for name in ("power", "l1", "l2", "shrinkage", "beta")
    )
    power, eta = k.get("power", power), s.learning_rate
    l1, l2, beta = k.get("l1", l1), k.get("l2", l2), k.get("beta", beta)
    shrunk = s.g + k.get("two_s", 2.0) * k.get("shrinkage", shrinkage) * s.w
    old, into = s.slots["accumulator"], shrunk if k.get("shrunk_n") else s.g
    n = old + squares(into, k)
    change = (n**power - old**power) / (1.0 if k.get("rateless") else eta)
    pulled = 0.0 if k.get("no_pull") else change * s.w
    z = s.slots["linear"] + shrunk - (-pulled if k.get("pushed") else pulled)
    z = s.slots["linear"] + s.g - pulled if k.get("unshrunk") else z
    used = old if k.get("old") else n
    rate = 1.0 if k.get("rate_forgotten") else eta
    quadratic = used**power / rate + k.get("two", 2.0) * l2 + beta / eta
    clipped = np.minimum(np.maximum(z, -l1), l1)
    weight = ((-z - clipped) if k.get("sign") else (clipped - z)) / quadratic
    return {"accumulator": n, "linear": z, "weight": weight}


FTRL: dict[str, Knobs] = {
    "the L1 penalty is forgotten": {"l1": 0.0},
    "the L1 penalty pushes away from 0": {"sign": True},
    "the L2 penalty is forgotten": {"l2": 0.0},
    "the 2 of the L2 penalty is missing": {"two": 1.0},
    "β is forgotten": {"beta": 0.0},
    "the shrinkage is forgotten": {"shrinkage": 0.0},
    "the 2 of the shrinkage is missing": {"two_s": 1.0},
    "the shrinkage is in the accumulator too": {"shrunk_n": True},
    "the weight's own term in z is missing": {"no_pull": True},
    "the weight's own term in z has the wrong sign": {"pushed": True},
    "the learning rate is missing in z": {"rateless": True},
    "the learning rate is missing in the quadratic term": {"rate_forgotten": True},
    "the gradient isn't squared in the accumulator": {"unsquared": True},
    "the accumulator has |g| instead of g²": {"absolute": True},
    "the accumulator of the step before is used": {"old": True},
    "the accumulator is not rooted: the learning rate power is −1": {"power": 1.0},
    "the learning rate power is −½ instead": {"power": 0.5},
}

RULES: dict[str, tuple[Rule, dict[str, Knobs]]] = {
    "Adagrad": (adagrad, ADAGRAD),
    "Adadelta": (adadelta, ADADELTA),
    "Ftrl": (ftrl, FTRL),
}
