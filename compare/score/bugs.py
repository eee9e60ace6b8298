"""The catalogue of planted bugs: each a small patch of the hand-written half."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from manual import activations, losses, optimizers
from manual.activations import ActivationFunction
from manual.layers import Dense

Function = Callable[..., Any]

FACTORS = {
    2.0: "the ½ of ½ (p − y)² is missing",
    0.5: "the 2 of the square's derivative is missing",
    -1.0: "the sign is reversed",
}


@dataclass(frozen=True)
class Bug:
    """One planted bug and what must be said of it.

    Attributes
    ----------
    name : str
    owner, method : class and name of what is patched
    function : callable
        What stands there instead.
    phase, where : str
        The first finding: its phase, and the name that it must have.
    causes : tuple of str
        How the cause may begin: several where several slips give the same numbers. Empty for a
        trap that has no algebraic cause.
    step : int
        When it first shows.
    activation, last, loss, optimizer, options
        The network it is planted in.
    """

    name: str
    owner: type
    method: str
    function: Function
    phase: str
    where: str
    causes: tuple[str, ...]
    step: int = 1
    activation: str = "tanh"
    last: str = "linear"
    loss: str = "mse"
    optimizer: str = "SGD"
    options: tuple[tuple[str, Any], ...] = ()

    @contextmanager
    def planted(self) -> Iterator[None]:
        """Put the bug in its place for a while."""
        right = self.owner.__dict__[self.method]
        setattr(self.owner, self.method, self.function)
        try:
            yield
        finally:
            setattr(self.owner, self.method, right)


def catalogue() -> list[Bug]:
    """Return every bug."""
    return list(chain(_activations(), _dense(), _losses(), _optimizers(), _traps()))


# ---------------------------------------------------------------------- activations

HIDDEN = ("sigmoid", "tanh", "elu", "softplus", "relu")
CLASSES: dict[str, type[ActivationFunction]] = {
    "sigmoid": activations.Sigmoid,
    "tanh": activations.Tanh,
    "elu": activations.ELU,
    "softplus": activations.Softplus,
    "relu": activations.ReLU,
    "softmax": activations.Softmax,
}


def _activations() -> Iterator[Bug]:
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


# ---------------------------------------------------------------------- fully connected layers

_right_forward, _right_backward = Dense.forward, Dense.backward


def _in(layer: str, **lines: Function) -> Function:
    """Return Dense's derivative with some of its lines replaced in one layer."""

    def backward(self: Any, dz: Any, x: Any) -> Any:
        if self.name != layer:
            return _right_backward(self, dz, x)
        W = self.kernel.value
        self.kernel.gradient += lines.get("dW", lambda x, dz, W: x.T @ dz)(x, dz, W)
        self.bias.gradient += lines.get("db", lambda x, dz, W: dz.sum(axis=0))(x, dz, W)
        return lines.get("dx", lambda x, dz, W: dz @ W.T)(x, dz, W)

    return backward


