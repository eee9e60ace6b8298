"""Layers: each a forward map and its hand-written derivative."""

from manual.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from manual.layers.adaptive_pooling import (
    AdaptiveAveragePooling1D,
    AdaptiveAveragePooling2D,
    AdaptiveAveragePooling3D,
    AdaptiveMaxPooling1D,
    AdaptiveMaxPooling2D,
    AdaptiveMaxPooling3D,
)
from manual.layers.attention import AdditiveAttention, Attention
from manual.layers.base import Layer
from manual.layers.batch_normalization import BatchNormalization
from manual.layers.bidirectional import Bidirectional
from manual.layers.cell import Cell
from manual.layers.cells import GRUCell, LSTMCell, SimpleRNNCell
from manual.layers.convolution import Conv1D, Conv2D, Conv3D
from manual.layers.convolutional_lstm import ConvLSTM1D, ConvLSTM2D, ConvLSTM3D
from manual.layers.core import Activation, Dense, Flatten, Input, InputLayer
from manual.layers.depthwise_convolution import (
    DepthwiseConv1D,
    DepthwiseConv2D,
    SeparableConv1D,
    SeparableConv2D,
)
from manual.layers.dot import Dot
from manual.layers.einsum_dense import EinsumDense
from manual.layers.embedding import Embedding, Masking, ReversibleEmbedding
from manual.layers.global_pooling import (
    GlobalAveragePooling1D,
    GlobalAveragePooling2D,
    GlobalAveragePooling3D,
    GlobalMaxPooling1D,
    GlobalMaxPooling2D,
    GlobalMaxPooling3D,
)
from manual.layers.group_query_attention import GroupQueryAttention
from manual.layers.masked_merging import Maximum, Minimum, Multiply
from manual.layers.merging import Add, Average, Concatenate, Subtract
from manual.layers.multi_head_attention import MultiHeadAttention
from manual.layers.normalization import (
    GroupNormalization,
    LayerNormalization,
    RMSNormalization,
    UnitNormalization,
)
from manual.layers.parameter import Parameter
from manual.layers.pieces import (
    AddedLoss,
    DrawnNumbers,
    ForEachSample,
    GivenNumbers,
    OwnWeight,
)
from manual.layers.pooling import (
    AveragePooling1D,
    AveragePooling2D,
    AveragePooling3D,
    MaxPooling1D,
    MaxPooling2D,
    MaxPooling3D,
)
from manual.layers.preprocessing import (
    CategoryEncoding,
    Discretization,
    Normalization,
    Rescaling,
)
from manual.layers.recurrent import GRU, LSTM, RNN, SimpleRNN
from manual.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout1D,
    SpatialDropout2D,
    SpatialDropout3D,
)
from manual.layers.reshaping import Identity, Permute, RepeatVector, Reshape
from manual.layers.resizing import CenterCrop, Resizing
from manual.layers.spatial import (
    Cropping1D,
    Cropping2D,
    Cropping3D,
    UpSampling1D,
    UpSampling2D,
    UpSampling3D,
    ZeroPadding1D,
    ZeroPadding2D,
    ZeroPadding3D,
)
from manual.layers.spectral_normalization import SpectralNormalization
from manual.layers.stacked_cells import StackedRNNCells
from manual.layers.symbol import Symbol
from manual.layers.time_distributed import TimeDistributed
from manual.layers.transposed_convolution import (
    Conv1DTranspose,
    Conv2DTranspose,
    Conv3DTranspose,
)

__all__ = [
    "ELU",
    "GRU",
    "LSTM",
    "RNN",
    "Activation",
    "ActivityRegularization",
    "AdaptiveAveragePooling1D",
    "AdaptiveAveragePooling2D",
    "AdaptiveAveragePooling3D",
    "AdaptiveMaxPooling1D",
    "AdaptiveMaxPooling2D",
    "AdaptiveMaxPooling3D",
    "Add",
    "AddedLoss",
    "AdditiveAttention",
    "AlphaDropout",
    "Attention",
    "Average",
    "AveragePooling1D",
    "AveragePooling2D",
    "AveragePooling3D",
    "BatchNormalization",
    "Bidirectional",
    "CategoryEncoding",
    "Cell",
    "CenterCrop",
    "Concatenate",
    "Conv1D",
    "Conv1DTranspose",
    "Conv2D",
    "Conv2DTranspose",
    "Conv3D",
    "Conv3DTranspose",
    "ConvLSTM1D",
    "ConvLSTM2D",
    "ConvLSTM3D",
    "Cropping1D",
    "Cropping2D",
    "Cropping3D",
    "Dense",
    "DepthwiseConv1D",
    "DepthwiseConv2D",
    "Discretization",
    "Dot",
    "DrawnNumbers",
    "Dropout",
    "EinsumDense",
    "Embedding",
    "Flatten",
    "ForEachSample",
    "GRUCell",
    "GaussianDropout",
    "GaussianNoise",
    "GivenNumbers",
    "GlobalAveragePooling1D",
    "GlobalAveragePooling2D",
    "GlobalAveragePooling3D",
    "GlobalMaxPooling1D",
    "GlobalMaxPooling2D",
    "GlobalMaxPooling3D",
    "GroupNormalization",
    "GroupQueryAttention",
    "Identity",
    "Input",
    "InputLayer",
    "LSTMCell",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "Masking",
    "MaxPooling1D",
    "MaxPooling2D",
    "MaxPooling3D",
    "Maximum",
    "Minimum",
    "MultiHeadAttention",
    "Multiply",
    "Normalization",
    "OwnWeight",
    "PReLU",
    "Parameter",
    "Permute",
    "RMSNormalization",
    "ReLU",
    "RepeatVector",
    "Rescaling",
    "Reshape",
    "Resizing",
    "ReversibleEmbedding",
    "SeparableConv1D",
    "SeparableConv2D",
    "SimpleRNN",
    "SimpleRNNCell",
    "Softmax",
    "SpatialDropout1D",
    "SpatialDropout2D",
    "SpatialDropout3D",
    "SpectralNormalization",
    "StackedRNNCells",
    "Subtract",
    "Symbol",
    "TimeDistributed",
    "UnitNormalization",
    "UpSampling1D",
    "UpSampling2D",
    "UpSampling3D",
    "ZeroPadding1D",
    "ZeroPadding2D",
    "ZeroPadding3D",
]
