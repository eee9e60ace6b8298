"""Slips in convolution and pooling: each is recognised, and not named where it nearly fits."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from in_turn import in_turn

from compare.causes import (
    Candidate,
    Cause,
    Facts,
    Place,
    candidates,
    correlation,
    diagnose,
    pooling,
)
from compare.causes.base import fits, ranked
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from manual import layers
from manual.bias import as_added
from manual.layers import Input

UNITS = {"float32": 2.0**-24, "float64": 2.0**-53}
FACTS = Facts(samples=3, batch_size=5, learning_rate=0.03)
LAYERS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Conv1D": (lambda: layers.Conv1D(2, 3, name="one"), (6, 2)),
    "Conv1D, causal": (lambda: layers.Conv1D(3, 2, padding="causal", dilation_rate=2), (6, 2)),
    "Conv2D": (lambda: layers.Conv2D(3, 3), (5, 6, 3)),
    "Conv2D, same": (lambda: layers.Conv2D(2, 2, padding="same"), (4, 5, 3)),
    "Conv2D, strides": (lambda: layers.Conv2D(2, 3, strides=2, padding="same"), (6, 5, 2)),
    "Conv2D, dilated": (lambda: layers.Conv2D(2, (3, 2), dilation_rate=2), (6, 5, 2)),
    "Conv2D, groups": (lambda: layers.Conv2D(4, 2, groups=2, use_bias=False), (4, 4, 4)),
    "Conv2D, channels_first": (
        lambda: layers.Conv2D(3, 2, data_format="channels_first"),
        (2, 5, 4),
    ),
    "MaxPooling1D": (lambda: layers.MaxPooling1D(2), (7, 2)),
    "MaxPooling2D": (lambda: layers.MaxPooling2D(3, 2, padding="same"), (6, 5, 2)),
    "MaxPooling2D, channels_first": (
        lambda: layers.MaxPooling2D((2, 1), 1, data_format="channels_first"),
        (2, 5, 4),
    ),
    "AveragePooling2D": (lambda: layers.AveragePooling2D(2), (4, 6, 2)),
    "AveragePooling2D, same": (
        lambda: layers.AveragePooling2D((3, 2), 2, padding="same"),
        (6, 5, 2),
    ),
    "GlobalMaxPooling1D": (lambda: layers.GlobalMaxPooling1D(), (5, 2)),
    "GlobalAveragePooling2D": (lambda: layers.GlobalAveragePooling2D(keepdims=True), (3, 4, 2)),
    "GlobalAveragePooling2D, channels_first": (
        lambda: layers.GlobalAveragePooling2D(data_format="channels_first"),
        (4, 3, 4),
    ),
    "GlobalAveragePooling1D, masked": (lambda: layers.GlobalAveragePooling1D(), (4, 2)),
}


@cache
def places(name: str, dtype: str) -> dict[str, Place]:
    """Return every place of a layer, with all that surrounds it.

    Many numbers of a pooling layer's input are tied, as they are after a ReLU.
    """
    generator = np.random.default_rng(list(name.encode()))
    make, sample = LAYERS[name]
    layer = make()
    layer(Input(sample))

    def exact(array: Any) -> Noisy:
        return Noisy(np.array(array), unit=UNITS[dtype])

    x = exact(generator.normal(size=(3, *sample)))
    if "Max" in name:
        x = exact(np.maximum(generator.integers(-2, 3, (3, *sample)), 0) * 0.7)
    weights: dict[str, Any] = {}
    for parameter in layer.parameters:
        parameter.value = exact(generator.normal(size=parameter.shape))
        parameter.gradient = exact(np.zeros(parameter.shape))
        short = {"kernel": "W", "bias": "b"}[parameter.name]
        weights |= {short: parameter.value, f"{parameter.name}_new": parameter.value + 0.125}
    options = {}
    if name.endswith("masked"):
        options["mask"] = np.array([[1, 1, 0, 0], [0, 1, 1, 1], [1, 0, 0, 0]], bool)
    y, saved = layer.forward(x, **options)
    dz = exact(generator.normal(size=y.shape))
    around = {"x": x, "y": y, "dz": dz, **weights, **options}
    if weights:
        other = exact(generator.normal(size=y.shape))
        around |= {"da": other, "z": y, "a": np.tanh(y), "x_pre": x + 0.5}
    dx = layer.backward(dz, saved)
    found = {
        "forward": Place("activation", "y", y, layer, around, FACTS),
        "input": Place("activation gradient", "x", dx, layer, around, FACTS),
    }
    for parameter in layer.parameters:
        path = f"layer/{parameter.name}"
        found[parameter.name] = Place(
            "weight gradient", path, parameter.gradient, layer, around, FACTS
        )
    return found


EACH = [(name, place) for name in LAYERS for place in places(name, "float64")]


def differs(one: Noisy, other: Noisy) -> bool:
    """Say whether two arrays differ by far more than rounding."""
    a, b = one.value, other.value
    return bool(np.isfinite(a).all() and np.max(np.abs(a - b)) > 2.0**-16 * np.max(np.abs(b)))


@cache
def proposed(name: str, where: str, dtype: str) -> list[Candidate]:
    """Return what the hypotheses say of a place; `diagnose` would ask them again each time."""
    with np.errstate(all="ignore"):
        return list(candidates(places(name, dtype)[where]))


def named(wrong: np.ndarray, among: list[Candidate]) -> list[Cause]:
    """Return the causes that fit, as `diagnose` ranks them."""
    with np.errstate(all="ignore"):
        return ranked([cause for one in among if (cause := fits(one, wrong)) is not None])


@pytest.mark.parametrize(("name", "where", "dtype"), in_turn(EACH))
def test_every_slip_is_recognised(name: str, where: str, dtype: str) -> None:
    """It, or one that gives the same numbers, is named first, and nothing else is named."""
    right = places(name, dtype)[where].right
    slips = [one for one in proposed(name, where, dtype) if differs(one.value, right)]
    assert len(slips) > 3
    for candidate in slips:
        causes = named(candidate.value.value, slips)
        assert candidate.sentence in [cause.sentence for cause in causes]
        assert causes[0].slips <= candidate.slips
        same = {one.sentence for one in slips if not differs(one.value, candidate.value)}
        assert {cause.sentence for cause in causes} <= same, candidate.sentence


@pytest.mark.parametrize(("name", "where"), EACH)
def test_a_near_miss_is_not_named(name: str, where: str) -> None:
    """Every number off by some thousandths from what a slip would give: that slip is not it."""
    for candidate in proposed(name, where, "float32"):
        value = candidate.value.value
        off = 1.0 + 0.004 * np.cos(np.arange(value.size) + 1.0).reshape(value.shape)
        if np.isfinite(value).all() and np.any(value):  # nothing is near to nothing
            assert named(value * off, [candidate]) == []


@pytest.mark.parametrize(("name", "where"), EACH)
def test_right_and_random_numbers_have_no_cause(name: str, where: str) -> None:
    place = places(name, "float32")[where]
    right = place.right.value
    assert diagnose(place, right) == []
    noise = np.random.default_rng(11).normal(size=right.shape) * np.std(right)
    assert named(noise, proposed(name, where, "float32")) == []


@pytest.mark.parametrize(("name", "where"), EACH)
def test_the_knobs_as_they_should_stand_give_the_right_numbers(name: str, where: str) -> None:
    """Written twice, the formulas agree: a slip differs from the layer in that slip alone."""
    place = places(name, "float64")[where]
    layer, inputs = place.map, place.inputs
    x, dz = (correlation.in_place(layer, inputs[letter]) for letter in ("x", "dz"))
    if name.startswith("Conv"):
        right, _ = correlation.right_and_slips(layer, x, dz)
        W = inputs["W"]
        found = {
            "forward": right.forward(x, W),
            "input": right.input_gradient(x, dz, W),
            "kernel": right.kernel_gradient(x, dz, W),
        }.get(where)
    elif name.startswith("Average"):
        right = pooling.pools_of(layer, x, dz)
        share = dz / right.counted(x)
        found = {
            "forward": pooling.total(right.taken(x)) / right.counted(x),
            "input": right.given_back(x, [share] * int(np.prod(right.size))),
        }[where]
    else:
        return
    if found is None:
        return
    if where in ("forward", "input"):
        found = correlation.given(layer, found)
    if where == "forward" and "b" in inputs:
        first = getattr(layer, "data_format", "") == "channels_first"
        b = inputs["b"].reshape(-1, *(1,) * (found.ndim - 2) * first)
        found = found + as_added(b, found.shape)
    assert judge(np.zeros(found.shape), found - place.right).agrees