def _dense() -> Iterator[Bug]:
    kernel = {
        "transposed": (lambda x, dz, W: (x.T @ dz).T, "the matrix is transposed"),
        "never computed": (lambda x, dz, W: 0.0 * W, "the gradient is never computed"),
        "one sample": (lambda x, dz, W: x[:1].T @ dz[:1], "only the first sample"),
        "the last sample": (lambda x, dz, W: x[-1:].T @ dz[-1:], "only the last sample"),
        "averaged": (lambda x, dz, W: x.T @ dz / len(x), "the batch mean is taken twice"),
        "added up": (lambda x, dz, W: (x.T @ dz) * float(len(x)), "the batch mean is missing"),
        "sign": (lambda x, dz, W: -(x.T @ dz), "the sign is reversed"),
        "without dz": (lambda x, dz, W: x.T @ (dz * 0.0 + 1.0), "the gradient from the right is n"),
        "without x": (lambda x, dz, W: (x * 0.0 + 1.0).T @ dz, "the layer's input is left out"),
        "doubled": (lambda x, dz, W: 2.0 * (x.T @ dz), FACTORS[2.0]),
        "flipped": (lambda x, dz, W: (x.T @ dz)[::-1], "axis 0 runs backwards"),
        "units flipped": (lambda x, dz, W: (x.T @ dz)[:, ::-1], "axis 1 runs backwards"),
    }
    bias = {
        "averaged": (lambda x, dz, W: dz.mean(axis=0), "the batch mean is taken twice"),
        "never computed": (lambda x, dz, W: dz.sum(axis=0) * 0.0, "the gradient is never computed"),
        "one sample": (lambda x, dz, W: dz[0], "only the first sample"),
        "the last sample": (lambda x, dz, W: dz[-1], "only the last sample"),
        "sign": (lambda x, dz, W: -dz.sum(axis=0), "the sign is reversed"),
        "doubled": (lambda x, dz, W: 2.0 * dz.sum(axis=0), FACTORS[2.0]),
        "flipped": (lambda x, dz, W: dz.sum(axis=0)[::-1], "axis 0 runs backwards"),
    }
    inputs = {
        "kernel not transposed": (lambda x, dz, W: dz @ W, "the kernel is not transposed"),
        "kernel left out": (lambda x, dz, W: dz * 1.0, "the kernel is not multiplied in"),
        "without dz": (lambda x, dz, W: (dz * 0.0 + 1.0) @ W.T, "the gradient from the right is n"),
        "one unit": (lambda x, dz, W: dz[:, :1] @ W[:, :1].T, "only the first unit passes"),
        "sign": (lambda x, dz, W: -(dz @ W.T), "the sign is reversed"),
        "|W|": (lambda x, dz, W: dz @ np.abs(W).T, "the absolute values of the kernel"),
    }
    for layer in ("first", "second", "last"):
        for slip, (line, cause) in kernel.items():
            yield _dense_bug(f"dW {slip}", layer, f"{layer}/kernel", cause, dW=line)
        for slip, (line, cause) in bias.items():
            yield _dense_bug(f"db {slip}", layer, f"{layer}/bias", cause, db=line)
    for layer, below in (("second", "first"), ("last", "second")):
        for slip, (line, cause) in inputs.items():
            yield _dense_bug(f"dx {slip}", layer, below, cause, dx=line)
    forward = {
        "bias forgotten": (lambda x, W, b: x @ W, "the bias is forgotten"),
        "bias twice": (lambda x, W, b: x @ W + b + b, "the bias is added twice"),
        "bias subtracted": (lambda x, W, b: x @ W - b, "the bias is subtracted"),
        "kernel transposed": (lambda x, W, b: x @ W.T + b, "the kernel is transposed"),
    }
    for layer in ("first", "second", "last"):
        for slip, (z, cause) in forward.items():

            def function(
                self: Any, x: Any, *, training: bool = False, z: Any = z, layer: str = layer
            ) -> Any:
                if self.name != layer:
                    return _right_forward(self, x, training=training)
                return z(x, self.kernel.value, self.bias.value), x

            where = layer if layer == "last" else f"{layer}/pre_activation"
            yield Bug(
                f"Dense {layer}: {slip}", Dense, "forward", function, "activation", where, (cause,)
            )


def _dense_bug(slip: str, layer: str, where: str, cause: str, **line: Function) -> Bug:
    phase = "activation gradient" if "dx" in line else "weight gradient"
    function = _in(layer, **line)
    return Bug(f"Dense {layer}: {slip}", Dense, "backward", function, phase, where, (cause,))


# ---------------------------------------------------------------------- losses

LOSSES: dict[str, tuple[type[losses.Loss], str]] = {
    "mse": (losses.MeanSquaredError, "linear"),
    "mae": (losses.MeanAbsoluteError, "linear"),
    "binary_crossentropy": (losses.BinaryCrossentropy, "sigmoid"),
    "categorical_crossentropy": (losses.CategoricalCrossentropy, "softmax"),
}


