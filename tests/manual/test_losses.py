"""Every loss equals Keras's, value and gradient, and its derivative is that of its forward map."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from compare.rounding.noise import Noisy
from keras_models import HalfSquaredSum
from keras_models.losses import loss_config
from manual.losses import CTC
from manual.registry import from_keras

REDUCTIONS = ["sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none"]
FAMILIES: dict[str, tuple[Any, str]] = {
    "mse": (keras.losses.MeanSquaredError, "real"),
    "mae": (keras.losses.MeanAbsoluteError, "real"),
    "half": (HalfSquaredSum, "real"),
    "mape": (keras.losses.MeanAbsolutePercentageError, "real"),
    "msle": (keras.losses.MeanSquaredLogarithmicError, "positive"),
    "huber": (keras.losses.Huber, "real"),
    "log cosh": (keras.losses.LogCosh, "real"),
    "cosine": (keras.losses.CosineSimilarity, "real"),
    "KL": (keras.losses.KLDivergence, "probabilities"),
    "poisson": (keras.losses.Poisson, "positive"),
    "hinge": (keras.losses.Hinge, "signs"),
    "squared hinge": (keras.losses.SquaredHinge, "signs"),
    "categorical hinge": (keras.losses.CategoricalHinge, "rows"),
    "dice": (keras.losses.Dice, "probabilities"),
    "tversky": (keras.losses.Tversky, "probabilities"),
    "focal": (keras.losses.BinaryFocalCrossentropy, "probabilities"),
    "categorical focal": (keras.losses.CategoricalFocalCrossentropy, "rows"),
    "generalized": (keras.losses.CategoricalGeneralizedCrossEntropy, "classes"),
    "circle": (keras.losses.Circle, "embeddings"),
    "binary": (keras.losses.BinaryCrossentropy, "probabilities"),
    "categorical": (keras.losses.CategoricalCrossentropy, "rows"),
    "sparse": (keras.losses.SparseCategoricalCrossentropy, "classes"),
}
CASES = [*FAMILIES, "binary, smoothed", "binary, logits", "binary, logits, smoothed"]
CASES += ["categorical, smoothed", "categorical, logits", "categorical, logits, smoothed"]
CASES += ["sparse, logits", "sparse, ignoring", "sparse, logits, ignoring", "huber, narrow"]
CASES += ["focal, logits, smoothed", "focal, balanced, odd", "focal, logits, balanced, odd"]
CASES += ["categorical focal, logits, smoothed", "categorical focal, odd, per class"]
CASES += ["dice, by sample", "tversky, by sample, uneven", "generalized, odd", "circle, wide"]
OPTIONS: dict[str, dict[str, Any]] = {
    "logits": {"from_logits": True},
    "smoothed": {"label_smoothing": 0.1},
    "ignoring": {"ignore_class": 2},
    "narrow": {"delta": 0.3},
    "odd": {"gamma": 1.7},
    "balanced": {"apply_class_balancing": True, "alpha": 0.3},
    "per class": {"alpha": [0.1, 0.2, 0.3, 0.4]},
    "by sample": {"axis": -1},
    "uneven": {"alpha": 0.3, "beta": 0.8},
    "wide": {"gamma": 3.0, "margin": 0.3, "remove_diagonal": False},
}
ONLY_ONCE = ("circle", "categorical focal, odd, per class")
"""What can't be had in every shape: pairs of samples, and weights for four classes."""
EVERY_SHAPE = [case for case in CASES if "per class" not in case]
EDGES = [0.0, 1e-30, 9e-8, 1e-7, 1.1e-7, 1e-5, 0.3, 0.7, 1 - 1e-5, 1 - 2**-22, 1 - 2**-24, 1.0]


