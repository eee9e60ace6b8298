"""Learning rate schedules: how fast to learn after how many steps.

Keras works a schedule out in float32, whatever the precision of the model. Here it is worked out in
float64, from constants rounded to float32, and rounded at the end: it equals Keras's to within a
few of float32's last places.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from manual.arrays import Array
from manual.registry import twin_of


class Schedule:
    """A learning rate as a function of the number of training steps before this one."""

    kind: ClassVar[str] = "schedule"
    derivation: ClassVar[Mapping[str, str]]

    def __call__(self, steps: int) -> float:
        """Return the learning rate after a number of steps, in float32."""
        return single(float(self.rate(np.float64(steps))))

    def rate(self, steps: Array) -> Array:
        """Return the learning rate after a number of steps."""
        raise NotImplementedError


def single(number: float) -> float:
    """Round to float32."""
    return float(np.float32(number))


def progress(steps: Array, every: float, staircase: bool) -> Array:
    """Return how many times ``every`` steps have passed, in whole numbers if asked."""
    return np.floor_divide(steps, every) if staircase else steps / every


@twin_of("ExponentialDecay")
class ExponentialDecay(Schedule):
    """The same factor every N steps; little by little, or with ``staircase`` all at once."""

    derivation = {"learning_rate": "η = η₀ γ^(n/N); staircase: γ^⌊n/N⌋"}

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self.initial = single(initial_learning_rate)
        self.decay_steps = float(decay_steps)
        self.decay_rate = single(decay_rate)
        self.staircase = staircase

    def rate(self, steps: Array) -> Array:
        return self.initial * self.decay_rate ** progress(steps, self.decay_steps, self.staircase)


@twin_of("InverseTimeDecay")
class InverseTimeDecay(Schedule):
    """A harmonic fall; ``staircase`` counts only whole periods of N steps."""

    derivation = {"learning_rate": "η = η₀ / (1 + γ n/N); staircase: ⌊n/N⌋"}

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        decay_rate: float,
        staircase: bool = False,
    ) -> None:
        self.initial = single(initial_learning_rate)
        self.decay_steps = float(decay_steps)
        self.decay_rate = single(decay_rate)
        self.staircase = staircase

    def rate(self, steps: Array) -> Array:
        passed = progress(steps, self.decay_steps, self.staircase)
        return self.initial / (1.0 + self.decay_rate * passed)


@twin_of("PiecewiseConstantDecay")
class PiecewiseConstantDecay(Schedule):
    """Constant between boundaries; at a boundary the value before it still holds."""

    derivation = {"learning_rate": "η = ηᵢ for boundaryᵢ₋₁ < n ≤ boundaryᵢ"}

    def __init__(self, boundaries: Sequence[float], values: Sequence[float]) -> None:
        self.boundaries = [int(boundary) for boundary in boundaries]
        self.values = [single(value) for value in values]

    def rate(self, steps: Array) -> Array:
        rate = steps * 0.0 + self.values[0]
        for boundary, value in zip(self.boundaries, self.values[1:], strict=True):
            rate = np.where(steps > float(boundary), value, rate)
        return rate


@twin_of("PolynomialDecay")
class PolynomialDecay(Schedule):
    """From one rate to another in N steps; with ``cycle`` N grows by itself when it is reached."""

    derivation = {
        "learning_rate": "η = (η₀ − η₁)(1 − n/N)^p + η₁, n ≤ N; cycle: N ⌈n/N⌉ in the place of N"
    }

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
    ) -> None:
        self.initial = single(initial_learning_rate)
        self.decay_steps = float(decay_steps)
        self.end = single(end_learning_rate)
        self.power = single(power)
        self.cycle = cycle

    def rate(self, steps: Array) -> Array:
        N = self.decay_steps
        if self.cycle:
            rounds = np.maximum(-np.floor_divide(-steps, N), 1.0)  # ⌈n/N⌉, and 1 at the beginning
            left = 1.0 - steps / (N * rounds)
        else:
            left = 1.0 - np.minimum(steps, N) / N
        return (self.initial - self.end) * left**self.power + self.end


@twin_of("CosineDecay")
class CosineDecay(Schedule):
    """Half a cosine (Loshchilov & Hutter 2017), after a straight warm-up if asked for."""

    derivation = {
        "learning_rate": "η = η₀ ((1 − α) ½ (1 + cos(π n/N)) + α), n ≤ N; "
        "in the warm-up: η₀ + (η₁ − η₀) n/W, and η₁ from there"
    }

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: int,
        alpha: float = 0.0,
        warmup_target: float | None = None,
        warmup_steps: int = 0,
    ) -> None:
        self.initial = single(initial_learning_rate)
        self.decay_steps = float(decay_steps)
        self.alpha = single(alpha)
        self.target = None if warmup_target is None else single(warmup_target)
        self.warmup_steps = 0.0 if warmup_target is None else float(warmup_steps)

    def rate(self, steps: Array) -> Array:
        top = self.initial if self.target is None else self.target
        passed = np.minimum(np.maximum(steps - self.warmup_steps, 0.0), self.decay_steps)
        wave = 0.5 * (1.0 + np.cos(passed / self.decay_steps * np.pi))
        decayed = top * ((1.0 - self.alpha) * wave + self.alpha)
        if not self.warmup_steps:
            return decayed
        warming = steps / self.warmup_steps * (top - self.initial) + self.initial
        return np.where(steps < self.warmup_steps, warming, decayed)


@twin_of("CosineDecayRestarts")
class CosineDecayRestarts(Schedule):
    """Half a cosine again and again (Loshchilov & Hutter 2017), each t_mul times as long.

    Just at a restart it depends on the rounding of Keras's logarithm which side of it a step is on.
    """

    derivation = {
        "learning_rate": "η = η₀ ((1 − α) ½ mⁱ (1 + cos(π f)) + α), f of restart i done, "
        "the i-th being N tⁱ steps long"
    }

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: int,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
    ) -> None:
        self.initial = single(initial_learning_rate)
        self.first = float(first_decay_steps)
        self.t_mul, self.m_mul, self.alpha = single(t_mul), single(m_mul), single(alpha)

    def rate(self, steps: Array) -> Array:
        passed: Any = steps / self.first
        if self.t_mul == 1.0:
            restarts = np.floor_divide(steps, self.first)
            done = passed - restarts
        else:
            length = 1.0 - passed * (1.0 - self.t_mul)
            restarts = np.floor(np.log(length) / np.log(self.t_mul))
            before = (1.0 - self.t_mul**restarts) / (1.0 - self.t_mul)
            done = (passed - before) / self.t_mul**restarts
        wave = 0.5 * self.m_mul**restarts * (1.0 + np.cos(done * np.pi))
        return self.initial * ((1.0 - self.alpha) * wave + self.alpha)