def _losses() -> Iterator[Bug]:
    for name, (owner, last) in LOSSES.items():
        right: Function = owner.values_gradient
        where = "last" if last == "linear" else "last/pre_activation"
        slips: dict[str, tuple[Function, tuple[str, ...]]] = {
            "mean missing": (
                lambda s, dv, saved, right=right: right(s, dv, saved) * float(len(dv)),
                ("the batch mean is missing",),
            ),
            "mean twice": (
                lambda s, dv, saved, right=right: right(s, dv, saved) / float(len(dv)),
                ("the batch mean is taken twice",),
            ),
            **{
                f"times {factor:g}": (
                    lambda s, dv, saved, right=right, factor=factor: right(s, dv, saved) * factor,
                    (cause,),
                )
                for factor, cause in FACTORS.items()
            },
        }
        slips["half squared"] = (
            lambda s, dv, saved: dv[..., None] * _difference(saved),
            ("this is the derivative of ½ (p − y)²", FACTORS[2.0], FACTORS[0.5]),
        )
        if name != "mae":
            slips["absolute"] = (
                lambda s, dv, saved: dv[..., None] * np.sign(_difference(saved)),
                ("this is the derivative of |p − y|",),
            )
        if name != "mse":
            slips["squared"] = (
                lambda s, dv, saved: dv[..., None] * (2.0 * _difference(saved)),
                ("this is the derivative of (p − y)²", "this is the derivative of ½ (p − y)²"),
            )
        if last == "softmax":
            slips["softmax twice"] = (
                lambda s, dv, saved: (
                    dv[..., None] * (activations.softmax(activations.softmax(saved[1])) - saved[0])
                ),
                ("this is the derivative of a cross-entropy with softmax applied twice",),
            )
            slips["target forgotten"] = (
                lambda s, dv, saved: dv[..., None] * activations.softmax(saved[1]),
                ("this is the derivative of the cross-entropy's softmax without",),
            )
        for slip, (function, causes) in slips.items():
            yield Bug(
                f"{name}: {slip}",
                owner,
                "values_gradient",
                function,
                "activation gradient",
                where,
                causes,
                last=last,
                loss=name,
            )
        yield Bug(
            f"{name}: the last batch averaged as a full one",
            losses.Loss,
            "_divisor",
            lambda self, values, sample_weight: 8.0,
            "loss",
            "total",
            ("the last, small batch is averaged with the full batch size",),
            step=3,
            last=last,
            loss=name,
        )


def _difference(saved: Any) -> Any:
    return saved[1] - saved[0] if isinstance(saved, tuple) else saved


# ---------------------------------------------------------------------- optimizers


