"""Bugs in activation functions and in their derivatives."""

from __future__ import annotations

from collections.abc import Iterator

from compare.score.bugs.base import FACTORS, Bug, Function
from manual import activations
from manual.activations import ActivationFunction

HIDDEN = ("sigmoid", "tanh", "elu", "softplus", "relu")
CLASSES: dict[str, type[ActivationFunction]] = {
    "sigmoid": activations.Sigmoid,
    "tanh": activations.Tanh,
    "elu": activations.ELU,
    "softplus": activations.Softplus,
    "relu": activations.ReLU,
    "softmax": activations.Softmax,
}


def in_activations() -> Iterator[Bug]:
    """Give slips in each activation's derivative, and others in its place."""
    for name in HIDDEN:
        owner = CLASSES[name]
        right: Function = owner.backward
        for slip, function, causes in _derivative_slips(name, right):
            yield Bug(
                f"{name}: {slip}",
                owner,
                "backward",
                function,
                "activation gradient",
                "second/pre_activation",
                causes,
                activation=name,
            )
        for other in HIDDEN:
            if other != name:
                yield Bug(
                    f"{name}: {other} in its place",
                    owner,
                    "forward",
                    lambda self, z, other=other: CLASSES[other]().forward(z),
                    "activation",
                    "first",
                    (f"{other} is applied instead",),
                    activation=name,
                )
        yield Bug(
            f"{name}: not applied",
            owner,
            "forward",
            lambda self, z: z,
            "activation",
            "first",
            ("the activation function is not applied",),
            activation=name,
        )
    yield Bug(
        "softmax: diagonal only",
        activations.Softmax,
        "backward",
        lambda self, da, z, a: da * a * (1.0 - a),
        "activation gradient",
        "last/pre_activation",
        ("only the diagonal of softmax's derivative is used",),
        last="softmax",
    )


def _derivative_slips(
    name: str, right: Function
) -> Iterator[tuple[str, Function, tuple[str, ...]]]:
    yield "derivative missing", lambda s, da, z, a: da, ("the derivative of the activation is m",)
    yield "a for the derivative", lambda s, da, z, a: da * a, ("the activation stands for its d",)
    yield (
        "1 − a for the derivative",
        lambda s, da, z, a: da * (1.0 - a),
        ("1 − a stands for the derivative",),
    )
    yield (
        "upstream not multiplied in",
        lambda s, da, z, a: right(s, da * 0.0 + 1.0, z, a),
        ("the gradient from the right is not multiplied in",),
    )
    for factor, cause in FACTORS.items():
        yield (
            f"times {factor:g}",
            lambda s, da, z, a, factor=factor: right(s, da, z, a) * factor,
            (cause,),
        )
    if name != "relu":  # applied twice, or at a, relu's derivative is what it was
        yield (
            "derivative twice",
            lambda s, da, z, a: right(s, right(s, da, z, a), z, a),
            ("the derivative of the activation is applied twice",),
        )
        yield (
            "derivative at the activation",
            lambda s, da, z, a: right(s, da, a, s.forward(a)),
            ("the derivative is taken at the activation",),
        )
    if name == "tanh":
        yield (
            "1 + a²",
            lambda s, da, z, a: da * (1.0 + a * a),
            ("1 + a² stands for the derivative",),
        )
    if name in ("sigmoid", "tanh"):
        yield (
            "the formula in a, with z",
            lambda s, da, z, a: right(s, da, z, z),
            ("a (1 − a) is computed from", "1 − a² is computed from"),
        )
    for other in HIDDEN:
        if other != name:
            yield (
                f"derivative of {other}",
                lambda s, da, z, a, other=other: CLASSES[other]().backward(
                    da, z, CLASSES[other]().forward(z)
                ),
                (
                    f"this is the derivative of {other}",
                    *(
                        ("the activation stands",)
                        if (name, other) == ("sigmoid", "softplus")
                        else ()
                    ),
                ),
            )
