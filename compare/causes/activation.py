"""Slips in the derivative of an activation function, and in the function itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.functions import (
    FUNCTIONS,
    GATES,
    MAKERS,
    SELU_ALPHA,
    SELU_SCALE,
    Function,
    Pair,
    gelu_inner,
    selu,
    shifted_relu,
    unshifted_relu,
)

IN_TERMS_OF_A: dict[str, tuple[Function, str]] = {
    "sigmoid": (lambda a: a * (1.0 - a), "a (1 − a)"),
    "tanh": (lambda a: 1.0 - a * a, "1 − a²"),
    "elu": (lambda a: np.where(a > 0.0, 1.0, a + 1.0), "a + 1"),
    "softplus": (lambda a: 1.0 - np.exp(-a), "1 − e⁻ᵃ"),
    "softsign": (lambda a: (1.0 - np.abs(a)) * (1.0 - np.abs(a)), "(1 − |a|)²"),
}
"""f′ written with a = f(z), as one does where that is shorter."""

RECTIFIERS = ("relu", "leaky_relu", "relu6")

SPELLED = {name.replace("_", ""): name for name in (*FUNCTIONS, *MAKERS)}


def name_of(layer: Any) -> str:
    """Return which activation function a layer applies; empty if it is no activation."""
    function = getattr(layer, "function", None)
    if function is None:
        return ""
    name = type(function).__name__.lower()
    if name == "gelu" and function.approximate:
        return "gelu's tanh approximation"
    return SPELLED.get(name, name)


def parameters_of(layer: Any) -> dict[str, Any]:
    """Return the parameters of a layer's activation function by Keras's names."""
    maker = MAKERS.get(name_of(layer))
    if maker is None:
        return {}
    taken = maker.__code__.co_varnames[: maker.__code__.co_argcount]
    return {key: value for key, value in vars(layer.function).items() if key in taken}


def pair_of(layer: Any) -> Pair | None:
    """Return f and f′ with the layer's own parameters; None if f isn't taken number by number."""
    name = name_of(layer)
    return MAKERS[name](**parameters_of(layer)) if name in MAKERS else FUNCTIONS.get(name)


def with_other_parameters(layer: Any) -> Iterator[tuple[str, Pair]]:
    """Give the function with one parameter forgotten, or set as elsewhere."""
    own, maker = parameters_of(layer), MAKERS.get(name_of(layer))

    def changed(**other: Any) -> Pair:
        assert maker is not None
        return maker(**{**own, **other})

    if "alpha" in own:
        for value in (1.0, 1.0 / own["alpha"], own["alpha"] * own["alpha"]):
            sentence = {1.0: "α is forgotten: it counts as 1"}.get(value, f"α is {value:g} instead")
            yield sentence, changed(alpha=value)
    if own.get("negative_slope"):
        yield "the negative slope is missing", changed(negative_slope=0.0)
        for value in (0.01, 0.1, 0.2, 0.3, 1.0, -own["negative_slope"]):
            for slope in (value, float(np.float32(value))):
                yield f"the negative slope is {value:g} instead", changed(negative_slope=slope)
    if own.get("max_value") is not None:
        yield "the upper limit is missing", changed(max_value=None)
    if own.get("threshold"):
        for value in (0.0, 0.5, 1.0, -own["threshold"]):
            sentence = {0.0: "the threshold is missing"}.get(value, f"the threshold is {value:g}")
            yield sentence, changed(threshold=value)
    if own.get("threshold") and "negative_slope" in own:
        yield "the threshold is subtracted from what passes", shifted_relu(**own)
        yield "the left piece doesn't start at the threshold", unshifted_relu(**own)
    if "default_value" in own:
        yield "the default value is 0 instead", changed(default_value=0.0)
    if "b" in own:
        for value in (0.0, 1.0, 4.0, own["b"] ** 2):
            yield f"b is {value:g} instead", changed(b=value)
    if name_of(layer) == "selu":
        yield "the scale λ is forgotten", selu(1.0, SELU_ALPHA)
        yield "α is forgotten: it counts as 1", selu(SELU_SCALE, SELU_SCALE)
        yield "the scale λ is forgotten where z > 0", selu(1.0, SELU_SCALE * SELU_ALPHA)
        yield "the scale λ is forgotten where z < 0", selu(SELU_SCALE, SELU_ALPHA)
        yield "λ and α are swapped", selu(SELU_ALPHA, SELU_SCALE * SELU_ALPHA)


@hypothesis("activation gradient")
def wrong_local_gradient(place: Place) -> Iterator[Candidate]:
    """Propose what may have been multiplied with the gradient from the right instead of f′(z)."""
    if not name_of(place.map) or not place.has("z", "a", "da"):
        return
    z, a, da, name = (*(place.inputs[letter] for letter in ("z", "a", "da")), name_of(place.map))
    if a.shape != z.shape:
        return
    pair = pair_of(place.map)
    yield Candidate("the derivative of the activation is missing", da, "dz = da")
    if pair is not None:
        for sentence, other_pair in with_other_parameters(place.map):
            yield Candidate(sentence, da * other_pair.d(z), "dz = da · f′(z) of another f")
        yield Candidate(
            "the derivative is taken at the activation instead of the pre-activation",
            da * pair.d(a),
            "dz = da · f′(a)",
        )
        yield Candidate("the gradient from the right is not multiplied in", pair.d(z), "dz = f′(z)")
        yield Candidate(
            "the derivative of the activation is applied twice",
            da * pair.d(z) * pair.d(z),
            "dz = da · f′(z)²",
        )
    for other, (its_layer, its_z) in place.inputs.get("other_activations", {}).items():
        its_pair = pair_of(its_layer)
        if its_pair is not None and its_z.shape == z.shape:
            yield Candidate(
                f"the derivative is that of {other}, another layer",
                da * its_pair.d(its_z),
                "dz = da · f′(z of another layer)",
            )
    for other, (rule, written) in IN_TERMS_OF_A.items():
        if other != name and not (name == "sigmoid" and other == "tanh"):
            yield Candidate(
                f"{written}, the derivative of {other}, stands for this function's",
                da * rule(a),
                f"dz = da · {written}",
            )
    if name in IN_TERMS_OF_A:
        rule, written = IN_TERMS_OF_A[name]
        yield Candidate(
            f"{written} is computed from the pre-activation instead of the activation",
            da * rule(z),
            f"dz = da · ({written.replace('a', 'z')})",
        )
    for other, (rule, written) in IN_TERMS_OF_A.items():
        of = "of another α" if other == name else f"of {other}"
        yield Candidate(f"{written}, the derivative {of}, is used", da * rule(a))
    yield Candidate("1 − a stands for the derivative", da * (1.0 - a), "dz = da · (1 − a)")
    yield Candidate("the activation stands for its derivative", da * a, "dz = da · a")
    yield Candidate("1 + a² stands for the derivative", da * (1.0 + a * a), "dz = da · (1 + a²)")
    if name in GATES:
        yield from _half_a_product_rule(name, z, da)
    for other, (_, derivative) in FUNCTIONS.items():
        if other != name:
            yield Candidate(
                f"this is the derivative of {other}", da * derivative(z), f"dz = da · {other}′(z)"
            )
    if pair is None:
        return
    yield Candidate("the pre-activation stands for the derivative", da * z, "dz = da · z")
    yield Candidate("the derivative is taken at −z", da * pair.d(-z), "dz = da · f′(−z)")
    yield Candidate(
        "the derivative divides instead of multiplying", da / pair.d(z), "dz = da / f′(z)"
    )
    yield Candidate(
        "the derivative is added instead of multiplied in", da + pair.d(z), "dz = da + f′(z)"
    )
    yield Candidate(
        "at the kink z = 0 the slope is 1", da * np.where(z == 0.0, 1.0, pair.d(z)), "f′(0) = 1"
    )
    if name == "relu" and not parameters_of(place.map).get("negative_slope"):
        yield from _other_rectifiers(pair, z, da)
    if name == "softsign":
        yield Candidate("the square is missing", da / (1.0 + np.abs(z)), "dz = da / (1 + |z|)")
        yield Candidate("1 + z² stands for (1 + |z|)²", da / (1.0 + z * z), "dz = da / (1 + z²)")
    if name in ("elu", "selu"):
        sentence = "the activation stands for the slope where z < 0"
        left = np.where(z > 0.0, pair.d(z), a)
        yield Candidate(sentence, da * left, "dz = da · a where z < 0")
    if name in RECTIFIERS:
        up = 1.0 * (da > 0.0)
        sentence = "the sign of the gradient decides what passes, instead of that of z"
        yield Candidate(sentence, da * up, "dz = da · [da > 0]")
        sentence = "negative gradients are dropped, as in guided backpropagation"
        yield Candidate(sentence, da * up * pair.d(z), "dz = da · [da > 0] · f′(z)")


def _other_rectifiers(pair: Pair, z: Any, da: Any) -> Iterator[Candidate]:
    """Propose another choice of what a rectifier lets pass on the way back."""
    for slope in (0.01, 0.1, 0.3):
        leaky = da * np.where(z > 0.0, 1.0, slope)
        yield Candidate(f"this is a leaky ReLU's derivative of slope {slope:g}", leaky)
    positive = da * (da > 0.0)
    yield Candidate("what passes is decided by the gradient's sign, not by z's", positive)
    yield Candidate("only positive gradients pass: guided backpropagation", positive * pair.d(z))


def _half_a_product_rule(name: str, z: Any, da: Any) -> Iterator[Candidate]:
    """Propose that (z g)′ = g + z g′ was not carried through."""
    gate = GATES[name]
    yield Candidate("the gate is treated as a constant", da * gate.f(z), "dz = da · g(z)")
    yield Candidate("only the gate is differentiated", da * z * gate.d(z), "dz = da · z g′(z)")
    yield Candidate(
        "z is missing in the product rule", da * (gate.f(z) + gate.d(z)), "dz = da · (g + g′)"
    )
    yield Candidate(
        "the product rule has a minus", da * (gate.f(z) - z * gate.d(z)), "dz = da · (g − z g′)"
    )
    if name == "silu":
        a, s = z * gate.f(z), gate.f(z)
        yield Candidate(
            "1 − a is missing in a + σ(z) (1 − a)", da * (a + s), "dz = da · (a + σ(z))"
        )
        yield Candidate(
            "a is missing in a + σ(z) (1 − a)", da * (s * (1.0 - a)), "dz = da · σ(z) (1 − a)"
        )
    if name == "gelu's tanh approximation":
        t = np.tanh(gelu_inner(z))
        bump = 0.5 * z * (1.0 - t * t)
        chain = "the inner derivative is missing"
        yield Candidate(chain, da * (gate.f(z) + bump), "½ (1 + t) + ½ z (1 − t²)")
    if name == "mish":
        t = gate.f(z)
        yield Candidate(
            "the derivative of softplus is missing",
            da * (t + z * (1.0 - t * t)),
            "t + z (1 − t²)",
        )
        yield Candidate(
            "the derivative of tanh is missing",
            da * (t + z * FUNCTIONS["softplus"].d(z)),
            "t + z σ(z)",
        )


@hypothesis("activation")
def another_function(place: Place) -> Iterator[Candidate]:
    """Propose the other activation functions, and none."""
    if not name_of(place.map) or not place.has("z"):
        return
    z, name, pair = place.inputs["z"], name_of(place.map), pair_of(place.map)
    yield Candidate("the activation function is not applied", z, "a = z")
    for sentence, changed in with_other_parameters(place.map):
        yield Candidate(sentence, changed.f(z), "a = f(z) of another f")
    for other, (function, _) in FUNCTIONS.items():
        if other != name:
            yield Candidate(f"{other} is applied instead", function(z), f"a = {other}(z)")
    if pair is not None and place.has("a"):
        yield Candidate(f"{name} is applied twice", pair.f(place.inputs["a"]), "a = f(f(z))")
    if pair is not None:
        yield Candidate("z is negated", pair.f(-z), "a = f(−z)")
        yield Candidate("the derivative stands for the function", pair.d(z), "a = f′(z)")
    if name in ("elu", "celu", "selu") and pair is not None:
        left = pair.f(z) + pair.d(z * 0.0 - 1.0) * np.exp(1.0)
        yield Candidate(
            "the −1 of eᶻ − 1 is missing", np.where(z > 0.0, pair.f(z), left), "a = α eᶻ"
        )
    if name in GATES:
        yield Candidate("z isn't multiplied in", GATES[name].f(z), "a = g(z)")
    for factor, sentence in _FACTORS.items():
        yield Candidate(sentence, place.right * factor)


_FACTORS = {-1.0: "the sign is reversed", 2.0: "everything is doubled", 0.5: "everything is halved"}
