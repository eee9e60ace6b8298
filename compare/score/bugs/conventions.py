"""Bugs in losses as other libraries and papers have them, in the circle loss, in targets."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.more_losses import GRADIENT, VALUES, _bug, _of, classes, hot, scattered
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator, spread
from manual import losses as by_hand
from manual.activations import sigmoid, softplus

kl = keras.losses


def single(bug: Choice) -> Planted:
    """Want one number of each sample."""
    layer, draw = keras.layers.Dense, generator()
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            layer(WIDTH, bug.activation, name="first", **spread()),
            layer(1, bug.last, name="last", **spread()),
        ]
    )
    return model, draw.normal(size=(SAMPLES, WIDTH)), draw.normal(size=(SAMPLES, 1))


def counts(bug: Choice) -> Planted:
    """Want counts."""
    model, x, _ = single(bug)
    return model, x, generator().poisson(3.0, size=(SAMPLES, 1)).astype(float)


def in_conventions() -> Iterator[Bug]:
    """Give the losses of PyTorch, of papers and of careless broadcasting."""
    yield from _of(by_hand.Huber, partial(kl.Huber, 0.7), _huber(), network=scattered)
    yield Bug(
        "MSE: its root's derivative",
        by_hand.Loss,
        "backward",
        lambda s, saved: saved[0] / np.sqrt((saved[0] * saved[0]).sum() * saved[0].size),
        "activation gradient",
        "last",
        ("the root is taken of the mean",),
    )
    yield from _targets()
    yield from _overlaps_and_margins()
    yield from _entropies()
    yield from _circle()


def _huber() -> list[Any]:
    def smooth(self: Any, dv: Any, d: Any) -> Any:
        dp = np.where(np.abs(d) <= self.delta, d / self.delta, np.sign(d))
        return dv[..., None] * dp / d.shape[-1]

    def signless(self: Any, dv: Any, d: Any) -> Any:
        return dv[..., None] * np.where(np.abs(d) <= self.delta, d, self.delta) / d.shape[-1]

    return [
        ("smooth L1", GRADIENT, smooth, "everything is divided by δ"),
        ("no sign", GRADIENT, signless, "the sign of d is missing"),
    ]


def _targets() -> Iterator[Bug]:
    def each_with_each(self: Any, y: Any, p: Any, logits: bool) -> Any:
        apart = p - y.T
        return (apart * apart).sum(axis=-1) / float(len(y)), p - y

    yield _bug(
        "MSE: (n,) broadcast against (n, 1)",
        by_hand.MeanSquaredError,
        VALUES,
        each_with_each,
        ("targets of shape (n,) meet predictions",),
        "mse",
        network=single,
    )

    def shifted(self: Any, y: Any, p: Any, logits: bool) -> Any:
        d = p - np.roll(y, 1, axis=0)
        return np.abs(d).sum(axis=-1) / p.shape[-1], p - y

    yield _bug(
        "MAE: targets one sample late",
        by_hand.MeanAbsoluteError,
        VALUES,
        shifted,
        ("each prediction meets the target of the sample before",),
        "mae",
    )


def _overlaps_and_margins() -> Iterator[Bug]:
    def smoothed(self: Any, y: Any, p: Any, logits: bool) -> Any:
        sizes = self._sum(y) + self._sum(p) + 1.0
        dice = (2.0 * self._sum(y * p) + 1.0) / sizes
        return self._without_axes(1.0 - dice), (y, dice, sizes)

    slips: list[Any] = [
        ("1 above and below", VALUES, smoothed, "1 is added above and below the line")
    ]
    yield from _of(by_hand.Dice, partial(kl.Dice), slips, last="sigmoid")

    def each_rival(self: Any, y: Any, p: Any, logits: bool) -> Any:
        short = (1.0 - y) * np.maximum(1.0 + p - (y * p).sum(axis=-1, keepdims=True), 0.0)
        return short.sum(axis=-1), right(self, y, p, logits)[1]

    right: Function = by_hand.CategoricalHinge.values
    slips = [("Weston & Watkins", VALUES, each_rival, "each rival has a margin of its own")]
    yield from _of(by_hand.CategoricalHinge, partial(kl.CategoricalHinge), slips, network=hot)

    def added(self: Any, dv: Any, saved: Any) -> Any:
        y, p, r = saved
        along = (y * p).sum(axis=-1, keepdims=True)
        return -dv[..., None] * (y * r + p * (r * r * r) * along)

    slips = [("sign of the length", GRADIENT, added, "the share of the length has the wrong")]
    yield from _of(by_hand.CosineSimilarity, partial(kl.CosineSimilarity), slips)


def _entropies() -> Iterator[Bug]:
    def half(self: Any, y: Any, p: Any, logits: bool) -> Any:
        return (y * softplus(-p)).sum(axis=-1) / p.shape[-1], (y, p, logits)

    slips: list[Any] = [("half", VALUES, half, "the term of 1 − y is missing")]
    owner: type = by_hand.BinaryCrossentropy
    yield from _of(owner, partial(kl.BinaryCrossentropy), slips, last="sigmoid", network=hot)

    def from_1(self: Any, y: Any, p: Any, logits: bool) -> Any:
        return right(self, y - 1, p, logits)

    right: Function = by_hand.SparseCategoricalCrossentropy.values
    slips = [("counted from 1", VALUES, from_1, "the class numbers are one too small")]
    owner = by_hand.SparseCategoricalCrossentropy
    loss: Any = partial(kl.SparseCategoricalCrossentropy)
    yield from _of(owner, loss, slips, last="softmax", network=classes)

    def stirling(self: Any, y: Any, p: Any, logits: bool) -> Any:
        values, saved = poisson(self, y, p, logits)
        more = y * np.log(np.maximum(y, 1.0)) - y + 0.5 * np.log(2.0 * np.pi * np.maximum(y, 1.0))
        return values + np.where(y > 1.0, more, 0.0).sum(axis=-1) / p.shape[-1], saved

    poisson: Function = by_hand.Poisson.values
    slips = [("log y!", VALUES, stirling, "log y! is added, by Stirling's formula")]
    yield from _of(by_hand.Poisson, partial(kl.Poisson), slips, last="softplus", network=counts)

    def no_gamma(self: Any, dv: Any, saved: Any) -> Any:
        y, z, _ = saved
        s = sigmoid(z)
        left = 1.0 - (y * s + (1.0 - y) * (1.0 - s))
        inner = left ** (self.gamma - 1.0) * (2.0 * y - 1.0) * s * (1.0 - s)
        dz = left**self.gamma * (s - y) - inner * (softplus(z) - y * z)
        return dv[..., None] * dz / z.shape[-1]

    slips = [("γ", GRADIENT, no_gamma, "γ is missing before the power")]
    loss = partial(kl.BinaryFocalCrossentropy, gamma=1.5)
    behind = {"last": "sigmoid", "where": "last/pre_activation", "network": hot}
    yield from _of(by_hand.BinaryFocalCrossentropy, loss, slips, **behind)


def _circle() -> Iterator[Bug]:
    def changed(line: Function) -> Function:
        def gradient(self: Any, dv: Any, saved: Any) -> Any:
            p, near, repelled, total, of_positives, of_negatives = saved
            d, m = np.maximum(near, 0.0), self.margin
            pulled, pushed, join = line(self.gamma, m, d, repelled)
            share = (dv * sigmoid(total))[:, None]
            dd = share * (of_positives * pulled + of_negatives * pushed) * (near >= 0.0)
            return -join(dd) @ p

        return gradient

    def slopes(gamma: float, m: float, d: Any, repelled: Any) -> tuple[Any, Any]:
        return gamma * 2.0 * d, -gamma * ((repelled > 0.0) * ((1.0 - m) - d) + repelled)

    slips: list[Any] = [
        (
            "weights constant",
            GRADIENT,
            changed(lambda g, m, d, far: (g * (m + d), -g * far, lambda dd: dd + dd.T)),
            "the weights of the pairs are treated as constants",
        ),
        (
            "one side",
            GRADIENT,
            changed(lambda *around: (*slopes(*around), lambda dd: dd)),
            "only one side of each pair",
        ),
        (
            "symmetric",
            GRADIENT,
            changed(lambda *around: (*slopes(*around), lambda dd: 2.0 * dd)),
            "each pair is taken to be symmetric",
        ),
    ]
    loss = partial(kl.Circle, gamma=4.0, margin=0.3)
    yield from _of(by_hand.Circle, loss, slips, network=classes)
    yield _bug(
        "Circle: its own partner",
        by_hand.Circle,
        "_partners",
        lambda s, y: (np.equal.outer(y, y), np.not_equal.outer(y, y)),
        ("a sample is its own partner",),
        loss,
        network=classes,
    )
