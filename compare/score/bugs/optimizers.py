"""Bugs in update rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import Bug, Function
from manual import optimizers


def in_optimizers() -> Iterator[Bug]:
    """Give every rule with one decision taken otherwise."""
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
