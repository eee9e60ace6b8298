"""Bugs in dropout and noise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator
from manual.layers import AlphaDropout, Dropout, GaussianDropout, GaussianNoise

L = keras.layers
Map = Callable[..., Any]


def dropped(bug: Choice) -> Planted:
    """Dropout, Gaussian dropout and noise between Dense layers."""
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            L.Dense(6, bug.activation, name="first"),
            L.Dropout(0.3, seed=1, name="drop"),
            L.Dense(WIDTH, bug.activation, name="second"),
            L.GaussianDropout(0.2, seed=2, name="multiplied"),
            L.Dense(WIDTH, bug.activation, name="third"),
            L.GaussianNoise(0.4, seed=3, name="added"),
            L.Dense(2, bug.last, name="last"),
        ]
    )
    draw = generator()
    return model, draw.normal(size=(SAMPLES, WIDTH)), draw.normal(size=(SAMPLES, 2))


def normalizing(bug: Choice) -> Planted:
    """Alpha dropout behind a self-normalizing layer, and dropout of whole channels."""
    model = keras.Sequential(
        [
            keras.Input((WIDTH, WIDTH)),
            L.Dense(WIDTH, "selu", name="first"),
            L.AlphaDropout(0.25, seed=1, name="alpha"),
            L.Dense(WIDTH, "selu", name="second"),
            L.SpatialDropout1D(0.4, seed=2, name="spatial"),
            L.Dense(2, bug.last, name="last"),
        ]
    )
    draw = generator()
    x = draw.normal(size=(SAMPLES, WIDTH, WIDTH))
    return model, x, draw.normal(size=(SAMPLES, WIDTH, 2))


def in_dropout() -> Iterator[Bug]:
    """Give slips in the mask, in the scale and in the size of the noise, forward and back."""
    yield from _of_dropout()
    yield from _of_gaussian_dropout()
    yield from _of_gaussian_noise()
    yield from _of_alpha_dropout()
    for owner, name in ((Dropout, "drop"), (GaussianDropout, "multiplied"), (GaussianNoise, "add")):
        right: Function = owner.forward
        yield Bug(
            f"dropout or noise at inference: {owner.__name__}",
            owner,
            "forward",
            lambda self, x, *, training=False, right=right: right(self, x, training=True),
            "metric",
            "val_loss",
            (f"dropout or noise is applied at inference, by '{name}",),
            step=3,
            network=dropped,
            held_out=True,
        )


def other_draw(v: Any) -> Any:
    """Draw as a backward pass does that draws its mask anew."""
    return np.random.default_rng(17).uniform(size=v.shape)


def _of_dropout() -> Iterator[Bug]:
    """Each line gets what passes (x or dy), the mask and the rate."""
    lines: dict[str, tuple[Map, str]] = {
        "not scaled": (
            lambda v, m, p: np.where(m, v, 0.0),
            "the scaling by 1 / (1 − rate) is missing",
        ),
        "multiplied by 1 − rate": (
            lambda v, m, p: np.where(m, v * (1.0 - p), 0.0),
            "the scaling multiplies by 1 − rate",
        ),
        "divided by the rate": (lambda v, m, p: np.where(m, v / p, 0.0), "the scale is 1 / rate"),
        "inverted": (lambda v, m, p: np.where(m, 0.0, v / (1.0 - p)), "the mask is inverted"),
        "rate for keep": (
            lambda v, m, p: np.where(m, 0.0, v / p),
            "the rate is taken for the share that is kept",
        ),
        "not masked": (lambda v, m, p: v / (1.0 - p), "the mask is not applied"),
        "let through": (lambda v, m, p: v * 1.0, "nothing is dropped, and nothing scaled"),
        "one mask for all": (
            lambda v, m, p: np.where(m[:1], v / (1.0 - p), 0.0),
            "one mask serves all samples",
        ),
        "another draw": (
            lambda v, m, p: np.where(other_draw(v) >= p, v / (1.0 - p), 0.0),
            "another draw of the mask is used",
        ),
        "another draw, not scaled": (
            lambda v, m, p: np.where(other_draw(v) >= p, v, 0.0),
            "another draw of the mask is used",
        ),
        "trap: dropped becomes a thousandth": (
            lambda v, m, p: np.where(m, v / (1.0 - p), v * 0.001),
            "",
        ),
        "trap: another draw, and all a little off": (
            lambda v, m, p: np.where(other_draw(v) >= p, v * 1.43, 0.0),
            "",
        ),
    }
    right: Function = Dropout.forward
    for slip, (line, cause) in lines.items():

        def forward(self: Any, x: Any, *, training: bool = False, line: Map = line) -> Any:
            y, m = right(self, x, training=training)
            return (line(x, m, self.rate), m) if training else (y, m)

        def backward(self: Any, dy: Any, m: Any, line: Map = line) -> Any:
            return line(dy, m, self.rate)

        yield _forward_bug(f"dropout: {slip}", Dropout, forward, "drop", cause)
        yield _backward_bug(f"dropout: dx {slip}", Dropout, backward, "first", cause)


def _of_gaussian_dropout() -> Iterator[Bug]:
    """Each line gets what passes, the draws from N(0, 1), and the rate."""
    lines: dict[str, tuple[Map, str]] = {
        "variance": (
            lambda v, n, p: v * (1.0 + n * (p / (1.0 - p))),
            "the variance stands for the standard deviation",
        ),
        "√rate": (lambda v, n, p: v * (1.0 + n * p**0.5), "the standard deviation is √rate"),
        "rate": (lambda v, n, p: v * (1.0 + n * p), "the standard deviation is the rate"),
        "mean 0": (
            lambda v, n, p: v * n * (p / (1.0 - p)) ** 0.5,
            "the mean of 1 is forgotten",
        ),
        "not applied": (lambda v, n, p: v * 1.0, "the noise is not applied"),
        "one for all": (
            lambda v, n, p: v * (1.0 + n[:1] * (p / (1.0 - p)) ** 0.5),
            "one draw serves all samples",
        ),
    }
    right: Function = GaussianDropout.forward
    for slip, (line, cause) in lines.items():

        def forward(self: Any, x: Any, *, training: bool = False, line: Map = line) -> Any:
            if not training:
                return right(self, x)
            n = self.draws.normal(x.shape, x.dtype)
            return line(x, n, self.rate), 1.0 + n * (self.rate / (1.0 - self.rate)) ** 0.5

        def backward(self: Any, dy: Any, m: Any, line: Map = line) -> Any:
            n = (m - 1.0) / (self.rate / (1.0 - self.rate)) ** 0.5
            return line(dy, n, self.rate)

        name = f"gaussian dropout: {slip}"
        yield _forward_bug(name, GaussianDropout, forward, "multiplied", cause)
        if slip != "mean 0":  # n can't be had from m = 1 + σ n without losing its digits
            name = f"gaussian dropout: dx {slip}"
            yield _backward_bug(name, GaussianDropout, backward, "second", cause)


def _of_gaussian_noise() -> Iterator[Bug]:
    right: Function = GaussianNoise.forward
    lines: dict[str, tuple[Map, str]] = {
        "variance": (
            lambda x, n, s: x + n * s**2,
            "the variance stands for the standard deviation",
        ),
        "root": (lambda x, n, s: x + n * s**0.5, "stddev is taken for a variance"),
        "not added": (lambda x, n, s: x * 1.0, "no noise is added"),
        "of size 1": (lambda x, n, s: x + n, "the standard deviation is forgotten"),
        "trap: with a mean": (lambda x, n, s: x + n * s + 0.001, ""),
    }
    for slip, (line, cause) in lines.items():

        def forward(self: Any, x: Any, *, training: bool = False, line: Map = line) -> Any:
            y, saved = right(self, x, training=training)
            return (line(x, (y - x) / self.stddev, self.stddev), saved) if training else (y, saved)

        yield _forward_bug(f"gaussian noise: {slip}", GaussianNoise, forward, "added", cause)


def _of_alpha_dropout() -> Iterator[Bug]:
    """Each line gets what passes, the mask, a, the rate and α′."""
    lines: dict[str, tuple[Map, str]] = {
        "no shift": (lambda x, m, a, p, low: a * np.where(m, x, low), "the shift by b is missing"),
        "dropped to 0": (
            lambda x, m, a, p, low: a * np.where(m, x, 0.0) - a * low * p,
            "what is dropped becomes 0",
        ),
        "+λα": (
            lambda x, m, a, p, low: a * np.where(m, x, -low) + a * low * p,
            "α′ is +λα throughout",
        ),
        "another a": (
            lambda x, m, a, p, low: (np.where(m, x, low) - low * p) * (1.0 + p * low * low) ** -0.5,
            "1 − rate is missing in a",
        ),
    }
    right: Function = AlphaDropout.forward
    for slip, (line, cause) in lines.items():

        def forward(self: Any, x: Any, *, training: bool = False, line: Map = line) -> Any:
            y, saved = right(self, x, training=training)
            return (line(x, *saved, self.rate, self.alpha), saved) if training else (y, saved)

        name = f"alpha dropout: {slip}"
        yield _forward_bug(name, AlphaDropout, forward, "alpha", cause, normalizing)

    def unscaled(self: Any, dy: Any, saved: Any) -> Any:
        return np.where(saved[0], dy, 0.0)

    def steps(self: Any, x: Any, *, training: bool = False) -> Any:
        if not training:
            return x, None
        m = np.transpose(self.draws.uniform((len(x), 1, WIDTH), x.dtype), (0, 2, 1)) >= self.rate
        return self._enlarged(x, m), m

    cause = "the scaling by a is missing"
    name = "alpha dropout: dx not scaled"
    yield _backward_bug(name, AlphaDropout, unscaled, "first", cause, normalizing)
    cause = "the mask is the same along axis 2 instead of axis 1"
    yield Bug(
        "spatial dropout: whole steps",
        Dropout,
        "forward",
        steps,
        "activation",
        "spatial",
        (cause,),
        network=normalizing,
    )


def _forward_bug(
    name: str, owner: type, function: Function, where: str, cause: str, network: Any = dropped
) -> Bug:
    causes = (cause,) if cause else ()
    return Bug(name, owner, "forward", function, "activation", where, causes, network=network)


def _backward_bug(
    name: str, owner: type, function: Function, where: str, cause: str, network: Any = dropped
) -> Bug:
    phase, causes = "activation gradient", (cause,) if cause else ()
    return Bug(name, owner, "backward", function, phase, where, causes, network=network)