def _optimizers() -> Iterator[Bug]:
    momentum, nesterov = (("momentum", 0.9),), (("momentum", 0.9), ("nesterov", True))
    amsgrad = (("amsgrad", True),)
    centered = (("centered", True),)
    knobs: dict[str, Any]
    options: tuple[tuple[str, Any], ...]
    wrong_rules: list[tuple[str, type, tuple[Any, ...], Function, str, str, int]] = []
    for rule, cause in (
        (_sgd(sign=-1.0), "the step goes uphill"),
        (_sgd(rate=1.0), "the learning rate is forgotten"),
        (_sgd(sign=8.0), "the gradient is multiplied by the batch"),
    ):
        phase, step = "weight", 1
        wrong_rules.append(("SGD", optimizers.SGD, (), rule, phase, cause, step))
    for options in (momentum, nesterov):
        look = options == nesterov
        for knobs, phase, cause, step in (
            ({"look": not look}, "weight", "Nesterov's look ahead is missing, or", 1),
            ({"outside": True}, "optimizer slot", "the learning rate is", 1),
            ({"sign": -1.0}, "optimizer slot", "the gradient enters the velocity with the wr", 1),
            ({"damped": True}, "optimizer slot", "the gradient in the velocity is damped", 1),
            ({"mu": 0.0}, "optimizer slot", "the momentum is forgotten", 2)
            if not look  # where Nesterov looks ahead, it is missed at once
            else ({"mu": 0.0}, "weight", "Nesterov's look ahead is missing, or there", 1),
            ({"rate": 1.0}, "optimizer slot", "the learning rate is forgotten", 1),
        ):
            turned: dict[str, Any] = {"look": look, **knobs}
            rule = _sgd(**turned)
            wrong_rules.append(("SGD", optimizers.SGD, options, rule, phase, cause, step))
    for options in ((), amsgrad):
        for knobs, phase, cause, step in (
            ({"correct": (False, False)}, "weight", "the bias correction is missing", 1),
            ({"correct": (False, True)}, "weight", "the bias correction of m is missing", 1),
            ({"correct": (True, False)}, "weight", "the bias correction of v is missing", 1),
            ({"late": 1}, "weight", "the step count is one too large", 1),
            ({"late": -1}, "weight", "the step count is one too small", 1),
            ({"swapped": True}, "optimizer slot", "β₁ and β₂ are swapped", 1),
            ({"damp": (False, True)}, "optimizer slot", "1 − β₁ is missing", 1),
            ({"damp": (True, False)}, "optimizer slot", "1 − β₂ is missing", 1),
            ({"square": False}, "optimizer slot", "the gradient isn't squared", 1),
            ({"eps": "inside"}, "weight", "ε stands inside the root", 1),
            ({"eps": "none"}, "weight", "ε is forgotten", 1),
            ({"eps": "late"}, "weight", "ε is added after the bias correction", 1),
            ({"sign": -1.0}, "optimizer slot", "the step goes uphill", 1),
            ({"betas": (0.99, 0.999)}, "optimizer slot", "β₁ is 0.99 instead", 1),
            ({"betas": (0.9, 0.99)}, "optimizer slot", "β₂ is 0.99 instead", 1),
        ):
            wrong_rules.append(
                ("Adam", optimizers.Adam, options, _adam(**knobs), phase, cause, step)
            )
    for options in ((), centered):
        for knobs, phase, cause, step in (
            ({"eps": "outside"}, "weight", "ε stands outside the root", 1),
            ({"eps": "none"}, "weight", "ε is forgotten", 1),
            ({"rho": 0.99}, "optimizer slot", "ρ is 0.99", 1),
            ({"reverse": True}, "optimizer slot", "ρ and 1 − ρ are swapped", 1),
            ({"damp": False}, "optimizer slot", "1 − ρ is missing", 1),
            ({"square": False}, "optimizer slot", "the gradient isn't squared", 1),
            ({"root": False}, "weight", "the root of v is missing", 1),
        ):
            wrong_rules.append(
                ("RMSprop", optimizers.RMSprop, options, _rmsprop(**knobs), phase, cause, step)
            )
    for name, owner, options, rule, phase, cause, step in wrong_rules:
        told = ", ".join(f"{key} {value}" for key, value in options)
        yield Bug(
            f"{name}{f' ({told})' if told else ''}: {cause}",
            owner,
            "update",
            rule,
            phase,
            "",
            (cause,),
            step=step,
            optimizer=name,
            options=options,
        )


def _sgd(
    sign: float = 1.0,
    rate: float | None = None,
    look: bool = False,
    outside: bool = False,
    damped: bool = False,
    mu: float | None = None,
) -> Function:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        eta = eta if rate is None else rate
        g = g * sign
        if not self.slot_names:
            w -= eta * g
            return
        m, keep = slots["momentum"], self.momentum if mu is None else mu
        m *= keep
        m -= (1.0 if outside else eta) * g * (1.0 - self.momentum if damped else 1.0)
        step = keep * m - eta * g if look else m
        w += eta * step if outside else step

    return update


