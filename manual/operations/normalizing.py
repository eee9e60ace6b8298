"""Statistics, and what is divided by them: moments, normalizations."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from manual.arrays import Array
from manual.operations.base import Operation, unrepeated
from manual.operations.norms import Norm
from manual.operations.reductions import Axis, axes_of, count, repeated, variance
from manual.registry import NoTwin, twin_of

EPSILON = 1e-7
"""What Keras's ``keras.config.epsilon()`` is, unless somebody sets it."""


@twin_of("Moments")
class Moments(Operation):
    """The mean and the variance over some axes."""

    derivation = {
        "forward": "μ = Σ x / n, v = Σ (x − μ)² / n",
        "input gradient": "dx = dμ / n + 2 dv (x − μ) / n",
    }

    def __init__(self, axes: Axis, keepdims: bool = False, synchronized: bool = False) -> None:
        super().__init__()
        if synchronized:
            raise NoTwin("moments(synchronized=True) has no hand-derived twin.")
        self.over, self.keepdims = axes, keepdims

    def compute(self, x: Array) -> tuple[list[Array], Any]:
        axes = axes_of(self.over, x)
        mean, (v, apart) = x.mean(axis=axes, keepdims=True), variance(x, axes)
        left = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
        made = [one if self.keepdims else one.reshape(left) for one in (mean, v)]
        return made, (apart, v.shape, float(count(x, axes)))

    def gradients(self, dy: Sequence[Array | None], saved: Any) -> tuple[Array]:
        apart, shape, n = saved
        of_mean, of_variance = (None if one is None else one.reshape(*shape) for one in dy)
        dx = None if of_mean is None else repeated(of_mean / n, apart)
        if of_variance is not None:
            share = of_variance / n * (2.0 * apart)  # the mean is held fast, as TensorFlow does
            dx = share if dx is None else dx + share
        return (dx,)


@twin_of("Normalize")
class Normalize(Operation):
    """Vectors divided by their length; one shorter than ε is divided by ε."""

    derivation = {
        "forward": "y = x s, s = min(1/√Σ x², 1/ε); other lengths: y = x / max(‖x‖, ε)",
        "input gradient": "dx = dy s − x s³ Σ (dy x) where s < 1/ε, else dy s",
    }

    def __init__(self, axis: Axis = -1, order: Any = 2, epsilon: float | None = None) -> None:
        super().__init__()
        self.axis, self.order = axis, order
        self.epsilon = EPSILON if epsilon is None else epsilon
        if order != 2:
            self.norm = Norm(order, axis, keepdims=True)

    def compute(self, x: Array) -> tuple[Array, Any]:
        axes = axes_of(self.axis, x)
        if self.order != 2:
            size = self.norm.reduced(x, axes)
            return x / np.maximum(size, self.epsilon), (x, axes, size)
        s = 1.0 / np.sqrt((x * x).sum(axis=axes, keepdims=True))
        return x * np.minimum(s, 1.0 / self.epsilon), (x, axes, s)

    def gradients(self, dy: Array, saved: Any) -> tuple[Array]:
        x, axes, s = saved
        if self.order != 2:
            size, held = s, np.maximum(s, self.epsilon)
            dsize = (dy * (-x / held / held)).sum(axis=axes, keepdims=True)
            dsize = np.where(size >= self.epsilon, dsize, 0.0)
            return (dy / held + self.norm.spread(dsize, size, x, axes),)
        ds = np.where(s <= 1.0 / self.epsilon, (dy * x).sum(axis=axes, keepdims=True), 0.0)
        return (dy * np.minimum(s, 1.0 / self.epsilon) - ds * (s * s * s) * x,)


@twin_of("RMSNorm")
class RMSNorm(Operation):
    """Numbers divided by the root of their mean square (Zhang & Sennrich 2019)."""

    derivation = {
        "forward": "y = x r γ, r = 1/√(Σ x² / n + ε)",
        "input gradient": "dx = d r − x r³ Σ (d x) / n with d = dy γ; dγ = Σ dy x r",
    }

    def __init__(self, axis: Axis = -1, epsilon: float | None = None) -> None:
        super().__init__()
        self.axis, self.epsilon = axis, EPSILON if epsilon is None else epsilon

    def compute(self, x: Array, scale: Any = None) -> tuple[Array, Any]:
        axes = axes_of(self.axis, x)
        r = 1.0 / np.sqrt((x * x).mean(axis=axes, keepdims=True) + self.epsilon)
        y = x * r
        return y if scale is None else y * scale, (x, axes, r, scale)

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        x, axes, r, scale = saved
        d = dy if scale is None else dy * scale
        mean = (d * x).sum(axis=axes, keepdims=True) / float(count(x, axes))
        dx = d * r - x * (r * r * r) * mean
        return dx, None if scale is None else unrepeated(dy * (x * r), scale.shape)


