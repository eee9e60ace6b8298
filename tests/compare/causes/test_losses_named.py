"""Slips in losses: every one is recognised, in the value and in the gradient; a near miss isn't."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from compare.causes import Facts, Place, candidates, diagnose
from compare.causes.base import fits
from compare.causes.loss import RULES, at_prediction, letters_of, own_terms
from compare.causes.shares import share
from compare.rounding.judge import judge
from compare.rounding.noise import Noisy
from manual import losses
from manual.regularizers import L2

UNIT = 2.0**-53
FACTS = Facts(samples=5, batch_size=8, learning_rate=0.03)
rng = np.random.default_rng(11)
REAL = (rng.normal(size=(5, 4)), rng.normal(size=(5, 4)))
PART = (rng.uniform(0.05, 0.95, (5, 4)), rng.uniform(0.05, 0.95, (5, 4)))
POSITIVE = (rng.exponential(size=(5, 4)), rng.exponential(size=(5, 4)))
HOT = (np.eye(4)[[0, 2, 1, 3, 2]], PART[1])
SIGNS = (np.array(rng.random((5, 4)) < 0.5, float), 0.7 * REAL[1])
CLASSES = (np.array([0.0, 2.0, 1.0, 3.0, 2.0]), PART[1])
WEIGHTS = rng.uniform(0.5, 2.0, 5)

LOSSES: dict[str, tuple[losses.Loss, tuple[np.ndarray, np.ndarray], bool]] = {
    "MSE": (losses.MeanSquaredError(), REAL, False),
    "half": (losses.HalfSquaredSum(), REAL, False),
    "MAE": (losses.MeanAbsoluteError(), REAL, False),
    "Huber": (losses.Huber(0.6), REAL, False),
    "log cosh": (losses.LogCosh(), REAL, False),
    "MAPE": (losses.MeanAbsolutePercentageError(), REAL, False),
    "MSLE": (losses.MeanSquaredLogarithmicError("sum"), POSITIVE, False),
    "cosine": (losses.CosineSimilarity(), REAL, False),
    "cosine over samples": (losses.CosineSimilarity(axis=0), REAL, False),
    "hinge": (losses.Hinge(), SIGNS, False),
    "squared hinge": (losses.SquaredHinge(), SIGNS, False),
    "categorical hinge": (losses.CategoricalHinge(), (HOT[0], REAL[1]), False),
    "binary": (losses.BinaryCrossentropy(label_smoothing=0.2), PART, False),
    "binary, logits": (losses.BinaryCrossentropy(True, 0.2), (PART[0], REAL[1]), True),
    "categorical": (losses.CategoricalCrossentropy(label_smoothing=0.2), HOT, False),
    "categorical, logits": (losses.CategoricalCrossentropy(True, 0.2), (HOT[0], REAL[1]), True),
    "sparse": (losses.SparseCategoricalCrossentropy(), CLASSES, False),
    "sparse, ignoring": (
        losses.SparseCategoricalCrossentropy(True, ignore_class=2),
        (CLASSES[0], REAL[1]),
        True,
    ),
    "generalized": (losses.CategoricalGeneralizedCrossEntropy(0.6), CLASSES, False),
    "focal": (losses.BinaryFocalCrossentropy(True, 0.3, 1.7), PART, False),
    "focal, logits": (
        losses.BinaryFocalCrossentropy(from_logits=True, gamma=1.5, label_smoothing=0.2),
        (SIGNS[0], REAL[1]),
        True,
    ),
    "categorical focal": (losses.CategoricalFocalCrossentropy(0.3, 1.7), HOT, False),
    "categorical focal, logits": (
        losses.CategoricalFocalCrossentropy([0.1, 0.2, 0.3, 0.4], from_logits=True),
        (HOT[0], REAL[1]),
        True,
    ),
    "KL": (losses.KLDivergence(), PART, False),
    "Poisson": (losses.Poisson("mean_with_sample_weight"), POSITIVE, False),
    "dice": (losses.Dice(), PART, False),
    "dice by sample": (losses.Dice(axis=-1), PART, False),
    "tversky": (losses.Tversky(0.3, 0.8), PART, False),
    "circle": (
        losses.Circle(3.0, 0.3),
        (np.array([0.0, 1.0, 0.0, 2.0, 1.0]), 0.5 * REAL[1]),
        False,
    ),
    "circle, with itself": (
        losses.Circle(3.0, 0.3, remove_diagonal=False),
        (np.array([0.0, 1.0, 0.0, 2.0, 1.0]), 0.5 * REAL[1]),
        False,
    ),
}


def around(name: str, weighted: bool = True) -> dict[str, Any]:
    """Return what surrounds a loss: weights for each value, and a second loss beside it."""
    loss, (y, p), logits = LOSSES[name]
    weight = None
    if weighted:
        weight = WEIGHTS[:4] if name == "cosine over samples" else WEIGHTS
    return {
        "y": y,
        "p": Noisy(p, unit=UNIT),
        "outputs": 4,
        "sample_weight": weight,
        "mask": None,
        "logits": logits,
        "loss_weight": 0.75,
        "loss": loss,
    }


def by_hand(letters: dict[str, Any]) -> tuple[Noisy, Noisy]:
    """Return what the hand-written loss says: its value and gradient, weighed."""
    value, saved = letters["loss"].forward(
        letters["y"],
        letters["p"],
        logits=letters["logits"],
        sample_weight=letters["sample_weight"],
        mask=letters["mask"],
    )
    return value * 0.75, letters["loss"].backward(saved) * 0.75


def places(name: str) -> list[Place]:
    letters = around(name)
    value, gradient = by_hand(letters)
    beside = around("MSE", weighted=False)
    w = Noisy(np.array([0.3, -0.2]), unit=UNIT)
    total = value + by_hand(beside)[0] + (w * w).sum() * 0.5
    total_around = {**letters, "heads": [letters, beside], "regularized": [(w, L2(0.5))]}
    return [
        Place("activation gradient", "p", gradient, letters["loss"], letters, FACTS),
        Place("loss", "total", total, letters["loss"], total_around, FACTS),
    ]


def test_every_loss_has_a_rule(registered: Any) -> None:
    without = {"CTC"}  # as docs/architecture.md says
    assert {twin.__name__ for twin in registered("loss").values()} - without == set(RULES)
    assert {type(loss).__name__ for loss, _, _ in LOSSES.values()} == set(RULES)


@pytest.fixture
def registered() -> Any:
    from manual import registry

    return lambda kind: {
        name: one
        for (family, name), one in registry._twins.items()
        if family == kind and one.__module__.startswith("manual.")
    }


@pytest.mark.parametrize("name", LOSSES)
def test_the_rules_agree_with_the_losses(name: str) -> None:
    """Written twice, by the same judge within rounding: so a knob turned is one slip."""
    letters = around(name)
    loss = letters["loss"]
    both = letters_of(letters, loss)
    assert both is not None
    with np.errstate(all="ignore"):
        value_gradient = by_hand(letters)
        plain = next(own_terms(letters, loss, both))[1]
        shares = share(letters, loss, plain.values.shape, valid=plain.counts)
        value = (plain.values * shares).sum()
        assert judge(value.value, value_gradient[0]).agrees
        slopes = at_prediction(loss, plain.slopes, shares)
        assert judge(slopes.value, value_gradient[1]).agrees


@pytest.mark.parametrize("name", LOSSES)
def test_every_slip_fits_its_own_numbers_and_not_near_ones(name: str) -> None:
    with np.errstate(all="ignore"):
        for place in places(name):
            proposed = list(candidates(place))
            fitted = 0
            for candidate in proposed:
                value = candidate.value.value
                if not np.isfinite(value).all() or not value.any():
                    continue  # nothing is near to nothing
                assert fits(candidate, value), candidate.sentence
                off = 1.0 + 0.004 * np.cos(np.arange(value.size) + 1.0).reshape(value.shape)
                assert not fits(candidate, value * off), candidate.sentence
                fitted += 1
            assert fitted > 20


@pytest.mark.parametrize("name", LOSSES)
def test_one_decision_otherwise_is_named_first(name: str) -> None:
    """Unless something simpler, or listed before, gives the same numbers."""
    letters = around(name)
    loss, both = letters["loss"], letters_of(letters, letters["loss"])
    assert both is not None
    with np.errstate(all="ignore"):
        own = {sentence for sentence, _, _ in own_terms(letters, loss, both)}
        for place in places(name):
            proposed = list(candidates(place))
            knobs = [one for one in proposed if one.sentence in own]
            knobs = [one for one in knobs if np.isfinite(one.value.value).all()]
            for candidate in knobs[:3]:
                if not judge(place.right.value, candidate.value).agrees:
                    causes = diagnose(place, candidate.value.value)
                    same = [one.sentence for one in proposed if fits(one, candidate.value.value)]
                    assert candidate.sentence in [cause.sentence for cause in causes]
                    assert causes[0].sentence in same


@pytest.mark.parametrize("name", LOSSES)
def test_right_and_random_numbers_have_no_cause(name: str) -> None:
    with np.errstate(all="ignore"):
        for place in places(name):
            right = place.right.value
            assert diagnose(place, right) == []
            assert diagnose(place, right * rng.uniform(0.3, 0.9, right.shape)) == []
