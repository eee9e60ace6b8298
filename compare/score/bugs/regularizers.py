"""Bugs in what the weights themselves cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.networks import SAMPLES, WIDTH, Choice, Planted, generator, spread
from manual.backpropagation import Graph
from manual.regularizers import L1L2


def ridge(bug: Choice) -> Planted:
    """Two layers whose kernels are regularized, in two ways, and whose biases aren't."""
    layer = keras.layers.Dense
    model = keras.Sequential(
        [
            keras.Input((WIDTH,)),
            layer(5, bug.activation, name="first", kernel_regularizer="l2", **spread()),
            layer(
                3,
                bug.last,
                name="last",
                kernel_regularizer=keras.regularizers.L1L2(0.03, 0.07),
                **spread(),
            ),
        ]
    )
    draw = generator()
    return model, draw.normal(size=(SAMPLES, WIDTH)), draw.normal(size=(SAMPLES, 3))


def in_regularizers() -> Iterator[Bug]:
    """Give every penalty, in the loss and in the gradient, taken otherwise."""
    gradient, loss = "weight gradient", "loss"
    first, total = "first/kernel", "total"
    cases: list[tuple[type, str, Function, str, str, str]] = [
        (L1L2, "backward", lambda s, w: w * 0.0, gradient, first, "the regularizer is forgotten"),
        (L1L2, "backward", _slope(2.0, 4.0), gradient, first, "the regularizer is applied twice"),
        (L1L2, "backward", _slope(1.0, 1.0), gradient, first, "the 2 of 2 λ w is missing"),
        (L1L2, "backward", _slope(-1.0, -2.0), gradient, first, "the regularizer's gradient is s"),
        (L1L2, "backward", _slope(0.125, 0.25), gradient, first, "the regularizer's gradient is"),
        (L1L2, "backward", _slope(0.01, 0.02), gradient, first, "the regularizer's gradient is m"),
        (L1L2, "backward", lambda s, w: np.sign(w) * (s.l1 + s.l2), gradient, first, "L1 stands"),
        (L1L2, "backward", _slope(0.0, 2.0), gradient, "last/kernel", "L1 is forgotten"),
        (L1L2, "forward", lambda s, w: w.sum() * 0.0, loss, total, "the regularizer is forgotten"),
        (L1L2, "forward", _cost(2.0, 2.0), loss, total, "the regularizer is in the loss twice"),
        (L1L2, "forward", _cost(1.0, 0.5), loss, total, "½ λ w² stands for λ w²"),
        (L1L2, "forward", _cost(1 / 8, 1 / 8), loss, total, "the regularizer is divided by"),
        (L1L2, "forward", _cost(0.0, 1.0), loss, total, "L1 is forgotten"),
        (Graph, "add_regularization_gradients", _everywhere, gradient, "first/bias",
         "a weight without a regularizer"),
        (L1L2, "backward", lambda s, w: w * w * w * (2.0 * s.l2), gradient, first, ""),
    ]  # fmt: skip
    for owner, method, function, phase, where, cause in cases:
        causes = (cause,) if cause else ()
        name = f"regularizer, {phase}: {cause or 'trap: the cube of the weight'}"
        yield Bug(name, owner, method, function, phase, where, causes, network=ridge)


def _slope(one: float, two: float) -> Function:
    return lambda self, w: np.sign(w) * (self.l1 * one) + w * (self.l2 * two)


def _cost(one: float, two: float) -> Function:
    return lambda self, w: np.abs(w).sum() * (self.l1 * one) + (w * w).sum() * (self.l2 * two)


def _everywhere(self: Any) -> None:
    penalty = self.parameters["first/kernel"].regularizer
    for name, parameter in self.parameters.items():
        own = parameter.regularizer or (penalty if name == "first/bias" else None)
        if own is not None:
            parameter.gradient += own.backward(parameter.value)
