"""Adam and what came of it: two running means of the gradient, and their bias corrections."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.optimizers.base import Optimizer, Slots, Tensor, as_float32
from manual.registry import twin_of


class RunningMeans(Optimizer):
    """What Adam and its kin have: how slowly two running means forget, and what keeps from 0."""

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon


@twin_of("Adam")
class Adam(RunningMeans):
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
        learning_rate: Any = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, beta_1, beta_2, epsilon, **processing)
        self.amsgrad = amsgrad
        self.rule_slots = ("momentum", "velocity", "velocity_hat")[: 3 if amsgrad else 2]

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        m, v = slots["momentum"], slots["velocity"]
        beta_1_power = as_float32(self.beta_1) ** t
        beta_2_power = as_float32(self.beta_2) ** t
        alpha = learning_rate * (1.0 - beta_2_power) ** 0.5 / (1.0 - beta_1_power)
        m += (g - m) * (1.0 - self.beta_1)
        v += (g * g - v) * (1.0 - self.beta_2)
        if self.amsgrad:
            v = np.maximum(slots["velocity_hat"], v, out=slots["velocity_hat"])
        w -= m * alpha / (np.sqrt(v) + self.epsilon)


@twin_of("AdamW")
class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019), applied before the update."""

    def __init__(
        self, learning_rate: Any = 0.001, weight_decay: float = 0.004, **options: Any
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **options)


@twin_of("Adamax")
class Adamax(RunningMeans):
    """Adamax (Kingma & Ba 2015, section 7.1): the largest gradient, fading, in the place of v.

    Keras on TensorFlow rounds β₁ to float32 inside β₁ᵗ and nowhere else.
    """

    derivation = {
        "momentum": "m⁺ = m + (g − m)(1 − β₁)",
        "norm": "u⁺ = max(β₂ u, |g|)",
        "weight": "w⁺ = w − η m⁺ / ((1 − β₁ᵗ)(u⁺ + ε))",
    }
    rule_slots = ("momentum", "norm")

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        m, u = slots["momentum"], slots["norm"]
        m += (g - m) * (1.0 - self.beta_1)
        np.maximum(u * self.beta_2, abs(g), out=u)
        correction = 1.0 - as_float32(self.beta_1) ** t
        w -= learning_rate * m / (correction * (u + self.epsilon))


@twin_of("Nadam")
class Nadam(RunningMeans):
    """Nadam (Dozat 2016, algorithm 2): Adam that looks ahead by one step of its momentum.

    β₁ warms up as βₜ, and their product is remembered, once for all weights. Keras on TensorFlow
    rounds β₁, β₂ and 0.96 to float32, but not in that product.
    """

    derivation = {
        "u_product": "P⁺ = P · βₜ, with βₜ = β₁ (1 − ½ 0.96ᵗ)",
        "momentum": "m⁺ = m + (g − m)(1 − β₁)",
        "velocity": "v⁺ = v + (g² − v)(1 − β₂)",
        "weight": "w⁺ = w − η m̂ / (√(v⁺ / (1 − β₂ᵗ)) + ε), with "
        "m̂ = βₜ₊₁ m⁺ / (1 − P⁺ βₜ₊₁) + (1 − βₜ) g / (1 − P⁺)",
    }
    rule_slots = ("u_product", "momentum", "velocity")
    starts = {"u_product": 1.0}
    shared = ("u_product",)

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        product, m, v = slots["u_product"], slots["momentum"], slots["velocity"]
        beta_1, beta_2, decay = map(as_float32, (self.beta_1, self.beta_2, 0.96))
        now = beta_1 * (1.0 - 0.5 * decay**t)
        following = beta_1 * (1.0 - 0.5 * decay ** (t + 1.0))
        product *= self.beta_1 * (1.0 - 0.5 * 0.96**t)
        m += (g - m) * (1.0 - beta_1)
        v += (g * g - v) * (1.0 - beta_2)
        m_hat = following * m / (1.0 - product * following) + (1.0 - now) * g / (1.0 - product)
        w -= m_hat * learning_rate / (np.sqrt(v / (1.0 - beta_2**t)) + self.epsilon)


@twin_of("ScheduleFreeAdamW")
class ScheduleFreeAdamW(Optimizer):
    """Adam that averages instead of slowing down (Defazio et al. 2024, algorithm 1).

    The weights are y, a mean of the fast z (kept as "momentum") and of z's running average x. Keras
    on TensorFlow takes x out of y with the *new* z where the paper has the old one, because its
    copy of the old z is the variable itself; so does this twin. (With that β₁ drops out: what is
    left is w⁺ = (1 − 1/t) w + z⁺/t.) Keras rounds β₁, β₂ and ε to float32. z starts as the weight.
    """

    derivation = {
        "velocity": "v⁺ = v + (g² − v)(1 − β₂)",
        "momentum": "z⁺ = z − η g / (√(v⁺ / (1 − β₂ᵗ)) + ε), η growing over the warm-up",
        "weight": "w⁺ = (1 − β₁) z⁺ + β₁ x⁺, with x⁺ = (1 − 1/t) x + z⁺/t and "
        "x = (w − (1 − β₁) z⁺) / β₁ (the paper: z in place of z⁺)",
    }
    rule_slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.0025,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        warmup_steps: int = 0,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.beta_1 = as_float32(beta_1)
        self.beta_2 = as_float32(beta_2)
        self.epsilon = as_float32(epsilon)
        self.warmup_steps = warmup_steps

    def new_slots(self, w: Array, tensors: Sequence[Tensor]) -> dict[str, Array]:
        slots = super().new_slots(w, tensors)
        slots["momentum"][...] = w
        return slots

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        z, v = slots["momentum"], slots["velocity"]
        if self.warmup_steps:
            learning_rate = learning_rate * np.minimum(t / float(self.warmup_steps), 1.0)
        v += (g * g - v) * (1.0 - self.beta_2)
        z -= learning_rate * g / (np.sqrt(v / (1.0 - self.beta_2**t)) + self.epsilon)
        share = 1.0 / t
        x = (w - (1.0 - self.beta_1) * z) / self.beta_1
        x = (1.0 - share) * x + share * z
        w[...] = (1.0 - self.beta_1) * z + self.beta_1 * x