def _adam(
    correct: tuple[bool, bool] = (True, True),
    late: int = 0,
    swapped: bool = False,
    damp: tuple[bool, bool] = (True, True),
    square: bool = True,
    eps: str = "outside",
    sign: float = 1.0,
    betas: tuple[float, float] | None = None,
) -> Function:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        b1, b2 = betas or (self.beta_1, self.beta_2)
        if swapped:
            b1, b2 = b2, b1
        m, v, g = slots["momentum"], slots["velocity"], g * sign
        t = t + np.float64(late)  # so that division by 0 gives ∞, as it does in arrays
        m *= b1
        m += g * (1.0 - b1 if damp[0] else 1.0)
        v *= b2
        v += (g * g if square else g) * (1.0 - b2 if damp[1] else 1.0)
        if self.amsgrad:
            v = np.maximum(slots["velocity_hat"], v, out=slots["velocity_hat"])
        c1 = 1.0 - optimizers.as_float32(b1) ** t if correct[0] else 1.0
        c2 = 1.0 - optimizers.as_float32(b2) ** t if correct[1] else 1.0
        if eps == "inside":
            w -= m * (eta * c2**0.5 / c1) / np.sqrt(v + self.epsilon)
        elif eps == "late":
            w -= eta * (m / c1) / (np.sqrt(v / c2) + self.epsilon)
        else:
            w -= m * (eta * c2**0.5 / c1) / (np.sqrt(v) + (0.0 if eps == "none" else self.epsilon))

    return update


def _rmsprop(
    eps: str = "inside",
    rho: float | None = None,
    reverse: bool = False,
    damp: bool = True,
    square: bool = True,
    root: bool = True,
) -> Function:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        keep = self.rho if rho is None else rho
        v, share = slots["velocity"], 1.0 - keep
        if reverse:
            keep, share = share, keep
        v *= keep
        v += (g * g if square else g) * (share if damp else 1.0)
        spread = v
        if self.centered:
            mean = slots["average_gradient"]
            mean *= self.rho if rho is None else rho
            mean += (1.0 - (self.rho if rho is None else rho)) * g
            spread = v - mean * mean
        if not root:
            w -= eta * g / (spread + self.epsilon)
        elif eps == "inside":
            w -= eta * g / np.sqrt(spread + self.epsilon)
        else:
            w -= eta * g / (np.sqrt(spread) + (self.epsilon if eps == "outside" else 0.0))

    return update


# ---------------------------------------------------------------------- traps


def _traps() -> Iterator[Bug]:
    """Give what other tools are known to miss."""

    def one_element(x: Any, dz: Any, W: Any) -> Any:
        right = x.T @ dz
        right[1:2, 2:3] = right[1:2, 2:3] * 1.001
        return right

    def tiny(x: Any, dz: Any, W: Any) -> Any:
        return (x.T @ dz) + 1e-6 * W

    def same_mean(x: Any, dz: Any, W: Any) -> Any:
        right = x.T @ dz
        return np.concatenate([right[1:], right[:1]], axis=0)

    for layer in ("first", "second", "last"):
        for name, line in (
            ("the same mean: rows rolled by one", same_mean),
            ("one element off by a thousandth", one_element),
            ("off by less than 1e-5", tiny),
        ):
            yield Bug(
                f"trap, {layer}: {name}",
                Dense,
                "backward",
                _in(layer, dW=line),
                "weight gradient",
                f"{layer}/kernel",
                (),
            )
    right_adam: Function = optimizers.Adam.update
    for step, what in ((2, "only at step 2"), (3, "only at step 3")):

        def late(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any, step: int = step) -> None:
            at = float(getattr(t, "value", t)) == step
            right_adam(self, w, g * (2.0 if at else 1.0), slots, t, eta)

        yield Bug(
            f"trap: Adam's gradient doubled {what}",
            optimizers.Adam,
            "update",
            late,
            "optimizer slot",
            "",
            (),
            step=step,
            optimizer="Adam",
        )

    def slot_only(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        right_adam(self, w, g, slots, t, eta)
        slots["velocity"] *= 1.0 + 2.0**-10

    yield Bug(
        "trap: only Adam's memory is wrong",
        optimizers.Adam,
        "update",
        slot_only,
        "optimizer slot",
        "",
        (),
        optimizer="Adam",
    )
