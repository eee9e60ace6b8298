"""Losses in a running fit: weights, masks, several outputs, kinks; and what is said of slips."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare import lockstep
from compare.errors import BadInput
from manual import losses

LOSSES: dict[str, tuple[Any, str, str]] = {
    "Huber": (lambda: keras.losses.Huber(0.3), "linear", "real"),
    "log cosh": (lambda: "log_cosh", "linear", "real"),
    "MAPE": (lambda: "mape", "linear", "real"),
    "MSLE": (lambda: "msle", "softplus", "hot"),
    "cosine": (lambda: keras.losses.CosineSimilarity(axis=0), "linear", "real"),
    "KL": (lambda: "kl_divergence", "softmax", "hot"),
    "Poisson": (lambda: "poisson", "exponential", "hot"),
    "hinge": (lambda: "hinge", "tanh", "hot"),
    "squared hinge": (lambda: keras.losses.SquaredHinge("sum"), "linear", "hot"),
    "categorical hinge": (lambda: "categorical_hinge", "linear", "hot"),
    "focal": (lambda: keras.losses.BinaryFocalCrossentropy(True, gamma=1.5), "sigmoid", "hot"),
    "categorical focal": (
        lambda: keras.losses.CategoricalFocalCrossentropy(alpha=[0.1, 0.5, 0.2]),
        "softmax",
        "hot",
    ),
    "ignoring": (
        lambda: keras.losses.SparseCategoricalCrossentropy(ignore_class=2),
        "softmax",
        "classes",
    ),
    "generalized": (
        lambda: keras.losses.CategoricalGeneralizedCrossEntropy(0.7),
        "softmax",
        "classes",
    ),
    "dice": (lambda: keras.losses.Dice(), "sigmoid", "hot"),
    "tversky": (lambda: keras.losses.Tversky(0.3, 0.8, axis=-1), "sigmoid", "hot"),
    "circle": (lambda: keras.losses.Circle(gamma=4.0), "linear", "classes"),
}
IN_A_GRAPH = ("Huber", "focal", "ignoring")
"""One of each kind of targets; a graph is slow to build."""


def data(kind: str, samples: int = 11) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(17)
    x, chosen = generator.normal(size=(samples, 4)), generator.integers(0, 3, samples)
    y = {"real": generator.normal(size=(samples, 3)), "hot": np.eye(3)[chosen], "classes": chosen}
    return x, y[kind]


def model_of(loss: Any, last: str = "linear", **options: Any) -> keras.Model:
    layers = keras.layers
    model = keras.Sequential(
        [keras.Input((4,)), layers.Dense(5, "silu", name="hidden"), layers.Dense(3, last)]
    )
    model.compile("sgd", loss, **{"run_eagerly": True, **options})
    return model


@pytest.mark.parametrize("name", LOSSES)
def test_agrees_in_a_fit(name: str) -> None:
    make, last, kind = LOSSES[name]
    x, y = data(kind)
    weight = None if name == "cosine" else np.linspace(0.5, 2.0, len(x))
    model = model_of(make(), last, run_eagerly=name not in IN_A_GRAPH)
    lockstep(model, x, y, batch_size=4, sample_weight=weight).raise_if_different()


def test_class_weights(precision: str) -> None:
    x, y = data("classes")
    model = model_of("sparse_categorical_crossentropy", "softmax")
    weights = {0: 0.5, 1: 2.0, 2: 3.0}
    report = lockstep(model, x, y, batch_size=4, class_weight=weights)
    report.raise_if_different()
    with pytest.raises(BadInput, match="no sample_weight beside it"):
        lockstep(model, x, y, class_weight=weights, sample_weight=np.ones(len(x)), batch_size=4)


def test_class_weights_that_are_ignored_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    right: Any = losses.Loss.forward

    def forward(self: Any, y: Any, p: Any, **options: Any) -> Any:
        return right(self, y, p, **{**options, "sample_weight": None})

    monkeypatch.setattr(losses.Loss, "forward", forward)
    x, y = data("classes")
    model = model_of("sparse_categorical_crossentropy", "softmax")
    first = lockstep(model, x, y, batch_size=4, class_weight={0: 0.5, 1: 2.0, 2: 3.0}).first
    assert first is not None and first.diagnosis is not None
    assert first.phase == "loss"
    assert first.diagnosis.causes[0].sentence == "the sample weights are ignored"


def two_headed() -> keras.Model:
    layers = keras.layers
    inputs = keras.Input((4,))
    hidden = layers.Dense(5, "tanh", name="hidden")(inputs)
    outputs = [layers.Dense(3, name="numbers")(hidden), layers.Dense(3, "softmax")(hidden)]
    model = keras.Model(inputs, outputs)
    model.compile(
        "sgd", [keras.losses.Huber(0.5), "categorical_crossentropy"], loss_weights=[0.5, 3.0]
    )
    return model


@pytest.mark.parametrize(
    ("patch", "sentence"),
    [
        (
            (losses.Huber, "values", lambda s, y, p, _: _no_offset(s, y, p)),
            "½ δ² is not subtracted",
        ),
        (
            (losses.CategoricalCrossentropy, "values", lambda s, y, p, _: _halved(s, y, p)),
            "everyth",
        ),
    ],
    ids=["first output", "second output"],
)
def test_a_slip_in_either_output(
    patch: Any, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = data("hot")
    targets = [3.0 * data("real")[1], y]
    lockstep(two_headed(), x, targets, batch_size=4).raise_if_different()
    monkeypatch.setattr(*patch)
    first = lockstep(two_headed(), x, targets, batch_size=4).first
    assert first is not None and first.diagnosis is not None
    assert first.phase == "loss"
    assert first.diagnosis.causes[0].sentence.startswith(sentence), str(first)


def _no_offset(self: Any, y: Any, p: Any) -> Any:
    d = p - y
    values = np.where(np.abs(d) <= self.delta, 0.5 * (d * d), self.delta * np.abs(d))
    return values.sum(axis=-1) / p.shape[-1], d


_entropy: Any = losses.CategoricalCrossentropy.values


def _halved(self: Any, y: Any, p: Any) -> Any:
    values, saved = _entropy(self, y, p, True)
    return 0.5 * values, saved


@pytest.mark.parametrize(
    ("loss", "y", "bias"),
    [
        ("mae", [[0.5, -1.0, 2.0]], [0.5, -1.0, 2.0]),  # on the target itself
        ("hinge", [[1.0, 0.0, 1.0]], [1.0, -1.0, 1.0]),  # on the margin
        ("Huber", [[0.0, 0.0, 0.0]], [0.5, -0.5, 0.0]),
        ("kl_divergence", [[0.5, 0.3, 0.2]], [1.0, 1e-7, 0.0]),  # on the edges of clipping
        ("msle", [[0.5, 0.3, 0.2]], [0.0, -1.0, 1e-7]),
        ("poisson", [[0.0, 0.3, 0.2]], [0.5, 1.0, 1.0]),
        ("categorical_hinge", [[1.0, 0.0, 0.0]], [1.0, 0.5, 0.5]),  # a tie of rivals
        ("cosine_similarity", [[1.0, 0.0, 0.0]], [0.0, 0.0, 0.0]),  # no direction
    ],
    ids=str,
)
def test_at_a_kink_there_is_no_false_alarm(
    loss: Any, y: Any, bias: list[float], precision: str
) -> None:
    """The kernel is 0, so that the prediction is the bias, and sits exactly on the kink."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(3)])
    model.layers[0].set_weights([np.zeros((2, 3)), np.array(bias)])
    model.compile("sgd", keras.losses.Huber(0.5) if loss == "Huber" else loss)
    x = np.ones((2, 2), precision)
    lockstep(model, x, np.repeat(y, 2, axis=0), batch_size=2).raise_if_different()


@pytest.mark.parametrize("activation", ["relu", "relu6", "hard_tanh", "leaky_relu", "celu", "selu"])
def test_at_a_kink_of_an_activation_there_is_none(activation: str, precision: str) -> None:
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4, activation)])
    model.layers[0].set_weights([np.zeros((2, 4)), np.array([0.0, 1.0, -1.0, 6.0])])
    model.compile("sgd", "mse")
    x = np.ones((2, 2), precision)
    lockstep(model, x, np.ones((2, 4)), batch_size=2).raise_if_different()
