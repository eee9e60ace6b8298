"""Losses, each with its derivative with respect to what the network put out."""

from manual.losses.alignment import CTC
from manual.losses.base import Loss
from manual.losses.crossentropy import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalGeneralizedCrossEntropy,
    SparseCategoricalCrossentropy,
)
from manual.losses.distributions import KLDivergence, Poisson
from manual.losses.focal import BinaryFocalCrossentropy, CategoricalFocalCrossentropy
from manual.losses.margins import CategoricalHinge, Hinge, SquaredHinge
from manual.losses.overlap import Dice, Tversky
from manual.losses.regression import (
    HalfSquaredSum,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
)
from manual.losses.similarity import Circle, CosineSimilarity

__all__ = [
    "CTC",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalGeneralizedCrossEntropy",
    "CategoricalHinge",
    "Circle",
    "CosineSimilarity",
    "Dice",
    "HalfSquaredSum",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "Poisson",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
]
