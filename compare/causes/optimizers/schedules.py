"""Slips in a learning rate schedule: another step, or another formula."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.optimizers.state import Knobs
from compare.rounding.noise import Noisy

Settings = Mapping[str, Any]


def periods(n: float, every: float, s: Settings, k: Knobs) -> float:
    """Return how many periods have passed, in whole numbers if asked."""
    passed = n if k.get("per_step") else n / every
    return float(math.floor(passed)) if s["staircase"] != k.get("other_stairs", False) else passed


def exponential(n: float, s: Settings, k: Knobs) -> float:
    """η₀ γ^(n/N)."""
    p = periods(n, s["decay_steps"], s, k)
    if k.get("harmonic"):
        return float(s["initial"] / (1.0 + s["decay_rate"] * p))
    base = math.exp(-s["decay_rate"]) if k.get("e") else s["decay_rate"]
    return float(s["initial"] * base**p)


def inverse_time(n: float, s: Settings, k: Knobs) -> float:
    """η₀ / (1 + γ n/N)."""
    p = periods(n, s["decay_steps"], s, k)
    if k.get("geometric"):
        return float(s["initial"] * s["decay_rate"] ** p)
    below = 1.0 + s["decay_rate"] * p
    return float(s["initial"] / (below**0.5 if k.get("rooted") else below))


def piecewise(n: float, s: Settings, k: Knobs) -> float:
    """Take the value between two boundaries."""
    passed = sum(n >= b if k.get("early") else n > b for b in s["boundaries"])
    return float(s["values"][passed])


def polynomial(n: float, s: Settings, k: Knobs) -> float:
    """(η₀ − η₁)(1 − n/N)^p + η₁."""
    N = s["decay_steps"]
    if s["cycle"] != k.get("other_cycle", False):
        N *= max(math.ceil(n / N), 1)
    done = min(n / N, 1.0)
    power, end = k.get("power", s["power"]), k.get("end", s["end"])
    left = 1.0 - done**power if k.get("turned") else (1.0 - done) ** power
    above = s["initial"] if k.get("whole") else s["initial"] - end
    return float(above * left + (0.0 if k.get("not_lifted") else end))


def cosine(n: float, s: Settings, k: Knobs) -> float:
    """η₀ ((1 − α) ½ (1 + cos π n/N) + α)."""
    start, target, warm = s["initial"], s["target"], s["warmup_steps"]
    top = start if target is None else target
    if warm and n < warm and not k.get("no_warm_up"):
        return float((0.0 if k.get("from_0") else start) * (1 - n / warm) + top * n / warm)
    n = n if k.get("no_warm_up") or k.get("warm_up_counts") else n - warm
    alpha = s["alpha"] / top if k.get("floor") else s["alpha"]
    return float(top * wave(min(n / s["decay_steps"], 1.0), 1.0, alpha, k))


def restarts(n: float, s: Settings, k: Knobs) -> float:
    """Give half a cosine again and again."""
    length, height = s["first"], 1.0
    while n >= length and not k.get("once"):
        n -= length
        length *= 1.0 if k.get("equal") else s["t_mul"]
        height *= 1.0 if k.get("full_height") else s["m_mul"]
    return float(s["initial"] * wave(n / length, height, s["alpha"], k))


def wave(done: float, height: float, alpha: float, k: Knobs) -> float:
    """Return how high half a cosine still is, α being its floor."""
    alpha = 0.0 if k.get("no_alpha") else alpha
    angle = math.pi * done * (0.5 if k.get("quarter") else 2.0 if k.get("full") else 1.0)
    half = math.cos(angle) if k.get("quarter") else 0.5 * (1.0 + math.cos(angle))
    half = 2.0 * half if k.get("doubled") else math.cos(angle) if k.get("bare") else half
    return (1.0 if k.get("added") else 1.0 - alpha) * height * half + alpha


STAIRS: dict[str, Knobs] = {
    "staircase is forgotten, or there without being asked for": {"other_stairs": True},
    "the step is not divided by decay_steps": {"per_step": True},
}
WAVES: dict[str, Knobs] = {
    "α is forgotten": {"no_alpha": True},
    "α is added, but 1 − α is missing before the cosine": {"added": True},
    "the ½ before 1 + cos is missing": {"doubled": True},
    "½ (1 + …) around the cosine is missing": {"bare": True},
    "a quarter of a cosine instead of half of one": {"quarter": True},
    "a whole cosine instead of half of one": {"full": True},
}
RATES: dict[str, tuple[Callable[[float, Settings, Knobs], float], dict[str, Knobs]]] = {
    "ExponentialDecay": (
        exponential,
        {
            **STAIRS,
            "e^−γ is the base instead of γ": {"e": True},
            "this is an inverse time decay": {"harmonic": True},
        },
    ),
    "InverseTimeDecay": (
        inverse_time,
        {
            **STAIRS,
            "the root is taken below": {"rooted": True},
            "this is an exponential decay": {"geometric": True},
        },
    ),
    "PiecewiseConstantDecay": (
        piecewise,
        {"at a boundary the next value holds already": {"early": True}},
    ),
    "PolynomialDecay": (
        polynomial,
        {
            "the power is forgotten": {"power": 1.0},
            "the end rate is forgotten": {"end": 0.0},
            "the end rate isn't added: the decay ends at 0": {"not_lifted": True},
            "the end rate isn't subtracted from the initial one": {"whole": True},
            "1 − (n/N)^p stands for (1 − n/N)^p": {"turned": True},
            "cycle is forgotten, or there without being asked for": {"other_cycle": True},
        },
    ),
    "CosineDecay": (
        cosine,
        {
            **WAVES,
            "α is the lowest rate itself, as PyTorch's eta_min, not its share": {"floor": True},
            "the warm-up is missing": {"no_warm_up": True},
            "the warm-up starts from 0 instead of the initial rate": {"from_0": True},
            "the steps of the warm-up count for the decay": {"warm_up_counts": True},
        },
    ),
    "CosineDecayRestarts": (
        restarts,
        {
            **WAVES,
            "all periods are equally long: t_mul is forgotten": {"equal": True},
            "m_mul is forgotten": {"full_height": True},
            "it never starts again": {"once": True},
        },
    ),
}


@hypothesis("optimizer slot")
def schedule(place: Place) -> Iterator[Candidate]:
    """Propose the rate of another step, or of another formula."""
    name = type(place.map).__name__
    if name not in RATES or not place.has("iterations"):
        return
    formula, knobs = RATES[name]
    settings, n = vars(place.map), float(place.inputs["iterations"])
    noise = place.right.noise

    def rate(steps: float, turned: Knobs) -> Noisy:
        value = np.array(formula(steps, settings, turned))
        return Noisy(value, np.maximum(noise, np.abs(value)), unit=place.right.unit)

    yield Candidate("the schedule is one step ahead: it counts from 1", rate(n + 1, {}), "η(n + 1)")
    if n:
        yield Candidate("the schedule is one step behind", rate(n - 1, {}), "η(n − 1)")
        yield Candidate("the schedule stands still at its first rate", rate(0, {}), "η(0)")
    k = place.inputs.get("accumulation")
    if k:
        sentence = "the schedule counts updates; Keras's counts every step"
        yield Candidate(sentence, rate(n // k, {}), "η(n / k)")
    epoch = place.inputs.get("epoch", 1)
    yield Candidate("the schedule counts epochs instead of steps", rate(epoch - 1, {}), "η(epoch)")
    for sentence, turned in knobs.items():
        yield Candidate(sentence, rate(n, turned))
