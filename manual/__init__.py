"""The NumPy half: every derivative written by hand.

Imports NumPy and nothing else, so it is a library in its own right: it can load a Keras model's
configuration and weights, and train it.
"""

from manual.functions import Function
from manual.layers import Activation, Add, Concatenate, Dense, Flatten, Input, Layer
from manual.losses import HalfSquaredSum, Loss
from manual.metrics import Metric
from manual.models_within import ModelWithin
from manual.network import Network
from manual.optimizers import SGD, Adam, Optimizer, RMSprop
from manual.registry import NoTwin, twin_of

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "Add",
    "Concatenate",
    "Dense",
    "Flatten",
    "Function",
    "HalfSquaredSum",
    "Input",
    "Layer",
    "Loss",
    "Metric",
    "ModelWithin",
    "Network",
    "NoTwin",
    "Optimizer",
    "RMSprop",
    "twin_of",
]
