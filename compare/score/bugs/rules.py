"""Bugs in the rules beside SGD, Adam and RMSprop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import Bug
from manual import optimizers
from manual.optimizers import as_float32
from manual.optimizers.base import norm

Body = Callable[[Any, Any, Any, Any, Any, Any], None]


def in_rules() -> Iterator[Bug]:
    """Give each rule with one decision taken otherwise, and a trap."""
    slot, weight = "optimizer slot", "weight"
    cases: list[tuple[str, Body, str, str, int]] = [
        ("Adamax", _adamax(correct=False), weight, "the bias correction is missing", 1),
        ("Adamax", _adamax(largest=np.add), slot, "u is a sum instead of a maximum", 2),
        ("Adamax", _adamax(fade=1.0), slot, "β₂ is missing: the largest gradient never", 2),
        ("Adagrad", _adagrad(outside=True), weight, "ε stands outside the root", 1),
        ("Adagrad", _adagrad(squared=False), slot, "the gradient isn't squared in the acc", 1),
        ("Adagrad", _adagrad(root=False), weight, "the root of the accumulator is missing", 1),
        ("Adadelta", _adadelta(above=False), slot, "the root of the past steps is missing", 1),
        ("Adadelta", _adadelta(scaled=True), slot, "the learning rate is in the remembered", 1),
        ("Adadelta", _adadelta(rho=0.9), slot, "ρ is 0.9, PyTorch's, instead", 1),
        ("Lion", _lion(sign=False), weight, "the sign is forgotten", 1),
        ("Lion", _lion(swapped=True), slot, "β₁ and β₂ are swapped", 1),
        ("Lamb", _lamb(trust=False), weight, "the trust ratio is missing: this is Adam", 1),
        ("Lamb", _lamb(inverse=True), weight, "the trust ratio is upside down", 1),
    ]
    for name, body, phase, cause, step in cases:
        owner = getattr(optimizers, name)
        lost = cause == "ε stands outside the root"  # 1e-7 beside 0.1 is nothing in float32
        dtypes = ("float64",) if lost else ("float32", "float64")
        yield Bug(
            f"{name}: {cause}", owner, "update", body, phase, "", (cause,),
            step=step, optimizer=name, dtypes=dtypes,
        )  # fmt: skip
    right = optimizers.Nadam.update

    def rolled(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        right(self, w, np.concatenate([g[1:], g[:1]]), slots, t, eta)

    yield Bug(
        "trap: Nadam's gradient rolled by one", optimizers.Nadam, "update", rolled, slot, "", (),
        optimizer="Nadam",
    )  # fmt: skip


def _adamax(correct: bool = True, largest: Any = np.maximum, fade: float | None = None) -> Body:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        m, u = slots["momentum"], slots["norm"]
        m += (g - m) * (1.0 - self.beta_1)
        largest(u * (self.beta_2 if fade is None else fade), np.abs(g), out=u)
        below = 1.0 - as_float32(self.beta_1) ** t if correct else 1.0
        w -= eta * m / (below * (u + self.epsilon))

    return update


def _adagrad(outside: bool = False, squared: bool = True, root: bool = True) -> Body:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        n = slots["accumulator"]
        n += g * g if squared else g
        inside = n + self.epsilon
        w -= (
            eta
            * g
            / (np.sqrt(n) + self.epsilon if outside else np.sqrt(inside) if root else inside)
        )

    return update


def _adadelta(above: bool = True, scaled: bool = False, rho: float | None = None) -> Body:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        keep = self.rho if rho is None else rho
        squares, deltas = slots["accumulated_grad"], slots["accumulated_delta_var"]
        squares *= keep
        squares += (1.0 - keep) * (g * g)
        delta = g / np.sqrt(squares + self.epsilon)
        delta = delta * np.sqrt(deltas + self.epsilon) if above else delta
        kept = delta * eta if scaled else delta
        deltas *= keep
        deltas += (1.0 - keep) * (kept * kept)
        w -= eta * delta

    return update


def _lion(sign: bool = True, swapped: bool = False) -> Body:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        b1, b2 = (self.beta_2, self.beta_1) if swapped else (self.beta_1, self.beta_2)
        m = slots["momentum"]
        after = m * b2 + g * (1.0 - b2)
        mean = m * b1 + g * (1.0 - b1)
        w -= eta * (np.sign(mean) if sign else mean)
        m[...] = after

    return update


def _lamb(trust: bool = True, inverse: bool = False) -> Body:
    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        m, v = slots["momentum"], slots["velocity"]
        m += (g - m) * (1.0 - self.beta_1)
        v += (g * g - v) * (1.0 - self.beta_2)
        u = m / (1.0 - as_float32(self.beta_1) ** t)
        u = u / (np.sqrt(v / (1.0 - as_float32(self.beta_2) ** t)) + self.epsilon)
        ratio = norm(u) / norm(w) if inverse else norm(w) / norm(u)
        w -= (ratio if trust else 1.0) * eta * u

    return update
