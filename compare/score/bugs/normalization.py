"""Bugs in batch, layer and group normalization: forward, and in the gradient of the input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator
from manual.layers import BatchNormalization, GroupNormalization, LayerNormalization
from manual.layers.standardization import Standardization

L = keras.layers
Map = Callable[..., Any]


def weights() -> dict[str, Any]:
    """Return options for a layer whose γ and β shall matter from the first step on."""
    uniform = keras.initializers.RandomUniform
    return {"gamma_initializer": uniform(0.5, 1.5), "beta_initializer": uniform(-0.5, 0.5)}


def averages() -> dict[str, Any]:
    """Return options for moving averages that shall matter from the first step on."""
    uniform = keras.initializers.RandomUniform
    return {
        "moving_mean_initializer": uniform(-0.5, 0.5),
        "moving_variance_initializer": uniform(0.5, 1.5),
    }


def shifted() -> dict[str, Any]:
    """Return options for a layer whose output shall have a mean to subtract."""
    return {"bias_initializer": keras.initializers.RandomUniform(0.5, 1.0)}


def normalized(bug: Choice) -> Planted:
    """Batch and layer normalization between Dense layers."""
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            L.Dense(WIDTH, name="first", **shifted()),
            L.BatchNormalization(momentum=0.7, name="batch", **averages(), **weights()),
            L.Dense(WIDTH, bug.activation, name="second", **shifted()),
            L.LayerNormalization(name="layer", **weights()),
            L.Dense(2, bug.last, name="last"),
        ]
    )
    draw = generator()
    return model, draw.normal(size=(SAMPLES, WIDTH)), draw.normal(size=(SAMPLES, 2))


def sequences(bug: Choice) -> Planted:
    """Batch and group normalization of a sequence of 3 steps: n isn't the batch size."""
    model = keras.Sequential(
        [
            keras.Input((3, WIDTH)),
            L.Dense(WIDTH, name="first", **shifted()),
            L.BatchNormalization(
                momentum=0.9, epsilon=0.01, name="batch", **averages(), **weights()
            ),
            L.Dense(WIDTH, bug.activation, name="second"),
            L.GroupNormalization(2, name="group", **weights()),
            L.Flatten(name="flat"),
            L.Dense(2, bug.last, name="last"),
        ]
    )
    draw = generator()
    return model, draw.normal(size=(SAMPLES, 3, WIDTH)), draw.normal(size=(SAMPLES, 2))


def in_normalization() -> Iterator[Bug]:
    """Give slips in each line of normalization."""
    yield from _forward()
    yield from _backward()


def _moments(x: Any, axes: Any) -> tuple[Any, Any]:
    mean = x.mean(axis=axes, keepdims=True)
    return mean, np.square(x - mean).mean(axis=axes, keepdims=True)


def _forward() -> Iterator[Bug]:
    """Each gets x, γ, β (spread), the layer, and the axes."""
    lines: dict[str, tuple[Map, str]] = {
        "ε forgotten": (
            lambda x, g, b, eps, m, v, n: (x - m) / np.sqrt(v) * g + b,
            "ε is forgotten",
        ),
        "ε outside": (
            lambda x, g, b, eps, m, v, n: (x - m) / (np.sqrt(v) + eps) * g + b,
            "ε is added outside",
        ),
        "PyTorch's ε": (
            lambda x, g, b, eps, m, v, n: (x - m) / np.sqrt(v + 1e-5) * g + b,
            "ε is 1e-05, PyTorch's",
        ),
        "unbiased": (
            lambda x, g, b, eps, m, v, n: (x - m) / np.sqrt(v * n / (n - 1.0) + eps) * g + b,
            "the variance is the unbiased one",
        ),
        "unbiased, ε outside": (
            lambda x, g, b, eps, m, v, n: (x - m) / (np.sqrt(v * n / (n - 1.0)) + eps) * g + b,
            "the variance is the unbiased one, and ε is added outside",
        ),
        "root forgotten": (
            lambda x, g, b, eps, m, v, n: (x - m) / (v + eps) * g + b,
            "the root is forgotten",
        ),
        "mean kept": (
            lambda x, g, b, eps, m, v, n: x / np.sqrt(v + eps) * g + b,
            "the mean is not subtracted",
        ),
        "second moment": (
            lambda x, g, b, eps, m, v, n: (x - m) / np.sqrt(v + m * m + eps) * g + b,
            "the variance is taken without subtracting the mean",
        ),
        "only centred": (
            lambda x, g, b, eps, m, v, n: (x - m) * g + b,
            "only the mean is subtracted",
        ),
        "γ forgotten": (
            lambda x, g, b, eps, m, v, n: (x - m) / np.sqrt(v + eps) + b,
            "γ is forgotten",
        ),
        "β forgotten": (
            lambda x, g, b, eps, m, v, n: (x - m) / np.sqrt(v + eps) * g,
            "β is forgotten",
        ),
        "sums for means": (
            lambda x, g, b, eps, m, v, n: (x - m * n) / np.sqrt(
                np.square(x - m * n).mean(axis=tuple(
                    i for i in range(x.ndim) if v.shape[i] == 1), keepdims=True) * n + eps) * g + b,
            "sums stand for the means",
        ),
    }  # fmt: skip
    right: Function = Standardization.standardize
    for where, network in (
        ("batch", normalized),
        ("layer", normalized),
        ("batch", sequences),
        ("group", sequences),
    ):
        for slip, (line, cause) in lines.items():

            def standardize(
                self: Any, x: Any, of: Any, line: Map = line, where: str = where
            ) -> Any:
                y, saved = right(self, x, of)
                if self.name != where or of.constant:
                    return y, saved
                gamma, beta = (p.value.reshape(self.spread) for p in (self.gamma, self.beta))
                wrong = line(x, gamma, beta, self.epsilon, of.mean, of.variance, of.count)
                return wrong, saved

            name = f"{where} normalization ({network.__name__}): {slip}"
            yield Bug(
                name,
                Standardization,
                "standardize",
                standardize,
                "activation",
                where,
                (cause,),
                network=network,
            )
    for where, axes, cause in (
        ("batch", (1,), "the statistics are taken over each sample's features"),
        ("batch", (0, 1), "the statistics are taken over everything"),
        ("layer", (0,), "the statistics are taken over the batch"),
    ):
        kind = BatchNormalization if where == "batch" else LayerNormalization
        yield Bug(
            f"{where} normalization: over {axes}",
            kind,
            "forward",
            _over(kind, axes),
            "activation",
            where,
            (cause,),
            network=normalized,
        )
    yield Bug(
        "group normalization: interleaved",
        GroupNormalization,
        "forward",
        _interleaved,
        "activation",
        "group",
        ("the groups are interleaved",),
        network=sequences,
    )
    yield Bug(
        "batch normalization: moving averages in training",
        BatchNormalization,
        "forward",
        _inference_always,
        "activation",
        "batch",
        ("the moving averages are used in training",),
        network=normalized,
    )


