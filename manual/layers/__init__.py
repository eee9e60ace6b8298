"""Layers: each a forward map and its hand-written derivative."""

from manual.layers.attention import AdditiveAttention, Attention
from manual.layers.base import Layer, Parameter, Symbol
from manual.layers.core import Activation, Dense, Flatten, Input, InputLayer
from manual.layers.einsum_dense import EinsumDense
from manual.layers.merging import (
    Add,
    Average,
    Concatenate,
    Dot,
    Maximum,
    Minimum,
    Multiply,
    Subtract,
)
from manual.layers.multi_head_attention import GroupQueryAttention, MultiHeadAttention
from manual.layers.regularization import Dropout
from manual.layers.reshaping import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    Identity,
    Permute,
    RepeatVector,
    Rescaling,
    Reshape,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)

__all__ = [
    "Activation",
    "Add",
    "AdditiveAttention",
    "Attention",
    "Average",
    "Concatenate",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "Dot",
    "Dropout",
    "EinsumDense",
    "Flatten",
    "GroupQueryAttention",
    "Identity",
    "Input",
    "InputLayer",
    "Layer",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Parameter",
    "Permute",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Subtract",
    "Symbol",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]
