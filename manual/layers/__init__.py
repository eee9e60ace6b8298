"""Layers: each a forward map and its hand-written derivative."""

from manual.layers.base import Layer, Parameter, Symbol
from manual.layers.core import Activation, Dense, Flatten, Input, InputLayer
from manual.layers.merging import Add, Concatenate
from manual.layers.regularization import Dropout

__all__ = [
    "Activation",
    "Add",
    "Concatenate",
    "Dense",
    "Dropout",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "Parameter",
    "Symbol",
]
