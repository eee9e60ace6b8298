"""Rules that move along the gradient, or along its sign, with what is left of earlier steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.optimizers.base import Optimizer, Slots, as_float32
from manual.registry import twin_of


@twin_of("SGD")
class SGD(Optimizer):
    """Gradient descent, with momentum (Polyak 1964) or Nesterov's (Sutskever et al. 2013).

    The learning rate stands inside the velocity, unlike PyTorch. Keras on TensorFlow rounds the
    momentum to float32, in float64 too, and so does this twin.
    """

    derivation = {
        "weight": "w⁺ = w − η g",
        "momentum": "m⁺ = μ m − η g",
        "weight with momentum": "w⁺ = w + m⁺; Nesterov: w⁺ = w + μ m⁺ − η g",
    }

    def __init__(
        self,
        learning_rate: Any = 0.01,
        momentum: float = 0.0,
        nesterov: bool = False,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.momentum = as_float32(momentum)
        self.nesterov = nesterov
        self.rule_slots = ("momentum",) if momentum else ()

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        step = learning_rate * g
        if not self.rule_slots:
            w -= step
            return
        m = slots["momentum"]
        m *= self.momentum
        m -= step
        w += self.momentum * m - step if self.nesterov else m


@twin_of("Lion")
class Lion(Optimizer):
    """Lion (Chen et al. 2023, algorithm 2): every element moves by η, only the sign is learnt.

    The sign is that of a mean with β₁; what is remembered is a mean with β₂. Keras on TensorFlow
    rounds both to float32.
    """

    derivation = {
        "weight": "w⁺ = w − η sign(β₁ m + (1 − β₁) g)",
        "momentum": "m⁺ = β₂ m + (1 − β₂) g",
    }
    rule_slots = ("momentum",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.99,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.beta_1 = as_float32(beta_1)
        self.beta_2 = as_float32(beta_2)

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        m = slots["momentum"]
        w -= learning_rate * np.sign(m * self.beta_1 + g * (1.0 - self.beta_1))
        m *= self.beta_2
        m += g * (1.0 - self.beta_2)
