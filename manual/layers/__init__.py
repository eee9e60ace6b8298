"""Layers: each a forward map and its hand-written derivative."""

from manual.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from manual.layers.base import Layer, Parameter, Symbol
from manual.layers.core import Activation, Dense, Flatten, Input, InputLayer
from manual.layers.merging import Add, Concatenate
from manual.layers.regularization import Dropout

__all__ = [
    "ELU",
    "Activation",
    "Add",
    "Concatenate",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "LeakyReLU",
    "PReLU",
    "Parameter",
    "ReLU",
    "Softmax",
    "Symbol",
]
