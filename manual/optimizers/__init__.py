"""Optimizers: how a gradient becomes a new weight.

An optimizer works on whole flat arrays, in place: a handful of NumPy calls per step, whatever the
number of weights. Its memory (momentum, moments) lies in ``slots``, flat arrays too.
"""

from manual.optimizers.adam import Adam, Adamax, AdamW, Nadam, ScheduleFreeAdamW
from manual.optimizers.adaptive import Adadelta, Adagrad, Ftrl, RMSprop
from manual.optimizers.base import (
    ALL_WEIGHTS,
    Optimizer,
    OptimizerPerTensor,
    Step,
    Tensor,
    as_float32,
    tensors_of,
)
from manual.optimizers.dynamic_scale import DynamicScale
from manual.optimizers.loss_scale import LossScaleOptimizer
from manual.optimizers.momentum import SGD, Lion
from manual.optimizers.multiple import MultiOptimizer
from manual.optimizers.scattered import Rows, Scattered, summed
from manual.optimizers.tensors import Adafactor, Lamb, Muon

__all__ = [
    "ALL_WEIGHTS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "DynamicScale",
    "Ftrl",
    "Lamb",
    "Lion",
    "LossScaleOptimizer",
    "MultiOptimizer",
    "Muon",
    "Nadam",
    "Optimizer",
    "OptimizerPerTensor",
    "RMSprop",
    "Rows",
    "Scattered",
    "ScheduleFreeAdamW",
    "Step",
    "Tensor",
    "as_float32",
    "summed",
    "tensors_of",
]
