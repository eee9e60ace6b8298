"""Bugs in the losses that have options, kinks and weights of their own."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, dense, generator
from manual import losses as by_hand
from manual.activations import sigmoid, softmax
from manual.losses import crossentropy, margins


def hot(bug: Choice) -> Planted:
    """Want one of the classes."""
    model, x, _ = dense(bug)
    return model, x, np.eye(WIDTH)[generator().integers(0, WIDTH, SAMPLES)]


def classes(bug: Choice) -> Planted:
    """Want a class number."""
    model, x, _ = dense(bug)
    return model, x, generator().integers(0, WIDTH, SAMPLES)


def scattered(bug: Choice) -> Planted:
    """Want real numbers, of which half lie far away."""
    model, x, _ = dense(bug)
    return model, x, 2.0 * generator().normal(size=(SAMPLES, WIDTH))


Slip = tuple[Any, ...]
"""Name, patched method, what stands there, and how the cause may begin."""

GRADIENT, VALUES = "values_gradient", "values"


def in_more_losses() -> Iterator[Bug]:
    """Give each loss with one decision taken otherwise."""
    kl = keras.losses
    yield from _of(by_hand.Huber, partial(kl.Huber, 0.5), _huber(), network=scattered)
    yield from _of(by_hand.LogCosh, partial(kl.LogCosh), _log_cosh(), network=scattered)
    yield from _of(
        by_hand.MeanAbsolutePercentageError,
        partial(kl.MeanAbsolutePercentageError),
        _percentage(),
        network=scattered,
    )
    logarithmic: list[Slip] = [
        (
            "inner derivative",
            GRADIENT,
            lambda s, dv, saved: dv[..., None] * 2.0 * saved[0] / saved[2].shape[-1],
            "the derivative of the logarithm is missing",
        )
    ]
    owner: type = by_hand.MeanSquaredLogarithmicError
    yield from _of(owner, partial(kl.MeanSquaredLogarithmicError), logarithmic, last="softplus")
    yield from _of(by_hand.KLDivergence, partial(kl.KLDivergence), _divergence(), last="sigmoid")
    yield from _of(by_hand.Poisson, partial(kl.Poisson), _poisson(), last="softplus")
    cosine: list[Slip] = [
        (
            "constant length",
            GRADIENT,
            lambda s, dv, saved: -dv[..., None] * saved[0] * saved[2],
            "the prediction's length is treated as a constant",
        ),
    ]
    yield from _of(by_hand.CosineSimilarity, partial(kl.CosineSimilarity), cosine)
    yield from _margins()
    yield from _entropies()
    yield from _focal()
    yield from _overlaps()
    yield from _weights()
    yield _bug(
        "trap: Huber's gradient off by 1e-5",
        by_hand.Huber,
        GRADIENT,
        lambda s, dv, saved: _huber_gradient(s, dv, saved) + 1e-5 * saved,
        (),
        partial(kl.Huber, 0.5),
        network=scattered,
    )


def _of(owner: type, loss: Any, slips: list[Slip], **network: Any) -> Iterator[Bug]:
    for slip, method, function, *causes in slips:
        name = f"{owner.__name__}: {slip}"
        yield _bug(name, owner, method, function, tuple(causes), loss, **network)


def _bug(
    name: str,
    owner: Any,
    method: str,
    function: Function,
    causes: tuple[str, ...],
    loss: Any,
    *,
    last: str = "linear",
    where: str = "last",
    **network: Any,
) -> Bug:
    phase = "activation gradient" if method == GRADIENT else "loss"
    where = where if phase == "activation gradient" else "total"
    return Bug(name, owner, method, function, phase, where, causes, last=last, loss=loss, **network)


_huber_gradient: Function = by_hand.Huber.values_gradient
_huber_values: Function = by_hand.Huber.values


def _huber() -> list[Slip]:
    def no_offset(self: Any, y: Any, p: Any, logits: bool) -> Any:
        d = p - y
        values = np.where(np.abs(d) <= self.delta, 0.5 * d * d, self.delta * np.abs(d))
        return values.sum(axis=-1) / p.shape[-1], d

    def swapped(self: Any, dv: Any, d: Any) -> Any:
        dp = np.where(np.abs(d) > self.delta, d, self.delta * np.sign(d))
        return dv[..., None] * dp / d.shape[-1]

    def unit(self: Any, dv: Any, d: Any) -> Any:
        return dv[..., None] * np.where(np.abs(d) <= self.delta, d, np.sign(d)) / d.shape[-1]

    def ignored(self: Any, dv: Any, d: Any) -> Any:
        return _huber_gradient(by_hand.Huber(1.0), dv, d)

    return [
        ("no offset", VALUES, no_offset, "½ δ² is not subtracted"),
        ("swapped", GRADIENT, swapped, "the parabola and the straight lines are swapped"),
        ("δ missing", GRADIENT, unit, "δ is missing in the straight lines"),
        ("δ ignored", GRADIENT, ignored, "δ is ignored"),
    ]


def _log_cosh() -> list[Slip]:
    def sinh(self: Any, dv: Any, d: Any) -> Any:
        return dv[..., None] * (0.5 * (np.exp(d) - np.exp(-d))) / d.shape[-1]

    def no_log(self: Any, y: Any, p: Any, logits: bool) -> Any:
        values, d = right(self, y, p, logits)
        return values + self.LOG_2, d

    right: Function = by_hand.LogCosh.values
    return [
        ("sinh", GRADIENT, sinh, "sinh is not divided by cosh"),
        ("no log 2", VALUES, no_log, "log 2 is not subtracted"),
    ]


def _percentage() -> list[Slip]:
    right: Function = by_hand.MeanAbsolutePercentageError.values_gradient

    def hundredth(self: Any, dv: Any, saved: Any) -> Any:
        return right(self, dv, saved) / 100.0  # which the learning rate of 0.01 does, too

    def difference(self: Any, dv: Any, saved: Any) -> Any:
        relative, size = saved  # (p − y)/|y|
        return 100.0 * dv[..., None] * (relative * size) / size / relative.shape[-1]

    return [
        ("100", GRADIENT, hundredth, "the factor 100 is m", "the learning rate"),
        ("no sign", GRADIENT, difference, "the difference stands for its sign"),
    ]


def _divergence() -> list[Slip]:
    def reverse(self: Any, dv: Any, saved: Any) -> Any:
        y, p = saved
        return dv[..., None] * (np.log(p / y) + 1.0)

    def cross_entropy(self: Any, y: Any, p: Any, logits: bool) -> Any:
        return -(y * np.log(p)).sum(axis=-1), (y, p)

    return [
        ("reverse", GRADIENT, reverse, "the roles are swapped"),
        ("cross-entropy", VALUES, cross_entropy, "y log y is missing"),
    ]


def _poisson() -> list[Slip]:
    def of_log(self: Any, dv: Any, saved: Any) -> Any:
        y, p = saved
        return dv[..., None] * (np.exp(p) - y) / p.shape[-1]

    def no_rate(self: Any, dv: Any, saved: Any) -> Any:
        y, p = saved
        return -dv[..., None] * y / (p + 1e-7) / p.shape[-1]

    return [
        ("log rate", GRADIENT, of_log, "the prediction is taken for the logarithm"),
        ("no rate", GRADIENT, no_rate, "the rate itself is forgotten"),
    ]


def _margins() -> Iterator[Bug]:
    for one, loss in (
        (by_hand.Hinge, partial(keras.losses.Hinge)),
        (by_hand.SquaredHinge, partial(keras.losses.SquaredHinge)),
    ):
        yield _bug(
            f"{one.__name__}: labels 0 and 1",
            margins,
            "signed",
            lambda y: y,
            ("the labels 0 and 1 aren't turned",),
            loss,
            network=hot,
        )

    def without_y(self: Any, dv: Any, saved: Any) -> Any:
        return -dv[..., None] * (saved[1] >= 0.0) / saved[0].shape[-1]

    hinge: list[Slip] = [("no target", GRADIENT, without_y, "the target is missing in the deriv")]
    yield from _of(by_hand.Hinge, partial(keras.losses.Hinge), hinge, network=hot)
    categorical: list[Slip] = [
        (
            "only the wanted class",
            GRADIENT,
            lambda s, dv, saved: (dv * (saved[2] >= 0.0))[..., None] * -saved[0],
            "only the wanted class gets a gradient",
        )
    ]
    owner: type = by_hand.CategoricalHinge
    yield from _of(owner, partial(keras.losses.CategoricalHinge), categorical, network=hot)


def _entropies() -> Iterator[Bug]:
    kl = keras.losses
    behind = {"where": "last/pre_activation"}
    smooth = partial(kl.CategoricalCrossentropy, label_smoothing=0.2)
    for slip, rule, cause in (
        ("forgotten", lambda y, s, k: y, "the label smoothing is forgotten"),
        (
            "over K − 1",
            lambda y, s, k: y * (1.0 - s) + (1.0 - y) * s / (k - 1.0),
            "the labels are smoothed over the K − 1",
        ),
    ):
        yield _bug(
            f"smoothing {slip}",
            crossentropy,
            "smoothed",
            rule,
            (cause,),
            smooth,
            last="softmax",
            network=hot,
        )

    def inner(self: Any, dv: Any, saved: Any) -> Any:
        y, z, _ = saved
        s = sigmoid(z)
        return dv[..., None] * (s - y) * s * (1.0 - s) / z.shape[-1]

    def inner_softmax(self: Any, dv: Any, saved: Any) -> Any:
        y, z, _ = saved
        q = softmax(z)
        return dv[..., None] * (q - y) * q * (1.0 - q)

    binary: list[Slip] = [("σ′ again", GRADIENT, inner, "the derivative of the sigmoid is mult")]
    owner: Any = by_hand.BinaryCrossentropy
    loss: Any = partial(kl.BinaryCrossentropy)
    yield from _of(owner, loss, binary, last="sigmoid", **behind)
    rows: list[Slip] = [
        ("softmax′ again", GRADIENT, inner_softmax, "the derivative of softmax is multiplied in")
    ]
    owner, loss = by_hand.CategoricalCrossentropy, partial(kl.CategoricalCrossentropy)
    yield from _of(owner, loss, rows, last="softmax", **behind)

    def off_by_one(self: Any, dv: Any, saved: Any) -> Any:
        chosen, z, _ = saved
        return dv[..., None] * (softmax(z) - np.roll(chosen, 1, axis=-1))

    numbers: list[Slip] = [("off by one", GRADIENT, off_by_one, "the class numbers are one too l")]
    owner, loss = by_hand.SparseCategoricalCrossentropy, partial(kl.SparseCategoricalCrossentropy)
    yield from _of(owner, loss, numbers, last="softmax", network=classes, **behind)
    yield _bug(
        "ignore_class ignored",
        by_hand.SparseCategoricalCrossentropy,
        "own_mask",
        lambda self, y: None,
        ("the class to be ignored counts",),
        partial(kl.SparseCategoricalCrossentropy, from_logits=True, ignore_class=1),
        network=classes,
    )
    power: list[Slip] = [
        (
            "exponent",
            GRADIENT,
            lambda s, dv, saved: -(dv * saved[1] ** s.q)[..., None] * saved[0],
            "the exponent isn't lowered by 1",
        )
    ]
    owner, loss = (
        by_hand.CategoricalGeneralizedCrossEntropy,
        partial(kl.CategoricalGeneralizedCrossEntropy, 0.6),
    )
    yield from _of(owner, loss, power, last="sigmoid", network=classes)


def _focal() -> Iterator[Bug]:
    right: Function = by_hand.BinaryFocalCrossentropy.values_gradient
    missing: Function = by_hand.BinaryFocalCrossentropy._missing

    def constant(self: Any, dv: Any, saved: Any) -> Any:
        y, z, _ = saved
        factor = missing(self, y, z, True) ** self.gamma
        return dv[..., None] * factor * (sigmoid(z) - y) / z.shape[-1]

    def plain(self: Any, dv: Any, saved: Any) -> Any:
        return right(by_hand.BinaryFocalCrossentropy(gamma=1.0), dv, saved)

    slips: list[Slip] = [
        ("factor constant", GRADIENT, constant, "the modulating factor is treated as a constant"),
        ("γ = 1", GRADIENT, plain, "γ is 1 instead"),
    ]
    owner: type = by_hand.BinaryFocalCrossentropy
    loss = partial(keras.losses.BinaryFocalCrossentropy, gamma=1.5)
    yield from _of(owner, loss, slips, last="sigmoid", where="last/pre_activation")


def _overlaps() -> Iterator[Bug]:
    constant: list[Slip] = [
        (
            "sizes constant",
            GRADIENT,
            lambda s, dv, saved: -dv.reshape(saved[2].shape) * 2.0 * saved[0] / saved[2],
            "the sizes are treated as constants",
        )
    ]
    yield from _of(by_hand.Dice, partial(keras.losses.Dice), constant, last="sigmoid")
    right: Function = by_hand.Tversky.values_gradient
    swapped: list[Slip] = [
        (
            "swapped",
            GRADIENT,
            lambda s, dv, saved: right(by_hand.Tversky(0.8, 0.3), dv, saved),
            "α and β are swapped",
        )
    ]
    loss = partial(keras.losses.Tversky, 0.3, 0.8)
    yield from _of(by_hand.Tversky, loss, swapped, last="sigmoid")


def _weights() -> Iterator[Bug]:
    right: Function = by_hand.Loss.forward
    for slip, changed, cause in (
        ("ignored", lambda w: None, "the sample weights are ignored"),
        ("squared", lambda w: w * w, "the sample weights are applied twice"),
    ):

        def forward(self: Any, y: Any, p: Any, changed: Any = changed, **options: Any) -> Any:
            options["sample_weight"] = changed(options["sample_weight"])
            return right(self, y, p, **options)

        loss = partial(keras.losses.MeanSquaredError)
        yield _bug(
            f"sample weights {slip}",
            by_hand.Loss,
            "forward",
            forward,
            (cause,),
            loss,
            weighted=True,
        )
    yield _bug(
        "sample weights divided by their sum",
        by_hand.Loss,
        "_divisor",
        lambda self, values, share: share.sum(),
        ("the sample weights are divided by their sum",),
        partial(keras.losses.MeanAbsoluteError),
        weighted=True,
    )
