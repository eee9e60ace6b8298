"""Every hypothesis recognises its own slip, and does not name it where it nearly fits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from in_turn import in_turn

from compare.causes import Candidate, Cause, Facts, Place, candidates, diagnose
from compare.causes.base import fits, ranked
from compare.causes.metrics import right_values
from compare.causes.optimizers import RULES, State
from compare.rounding.noise import Noisy
from manual import metrics
from manual.layers import Activation, Dense
from manual.losses import MeanSquaredError
from manual.optimizers import SGD, Adam, RMSprop

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
FACTS = Facts(samples=6, batch_size=10, learning_rate=0.03)
rng = np.random.default_rng(7)


def draw(*shape: int) -> np.ndarray:
    return rng.normal(size=shape)


X, W, B, DA, WEIGHTS = draw(6, 4), draw(4, 4), draw(4), draw(6, 4), rng.uniform(0.5, 2.0, 6)
SLOTS = {
    "momentum": 0.1 * draw(12),
    "velocity": rng.uniform(0.01, 1.0, 12),
    "velocity_hat": rng.uniform(0.01, 1.0, 12),
    "average_gradient": 0.05 * draw(12),
}
OPTIMIZERS = {
    "SGD": SGD(0.03),
    "momentum": SGD(0.03, momentum=0.8),
    "Nesterov": SGD(0.03, momentum=0.8, nesterov=True),
    "Adam": Adam(0.03, beta_1=0.8, beta_2=0.95, epsilon=1e-3),
    "amsgrad": Adam(0.03, beta_1=0.8, beta_2=0.95, epsilon=1e-3, amsgrad=True),
    "RMSprop": RMSprop(0.03, epsilon=1e-3),
    "centered": RMSprop(0.03, momentum=0.7, epsilon=1e-3, centered=True),
}


def places(unit: float) -> dict[str, Place]:
    """Return a place of every kind, with all letters that a hypothesis may ask for."""

    def exact(array: Any) -> Noisy:
        return Noisy(np.array(array), unit=unit)

    x, w, b, da = (exact(one) for one in (X, W, B, DA))
    z, dz = x @ w + b, exact(DA[::-1].copy())
    a = {"tanh": np.tanh(z), "sigmoid": 1.0 / (1.0 + np.exp(-z)), "relu": np.maximum(z, 0.0)}
    e = np.exp(z)
    a["softmax"] = e / e.sum(axis=-1, keepdims=True)
    local = {
        "tanh": 1.0 - a["tanh"] * a["tanh"],
        "sigmoid": a["sigmoid"] * (1.0 - a["sigmoid"]),
        "relu": 1.0 * (z > 0.0),
    }
    back = {name: da * derivative for name, derivative in local.items()}
    weighted = (da * a["softmax"]).sum(axis=-1, keepdims=True)
    back["softmax"] = a["softmax"] * (da - weighted)
    found: dict[str, Place] = {}
    for name in a:
        layer = Activation(name, name="layer")
        around = {"z": z, "a": a[name], "da": da}
        found[f"{name} gradient"] = Place(
            "activation gradient", "z", back[name], layer, around, FACTS
        )
        found[f"{name} forward"] = Place("activation", "a", a[name], layer, around, FACTS)
    dense = Dense(4, name="dense")
    around = {"x": x, "W": w, "b": b, "dz": dz, "da": da, "z": z, "a": a["tanh"], "x_pre": z}
    around |= {"W_new": w + 0.125, "outputs": 4}
    others = {"other/kernel": exact(draw(4, 4)), "other/bias": exact(draw(4))}
    around |= {"other_gradients": others}
    found["dense forward"] = Place("activation", "z", z, dense, around, FACTS)
    found["dense input"] = Place("activation gradient", "x", dz @ w.T, dense, around, FACTS)
    kernel = {**around, "previous_gradient": exact(draw(4, 4))}
    found["kernel"] = Place("weight gradient", "dense/kernel", x.T @ dz, dense, kernel, FACTS)
    bias = {**around, "previous_gradient": exact(draw(4))}
    found["bias"] = Place("weight gradient", "dense/bias", dz.sum(axis=0), dense, bias, FACTS)
    calls = [{**around, "x": exact(draw(6, 4)), "dz": exact(draw(6, 4))} for _ in range(3)]
    parts = [call["x"].T @ call["dz"] for call in calls]
    shared = {"calls": calls, "call_shares": parts, "other_gradients": others}
    shared["assembled"] = {"a branch overwrites another": exact(draw(4, 4))}
    total = parts[0] + parts[1] + parts[2]
    found["shared"] = Place("weight gradient", "dense/kernel", total, dense, shared, FACTS)
    for metric, y_true in (
        (metrics.MeanAbsoluteError(), draw(60, 3)),
        (metrics.BinaryAccuracy(), 1.0 * (draw(60, 3) > 0.0)),
        (metrics.CategoricalAccuracy(), np.eye(3)[rng.integers(0, 3, 60)]),
        (metrics.SparseCategoricalAccuracy(), rng.integers(0, 3, 60)),
    ):
        batches = [(y_true, rng.uniform(0.0, 1.0, (60, 3)))]
        values = right_values(metric, batches)
        right = Noisy(values, np.abs(values), unit=unit)
        name = type(metric).__name__
        found[name] = Place("metric", name, right, metric, {"batches": batches}, FACTS)
    p, y = exact(rng.uniform(0.1, 0.9, (6, 3))), exact(rng.uniform(0.1, 0.9, (6, 3)))
    around = {"p": p, "y": y, "outputs": 3, "sample_weight": WEIGHTS}
    dp = 2.0 * (p - y) / 18.0 * WEIGHTS[:, None]
    found["loss gradient"] = Place(
        "activation gradient", "p", dp, MeanSquaredError(), around, FACTS
    )
    found["loss"] = Place("loss", "total", exact(1.75), MeanSquaredError(), around, FACTS)
    for name, optimizer in OPTIMIZERS.items():
        settings = {k: v for k, v in vars(optimizer).items() if isinstance(v, (int, float, bool))}
        slots = {slot: exact(SLOTS[slot]) for slot in optimizer.slot_names}
        state = State(exact(draw(12)), exact(0.3 * draw(12)), slots, 3.0, 0.03, settings)
        right = RULES[type(optimizer).__name__][0](state, {})
        for quantity, value in right.items():
            phase = "weight" if quantity == "weight" else "optimizer slot"
            around = {"state": state, "quantity": quantity}
            found[f"{name} {quantity}"] = Place(phase, "w", value, optimizer, around, FACTS)
    return found


CASES = sorted(places(UNITS["float64"]))


@cache
def at(dtype: str) -> dict[str, Place]:
    with np.errstate(all="ignore"):
        return places(UNITS[dtype])


@cache
def proposed(case: str, dtype: str) -> list[Candidate]:
    """Return what the hypotheses say of a place; `diagnose` would ask them again each time."""
    with np.errstate(all="ignore"):
        return list(candidates(at(dtype)[case]))


def named(wrong: np.ndarray, among: list[Candidate]) -> list[Cause]:
    """Return the causes that fit, as `diagnose` ranks them."""
    with np.errstate(all="ignore"):
        return ranked([cause for one in among if (cause := fits(one, wrong)) is not None])


@pytest.mark.parametrize(("case", "dtype"), in_turn((case,) for case in CASES))
def test_every_slip_is_recognised(case: str, dtype: str) -> None:
    """Put what a hypothesis proposes in the place of the right numbers: it, or one that gives the
    same numbers, is named first, unless a simpler one gives them too."""
    right = at(dtype)[case].right
    slips = [one for one in proposed(case, dtype) if differs(one.value, right)]
    assert slips
    for candidate in slips:
        causes = named(candidate.value.value, slips)
        assert candidate.sentence in [cause.sentence for cause in causes]
        assert causes[0].slips <= candidate.slips
        same = {one.sentence for one in slips if not differs(one.value, candidate.value)}
        assert {cause.sentence for cause in causes} <= same, candidate.sentence


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("case", CASES)
def test_a_near_miss_is_not_named(case: str, dtype: str) -> None:
    """Every number off by some thousandths from what a slip would give: that slip is not it."""
    for candidate in proposed(case, dtype):
        value = candidate.value.value
        off = 1.0 + 0.004 * np.cos(np.arange(value.size) + 1.0).reshape(value.shape)
        if not np.any(value):  # nothing is near to nothing
            continue
        causes = named(value * off, proposed(case, dtype))
        assert candidate.sentence not in [cause.sentence for cause in causes]


def differs(one: Noisy, other: Noisy) -> bool:
    """Say whether two arrays differ by far more than rounding (or one is not finite)."""
    a, b = one.value, other.value
    with np.errstate(all="ignore"):
        return bool(np.isfinite(a).all() and np.max(np.abs(a - b)) > 2.0**-16 * np.max(np.abs(b)))


def test_right_numbers_have_no_cause() -> None:
    for place in at("float64").values():
        assert diagnose(place, place.right.value) == []


def test_random_numbers_have_no_cause() -> None:
    """A wrong guess is worse than none."""
    for place in at("float32").values():
        value = place.right.value
        assert diagnose(place, rng.normal(size=value.shape) * np.std(value)) == []
