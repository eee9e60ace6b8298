"""Rules that divide every element by a measure of its own past gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.optimizers.base import Optimizer, Slots, as_float32
from manual.registry import twin_of


@twin_of("RMSprop")
class RMSprop(Optimizer):
    """RMSprop (Hinton's lecture 6e, 2012; centered: Graves 2013).

    ε stands inside the root, and momentum adds up increments that the learning rate is already in.
    """

    derivation = {
        "velocity": "v⁺ = ρ v + (1 − ρ) g²",
        "average_gradient": "ḡ⁺ = ρ ḡ + (1 − ρ) g (centered)",
        "momentum": "m⁺ = μ m + η g / √(v⁺ + ε)",
        "weight": "w⁺ = w − η g / √(v⁺ + ε); centered: √(v⁺ − ḡ⁺² + ε); with momentum: w − m⁺",
    }

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self.rule_slots = (
            "velocity",
            *(("momentum",) if momentum else ()),
            *(("average_gradient",) if centered else ()),
        )

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        v = slots["velocity"]
        v *= self.rho
        v += (1.0 - self.rho) * (g * g)
        spread = v
        if self.centered:
            average = slots["average_gradient"]
            average *= self.rho
            average += (1.0 - self.rho) * g
            spread = v - average * average
        increment = learning_rate * g / np.sqrt(spread + self.epsilon)
        if self.momentum:
            m = slots["momentum"]
            m *= self.momentum
            m += increment
            increment = m
        w -= increment


@twin_of("Adagrad")
class Adagrad(Optimizer):
    """Adagrad (Duchi et al. 2011): divides by the root of the sum of all squared gradients.

    The sum starts at 0.1, which Keras rounds to float32; ε stands inside the root.
    """

    derivation = {
        "accumulator": "n⁺ = n + g²",
        "weight": "w⁺ = w − η g / √(n⁺ + ε)",
    }
    rule_slots = ("accumulator",)

    def __init__(
        self,
        learning_rate: Any = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.epsilon = epsilon
        self.starts = {"accumulator": as_float32(initial_accumulator_value)}

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        n = slots["accumulator"]
        n += g * g
        w -= learning_rate * g / np.sqrt(n + self.epsilon)


@twin_of("Adadelta")
class Adadelta(Optimizer):
    """Adadelta (Zeiler 2012, algorithm 1): the steps have the units of the weights.

    ε stands inside both roots. Zeiler has no learning rate (1); Keras's default is 0.001.
    """

    derivation = {
        "accumulated_grad": "G⁺ = ρ G + (1 − ρ) g²",
        "accumulated_delta_var": "D⁺ = ρ D + (1 − ρ) Δ², with Δ = −√(D + ε) / √(G⁺ + ε) · g",
        "weight": "w⁺ = w + η Δ",
    }
    rule_slots = ("accumulated_grad", "accumulated_delta_var")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        rho: float = 0.95,
        epsilon: float = 1e-7,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.rho = rho
        self.epsilon = epsilon

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        squares, deltas = slots["accumulated_grad"], slots["accumulated_delta_var"]
        squares *= self.rho
        squares += (1.0 - self.rho) * (g * g)
        ratio = np.sqrt(deltas + self.epsilon) / np.sqrt(squares + self.epsilon)
        deltas *= self.rho
        deltas += (1.0 - self.rho) * (ratio * ratio * (g * g))
        w -= learning_rate * (ratio * g)


@twin_of("Ftrl")
class Ftrl(Optimizer):
    """Follow the regularized leader (McMahan et al. 2013, algorithm 1).

    β enters as an L2 penalty of β / 2η. Shrinkage acts on z only; the accumulator n has the bare
    gradient. n starts at 0.1, which Keras rounds to float32.
    """

    derivation = {
        "accumulator": "n⁺ = n + g²",
        "linear": "z⁺ = z + g + 2 λₛ w − (n⁺^p − n^p) w / η, with p = −learning_rate_power",
        "weight": "w⁺ = (min(max(z⁺, −λ₁), λ₁) − z⁺) / (n⁺^p / η + 2 λ₂ + β / η)",
    }
    rule_slots = ("accumulator", "linear")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        learning_rate_power: float = -0.5,
        initial_accumulator_value: float = 0.1,
        l1_regularization_strength: float = 0.0,
        l2_regularization_strength: float = 0.0,
        l2_shrinkage_regularization_strength: float = 0.0,
        beta: float = 0.0,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.power = -learning_rate_power
        self.l1 = l1_regularization_strength
        self.l2 = l2_regularization_strength
        self.shrinkage = l2_shrinkage_regularization_strength
        self.beta = beta
        self.starts = {"accumulator": as_float32(initial_accumulator_value)}

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        n, z = slots["accumulator"], slots["linear"]
        before = n**self.power
        n += g * g
        after = n**self.power
        z += g + (2.0 * self.shrinkage) * w - (after - before) / learning_rate * w
        # An array, because a schedule may end at a rate of 0.
        penalty = self.l2 + self.beta * np.ones_like(n[:1]) / (2.0 * learning_rate)
        clipped = np.minimum(np.maximum(z, -self.l1), self.l1)
        w[...] = (clipped - z) / (after / learning_rate + 2.0 * penalty)