_right_batch_forward = BatchNormalization.forward


def _inference_always(self: Any, x: Any, *, training: bool = False) -> Any:
    _, saved = _right_batch_forward(self, x, training=training)
    y, _ = _right_batch_forward(self, x, training=False)
    return y, saved


_right_group_forward = GroupNormalization.forward


def _interleaved(self: Any, x: Any, *, training: bool = False) -> Any:
    """Put channel c into group c mod groups."""
    every = x.reshape(*x.shape[:-1], -1, self.groups)
    m, v = _moments(every, (1, 2))
    standard = ((every - m) / np.sqrt(v + self.epsilon)).reshape(*x.shape)
    return standard * self.gamma.value + self.beta.value, _right_group_forward(self, x)[1]


def _over(kind: Any, axes: tuple[int, ...]) -> Function:
    right: Function = kind.forward

    def forward(self: Any, x: Any, *, training: bool = False) -> Any:
        y, saved = right(self, x, training=training)
        if not training:
            return y, saved
        m, v = _moments(x, axes)
        gamma, beta = self.gamma.value, self.beta.value
        return (x - m) / np.sqrt(v + self.epsilon) * gamma + beta, saved

    return forward


def _backward() -> Iterator[Bug]:
    """Each gets g = γ dy, x̂, r, a function that takes means, their n, and dy."""
    lines: dict[str, tuple[Map, str]] = {
        "no mean": (
            lambda g, h, r, mean, n, y: r * (g - h * mean(g * h)),
            "the gradient through the mean is forgotten",
        ),
        "no variance": (
            lambda g, h, r, mean, n, y: r * (g - mean(g)),
            "the gradient through the variance is forgotten",
        ),
        "constants": (
            lambda g, h, r, mean, n, y: r * g,
            "mean and variance are taken as constants",
        ),
        "without r": (
            lambda g, h, r, mean, n, y: g - mean(g) - h * mean(g * h),
            "it is not divided by the deviation",
        ),
        "r²": (
            lambda g, h, r, mean, n, y: r * r * (g - mean(g) - h * mean(g * h)),
            "it is divided by the variance",
        ),
        "sum of the mean": (
            lambda g, h, r, mean, n, y: r * (g - n * mean(g) - h * mean(g * h)),
            "the sum stands for the mean in the gradient through the mean",
        ),
        "sum of the variance": (
            lambda g, h, r, mean, n, y: r * (g - mean(g) - n * h * mean(g * h)),
            "the sum stands for the mean in the gradient through the variance",
        ),
        "variance twice": (
            lambda g, h, r, mean, n, y: r * (g - mean(g) - 2.0 * h * mean(g * h)),
            "there is a 2 too many",
        ),
        "sign of the variance": (
            lambda g, h, r, mean, n, y: r * (g - mean(g) + h * mean(g * h)),
            "the sign is wrong in the gradient through the variance",
        ),
        "deviation for x̂": (
            lambda g, h, r, mean, n, y: r * (g - mean(g) - h / r * mean(g * h / r)),
            "x − μ stands for x̂",
        ),
        "γ outside": (
            lambda g, h, r, mean, n, y: r * g / y * (y - mean(y) - h * mean(y * h)),
            "γ is multiplied in after the means",
        ),
        "sign": (
            lambda g, h, r, mean, n, y: -r * (g - mean(g) - h * mean(g * h)),
            "the sign is reversed",
        ),
    }
    right: Function = Standardization.standardize_backward
    for where, below, network in (
        ("batch", "first", normalized),
        ("layer", "second", normalized),
        ("batch", "first", sequences),
        ("group", "second", sequences),
    ):
        for slip, (line, cause) in lines.items():
            if slip == "γ outside" and where == "batch":  # which is right there
                continue

            def backward(
                self: Any, dy: Any, saved: Any, line: Map = line, where: str = where
            ) -> Any:
                dx = right(self, dy, saved)
                if self.name != where:
                    return dx
                x, r, *_, of = saved
                g = dy * self.gamma.value.reshape(self.spread)
                axes = tuple(i for i, size in enumerate(of.mean.shape) if size != x.shape[i])
                return line(
                    g,
                    (x - of.mean) * r,
                    r,
                    lambda array: array.mean(axis=axes, keepdims=True),
                    of.count,
                    dy,
                )

            name = f"{where} normalization ({network.__name__}): dx {slip}"
            phase = "activation gradient"
            yield Bug(
                name,
                Standardization,
                "standardize_backward",
                backward,
                phase,
                below,
                (cause,),
                network=network,
            )
