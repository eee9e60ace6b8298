"""What is done around every rule, once more: accumulation, weight decay, averages, constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from compare.causes.constraints import constrained, constraint_knobs
from compare.causes.optimizers.state import Knobs, Rule, Slots, State, as_asked
from compare.causes.processing import averaged, clipped, processing_knobs


def one_step(s: State, rule: Rule, k: Knobs) -> Slots:
    """Return the slots and the weight after one training step, with one knob turned."""
    n = s.settings.get("gradient_accumulation_steps")
    slots: Slots = {}
    if k.get("starts_anew"):
        new = {name: old * 0.0 + s.starts.get(name, 0.0) for name, old in s.slots.items()}
        s = replace(s, slots=new)
    due = not n or bool(k.get("always")) or (s.iterations + 1) % n == 0
    due = due and not k.get("never")
    if n:
        slots["gradient_accumulator"] = accumulated(s, k, due)
    if due:
        weight = moved(s, rule, k, slots)
    else:
        slots = {**s.slots, **slots}
        weight = decayed(s, s.w, k) if k.get("decays_always") else s.w
    if s.settings.get("use_ema"):
        weight = average(s, k, weight, slots)
    if s.constraint is not None and not (k.get("unconstrained") or k.get("constrained_early")):
        weight = constrained(weight, s.constraint, k)
    return {**slots, "weight": weight}


def moved(s: State, rule: Rule, k: Knobs, slots: Slots) -> Any:
    """Let the weight decay, and apply the rule."""
    g = clipped(s, k) * k.get("factor", 1.0)
    if k.get("own_gradient") is not None:
        g = k["own_gradient"] * s.g
    w = s.w
    if s.constraint is not None and k.get("constrained_early"):
        w = constrained(w, s.constraint, k)
    kind = k.get("decay", "before")
    if kind in ("coupled", "both") and decay_rate(s, k):
        g = g + decay_rate(s, k) * w
    if kind not in ("coupled", "after"):
        w = decayed(s, w, k)
        w = decayed(s, w, k) if kind == "twice" else w
    t = float(s.iterations + 1) if k.get("every_step_counts") else s.t
    moving = replace(s, w=w, g=g, t=t, learning_rate=k.get("eta", s.learning_rate))
    after = rule(moving, k)
    weight = after.pop("weight")
    slots.update(after)
    return decayed(s, weight, k) if kind == "after" else weight


def decay_rate(s: State, k: Knobs) -> float:
    """Return λ, or 0 where nothing decays."""
    rate = s.settings.get("weight_decay") or 0.0
    if not (s.decays or k.get("everywhere")):
        return 0.0
    if k.get("other_decay"):
        rate = s.settings.get("other_weight_decay") or 0.0
    rate = as_asked(rate) if k.get("exact_decay") else rate
    return float(rate * k.get("decay_factor", 1.0))


def decayed(s: State, w: Any, k: Knobs) -> Any:
    """Return what weight decay leaves of a weight."""
    if not decay_rate(s, k):
        return w
    eta, by = s.learning_rate, np.sign(w) if k.get("decay_by_sign") else w
    eta = s.settings["learning_rate"] if k.get("decay_at_first_rate") else eta
    return w - by * decay_rate(s, k) * eta ** k.get("decay_scaled", 1)


def accumulated(s: State, k: Knobs, due: bool) -> Any:
    """Return the sum of gradients after the step."""
    total, n = s.slots["gradient_accumulator"], s.settings["gradient_accumulation_steps"]
    alone = replace(s, settings={**s.settings, "gradient_accumulation_steps": None})
    g = clipped(alone, k) if k.get("clipped_early") else averaged(alone, k)[s.name]
    g = g / n if k.get("early_mean") else g
    if due:
        if k.get("filled_after"):
            return total + g
        return total if k.get("kept") else total * 0.0
    if k.get("empty"):
        return total
    return g if k.get("overwritten") else total - g if k.get("subtracted") else total + g


def average(s: State, k: Knobs, weight: Any, slots: Slots) -> Any:
    """Update the average in the slots; return the weight, or the average if it takes its place."""
    n = s.settings.get("gradient_accumulation_steps") or 1
    updates = s.iterations // n
    mu = s.settings["ema_momentum"]
    mu = float(np.float32(mu)) if k.get("rounded_mu") else mu
    mu = mu if updates or k.get("no_copy") else 0.0
    mu = 1.0 - mu if k.get("mu_reversed") and updates else mu
    old = s.slots["average"]
    share = np.ones_like(old) * mu  # μ in the working precision, before 1 − μ is taken
    mean = old * share + (s.w if k.get("of_old") else weight) * (1.0 - share)
    slots["average"] = old if k.get("no_average") else mean
    every = s.settings.get("ema_overwrite_frequency")
    turn = updates + (0 if k.get("overwrite_late") else 1)
    if every and k.get("overwrite_always"):
        return mean
    if every and turn % every == 0 and not k.get("never_overwritten"):
        if k.get("average_overwritten"):
            slots["average"] = weight
            return weight
        return old if k.get("old_average") else slots["average"]
    return weight


DECAY: dict[str, Knobs] = {
    "the weight decay is forgotten": {"decay_factor": 0.0},
    "the weight decay is coupled: λ w is added to the gradient, as in L2": {"decay": "coupled"},
    "the weight decay isn't scaled by the learning rate": {"decay_scaled": 0},
    "the weight decay is scaled by the learning rate twice": {"decay_scaled": 2},
    "the weight decay is scaled by the schedule's first rate": {"decay_at_first_rate": True},
    "the weight decay comes after the update instead of before": {"decay": "after"},
    "the weight decay is applied twice": {"decay": "twice"},
    "the weight decay is applied, and λ w is added to the gradient as well": {"decay": "both"},
    "the weight decay is coupled: 2 λ w is added to the gradient, as in L2": {
        "decay": "coupled",
        "decay_factor": 2.0,
    },
    "the weight decays by 2 λ, the derivative of λ w²": {"decay_factor": 2.0},
    "the weight decays by ½ λ": {"decay_factor": 0.5},
    "the weight decays by λ sign(w), as with L1": {"decay_by_sign": True},
    "the weight decay has the wrong sign: the weight grows": {"decay_factor": -1.0},
    "a weight that was excluded from weight decay decays": {"everywhere": True},
    "Keras rounds the weight decay to float32; the exact one was used": {"exact_decay": True},
}
OF_TWO_RULES: dict[str, Knobs] = {
    "the weight decays at the rate of the weights that go by the other rule": {"other_decay": True},
}
ACCUMULATION: dict[str, Knobs] = {
    "the step count counts every step instead of every update": {"every_step_counts": True},
    "the gradient is clipped before it is accumulated": {"clipped_early": True},
}
AT_THE_KTH: dict[str, Knobs] = {
    "the accumulator is not reset after the update": {"kept": True},
    "the accumulator is not reset, and has the last gradient too": {"filled_after": True},
    "the weights don't move at the k-th step: the turn is off by one": {"never": True},
}
BEFORE_THE_KTH: dict[str, Knobs] = {
    "the accumulator is overwritten instead of added to": {"overwritten": True},
    "the accumulator is not filled": {"empty": True},
    "the gradient is subtracted from the accumulator": {"subtracted": True},
    "the gradient is divided by k already in the accumulator": {"early_mean": True},
    "the weights move at a step that isn't the k-th, by that step's gradient": {
        "always": True,
        "own_gradient": 1.0,
    },
    "the weights move at a step that isn't the k-th": {"always": True},
    "the weight decays at every step, not only with the updates": {"decays_always": True},
}
AVERAGES: dict[str, Knobs] = {
    "the average isn't updated": {"no_average": True},
    "μ and 1 − μ are swapped in the average": {"mu_reversed": True},
    "the average starts from 0: in the first update it isn't a copy": {"no_copy": True},
    "the average has the weights before the update": {"of_old": True},
    "the average never takes the weights' place": {"never_overwritten": True},
    "the average takes the weights' place at every step": {"overwrite_always": True},
    "the average takes the weights' place one update too late": {"overwrite_late": True},
    "the weights take the average's place instead": {"average_overwritten": True},
    "the average of the step before takes the weights' place": {"old_average": True},
    "μ of the average is rounded to float32; Keras has the exact μ": {"rounded_mu": True},
}
COMMON: dict[str, Knobs] = {
    "the step goes uphill: the gradient is added": {"factor": -1.0},
    "the learning rate is forgotten": {"eta": 1.0},
    "the memory starts anew at every step: what the slots held is lost": {"starts_anew": True},
}


def surrounding_knobs(s: State) -> dict[str, Knobs]:
    """Return the slips that are possible around a rule with these options."""
    settings: Mapping[str, Any] = s.settings
    knobs: dict[str, Knobs] = {}
    if settings.get("weight_decay") or settings.get("other_weight_decay"):
        knobs |= DECAY
    if "other_weight_decay" in settings:
        knobs |= OF_TWO_RULES
    n = settings.get("gradient_accumulation_steps")
    if n:
        knobs |= ACCUMULATION | (BEFORE_THE_KTH if (s.iterations + 1) % n else AT_THE_KTH)
    if settings.get("use_ema"):
        knobs |= AVERAGES
    return {**knobs, **processing_knobs(settings), **constraint_knobs(s.constraint), **COMMON}
