"""Slips in the derivative of an activation function, and in the function itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis

Function = Callable[[Any], Any]

# Written here once more, by hand: the judge must not explain a fault with the code at fault.
FUNCTIONS: dict[str, tuple[Function, Function]] = {
    "sigmoid": (
        lambda z: 1.0 / (1.0 + np.exp(-z)),
        lambda z: np.exp(-np.abs(z)) / ((1.0 + np.exp(-np.abs(z))) * (1.0 + np.exp(-np.abs(z)))),
    ),
    "tanh": (np.tanh, lambda z: 1.0 - np.tanh(z) * np.tanh(z)),
    "relu": (lambda z: np.maximum(z, 0.0), lambda z: 1.0 * (z > 0.0)),
    "elu": (
        lambda z: np.where(z > 0.0, z, np.exp(np.minimum(z, 0.0)) - 1.0),
        lambda z: np.where(z > 0.0, 1.0, np.exp(np.minimum(z, 0.0))),
    ),
    "softplus": (
        lambda z: np.maximum(z, 0.0) + np.log1p(np.exp(-np.abs(z))),
        lambda z: 1.0 / (1.0 + np.exp(-z)),
    ),
}
"""f(z) and f′(z) by name."""

IN_TERMS_OF_A: dict[str, tuple[Function, str]] = {
    "sigmoid": (lambda a: a * (1.0 - a), "a (1 − a)"),
    "tanh": (lambda a: 1.0 - a * a, "1 − a²"),
}
"""f′ written with a = f(z), as one does where that is shorter."""


def name_of(layer: Any) -> str:
    """Return which activation function a layer applies; empty if it is no activation."""
    function = getattr(layer, "function", None)
    return "" if function is None else type(function).__name__.lower()


@hypothesis("activation gradient")
def wrong_local_gradient(place: Place) -> Iterator[Candidate]:
    """Propose what may have been multiplied with the gradient from the right instead of f′(z)."""
    if not name_of(place.map) or not place.has("z", "a", "da"):
        return
    z, a, da, name = (*(place.inputs[letter] for letter in ("z", "a", "da")), name_of(place.map))
    yield Candidate("the derivative of the activation is missing", da, "dz = da")
    if name in FUNCTIONS:
        derivative = FUNCTIONS[name][1]
        yield Candidate(
            "the derivative is taken at the activation instead of the pre-activation",
            da * derivative(a),
            "dz = da · f′(a)",
        )
        yield Candidate(
            "the gradient from the right is not multiplied in", derivative(z), "dz = f′(z)"
        )
        yield Candidate(
            "the derivative of the activation is applied twice",
            da * derivative(z) * derivative(z),
            "dz = da · f′(z)²",
        )
    if name in IN_TERMS_OF_A:
        rule, written = IN_TERMS_OF_A[name]
        yield Candidate(
            f"{written} is computed from the pre-activation instead of the activation",
            da * rule(z),
            f"dz = da · ({written.replace('a', 'z')})",
        )
    yield Candidate("1 − a stands for the derivative", da * (1.0 - a), "dz = da · (1 − a)")
    yield Candidate("the activation stands for its derivative", da * a, "dz = da · a")
    yield Candidate("1 + a² stands for the derivative", da * (1.0 + a * a), "dz = da · (1 + a²)")
    if name == "softmax":
        yield Candidate(
            "only the diagonal of softmax's derivative is used",
            da * a * (1.0 - a),
            "dzᵢ = daᵢ · aᵢ (1 − aᵢ)",
        )
    for other, (_, derivative) in FUNCTIONS.items():
        if other != name:
            yield Candidate(
                f"this is the derivative of {other}", da * derivative(z), f"dz = da · {other}′(z)"
            )


@hypothesis("activation")
def another_function(place: Place) -> Iterator[Candidate]:
    """Propose the other activation functions, and none."""
    if not name_of(place.map) or not place.has("z"):
        return
    z, name = place.inputs["z"], name_of(place.map)
    yield Candidate("the activation function is not applied", z, "a = z")
    for other, (function, _) in FUNCTIONS.items():
        if other != name:
            yield Candidate(f"{other} is applied instead", function(z), f"a = {other}(z)")
        elif place.has("a"):
            yield Candidate(f"{other} is applied twice", function(place.inputs["a"]))
