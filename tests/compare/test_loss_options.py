"""Losses with options, shapes, weights and masks drawn at random, in a running fit."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep

REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None]
SHAPES = [(1,), (3,), (4, 3), (3, 1), (2, 3, 3)]
"""Of a sample's output."""


class Drawn:
    """One training drawn at random: a loss, the output it judges, and data for both."""

    def __init__(self, number: int) -> None:
        self.generator = np.random.default_rng([2024, number])
        family = self.pick(*FAMILIES)
        self.shape: tuple[int, ...] = self.pick(*SHAPES)
        if family.startswith("Sparse") and self.shape[-1] == 1:  # Keras can't ignore the one class
            self.shape = (3,)
        options, self.last, kind = FAMILIES[family](self)
        self.loss = getattr(keras.losses, family)(reduction=self.pick(*REDUCTIONS), **options)
        self.samples = 6
        self.y = self.targets(kind, (self.samples, *self.shape))
        self.masked = len(self.shape) == 2 and bool(self.pick(True, False))
        self.x = self.generator.normal(size=(self.samples, *self.shape[:-1], 5))
        if self.masked:
            for sample in self.x:
                sample[self.generator.integers(1, len(sample) + 1) :] = 0.0
        values = (self.samples, *self.shape[:-1])
        form = self.pick(None, (self.samples,), (self.samples, 1), values, (*values, 1))
        fits = form is None or form[1:] in ((), self.shape[:-1], (*self.shape[:-1], 1))
        fits = fits and not (form == (self.samples,) and len(self.shape) > 1)
        self.weights = self.generator.exponential(size=form) if form and fits else None

    def pick(self, *choices: Any) -> Any:
        return choices[self.generator.integers(len(choices))]

    def axis(self) -> int:
        return int(self.pick(-1, *range(1, len(self.shape) + 1)))

    def targets(self, kind: str, shape: tuple[int, ...]) -> np.ndarray:
        chosen = self.generator.integers(0, shape[-1], shape[:-1])
        if kind == "classes":
            return chosen[..., None] if self.pick(True, False) else chosen
        y = {
            "real": lambda: self.generator.normal(size=shape),
            "counts": lambda: self.generator.poisson(2.0, shape) * 1.0,
            "signs": lambda: self.generator.integers(0, 2, shape) * self.pick(1.0, 1),
            "hot": lambda: np.eye(shape[-1])[chosen],
            "shares": lambda: self.generator.uniform(size=shape),
        }[kind]()
        short = shape[-1] == 1 and len(shape) == 2 and self.pick(True, False)
        return y[..., 0] if short else y

    def model(self) -> keras.Model:
        layers = keras.layers
        inputs = keras.Input(self.x.shape[1:])
        value = layers.Masking()(inputs) if self.masked else inputs
        value = layers.Dense(4, "tanh")(value)
        model = keras.Model(inputs, layers.Dense(self.shape[-1], self.last)(value))
        model.compile("sgd", self.loss, run_eagerly=True)
        return model


def _plain(last: str, kind: str) -> Any:
    return lambda _: ({}, last, kind)


def _entropy(kinds: tuple[str, ...], last: tuple[str, ...], **more: Any) -> Any:
    """Return a family with logits, smoothing and an axis, behind one of several activations."""

    def drawn(one: Drawn) -> Any:
        options = {
            "from_logits": one.pick(True, False),
            "label_smoothing": one.pick(0.0, 0.2),
            "axis": one.axis(),
            **{name: one.pick(*values) for name, values in more.items()},
        }
        return options, "linear" if options["from_logits"] else one.pick(*last), one.pick(*kinds)

    return drawn


FAMILIES: dict[str, Any] = {
    "MeanSquaredError": _plain("linear", "real"),
    "MeanAbsolutePercentageError": _plain("tanh", "real"),
    "MeanSquaredLogarithmicError": _plain("softplus", "shares"),
    "LogCosh": _plain("linear", "real"),
    "Huber": lambda one: ({"delta": one.pick(1.0, 0.3, 2.5)}, "linear", "real"),
    "CosineSimilarity": lambda one: ({"axis": one.axis()}, "linear", "real"),
    "KLDivergence": _plain("sigmoid", "shares"),
    "Poisson": _plain("softplus", "counts"),
    "Hinge": _plain("tanh", "signs"),
    "SquaredHinge": _plain("linear", "signs"),
    "CategoricalHinge": _plain("linear", "hot"),
    "Dice": lambda one: ({"axis": one.pick(None, -1, 1)}, "sigmoid", "shares"),
    "Tversky": lambda one: (
        {"alpha": 0.3, "beta": 0.8, "axis": one.pick(None, -1, 1)},
        "softmax",
        "shares",
    ),
    "BinaryCrossentropy": _entropy(("signs", "shares"), ("sigmoid", "softmax", "hard_sigmoid")),
    "BinaryFocalCrossentropy": _entropy(
        ("signs", "shares"),
        ("sigmoid", "softmax", "hard_sigmoid"),
        gamma=(2.0, 0.0, 1.5),
        apply_class_balancing=(True, False),
    ),
    "CategoricalCrossentropy": _entropy(("hot", "shares"), ("softmax", "sigmoid", "softplus")),
    "CategoricalFocalCrossentropy": _entropy(
        ("hot",), ("softmax", "softplus"), gamma=(2.0, 1.5), alpha=(0.25, 0.6)
    ),
    "SparseCategoricalCrossentropy": lambda one: (
        {"from_logits": one.pick(True, False), "ignore_class": one.pick(None, 0)},
        one.pick("softmax", "sigmoid"),
        "classes",
    ),
}


def check(number: int) -> None:
    drawn = Drawn(number)
    dice = isinstance(drawn.loss, (keras.losses.Dice, keras.losses.Tversky))
    if dice and (drawn.masked or drawn.loss.axis is not None):
        drawn.weights, drawn.masked = None, False  # its values are of other shapes
    report = lockstep(drawn.model(), drawn.x, drawn.y, sample_weight=drawn.weights, batch_size=4)
    assert report.ok, f"{number}: {drawn.loss.get_config()}, {drawn.shape}: {report.first}"


@pytest.mark.parametrize("number", range(15))
def test_a_sample(number: int, precision: str) -> None:
    check(number)


@pytest.mark.slow
@pytest.mark.parametrize("number", [*range(15, 30), *range(100, 1100)])
def test_a_thousand(number: int, precision: str) -> None:
    check(number)
