"""Bugs in RMS and unit normalization."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator, spread
from manual.layers import RMSNormalization, UnitNormalization
from manual.layers.standardization import total

L = keras.layers
Map = Callable[..., Any]


def lengths(bug: Choice) -> Planted:
    """RMS normalization of sequences, with a scale that matters, and vectors of length 1."""
    rms = L.RMSNormalization(epsilon=0.01, name="rms")
    rms.build((None, 3, WIDTH))
    draw = generator()
    rms.scale.assign(draw.uniform(0.5, 1.5, WIDTH))
    model = keras.Sequential(
        [
            keras.Input((3, WIDTH)),
            L.Dense(WIDTH, name="first", **spread()),
            rms,
            L.Dense(WIDTH, bug.activation, name="second", **spread()),
            L.UnitNormalization(name="unit"),
            L.Flatten(name="flat"),
            L.Dense(2, bug.last, name="last"),
        ]
    )
    return model, draw.normal(size=(SAMPLES, 3, WIDTH)), draw.normal(size=(SAMPLES, 2))


def in_lengths() -> Iterator[Bug]:
    """Give slips in each line of RMS and unit normalization."""
    yield from _forward()
    yield from _backward()
    yield from _scale()


def _mean(array: Any) -> Any:
    return array.mean(axis=-1, keepdims=True)


def _sum(array: Any) -> Any:
    return array.sum(axis=-1, keepdims=True)


def _forward() -> Iterator[Bug]:
    """Each gets x, γ and ε."""
    lines: dict[str, tuple[Map, str]] = {
        "ε forgotten": (lambda x, g, eps: x / np.sqrt(_mean(x * x)) * g, "ε is forgotten"),
        "ε outside": (
            lambda x, g, eps: x / (np.sqrt(_mean(x * x)) + eps) * g,
            "ε is added outside of the root",
        ),
        "a sum": (
            lambda x, g, eps: x / np.sqrt(_sum(x * x) + eps) * g,
            "the squares are added up, not averaged",
        ),
        "centred": (
            lambda x, g, eps: (x - _mean(x)) / np.sqrt(_mean(np.square(x - _mean(x))) + eps) * g,
            "the mean is subtracted, as in layer normalization",
        ),
        "deviation": (
            lambda x, g, eps: x / np.sqrt(_mean(np.square(x - _mean(x))) + eps) * g,
            "the mean is subtracted before the squares are taken",
        ),
        "root forgotten": (lambda x, g, eps: x / (_mean(x * x) + eps) * g, "the root is forgotten"),
        "scale forgotten": (lambda x, g, eps: x / np.sqrt(_mean(x * x) + eps), "γ is forgotten"),
        "1 + scale": (
            lambda x, g, eps: x / np.sqrt(_mean(x * x) + eps) * (1.0 + g),
            "1 + γ stands for γ",
        ),
        "over all": (
            lambda x, g, eps: x / np.sqrt((x * x).mean(axis=(1, 2), keepdims=True) + eps) * g,
            "the squares are taken over each sample's features",
        ),
    }
    right: Function = RMSNormalization.forward
    for slip, (line, cause) in lines.items():

        def forward(self: Any, x: Any, *, training: bool = False, line: Map = line) -> Any:
            return line(x, self.scale.value, self.epsilon), right(self, x)[1]

        yield _bug("RMS", slip, RMSNormalization, "forward", forward, "activation", "rms", cause)
    of_unit: dict[str, tuple[Map, str]] = {
        "L1": (lambda x: x / _sum(np.abs(x)), "absolute values are added up"),
        "root forgotten": (lambda x: x / _sum(x * x), "the root is forgotten"),
        "a mean": (lambda x: x / np.sqrt(_mean(x * x)), "the mean of the squares is taken"),
        "maximum": (
            lambda x: x / np.abs(x).max(axis=x.ndim - 1, keepdims=True),
            "the largest absolute value stands",
        ),
        "another axis": (
            lambda x: x / np.sqrt((x * x).sum(axis=1, keepdims=True)),
            "the squares are taken over axis 1",
        ),
    }
    right_unit: Function = UnitNormalization.forward
    for slip, (line, cause) in of_unit.items():

        def unit(self: Any, x: Any, *, training: bool = False, line: Map = line) -> Any:
            return line(x), right_unit(self, x)[1]

        yield _bug("unit", slip, UnitNormalization, "forward", unit, "activation", "unit", cause)


def _backward() -> Iterator[Bug]:
    """Each gets g = γ dy, dy, x̂, r, and a function that takes means (RMS) or sums (unit)."""
    through = "in the gradient through the length"
    lines: dict[str, tuple[Map, str]] = {
        "constant": (lambda g, dy, h, r, S: r * g, "the length is taken for a constant"),
        "sign": (lambda g, dy, h, r, S: r * (g + h * S(g * h)), f"the sign is wrong {through}"),
        "r²": (lambda g, dy, h, r, S: r * (g - h * S(g * h) / r), f"r² stands for r³ {through}"),
        "without r": (lambda g, dy, h, r, S: g - h * S(g * h), "it is not divided by the length"),
        "2": (lambda g, dy, h, r, S: r * (g - 2.0 * h * S(g * h)), "there is a 2 too many, or a"),
        "as in layer normalization": (
            lambda g, dy, h, r, S: r * (g - _mean(g) - h * S(g * h)),
            "there is a gradient through a mean",
        ),
        "without γ": (lambda g, dy, h, r, S: r * (dy - h * S(dy * h)), "γ is forgotten"),
        "without γ in the mean": (
            lambda g, dy, h, r, S: r * (g - h * S(dy * h)),
            f"γ is forgotten {through}",
        ),
        "γ outside": (
            lambda g, dy, h, r, S: r * (g - g / dy * h * S(dy * h)),
            "γ is multiplied in after the sum",
        ),
    }
    for owner, kind, below in (
        (RMSNormalization, "RMS", "first"),
        (UnitNormalization, "unit", "second"),
    ):
        right: Function = owner.backward
        for slip, (line, cause) in lines.items():
            if "γ" in slip and owner is UnitNormalization:
                continue

            def backward(
                self: Any, dy: Any, saved: Any, line: Map = line, right: Function = right
            ) -> Any:
                right(self, dy, saved)
                x, r = saved[:2]
                is_rms = isinstance(self, RMSNormalization)
                g = dy * self.scale.value if is_rms else dy
                return line(g, dy, x * r, r, _mean if is_rms else _sum)

            phase = "activation gradient"
            yield _bug(kind, f"dx {slip}", owner, "backward", backward, phase, below, cause)


def _scale() -> Iterator[Bug]:
    """Each gets dy, x, r and γ."""
    lines: dict[str, tuple[Map, str]] = {
        "without r": (lambda dy, x, r, g: dy * x, "the input stands for the normalized input"),
        "with γ": (lambda dy, x, r, g: dy * x * r * g, "the layer's output stands for"),
        "without x": (lambda dy, x, r, g: dy, "the normalized input is not multiplied in"),
        "of one sample": (lambda dy, x, r, g: (dy * x * r)[-1:], "only the last sample's share"),
        "averaged": (
            lambda dy, x, r, g: dy * x * r / 3.0,
            "a mean stands for the sum over axis 1",
        ),
    }
    right: Function = RMSNormalization.backward
    for slip, (line, cause) in lines.items():

        def backward(self: Any, dy: Any, saved: Any, line: Map = line) -> Any:
            x, r = saved
            gamma, before = self.scale.value, self.scale.gradient * 1.0
            dx = right(self, dy, saved)
            self.scale.gradient[...] = (
                before + total(line(dy, x, r, gamma), gamma[None, None])[0, 0]
            )
            return dx

        where, phase = "rms/scale", "weight gradient"
        yield _bug("RMS", f"dγ {slip}", RMSNormalization, "backward", backward, phase, where, cause)


def _bug(
    kind: str,
    slip: str,
    owner: type,
    method: str,
    function: Function,
    phase: str,
    where: str,
    cause: str,
) -> Bug:
    name = f"{kind} normalization: {slip}"
    return Bug(name, owner, method, function, phase, where, (cause,), network=lengths)
