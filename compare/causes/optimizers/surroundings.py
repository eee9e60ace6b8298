"""What is done around every rule, once more: accumulation, weight decay, averages, constraints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from compare.causes.optimizers.state import Knobs, Rule, Slots, State, as_asked
from compare.causes.processing import averaged, clipped, processing_knobs


def one_step(s: State, rule: Rule, k: Knobs) -> Slots:
    """Return the slots and the weight after one training step, with one knob turned."""
    n = s.settings.get("gradient_accumulation_steps")
    slots: Slots = {}
    due = not n or bool(k.get("always")) or (s.iterations + 1) % n == 0
    due = due and not k.get("never")
    if n:
        slots["gradient_accumulator"] = accumulated(s, k, due)
    if due:
        weight = moved(s, rule, k, slots)
    else:
        slots = {**s.slots, **slots}
        weight = s.w
    if s.settings.get("use_ema"):
        weight = average(s, k, weight, slots)
    if s.constrained is not None and not k.get("unconstrained"):
        weight = s.constrained(weight)
    return {**slots, "weight": weight}


def moved(s: State, rule: Rule, k: Knobs, slots: Slots) -> Any:
    """Let the weight decay, and apply the rule."""
    g = clipped(s, k) * k.get("factor", 1.0)
    if k.get("own_gradient") is not None:
        g = k["own_gradient"] * s.g
    rate = s.settings.get("weight_decay")
    w, eta = s.w, s.learning_rate
    decays = bool(rate) and (s.decays or k.get("everywhere", False))
    kind = k.get("decay", "before")
    if decays and rate:
        if k.get("exact_decay"):
            rate = as_asked(rate)
        share = rate * {"unscaled": 1.0, "twice_scaled": eta * eta}.get(kind, eta)
        if kind in ("before", "unscaled", "twice_scaled"):
            w = w - w * share
        elif kind == "twice":
            w = w - w * share
            w = w - w * share
        elif kind == "grows":
            w = w + w * share
        elif kind == "coupled":
            g = g + rate * w
        elif kind == "coupled_2":
            g = g + 2.0 * rate * w
    t = float(s.iterations + 1) if k.get("every_step_counts") else s.t
    moving = replace(s, w=w, g=g, t=t, learning_rate=k.get("eta", eta))
    after = rule(moving, k)
    if not after:
        raise LookupError("the rule isn't known for this weight")
    weight = after.pop("weight")
    slots.update(after)
    if decays and rate and kind == "after":
        weight = weight - weight * rate * eta
    if decays and rate and kind == "old":
        weight = weight - s.w * rate * eta
    return weight


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
        return old if k.get("old_average") else slots["average"]
    return weight


DECAY: dict[str, Knobs] = {
    "the weight decay is forgotten": {"decay": "none"},
    "the weight decay is coupled: λ w is added to the gradient, as in L2": {"decay": "coupled"},
    "the weight decay isn't scaled by the learning rate": {"decay": "unscaled"},
    "the weight decay is scaled by the learning rate twice": {"decay": "twice_scaled"},
    "the weight decay comes after the update instead of before": {"decay": "after"},
    "the weight decay is applied twice": {"decay": "twice"},
    "the weight decay is coupled: 2 λ w is added to the gradient, as in L2": {"decay": "coupled_2"},
    "the weight decay has the wrong sign: the weight grows": {"decay": "grows"},
    "a weight that was excluded from weight decay decays": {"everywhere": True},
    "Keras rounds the weight decay to float32; the exact one was used": {"exact_decay": True},
}
ACCUMULATION: dict[str, Knobs] = {
    "the step count counts every step instead of every update": {"every_step_counts": True},
    "the accumulator is not reset after the update": {"kept": True},
    "the accumulator is not reset, and has the last gradient too": {"filled_after": True},
    "the accumulator is overwritten instead of added to": {"overwritten": True},
    "the accumulator is not filled": {"empty": True},
    "the gradient is subtracted from the accumulator": {"subtracted": True},
    "the gradient is divided by k already in the accumulator": {"early_mean": True},
    "the gradient is clipped before it is accumulated": {"clipped_early": True},
    "the weights move at a step that isn't the k-th, by that step's gradient": {
        "always": True,
        "own_gradient": 1.0,
    },
    "the weights move at a step that isn't the k-th": {"always": True},
    "the weights don't move at the k-th step: the turn is off by one": {"never": True},
}
AVERAGES: dict[str, Knobs] = {
    "the average isn't updated": {"no_average": True},
    "μ and 1 − μ are swapped in the average": {"mu_reversed": True},
    "the average starts from 0: in the first update it isn't a copy": {"no_copy": True},
    "the average has the weights before the update": {"of_old": True},
    "the average never takes the weights' place": {"never_overwritten": True},
    "the average takes the weights' place at every step": {"overwrite_always": True},
    "the average takes the weights' place one update too late": {"overwrite_late": True},
    "the average of the step before takes the weights' place": {"old_average": True},
    "μ of the average is rounded to float32; Keras has the exact μ": {"rounded_mu": True},
}
COMMON: dict[str, Knobs] = {
    "the step goes uphill: the gradient is added": {"factor": -1.0},
    "the learning rate is forgotten": {"eta": 1.0},
}


def surrounding_knobs(settings: Mapping[str, Any]) -> dict[str, Knobs]:
    """Return the slips that are possible around a rule with these options."""
    knobs = dict(COMMON)
    if settings.get("weight_decay"):
        knobs |= DECAY
    if settings.get("gradient_accumulation_steps"):
        knobs |= ACCUMULATION | processing_knobs(settings)
    elif settings.get("clipnorm") or settings.get("clipvalue") or settings.get("global_clipnorm"):
        knobs |= processing_knobs(settings)
    if settings.get("use_ema"):
        knobs |= AVERAGES
    return knobs
