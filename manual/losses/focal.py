"""Focal cross-entropies (Lin et al. 2017): what is predicted well already counts little."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.activations import ActivationFunction, Sigmoid, sigmoid, softmax
from manual.arrays import Array
from manual.losses.crossentropy import (
    OfProbabilities,
    binary_slope,
    binary_surprise,
    classes_counted,
    smoothed,
)
from manual.losses.probabilities import clipped, unclipped
from manual.registry import twin_of


@twin_of("BinaryFocalCrossentropy")
@twin_of("binary_focal_crossentropy")
class BinaryFocalCrossentropy(OfProbabilities):
    """The binary cross-entropy H, times (1 − pₜ)^γ, with pₜ the probability of what is true.

    From logits, H is computed from them, and p = σ(z). Behind a softmax, Keras takes its numbers
    for p, but computes H as if the logits were a sigmoid's; so does this twin.
    """

    derivation = {
        "forward": "E = 1/n Σ w (1 − pₜ)^γ H, pₜ = y p + (1 − y)(1 − p), averaged over the batch "
        "of B; w = y α + (1 − y)(1 − α) if classes are balanced, else 1",
        "input gradient": "dp = w ((1 − pₜ)^γ dH − γ (1 − pₜ)^(γ − 1) (2y − 1) H) / (n B); "
        "from logits dH = σ(z) − y, and the second term times σ(z) (1 − σ(z))",
    }

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction)
        self.apply_class_balancing = apply_class_balancing
        self.alpha, self.gamma = alpha, gamma
        self.behind: ActivationFunction | None = None
        """The softmax that the logits are those of, if it isn't a sigmoid."""

    def reads_logits_of(self, activation: ActivationFunction) -> bool:
        if self.from_logits or not activation.carries_logits:
            return False  # Keras takes σ of what it is given, be it probabilities already
        self.behind = None if isinstance(activation, Sigmoid) else activation
        return True

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y = smoothed(y, self.label_smoothing, 2)
        factor = self._weight(y) * self._missing(y, p, logits) ** self.gamma
        values = factor * binary_surprise(y, p, logits)
        return values.sum(axis=-1) / p.shape[-1], (y, p, logits)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p, logits = saved
        missing, dh = self._missing(y, p, logits), binary_slope(y, p, logits)
        each = dv[..., None] * self._weight(y) / p.shape[-1]
        of_factor = self.gamma * missing ** (self.gamma - 1.0) * (2.0 * y - 1.0)
        through_factor = each * of_factor * binary_surprise(y, p, logits)
        if logits:
            through_factor = self._back_to_logits(through_factor, p)
        return each * missing**self.gamma * dh - through_factor

    def _weight(self, y: Array) -> Array:
        if not self.apply_class_balancing:
            return 1.0
        return y * self.alpha + (1.0 - y) * (1.0 - self.alpha)

    def _missing(self, y: Array, p: Array, logits: bool) -> Array:
        """Return 1 − pₜ: how much is missing to certainty of the truth."""
        s = self._probabilities(p) if logits else p
        return 1.0 - (y * s + (1.0 - y) * (1.0 - s))

    def _probabilities(self, z: Array) -> Array:
        if self.behind is None:
            return sigmoid(z)
        return self.along_last(self.behind.forward(self._as_it_was(z)))

    def _back_to_logits(self, ds: Array, z: Array) -> Array:
        """Carry the gradient at the probabilities back to their logits."""
        s = self._probabilities(z)
        if self.behind is None:
            return ds * (s * (1.0 - s))
        given = (self._as_it_was(array) for array in (ds, z, s))
        return self.along_last(self.behind.backward(*given))

    def _as_it_was(self, array: Array) -> Array:
        """Move the last axis back to where it came from."""
        return array if self.along == -1 else np.moveaxis(array, -1, self.along)


@twin_of("CategoricalFocalCrossentropy")
@twin_of("categorical_focal_crossentropy")
class CategoricalFocalCrossentropy(OfProbabilities):
    """The categorical cross-entropy with (1 − p)^γ and a weight α, one for all or one per class.

    Computed from probabilities always: those behind a softmax output are not looked for.
    """

    derivation = {
        "forward": "E = −Σ α (1 − q)^γ y log q, with q = p/Σp clipped, averaged over the batch; "
        "from logits: p = softmax(z)",
        "input gradient": "dq = α y (γ (1 − q)^(γ − 1) log q − (1 − q)^γ / q) / B, "
        "dp = (dq − Σ dq q) / Σp; from logits: dz = p (dp − Σ dp p)",
    }

    def __init__(
        self,
        alpha: float | Sequence[float] = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
    ) -> None:
        super().__init__(from_logits, label_smoothing, axis, reduction)
        self.alpha, self.gamma = alpha, gamma

    def reads_logits_of(self, activation: ActivationFunction) -> bool:
        return False

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y = smoothed(y, self.label_smoothing, classes_counted(y, self.along))
        p = softmax(p) if logits else p
        c = clipped(p / p.sum(axis=-1, keepdims=True))
        values = self._alpha(p) * (1.0 - c) ** self.gamma * (-y * np.log(c))
        return values.sum(axis=-1), (y, p, logits)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p, logits = saved
        total = p.sum(axis=-1, keepdims=True)
        q = p / total
        c = clipped(q)
        left = 1.0 - c
        of_factor = self.gamma * left ** (self.gamma - 1.0) * np.log(c)
        dq = self._alpha(p) * y * (of_factor - left**self.gamma / c) * unclipped(q)
        dp = dv[..., None] * (dq - (dq * q).sum(axis=-1, keepdims=True)) / total
        return p * (dp - (dp * p).sum(axis=-1, keepdims=True)) if logits else dp

    def _alpha(self, p: Array) -> Array:
        if isinstance(self.alpha, (int, float)):
            return self.alpha
        alpha = np.array(self.alpha, np.float32).astype(p.dtype)  # Keras rounds a list
        # It lies on the last axis, which may have been moved to the one before.
        return alpha if self.along in (-1, p.ndim - 1) else alpha[:, None]
