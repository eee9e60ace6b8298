"""Slips in normalization, dropout and noise: each is recognised, and no near miss is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from in_turn import in_turn

from compare.causes import Facts, Place, candidates, diagnose
from compare.causes.base import fits, ranked
from compare.causes.dropout import SCALING
from compare.rounding.noise import Noisy
from manual.layers import (
    AlphaDropout,
    BatchNormalization,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    GroupNormalization,
    Input,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
LAYERS: dict[str, tuple[Callable[[], Any], tuple[int, ...]]] = {
    "batch": (lambda: BatchNormalization(epsilon=0.02, momentum=0.8), (6, 4)),
    "batch, bare": (lambda: BatchNormalization(center=False, scale=False), (6, 4)),
    "batch, channels first": (lambda: BatchNormalization(axis=1, epsilon=0.02), (4, 3, 5)),
    "batch, frozen": (lambda: BatchNormalization(epsilon=0.02, trainable=False), (6, 4)),
    "batch, masked": (lambda: BatchNormalization(epsilon=0.02), (4, 3, 5)),
    "layer": (lambda: LayerNormalization(epsilon=0.02), (6, 4)),
    "layer, two axes": (lambda: LayerNormalization(axis=[1, 2], epsilon=0.02), (4, 3, 5)),
    "group": (lambda: GroupNormalization(2, epsilon=0.02), (3, 5, 4)),
    "rms": (lambda: RMSNormalization(epsilon=0.02), (6, 4)),
    "rms, two axes": (lambda: RMSNormalization(axis=[1, 2], epsilon=0.02), (4, 3, 5)),
    "rms, another axis": (lambda: RMSNormalization(axis=1, epsilon=0.02), (4, 3, 3)),
    "unit": (lambda: UnitNormalization(), (6, 4)),
    "unit, another axis": (lambda: UnitNormalization(axis=1), (4, 3, 5)),
    "dropout": (lambda: Dropout(0.3), (6, 4)),
    "dropout of a half": (lambda: Dropout(0.5), (6, 4)),
    "dropout of sequences": (lambda: Dropout(0.2, (None, 1, None)), (4, 3, 5)),
    "noise": (lambda: GaussianNoise(0.4), (6, 4)),
    "gaussian dropout": (lambda: GaussianDropout(0.2), (6, 4)),
    "alpha dropout": (lambda: AlphaDropout(0.2), (6, 4)),
}
MASK = np.arange(3) < np.array([[3], [2], [1], [3]])


def places(unit: float) -> dict[str, Place]:
    """Return a place for every number that one of the layers makes."""
    rng = np.random.default_rng(7)
    found: dict[str, Place] = {}

    def exact(array: Any) -> Noisy:
        return Noisy(np.array(array), unit=unit)

    for case, (make, shape) in LAYERS.items():
        layer, facts = make(), Facts(samples=shape[0], batch_size=shape[0], learning_rate=0.03)
        layer.name = "layer"
        layer(Input(shape[1:]))
        x, dz = exact(0.7 + rng.normal(size=shape)), exact(rng.normal(size=shape))
        drawing = "dropout" in case or case == "noise"
        drawn = [rng.normal(size=shape) if isinstance(layer, NORMAL) else rng.uniform(size=shape)]
        if case == "dropout of sequences":
            drawn = [drawn[0][:, :1]]
        options = {"mask": MASK} if case == "batch, masked" else {}
        around: dict[str, Any] = {"x": x, "dz": dz, "mask": options.get("mask"), "drawn": []}
        if drawing:
            around["drawn"] = [exact(one) for one in drawn]
        for parameter in layer.parameters:
            parameter.value = exact(rng.uniform(0.5, 1.5, parameter.shape))
            parameter.gradient = exact(np.zeros(parameter.shape))
            around[parameter.name] = parameter.value
        layer.draws.replay(around["drawn"])
        y, saved = layer.forward(x, training=True, **options)
        around["y"] = y
        dx = layer.backward(dz, saved)
        found[f"{case}: forward"] = Place("activation", "y", y, layer, around, facts)
        found[f"{case}: backward"] = Place("activation gradient", "x", dx, layer, around, facts)
        for parameter in layer.parameters:
            name, quantity = f"layer/{parameter.name}", f"{case}: {parameter.name}"
            if parameter.trainable:
                found[quantity] = Place(
                    "weight gradient", name, parameter.gradient, layer, around, facts
                )
        if isinstance(layer, BatchNormalization) and layer.trainable:
            kept = [(one, exact(one.value.value)) for one in layer.parameters if one.is_state]
            for parameter, value in kept:
                parameter.value = value
            layer.update_state(saved)
            for parameter, value in kept:
                name, quantity = f"layer/{parameter.name}", f"{case}: {parameter.name}"
                found[quantity] = Place("state", name, value, layer, around, facts)
    return found


NORMAL = (GaussianNoise, GaussianDropout)
CASES = list(places(UNITS["float64"]))


@pytest.fixture(scope="module")
def at() -> Callable[[str, str], Place]:
    """Return a function that finds the place of a case in a precision."""
    with np.errstate(all="ignore"):
        known = {dtype: places(unit) for dtype, unit in UNITS.items()}
    return lambda case, dtype: known[dtype][case]


def differs(one: Noisy, other: Noisy) -> bool:
    """Say whether two arrays differ by far more than rounding (or one is not finite)."""
    a, b = one.value, other.value
    with np.errstate(all="ignore"):
        return bool(np.isfinite(a).all() and np.max(np.abs(a - b)) > 2.0**-16 * np.max(np.abs(b)))


@pytest.mark.parametrize(("case", "dtype"), in_turn((case,) for case in CASES))
def test_every_slip_is_recognised_and_no_near_miss(case: str, dtype: str, at: Any) -> None:
    """Put what a hypothesis proposes in the place of the right numbers: it, and only what gives
    the same numbers, is named. With every number off by some thousandths, nothing is."""
    place = at(case, dtype)
    with np.errstate(all="ignore"):
        slips = [one for one in candidates(place) if differs(one.value, place.right)]
        assert slips
        for candidate in slips:
            value = candidate.value.value
            causes = ranked([cause for one in slips if (cause := fits(one, value)) is not None])
            named = [cause.sentence for cause in causes]
            assert candidate.sentence in named
            same = {one.sentence for one in slips if not differs(one.value, candidate.value)}
            assert set(named) <= same, candidate.sentence
            off = 1.0 + 0.004 * np.cos(np.arange(value.size) + 1.0).reshape(value.shape)
            if np.any(value):  # nothing is near to nothing
                assert fits(candidate, value * off) is None, candidate.sentence


@pytest.mark.parametrize("dtype", UNITS)
@pytest.mark.parametrize("case", CASES)
def test_right_and_random_numbers_have_no_cause(case: str, dtype: str, at: Any) -> None:
    place = at(case, dtype)
    value = place.right.value
    assert diagnose(place, value) == []
    random = np.random.default_rng(3).normal(size=value.shape) * np.std(value)
    assert diagnose(place, random) == []


def place_of_dropout(rate: float, unit: float = UNITS["float64"]) -> tuple[Place, Any, Any]:
    """Return a place behind dropout, its input, and another draw's mask."""
    rng = np.random.default_rng(11)
    x, u = (Noisy(one, unit=unit) for one in (rng.normal(size=(8, 6)), rng.uniform(size=(8, 6))))
    layer = Dropout(rate)
    layer.draws.replay([u])
    y, _ = layer.forward(x, training=True)
    around = {"x": x, "drawn": [u], "y": y}
    place = Place("activation", "drop", y, layer, around, Facts(8, 8, 0.1))
    return place, x.value, rng.uniform(size=(8, 6)) >= rate


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.8])
def test_another_draw_is_recognised(rate: float) -> None:
    place, x, other = place_of_dropout(rate)
    (cause,) = diagnose(place, np.where(other, x / (1.0 - rate), 0.0))
    assert cause.sentence == "another draw of the mask is used"
    (cause,) = diagnose(place, np.where(other, x, 0.0))
    assert cause.sentence == f"another draw of the mask is used, and {SCALING}"