@twin_of("LayerNorm")
class LayerNorm(Operation):
    """Numbers less their mean, divided by their deviation (Ba, Kiros & Hinton 2016)."""

    derivation = {
        "forward": "y = x s + (β − μ s), s = γ r, r = 1/√(v + ε)",
        "input gradient": "dx = r (d − Σ d / n − x̂ Σ (d x̂) / n) with d = dy γ, x̂ = (x − μ) r; "
        "dγ = Σ dy x̂, dβ = Σ dy; with rms_scaling y = x r γ and dx = d r − (x − μ) r³ Σ (d x) / n",
    }

    def __init__(
        self, axis: Axis = -1, epsilon: float | None = None, rms_scaling: bool = False
    ) -> None:
        super().__init__()
        self.axis, self.epsilon = axis, EPSILON if epsilon is None else epsilon
        self.rms_scaling = rms_scaling

    def compute(self, x: Array, gamma: Any = None, beta: Any = None) -> tuple[Array, Any]:
        axes = tuple(sorted(axes_of(self.axis, x)))
        g, b = (self._beside(one, x, axes) for one in (gamma, beta))
        v, apart = variance(x, axes)
        r = 1.0 / np.sqrt(v + self.epsilon)
        s = r if g is None else r * g
        saved = x, axes, apart, r, g, gamma, beta
        if self.rms_scaling:
            return (x * r if g is None else x * r * g), saved
        shift = -x.mean(axis=axes, keepdims=True) * s
        return x * s + (shift if b is None else shift + b), saved

    @staticmethod
    def _beside(weight: Any, x: Array, axes: tuple[int, ...]) -> Any:
        """Give a weight of the normalized axes a 1 in place of the others."""
        if weight is None or weight.ndim == x.ndim or axes == (x.ndim - 1,):
            return weight
        return weight.reshape(*(n if axis in axes else 1 for axis, n in enumerate(x.shape)))

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        x, axes, apart, r, g, gamma, beta = saved
        n = float(count(x, axes))
        d = dy if g is None else dy * g
        if self.rms_scaling:
            dr = (d * x).sum(axis=axes, keepdims=True) / n
            dx, hat = d * r - apart * (r * r * r) * dr, x * r
            dbeta = None
        else:
            hat = apart * r
            mean = d.sum(axis=axes, keepdims=True) / n
            dx = r * (d - mean - hat * ((d * hat).sum(axis=axes, keepdims=True) / n))
            dbeta = None if beta is None else dy
        dgamma = None if gamma is None else dy * hat
        return dx, self._summed(dgamma, gamma, axes), self._summed(dbeta, beta, axes)

    @staticmethod
    def _summed(gradient: Any, weight: Any, axes: tuple[int, ...]) -> Any:
        if gradient is None or gradient.ndim == weight.ndim:
            return None if gradient is None else unrepeated(gradient, weight.shape)
        others = tuple(axis for axis in range(gradient.ndim) if axis not in axes)
        return gradient.sum(axis=others).reshape(*weight.shape)


@twin_of("BatchNorm")
class BatchNorm(Operation):
    """Numbers less a given mean, divided by a given deviation, axis by axis."""

    derivation = {
        "forward": "y = x s + (β − μ s), s = γ r, r = 1/√(v + ε)",
        "input gradient": "dx = dy s, dμ = −Σ dy s, dv = −½ r³ γ Σ dy (x − μ), "
        "dγ = r Σ dy (x − μ), dβ = Σ dy",
    }

    def __init__(self, axis: int, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.axis, self.epsilon = axis, epsilon

    def compute(
        self, x: Array, mean: Any, variance: Any, offset: Any = None, scale: Any = None
    ) -> tuple[Array, Any]:
        axis = self.axis % x.ndim
        shape = [1] * x.ndim
        shape[axis] = -1
        m, v = mean.reshape(*shape), variance.reshape(*shape)
        b, g = (None if one is None else one.reshape(*shape) for one in (offset, scale))
        r = 1.0 / np.sqrt(v + self.epsilon)
        s = r if g is None else r * g
        shift = -m * s if b is None else b - m * s
        others = tuple(place for place in range(x.ndim) if place != axis)
        return x * s + shift, (x, m, r, s, g, b, others)

    def gradients(self, dy: Array, saved: Any) -> tuple[Any, ...]:
        x, m, r, s, g, b, others = saved
        total = dy.sum(axis=others)
        along = (dy * x).sum(axis=others) - total * m.reshape(-1)
        r, s = r.reshape(-1), s.reshape(-1)
        dv = -0.5 * (r * r * r) * along
        return (
            dy * saved[3],
            -total * s,
            dv if g is None else dv * g.reshape(-1),
            None if b is None else total,
            None if g is None else along * r,
        )
