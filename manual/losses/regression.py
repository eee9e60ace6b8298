"""Losses of the distance p − y between numbers."""

from __future__ import annotations

import numpy as np

from manual import sums
from manual.activations import sigmoid, softplus
from manual.arrays import Array
from manual.losses.base import Loss
from manual.losses.probabilities import EPSILON
from manual.registry import twin_of


@twin_of("MeanSquaredError")
@twin_of("mean_squared_error")
@twin_of("mse")
class MeanSquaredError(Loss):
    derivation = {
        "forward": "E = 1/n Σ (p − y)², averaged over the batch of B",
        "input gradient": "dp = 2 (p − y) / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        difference = p - y
        return self.mean(difference * difference), difference

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        return 2.0 * self.mean_gradient(dv, saved) * saved


@twin_of("MeanAbsoluteError")
@twin_of("mean_absolute_error")
@twin_of("mae")
class MeanAbsoluteError(Loss):
    """At the kink p = y the derivative is taken as 0, as TensorFlow does."""

    derivation = {
        "forward": "E = 1/n Σ |p − y|, averaged over the batch of B",
        "input gradient": "dp = sign(p − y) / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        difference = p - y
        return self.mean(np.abs(difference)), difference

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        return self.mean_gradient(dv, saved) * np.sign(saved)


@twin_of("KerasLockstep>HalfSquaredSum")
class HalfSquaredSum(Loss):
    """The error that most tutorials differentiate: no mean anywhere, ½ so that the 2 cancels."""

    derivation = {
        "forward": "E = Σ ½ (y − p)², over outputs and samples",
        "input gradient": "dp = p − y",
    }

    def __init__(self, reduction: str | None = "sum") -> None:
        super().__init__(reduction)

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        difference = p - y
        return 0.5 * sums.over_last(difference * difference)[..., 0], difference

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        return dv[..., None] * saved


@twin_of("MeanAbsolutePercentageError")
@twin_of("mean_absolute_percentage_error")
class MeanAbsolutePercentageError(Loss):
    """In per cent of the target, which counts as ε where it is smaller than that."""

    derivation = {
        "forward": "E = 100/n Σ |p − y| / max(|y|, ε), averaged over the batch of B",
        "input gradient": "dp = 100 sign(p − y) / (max(|y|, ε) n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        size = np.maximum(np.abs(y), EPSILON)
        relative = (p - y) / size
        return 100.0 * self.mean(np.abs(relative)), (relative, size)

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        relative, size = saved
        return 100.0 * self.mean_gradient(dv, relative) * np.sign(relative) / size


@twin_of("MeanSquaredLogarithmicError")
@twin_of("mean_squared_logarithmic_error")
class MeanSquaredLogarithmicError(Loss):
    """What is below ε counts as ε, which Keras rounds to float32 here; no gradient passes there."""

    EPSILON = float(np.float32(EPSILON))

    derivation = {
        "forward": "E = 1/n Σ (log(1 + p) − log(1 + y))², with max(·, ε), averaged over the batch",
        "input gradient": "dp = 2 (log(1 + p) − log(1 + y)) / ((1 + p) n B), 0 where p < ε",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        above = np.maximum(p, self.EPSILON) + 1.0
        difference = np.log(above) - np.log(np.maximum(y, self.EPSILON) + 1.0)
        return self.mean(difference * difference), (difference, above, p)

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        difference, above, p = saved
        passes = p >= self.EPSILON
        return 2.0 * self.mean_gradient(dv, p) * difference / above * passes


@twin_of("Huber")
@twin_of("huber")
class Huber(Loss):
    """A parabola within δ of the target, straight lines outside (Huber 1964)."""

    derivation = {
        "forward": "E = 1/n Σ (½ d² where |d| ≤ δ, else δ |d| − ½ δ²), d = p − y, averaged over "
        "the batch of B",
        "input gradient": "dp = (d where |d| ≤ δ, else δ sign(d)) / (n B)",
    }

    def __init__(self, delta: float = 1.0, reduction: str | None = "sum_over_batch_size") -> None:
        super().__init__(reduction)
        self.delta = float(delta)

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        d = p - y
        size = np.abs(d)
        outside = self.delta * size - 0.5 * self.delta**2
        values = np.where(size <= self.delta, 0.5 * (d * d), outside)
        return self.mean(values), d

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        d = saved
        dp = np.where(np.abs(d) <= self.delta, d, self.delta * np.sign(d))
        return self.mean_gradient(dv, d) * dp


@twin_of("LogCosh")
@twin_of("log_cosh")
class LogCosh(Loss):
    """Almost ½ d² close to the target and ``|d| − log 2`` far away; log 2 is rounded to float32."""

    LOG_2 = float(np.log(np.float32(2.0)))

    derivation = {
        "forward": "E = 1/n Σ log cosh d = 1/n Σ (d + log(1 + e^−2d) − log 2), d = p − y, "
        "averaged over the batch of B",
        "input gradient": "dp = tanh(d) / (n B) = (1 − 2 σ(−2d)) / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Array]:
        d = p - y
        return self.mean(d + softplus(-2.0 * d) - self.LOG_2), d

    def values_gradient(self, dv: Array, saved: Array) -> Array:
        return self.mean_gradient(dv, saved) * (1.0 - 2.0 * sigmoid(-2.0 * saved))
