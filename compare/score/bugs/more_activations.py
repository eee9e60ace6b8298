"""Bugs in the activation functions that have parameters, gates, or look at whole rows; in PReLU."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator, spread
from manual import activations as by_hand
from manual.activations.functions import sigmoid, softplus
from manual.layers import PReLU

PLAIN: dict[str, type[by_hand.ActivationFunction]] = {
    "leaky_relu": by_hand.ReLU,  # whose methods it has
    "gelu": by_hand.GELU,
    "silu": by_hand.SiLU,
    "mish": by_hand.Mish,
    "selu": by_hand.SELU,
    "softsign": by_hand.Softsign,
    "hard_sigmoid": by_hand.HardSigmoid,
    "log_sigmoid": by_hand.LogSigmoid,
    "squareplus": by_hand.Squareplus,
}
_selu_backward: Function = by_hand.SELU.backward
_gelu_forward: Function = by_hand.GELU.forward
_gelu_backward: Function = by_hand.GELU.backward


def layered(bug: Choice) -> Planted:
    """Dense layers with layers between them that Keras has for activations with options."""
    kinds = {
        "ELU": lambda: keras.layers.ELU(0.4, name="act"),
        "LeakyReLU": lambda: keras.layers.LeakyReLU(0.15, name="act"),
        "ReLU": lambda: keras.layers.ReLU(0.9, 0.1, 0.2, name="act"),
        "PReLU": lambda: keras.layers.PReLU(
            alpha_initializer=keras.initializers.RandomUniform(0.1, 0.4),
            shared_axes=[1],
            name="act",
        ),
    }
    dense, draw = keras.layers.Dense, generator()
    model = keras.Sequential(
        [
            keras.Input((3, WIDTH)),
            dense(WIDTH, name="first", **spread()),
            kinds[bug.activation](),
            dense(2, name="last", **spread()),
        ]
    )
    return model, draw.normal(size=(SAMPLES, 3, WIDTH)), draw.normal(size=(SAMPLES, 3, 2))


def in_more_activations() -> Iterator[Bug]:
    """Give slips that every derivative knows, and those of single functions."""
    for name, owner in PLAIN.items():
        right: Function = owner.backward
        for slip, function, cause in (
            ("derivative missing", lambda s, da, z, a: da, "the derivative of the activation is m"),
            (
                "upstream left out",
                lambda s, da, z, a, right=right: right(s, da * 0.0 + 1.0, z, a),
                "the gradient from the right is not",
            ),
            (
                "derivative twice",
                lambda s, da, z, a, right=right: right(s, right(s, da, z, a), z, a),
                "the derivative of the activation is applied twice",
            ),
        ):
            yield _gradient(f"{name}: {slip}", owner, function, cause, name)
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
    silu, gelu, mish = by_hand.SiLU, by_hand.GELU, by_hand.Mish
    for title, owner, function, cause, name in (
        (
            "silu: gate constant",
            silu,
            lambda s, da, z, a: da * sigmoid(z),
            "the gate is treated as a constant",
            "silu",
        ),
        (
            "silu: gate only",
            silu,
            lambda s, da, z, a: da * z * sigmoid(z) * (1.0 - sigmoid(z)),
            "only the gate is differentiated",
            "silu",
        ),
        (
            "gelu: of the approximation",
            gelu,
            lambda s, da, z, a: _gelu_backward(by_hand.GELU(True), da, z, a),
            "this is the derivative of gelu's tanh approximation",
            "gelu",
        ),
        (
            "gelu: of silu",
            gelu,
            lambda s, da, z, a: silu().backward(da, z, a),
            "this is the derivative of silu",
            "gelu",
        ),
        (
            "mish: softplus' forgotten",
            mish,
            lambda s, da, z, a: da * (np.tanh(softplus(z)) + z * (1.0 - np.tanh(softplus(z)) ** 2)),
            "the derivative of softplus is missing",
            "mish",
        ),
        (
            "selu: scale forgotten",
            by_hand.SELU,
            lambda s, da, z, a: _selu_backward(s, da, z, a) / s.scale,
            "the scale λ is forgotten",
            "selu",
        ),
        (
            "softsign: square missing",
            by_hand.Softsign,
            lambda s, da, z, a: da / (1.0 + np.abs(z)),
            "the square is missing",
            "softsign",
        ),
        (
            "hard_sigmoid: Keras 2's slope",
            by_hand.HardSigmoid,
            lambda s, da, z, a: 0.2 * da * ((z > -2.5) & (z < 2.5)),
            "this is the derivative of Keras 2's; or this is the derivative of leaky_relu",
            "hard_sigmoid",
        ),
    ):
        yield _gradient(title, owner, function, cause, name)
    yield Bug(
        "gelu: approximated",
        gelu,
        "forward",
        lambda self, z: _gelu_forward(by_hand.GELU(True), z),
        "activation",
        "first",
        ("gelu's tanh approximation is applied instead",),
        activation="gelu",
    )
    yield from _in_rows()
    yield from _in_layers()
    yield _gradient(
        "trap: gelu's gradient off by 1e-5 of z",
        gelu,
        lambda s, da, z, a: _gelu_backward(s, da, z, a) + 1e-5 * z,
        "",
        "gelu",
    )


def _gradient(
    title: str, owner: type, function: Function, cause: str, activation: str, **more: Any
) -> Bug:
    where = more.pop("where", "second/pre_activation")
    causes = tuple(cause.split("; or ")) if cause else ()
    return Bug(
        title,
        owner,
        "backward",
        function,
        "activation gradient",
        where,
        causes,
        activation=activation,
        **more,
    )


def _in_rows() -> Iterator[Bug]:
    owner = by_hand.LogSoftmax
    for slip, function, cause in (
        ("softmax's", lambda s, da, z, a: by_hand.Softmax().backward(da, z, np.exp(a)), "this is"),
        ("diagonal", lambda s, da, z, a: da * (1.0 - np.exp(a)), "only the diagonal"),
        (
            "a for softmax",
            lambda s, da, z, a: da - a * da.sum(axis=-1, keepdims=True),
            "the activation stands for softmax",
        ),
    ):
        yield _gradient(f"log_softmax: {slip}", owner, function, cause, "log_softmax")
    for slip, function, cause in (
        ("factor", lambda s, da, z, a: da - (da * a).sum(axis=-1, keepdims=True), "the factor a"),
        ("sum", lambda s, da, z, a: a * (da - da.sum(axis=-1, keepdims=True)), "the sum lacks a"),
        (
            "axis",
            lambda s, da, z, a: a * (da - (da * a).sum(axis=0, keepdims=True)),
            "the sum runs over axis 0",
        ),
    ):
        yield _gradient(f"softmax: {slip}", by_hand.Softmax, function, cause, "softmax")


def _in_layers() -> Iterator[Bug]:
    right: dict[type, Function] = {
        owner: owner.backward for owner in (by_hand.ELU, by_hand.ReLU, PReLU)
    }
    for kind, slip, function, cause in (
        (
            "ELU",
            "α forgotten",
            lambda s, da, z, a: right[by_hand.ELU](by_hand.ELU(), da, z, a),
            "α is forgotten",
        ),
        (
            "LeakyReLU",
            "slope forgotten",
            lambda s, da, z, a: da * (z > 0.0),
            "the negative slope is missing",
        ),
        (
            "LeakyReLU",
            "PyTorch's slope",
            lambda s, da, z, a: right[by_hand.ReLU](by_hand.LeakyReLU(0.01), da, z, a),
            "the negative slope is 0.01",
        ),
        (
            "ReLU",
            "limit forgotten",
            lambda s, da, z, a: right[by_hand.ReLU](by_hand.ReLU(0.1, None, 0.2), da, z, a),
            "the upper limit is missing",
        ),
    ):
        owner: type = by_hand.ELU if kind == "ELU" else by_hand.ReLU
        yield _gradient(
            f"{kind} layer: {slip}", owner, function, cause, kind, network=layered, where="first"
        )

    def slope(line: Function) -> Function:
        def backward(self: Any, dy: Any, x: Any) -> Any:
            self.alpha.gradient += line(dy, x).sum(axis=(0, 1), keepdims=True)[0]
            return dy * (x > 0.0) + dy * self.alpha.value * (x < 0.0)

        return backward

    for slip, line, cause in (
        ("all of x", lambda dy, x: dy * x, "the positive inputs count, too"),
        ("x > 0", lambda dy, x: dy * np.maximum(x, 0.0), "the positive inputs count instead"),
        ("[x < 0]", lambda dy, x: dy * (x < 0.0), "the size of x is left out"),
        ("mean", lambda dy, x: dy * np.minimum(x, 0.0) / 3.0, "the mean over the shared axes"),
        ("sign", lambda dy, x: dy * np.maximum(-x, 0.0), "the sign is reversed"),
    ):
        yield Bug(
            f"PReLU: dα {slip}",
            PReLU,
            "backward",
            slope(line),
            "weight gradient",
            "act/alpha",
            (cause,),
            network=layered,
            activation="PReLU",
        )

    def without_slope(self: Any, dy: Any, x: Any) -> Any:
        right[PReLU](self, dy, x)
        return dy * (x > 0.0)

    yield Bug(
        "PReLU: dx without α",
        PReLU,
        "backward",
        without_slope,
        "activation gradient",
        "first",
        ("the negative slope is missing",),
        network=layered,
        activation="PReLU",
    )