def draw(
    kind: str, generator: np.random.Generator, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Return targets and predictions that are ordinary for the loss."""
    if kind == "real":
        return generator.normal(size=shape), generator.normal(size=shape)
    if kind == "positive":
        return generator.exponential(size=shape), generator.exponential(size=shape)
    if kind == "signs":
        return generator.integers(0, 2, shape) * 1.0, generator.normal(size=shape)
    if kind == "embeddings":
        p = generator.normal(size=shape)
        return np.arange(shape[0]) % 2.0, p / np.linalg.norm(p, axis=-1, keepdims=True)
    chosen = generator.integers(0, shape[-1], shape[:-1])
    y: np.ndarray = np.eye(shape[-1])[chosen]
    if kind in ("probabilities", "probabilities logits"):
        y = np.where(generator.random(shape) < 0.5, y, generator.random(shape))
    if kind.startswith("class"):
        y = chosen.astype(np.float64)
    if kind.endswith("logits"):
        return y, generator.normal(size=shape) * generator.choice([1.0, 30.0], shape)
    return y, generator.uniform(0.05, 0.95, shape)


def edges(kind: str, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return predictions at and beyond the edges of what the loss was made for."""
    if kind == "real":
        p = generator.normal(size=(4, 3)) * 10.0 ** np.arange(-9, 3).reshape(4, 3)
        return np.where(generator.random((4, 3)) < 0.5, p, -p), p
    if kind.endswith("logits"):
        p = np.array([[0.0, -0.0, 0.0], [700.0, -700.0, 0.0], [1e4, 1e4, -1e4], [-90, -100, 90]])
    elif kind == "probabilities":
        p = np.array([EDGES, EDGES[::-1], EDGES]).reshape(-1, 3)
    else:
        p = np.array([[1.0, 0, 0], [0.0, 1e-8, 1e-3], [5.0, 2.0, 9.0], [1e-7, 1e-7, 0.5]])
    return draw(kind, generator, p.shape)[0], p


def made(case: str, **options: Any) -> tuple[Any, str]:
    """Return the Keras loss that a case names, and the kind of data it is for."""
    family, *words = case.split(", ")
    make, kind = FAMILIES[family]
    if case == "generalized, odd":
        words, options["q"] = [], 0.7
    for word in words:
        options |= OPTIONS[word]
    return make(**options), kind + " logits" * ("logits" in words)


def in_turn(cases: list[str], options: list[Any], each: int) -> list[tuple[str, Any]]:
    """Pair every case with some of the options, and the next case with the next ones.

    An option is carried out by what all losses share, so that it need not meet every loss.
    """
    return [
        (case, options[(each * place + one) % len(options)])
        for place, case in enumerate(cases)
        for one in range(each)
    ]


def test_every_loss_is_tested_here(registered: Any) -> None:
    tested = [from_keras("loss", loss_config(made(case)[0])) for case in FAMILIES]
    elsewhere = {CTC}  # in test_losses_ctc.py
    assert {type(loss) for loss in tested} | elsewhere == set(registered("loss").values())


@pytest.mark.parametrize(("case", "reduction"), in_turn(CASES, REDUCTIONS, each=2))
def test_equals_keras(
    case: str, reduction: str, compare_loss: Any, generator: np.random.Generator
) -> None:
    keras_loss, kind = made(case, reduction=reduction)
    y, p = draw(kind, generator, (5, 4))
    compare_loss(keras_loss, y, p)
    compare_loss(keras_loss, y, p, generator.exponential(size=5), "weighted")
    zeros = np.array([0.0, 1.0, 0.0, 2.5, 0.0])
    compare_loss(keras_loss, y, p, zeros, "some weights 0")


@pytest.mark.parametrize("case", CASES)
def test_equals_keras_at_the_edges(
    case: str, compare_loss: Any, generator: np.random.Generator
) -> None:
    keras_loss, kind = made(case)
    if case not in ONLY_ONCE and kind != "embeddings":
        compare_loss(keras_loss, *edges(kind, generator))


@pytest.mark.parametrize("case", CASES)
def test_equals_keras_in_rank_3_and_alone(
    case: str, compare_loss: Any, generator: np.random.Generator
) -> None:
    keras_loss, kind = made(case)
    for shape in [(2, 3, 4), (1, 2), (64, 10)]:
        if case in ONLY_ONCE or (kind == "embeddings" and len(shape) > 2):
            continue
        compare_loss(keras_loss, *draw(kind, generator, shape), what=str(shape))


@pytest.mark.parametrize("case", [name for name in CASES if name[:3] in ("mse", "mae", "bin")])
def test_targets_without_the_last_axis(
    case: str, compare_loss: Any, generator: np.random.Generator
) -> None:
    """y of shape (B,) beside predictions of shape (B, 1)."""
    keras_loss, kind = made(case)
    y, p = draw(kind, generator, (6, 1))
    compare_loss(keras_loss, y[:, 0], p)
    compare_loss(keras_loss, y[:, 0], p, generator.exponential(size=6))


ALONG = ["binary", "categorical", "focal", "categorical focal", "cosine", "dice", "tversky"]


@pytest.mark.parametrize("case", ALONG)
def test_along_another_axis(case: str, compare_loss: Any, generator: np.random.Generator) -> None:
    keras_loss, kind = made(case, axis=1)
    y, p = draw(kind, generator, (3, 2, 4))
    compare_loss(keras_loss, np.swapaxes(y, 1, 2), np.swapaxes(p, 1, 2))


@pytest.mark.parametrize("case", ["sparse", "sparse, logits"])
def test_class_numbers_with_and_without_the_last_axis(
    case: str, compare_loss: Any, generator: np.random.Generator
) -> None:
    keras_loss, kind = made(case)
    for shape in [(6, 3), (2, 3, 4)]:
        y, p = draw(kind, generator, shape)
        compare_loss(keras_loss, y[..., None], p)
        by_hand = from_keras("loss", loss_config(keras_loss))
        ones = by_hand.forward(y.astype(int), p)[0]
        assert ones == by_hand.forward(y[..., None].astype(int), p)[0]


@pytest.mark.parametrize("case", ["mse", "categorical", "sparse, logits"])
@pytest.mark.parametrize("shape", [(4, 3), (4, 1)], ids=str)
def test_a_weight_for_each_value(
    case: str, shape: tuple[int, ...], compare_loss: Any, generator: np.random.Generator
) -> None:
    """sample_weight in the shape of the values, and Keras's (B, 1) for values of shape (B,)."""
    keras_loss, kind = made(case)
    predictions = (4, 3, 2) if shape == (4, 3) else (4, 2)
    y, p = draw(kind, generator, predictions)
    compare_loss(keras_loss, y, p, generator.exponential(size=shape))


@pytest.mark.parametrize("case", ["mse", "binary"])
def test_weights_that_are_all_0_give_0(
    case: str, compare_loss: Any, generator: np.random.Generator
) -> None:
    keras_loss, kind = made(case, reduction="mean_with_sample_weight")
    compare_loss(keras_loss, *draw(kind, generator, (3, 2)), np.zeros(3))


REDUCED = ["sum_over_batch_size", "sum", "mean_with_sample_weight"]
WAYS = [(reduction, weighted) for weighted in (False, True) for reduction in REDUCED]


@pytest.mark.parametrize(("case", "way"), in_turn(EVERY_SHAPE, WAYS, each=2))
def test_derivative_is_that_of_the_forward_map(
    case: str,
    way: tuple[str, bool],
    differences: Any,
    smooth_points: Any,
    generator: np.random.Generator,
    found: Any,
) -> None:
    reduction, weighted = way
    keras_loss, kind = made(case, reduction=reduction)
    by_hand = from_keras("loss", loss_config(keras_loss))
    y, _ = draw(kind, generator, (3, 3))
    scales = None
    if kind == "real":
        p = np.float64(np.float32(y)) + smooth_points(3, 3)
        p = np.float64(np.float32(p))
        scales = [np.abs(p - y)]
    elif kind == "embeddings":
        p = np.float64(np.float32(draw(kind, generator, (3, 3))[1]))
    elif kind.endswith("logits"):
        p = smooth_points(3, 3)
    elif case.startswith(("dice", "tversky")):
        p = np.abs(smooth_points(3, 3)) / 4.0
    else:
        # close to 0 and 1 where the derivative is large there; elsewhere it would drown
        near = 1e-5 if kind == "probabilities" else 2e-3
        p = np.array([[near, 0.2, 0.7], [0.99, 0.25, 0.5], [0.1, 1 - near, 0.875]])
        p = np.float64(np.float32(p))
        if kind == "probabilities":
            y[0, 0], y[2, 1] = 1.0, 0.0
        scales = [np.minimum(p, 1.0 - p)]
    weight = generator.uniform(0.25, 2.0, 3) if weighted else None

    def forward(prediction: Noisy) -> tuple[Noisy, Any]:
        with np.errstate(invalid="ignore"):  # Circle leaves out what is infinite
            return by_hand.forward(y, prediction, sample_weight=weight)

    _, saved = forward(differences.exact(p))
    differences.agree(lambda points: forward(points[0])[0], [p], [by_hand.backward(saved)], scales)
    found.is_derived("loss", type(keras_loss).__name__, loss_config(keras_loss)["config"])


@pytest.mark.parametrize("case", EVERY_SHAPE)
def test_the_precision_stays(case: str, precision: str, generator: np.random.Generator) -> None:
    keras_loss, kind = made(case)
    y, p = (array.astype(precision) for array in draw(kind, generator, (4, 3)))
    by_hand = from_keras("loss", loss_config(keras_loss))
    for weight in (None, np.ones(4, precision)):
        value, saved = by_hand.forward(y, p, sample_weight=weight)
        assert value.dtype == precision
        assert by_hand.backward(saved).dtype == precision
