"""Optimizers: how a gradient becomes a new weight.

An optimizer works on whole flat arrays, in place: a handful of NumPy calls per step, whatever the
number of weights. Its memory (momentum, moments) lies in ``slots``, flat arrays of the same length.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import NoTwin, twin_of


class Optimizer:
    """A rule for updating weights.

    Attributes
    ----------
    slot_names : tuple of str
        What it remembers per weight, under Keras's names.
    """

    kind: ClassVar[str] = "optimizer"
    derivation: ClassVar[Mapping[str, str]]
    slot_names: tuple[str, ...] = ()

    def __init__(self, learning_rate: float = 0.01) -> None:
        if not isinstance(learning_rate, (int, float)):
            raise NoTwin("A learning rate schedule has no hand-derived twin yet: give a number.")
        self.learning_rate = float(learning_rate)

    def update(
        self, w: Array, g: Array, slots: MutableMapping[str, Array], t: int, learning_rate: float
    ) -> None:
        """Move the weights ``w`` along the gradient ``g``, in place, slots included.

        Parameters
        ----------
        w, g : arrays, shape (weights,)
        slots : mapping of slot name to array, shape (weights,)
        t : int
            The number of this update, counted from 1.
        learning_rate : float
        """
        raise NotImplementedError


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
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False
    ) -> None:
        super().__init__(learning_rate)
        self.momentum = as_float32(momentum)
        self.nesterov = nesterov
        self.slot_names = ("momentum",) if momentum else ()

    def update(
        self, w: Array, g: Array, slots: MutableMapping[str, Array], t: int, learning_rate: float
    ) -> None:
        step = learning_rate * g
        if not self.slot_names:
            w -= step
            return
        m = slots["momentum"]
        m *= self.momentum
        m -= step
        w += self.momentum * m - step if self.nesterov else m


@twin_of("Adam")
class Adam(Optimizer):
    """Adam (Kingma & Ba 2015, section 2's closing reformulation: "ε̂").

    ε stands outside the bias correction and is 1e-7, where PyTorch has it inside and 1e-8. Keras
    on TensorFlow rounds β₁ and β₂ to float32 inside βᵗ and nowhere else; so does this twin.
    """

    derivation = {
        "momentum": "m⁺ = m + (g − m)(1 − β₁)",
        "velocity": "v⁺ = v + (g² − v)(1 − β₂)",
        "velocity_hat": "v̂⁺ = max(v̂, v⁺) (amsgrad)",
        "weight": "w⁺ = w − m⁺ α / (√v⁺ + ε), with α = η √(1 − β₂ᵗ) / (1 − β₁ᵗ)",
    }

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad
        self.slot_names = ("momentum", "velocity", "velocity_hat")[: 3 if amsgrad else 2]

    def update(
        self, w: Array, g: Array, slots: MutableMapping[str, Array], t: int, learning_rate: float
    ) -> None:
        m, v = slots["momentum"], slots["velocity"]
        beta_1_power = as_float32(self.beta_1) ** t
        beta_2_power = as_float32(self.beta_2) ** t
        alpha = learning_rate * (1.0 - beta_2_power) ** 0.5 / (1.0 - beta_1_power)
        m += (g - m) * (1.0 - self.beta_1)
        v += (g * g - v) * (1.0 - self.beta_2)
        if self.amsgrad:
            v = np.maximum(slots["velocity_hat"], v, out=slots["velocity_hat"])
        w -= m * alpha / (np.sqrt(v) + self.epsilon)


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
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
    ) -> None:
        super().__init__(learning_rate)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered
        self.slot_names = (
            "velocity",
            *(("momentum",) if momentum else ()),
            *(("average_gradient",) if centered else ()),
        )

    def update(
        self, w: Array, g: Array, slots: MutableMapping[str, Array], t: int, learning_rate: float
    ) -> None:
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


def as_float32(number: float) -> float:
    """Round a hyper-parameter to float32, where Keras on TensorFlow does."""
    return float(np.float32(number))
