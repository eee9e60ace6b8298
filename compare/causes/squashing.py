"""The functions inside recurrent layers and their derivatives, and slips in these."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from compare.causes.activation import IN_TERMS_OF_A, name_of, pair_of
from compare.causes.functions import FUNCTIONS, Pair
from manual.layers import Activation

Slope = Callable[[Any, Any], Any]
"""What stands for f′, written in z and a = f(z)."""


class Squash(NamedTuple):
    """A function with its name, and how a gradient goes back through it."""

    name: str
    f: Callable[[Any], Any]
    back: Callable[[Any, Any, Any], Any]
    """Makes dz of da, z and a."""
    slope: Slope | None = None
    """f′; None for a function of whole rows."""


def _by_number(name: str, pair: Pair) -> Squash:
    if name in IN_TERMS_OF_A:
        short = IN_TERMS_OF_A[name][0]
        return Squash(name, pair.f, lambda da, z, a: da * short(a), lambda z, a: short(a))
    return Squash(name, pair.f, lambda da, z, a: da * pair.d(z), lambda z, a: pair.d(z))


def _softmax(z: Any) -> Any:
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def _softmax_back(da: Any, z: Any, a: Any) -> Any:
    return a * (da - (da * a).sum(axis=-1, keepdims=True))


LINEAR = Squash("linear", lambda z: z, lambda da, z, a: da, lambda z, a: a * 0.0 + 1.0)
OF_ROWS: dict[str, Squash] = {"softmax": Squash("softmax", _softmax, _softmax_back)}
OTHERS = {
    "linear": LINEAR,
    **{
        name: _by_number(name, FUNCTIONS[name])
        for name in (
            "tanh",
            "sigmoid",
            "hard_sigmoid",
            "relu",
            "Keras 2's hard sigmoid, 0.2 z + 0.5",
        )
    },
}
"""What is put in the place of the right function."""


def squash_of(function: Any) -> Squash | None:
    """Return what a recurrent layer's function is; None if it isn't known."""
    applied = Activation(function, name="applied")
    name, pair = name_of(applied), pair_of(applied)
    if pair is not None:
        return _by_number(name, pair)
    return LINEAR if name == "linear" else OF_ROWS.get(name)


def wrong_slopes(right: Squash) -> Iterator[tuple[str, Slope, str]]:
    """Give what may stand for f′: the slip, in which {} is whose function it is, and the formula.

    That it is missing is no slip of these: several functions may lack theirs at once.
    """
    if right.slope is None:
        yield "only the diagonal of softmax's derivative is used in {}", _diagonal, "a (1 − a)"
        return
    if right.name == "linear":
        return
    f, slope = right.f, right.slope
    yield (
        "the derivative of {}'s activation is applied twice",
        lambda z, a: slope(z, a) * slope(z, a),
        "f′(z)²",
    )
    yield (
        "the derivative of {}'s activation is taken at the activation instead of the "
        "pre-activation",
        lambda z, a: slope(a, f(a)),
        "f′(a)",
    )
    if right.name in IN_TERMS_OF_A:
        rule, written = IN_TERMS_OF_A[right.name]
        sentence = f"{written} is computed from the pre-activation of {{}}"
        yield sentence, lambda z, a: rule(z), written.replace("a", "z")
    yield "1 − a stands for the derivative of {}'s activation", lambda z, a: 1.0 - a, "1 − a"
    yield "the activation stands for its derivative in {}", lambda z, a: a, "a"
    for name in ("tanh", "sigmoid"):
        other = OTHERS[name].slope
        if name != right.name and other is not None:
            yield f"the derivative of {name} is taken in {{}} instead of {right.name}'s", other, ""


def _diagonal(z: Any, a: Any) -> Any:
    return a * (1.0 - a)
