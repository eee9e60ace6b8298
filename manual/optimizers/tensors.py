"""Rules that look at each weight as a whole: at its norm, its rows and columns, its directions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array, in_single_precision
from manual.optimizers.adam import Adam, RunningMeans
from manual.optimizers.base import OptimizerPerTensor, Shape, Slots, Tensor, as_float32, norm
from manual.registry import twin_of


@twin_of("Lamb")
class Lamb(OptimizerPerTensor, RunningMeans):
    """LAMB (You et al. 2020, algorithm 2): Adam's step, as long as the weight itself.

    ε stands outside the root, after the bias correction. Unlike the paper, weight decay is outside
    the trust ratio, and the ratio is 1 where one of the norms is 0. Keras on TensorFlow rounds the
    betas to float32 inside βᵗ and nowhere else.
    """

    derivation = {
        "momentum": "m⁺ = m + (g − m)(1 − β₁)",
        "velocity": "v⁺ = v + (g² − v)(1 − β₂)",
        "weight": "w⁺ = w − η |w| / |u| · u, with u = m⁺/(1 − β₁ᵗ) / (√(v⁺/(1 − β₂ᵗ)) + ε)",
    }
    rule_slots = ("momentum", "velocity")

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        m, v = slots["momentum"], slots["velocity"]
        m += (g - m) * (1.0 - self.beta_1)
        v += (g * g - v) * (1.0 - self.beta_2)
        first = m / (1.0 - as_float32(self.beta_1) ** t)
        u = first / (np.sqrt(v / (1.0 - as_float32(self.beta_2) ** t)) + self.epsilon)
        of_w, of_u = norm(w), norm(u)
        known = (of_w > 0.0) & (of_u > 0.0)
        ratio = np.where(known, of_w / np.where(known, of_u, 1.0), 1.0)
        w -= ratio * learning_rate * u


@twin_of("Adafactor")
class Adafactor(OptimizerPerTensor):
    """Adafactor (Shazeer & Stern 2018, algorithms 4 and 5): v as a product of rows and columns.

    A weight with two axes or more is remembered as the means r over the last axis and c over the
    last but one; ``velocity`` is what they make together, and an own memory only for a vector.
    Keras on TensorFlow rounds ε₂ to float32. Under a schedule the rate is not bounded by
    ``relative_step``, but by 1/√t all the same.
    """

    derivation = {
        "r": "r⁺ = β r + (1 − β) mean over columns of (g² + ε₁), with β = 1 − t^−0.8",
        "c": "c⁺ = β c + (1 − β) mean over rows of (g² + ε₁)",
        "velocity": "v⁺ = r⁺ c⁺ / mean(r⁺); a vector: v⁺ = β v + (1 − β)(g² + ε₁)",
        "weight": "w⁺ = w − max(ε₂, rms(w)) min(η, 1/√t) u / max(1, rms(u)/d), with u = g / √v⁺",
    }
    rule_slots = ("r", "c", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        beta_2_decay: float = -0.8,
        epsilon_1: float = 1e-30,
        epsilon_2: float = 1e-3,
        clip_threshold: float = 1.0,
        relative_step: bool = True,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, **processing)
        self.beta_2_decay = beta_2_decay
        self.epsilon_1 = epsilon_1
        self.epsilon_2 = as_float32(epsilon_2)
        self.clip_threshold = clip_threshold
        # Both settings of relative_step bound the rate by 1/√t in the end.
        self.relative_step = relative_step

    def slot_shape(self, slot: str, tensor: Tensor) -> Shape | None:
        shape = tensor.shape
        if slot == "velocity":
            return shape
        if len(shape) < 2:
            return None
        return shape[:-1] if slot == "r" else (*shape[:-2], shape[-1])

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        v = slots["velocity"]
        rate = np.minimum(learning_rate, 1.0 / np.sqrt(t))
        alpha = np.maximum(self.epsilon_2, root_mean_square(w)) * rate
        squares = g * g + self.epsilon_1
        beta = 1.0 - t**self.beta_2_decay
        if "r" in slots:
            r, c = slots["r"], slots["c"]
            r[...] = beta * r + (1.0 - beta) * squares.mean(axis=-1)
            c[...] = beta * c + (1.0 - beta) * squares.mean(axis=-2)
            rows = r / r.mean(axis=-1, keepdims=True)
            v[...] = rows[..., None] * c[..., None, :]
        else:
            v[...] = beta * v + (1.0 - beta) * squares
        size = np.sqrt((g * g / v).mean())  # of u; of a table, of all its rows
        w -= alpha * (g / np.sqrt(v) / np.maximum(size / self.clip_threshold, 1.0))


@twin_of("Muon")
class Muon(OptimizerPerTensor):
    """Muon (Jordan et al. 2024): momentum, its singular values all brought near to 1.

    Matrices go that way; every other weight, embeddings, and the layers that are excluded by name
    go by Adam, with a weight decay of their own.
    """

    derivation = {
        "momentum": "m⁺ = μ m + g; by Adam: m⁺ = m + (g − m)(1 − β₁)",
        "velocity": "by Adam: v⁺ = v + (g² − v)(1 − β₂)",
        "weight": "w⁺ = w − η · 0.2 √max(rows, columns) · X, where five times from "
        "X = M/(|M| + 1e-7), M = g + μ m⁺: X ← a X + (b A + c A²) X, A = X Xᵀ",
    }
    rule_slots = ("momentum", "velocity")

    def __init__(
        self,
        learning_rate: Any = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.775,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1.0,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **processing: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **processing)
        self.adam = Adam(1.0, adam_beta_1, adam_beta_2, epsilon)
        self.adam_weight_decay = (
            None if adam_weight_decay is None else as_float32(adam_weight_decay)
        )
        self.adam_lr_ratio = adam_lr_ratio
        self.exclude_layers = list(exclude_layers or ())
        self.exclude_embeddings = exclude_embeddings
        self.polynomial = (muon_a, muon_b, muon_c)
        self.momentum = momentum
        self.ns_steps = ns_steps
        self.schedule_given = self.schedule is not None  # also where its rates are handed in
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    def goes_by_adam(self, tensor: Tensor) -> bool:
        """Say whether a weight is left to Adam."""
        return (
            len(tensor.shape) != 2
            or (self.exclude_embeddings and "embedding" in tensor.name.lower())
            or any(re.search(pattern, tensor.name) for pattern in self.exclude_layers)
        )

    def slot_shape(self, slot: str, tensor: Tensor) -> Shape | None:
        return None if slot == "velocity" and not self.goes_by_adam(tensor) else tensor.shape

    @property
    def decays(self) -> bool:
        return super().decays or self.adam_weight_decay is not None

    def decay_rate(self, tensor: Tensor) -> float | None:
        if self.goes_by_adam(tensor) and tensor.name not in self.excluded_from_weight_decay:
            return self.adam_weight_decay
        return super().decay_rate(tensor)

    def update(self, w: Array, g: Array, slots: Slots, t: int, learning_rate: float) -> None:
        if "velocity" in slots:
            own = learning_rate * self.adam_lr_ratio
            if self.schedule_given and self.adam_lr_ratio != 1.0:
                own = scaled(learning_rate * np.ones_like(slots["velocity"]), self.adam_lr_ratio)
            self.adam.update(w, g, slots, t, own)
            return
        m = slots["momentum"]
        m += g + m * (self.momentum - 1.0)
        move = learning_rate * self.orthogonal(g + self.momentum * m if self.nesterov else m)
        if self.rms_rate is not None:
            move = move * np.sqrt(np.float64(max(w.shape))) * self.rms_rate
        w -= move

    def orthogonal(self, x: Array) -> Array:
        """Bring the singular values near to 1, by Newton and Schulz's iteration."""
        a, b, c = self.polynomial
        if x.shape[0] > x.shape[1]:
            return self.orthogonal(x.T).T
        x = x / (norm(x) + 1e-7)
        for _ in range(self.ns_steps):
            square = x @ x.T
            x = a * x + (b * square + (c * square) @ square) @ x
        return x


@in_single_precision
def scaled(learning_rate: Array, ratio: float) -> Array:
    """Return a share of the rate of a schedule, which Keras has in float32 alone."""
    return learning_rate * ratio


def root_mean_square(array: Array) -> Array:
    """Return the root of the mean of the squares of all elements."""
    return np.sqrt((array * array).mean())
