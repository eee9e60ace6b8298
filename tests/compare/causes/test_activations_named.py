"""Slips in activation functions: every one fits its own numbers, and not what is near them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compare.causes import Facts, Place, candidates, diagnose
from compare.causes.activation import pair_of
from compare.causes.base import fits
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from manual import activations, registry
from manual.layers import Activation, Input, PReLU

UNIT = 2.0**-53
FACTS = Facts(samples=6, batch_size=8, learning_rate=0.03)
rng = np.random.default_rng(23)
Z = np.concatenate([rng.normal(size=(3, 4)), 4.0 * rng.normal(size=(3, 4))])
DA = rng.normal(size=(6, 4))
OWN = {
    name: twin
    for (kind, name), twin in registry._twins.items()
    if kind == "activation" and twin.__module__.startswith("manual.")
}
FUNCTIONS: dict[str, activations.ActivationFunction] = {
    **{
        name: twin()
        for name, twin in OWN.items()
        if name not in ("threshold", "glu", "OfOperations")
    },
    "threshold": activations.Threshold(0.25, 0.5),
    "approximate gelu": activations.GELU(True),
    "elu of 0.3": activations.ELU(0.3),
    "celu of 0.7": activations.CELU(0.7),
    "relu with all": activations.ReLU(0.1, 1.5, 0.25),
    "squareplus of 0.3": activations.Squareplus(0.3),
}
TOGETHER = {"softmax", "log_softmax", "sparsemax", "linear"}


def exact(array: Any) -> Noisy:
    return Noisy(np.array(array), unit=UNIT)


def places(name: str) -> list[Place]:
    layer = Activation(FUNCTIONS[name], name="layer")
    z, da = exact(Z), exact(DA)
    a = FUNCTIONS[name].forward(z)
    around = {"z": z, "a": a, "da": da}
    dz = FUNCTIONS[name].backward(da, z, a)
    return [
        Place("activation", "a", a, layer, around, FACTS),
        Place("activation gradient", "z", dz, layer, around, FACTS),
    ]


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - TOGETHER))
def test_the_functions_are_written_down_right(name: str) -> None:
    """Twice, and the judge sees no difference."""
    pair = pair_of(Activation(FUNCTIONS[name], name="layer"))
    assert pair is not None
    with np.errstate(all="ignore"):
        forward, gradient = places(name)
        assert judge(pair.f(exact(Z)).value, forward.right).agrees
        assert judge((exact(DA) * pair.d(exact(Z))).value, gradient.right).agrees


def prelu_places() -> list[Place]:
    layer = PReLU(shared_axes=[1], name="act")
    layer(Input((4,)))
    layer.alpha.value = alpha = exact([0.25])
    layer.alpha.gradient = exact([0.0])
    x, dy = exact(Z), exact(DA)
    y, saved = layer.forward(x)
    dx = layer.backward(dy, saved)
    around = {"x": x, "y": y, "dz": dy, "alpha": alpha}
    return [
        Place("activation", "act", y, layer, around, FACTS),
        Place("activation gradient", "x", dx, layer, around, FACTS),
        Place("weight gradient", "act/alpha", layer.alpha.gradient, layer, around, FACTS),
    ]


@pytest.mark.parametrize("name", [*FUNCTIONS, "PReLU"])
def test_every_slip_fits_its_own_numbers_and_not_near_ones(name: str) -> None:
    with np.errstate(all="ignore"):
        for place in prelu_places() if name == "PReLU" else places(name):
            fitted = 0
            for candidate in candidates(place):
                value = candidate.value.value
                known = np.isfinite(value).all() and np.isfinite(candidate.value.noise).all()
                if not known or not value.any():
                    continue  # nothing is near to nothing
                assert fits(candidate, value), candidate.sentence
                off = 1.0 + 0.004 * np.cos(np.arange(value.size) + 1.0).reshape(value.shape)
                assert not fits(candidate, value * off), candidate.sentence
                fitted += 1
            assert fitted > 5
            assert diagnose(place, place.right.value) == []


@pytest.mark.parametrize(
    ("name", "wrong", "sentence"),
    [
        ("leaky_relu", activations.ReLU(), "the negative slope is missing"),
        ("leaky_relu", activations.LeakyReLU(0.01), "the negative slope is 0.01 instead"),
        ("elu of 0.3", activations.ELU(), "α is forgotten: it counts as 1"),
        ("gelu", activations.GELU(True), "this is the derivative of gelu's tanh approximation"),
        ("approximate gelu", activations.GELU(), "this is the derivative of gelu"),
        ("relu with all", activations.ReLU(0.1, None, 0.25), "the upper limit is missing"),
        ("silu", activations.Sigmoid(), "this is the derivative of sigmoid"),
        ("hard_silu", activations.HardSigmoid(), "this is the derivative of hard_sigmoid"),
        ("log_softmax", activations.Softmax(), "this is the derivative of softmax"),
    ],
)
def test_another_derivative_is_named_first(name: str, wrong: Any, sentence: str) -> None:
    with np.errstate(all="ignore"):
        place = places(name)[1]
        z = exact(Z)
        stands = wrong.backward(exact(DA), z, wrong.forward(z)).value
        assert diagnose(place, stands)[0].sentence == sentence


def test_the_slope_at_a_kink() -> None:
    """TensorFlow's relu has slope 0 at z = 0; whoever has 1 there is told so."""
    relu, z, da = activations.ReLU(), exact([[0.0, -1.0, 2.0]]), exact([[3.0, 5.0, 7.0]])
    around = {"z": z, "a": relu.forward(z), "da": da}
    right = relu.backward(da, z, around["a"])
    place = Place("activation gradient", "z", right, Activation(relu), around, FACTS)
    with np.errstate(all="ignore"):
        causes = diagnose(place, np.array([[3.0, 0.0, 7.0]]))
    assert causes[0].sentence == "at the kink z = 0 the slope is 1"
