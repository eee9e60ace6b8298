"""Layers: each a forward map and its hand-written derivative."""

from manual.layers.base import Layer, Parameter, Symbol
from manual.layers.core import Activation, Dense, Flatten, Input, InputLayer
from manual.layers.embedding import Embedding, Masking
from manual.layers.merging import Add, Concatenate
from manual.layers.recurrent import GRU, LSTM, SimpleRNN
from manual.layers.regularization import Dropout

__all__ = [
    "GRU",
    "LSTM",
    "Activation",
    "Add",
    "Concatenate",
    "Dense",
    "Dropout",
    "Embedding",
    "Flatten",
    "Input",
    "InputLayer",
    "Layer",
    "Masking",
    "Parameter",
    "SimpleRNN",
    "Symbol",
]