@pytest.mark.parametrize(
    "spoil",
    [
        lambda y, x: y * (1.0 + 1e-9),
        lambda y, x: y + 1e-9 * x,
        lambda y, x: np.where(np.arange(y.size).reshape(y.shape) == 7, x, y),
        lambda y, x: np.sort(y, axis=0),
        lambda y, x: y[::-1],
        lambda y, x: np.where(y == 0.0, 0.0, x * 1.3),
    ],
    ids=["scale", "leak", "one element", "sorted", "turned", "another scale"],
)
def test_what_only_looks_like_another_draw_is_not(spoil: Callable[..., Any]) -> None:
    """Zeros in other places aren't enough: every number must be 0 or exactly x / (1 − rate)."""
    place, x, other = place_of_dropout(0.4)
    wrong = spoil(np.where(other, x / 0.6, 0.0), x)
    assert not any("draw" in cause.sentence for cause in diagnose(place, wrong))


def test_a_simpler_slip_comes_before_another_draw() -> None:
    place, x, _ = place_of_dropout(0.4)
    dropped = place.right.value == 0.0
    causes = diagnose(place, np.where(dropped, x / 0.6, 0.0))
    assert causes[0].sentence.startswith("the mask is inverted")
    assert causes[-1].sentence == "another draw of the mask is used"


def test_without_the_wrong_numbers_nothing_is_read_off_them() -> None:
    place, _, _ = place_of_dropout(0.4)
    assert not any("another draw" in one.sentence for one in candidates(place))
