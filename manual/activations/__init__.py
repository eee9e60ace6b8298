"""Activation functions, each with the derivative written under it."""

from manual.activations.base import ActivationFunction
from manual.activations.exponentials import CELU, ELU, SELU, Exponential
from manual.activations.functions import log_softmax, sigmoid, softmax, softplus
from manual.activations.gates import GELU, GLU, HardSiLU, Mish, SiLU
from manual.activations.rectifiers import (
    HardShrink,
    LeakyReLU,
    ReLU,
    ReLU6,
    SoftShrink,
    Threshold,
)
from manual.activations.rows import LogSoftmax, Softmax, Sparsemax
from manual.activations.sigmoids import (
    HardSigmoid,
    HardTanh,
    Linear,
    Sigmoid,
    Softsign,
    SparseSigmoid,
    Tanh,
)
from manual.activations.smooth import LogSigmoid, Softplus, SparsePlus, Squareplus, TanhShrink

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "ActivationFunction",
    "Exponential",
    "HardShrink",
    "HardSiLU",
    "HardSigmoid",
    "HardTanh",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "SoftShrink",
    "Softmax",
    "Softplus",
    "Softsign",
    "SparsePlus",
    "SparseSigmoid",
    "Sparsemax",
    "Squareplus",
    "Tanh",
    "TanhShrink",
    "Threshold",
    "log_softmax",
    "sigmoid",
    "softmax",
    "softplus",
]
