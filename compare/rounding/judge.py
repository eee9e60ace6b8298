"""The verdict on one quantity: it agrees with its reference, or differs beyond rounding."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from compare.rounding.noise import LARGEST, SMALLEST, Noisy

BOUND = 8.0
"""A quantity agrees when no element is further than this many standard deviations of its own
rounding noise from the reference. Among 10⁹ normally distributed numbers the largest deviation is
about 6; the margin is for errors that are not quite normal."""

BLOCK = 2**14
"""How many numbers are judged at a time, where arrays are small."""

REFERENCE_UNIT = 2.0**-53
"""The reference is computed in float64, and has the noise of float64."""


@dataclass(frozen=True)
class Verdict:
    """How far an array is from its reference, measured in rounding noise.

    Attributes
    ----------
    agrees : bool
    distance : float
        Of the worst element, in standard deviations of its rounding noise.
    bound : float
        The distance up to which it agrees.
    index : tuple of int
        Where the worst element is.
    actual, expected : float
        Its value and its reference.
    noise : float
        One standard deviation of its rounding noise.
    size : int
        Number of elements judged.
    kinks : int
        Number of elements that differ because they lie at a kink, where either side's derivative
        is a subgradient.
    """

    agrees: bool
    distance: float
    bound: float
    index: tuple[int, ...]
    actual: float
    expected: float
    noise: float
    size: int
    kinks: int = 0

    @property
    def tolerance(self) -> float:
        """The relative tolerance that would have passed the worst element."""
        if self.actual == self.expected:
            return 0.0
        with np.errstate(all="ignore"):
            return float(np.abs(np.float64(self.actual) - self.expected) / np.abs(self.expected))


def judge(actual: Any, expected: Noisy) -> Verdict:
    """Compare an array with its reference, element by element.

    A number that is finite on one side only never agrees; one that is on neither does, whatever
    its kind: ∞ − ∞ depends on the order of operations.

    Parameters
    ----------
    actual : array
        As computed in the working precision.
    expected : Noisy
        The reference, of the same shape.

    Raises
    ------
    ValueError
        If the shapes differ.
    """
    actual = np.asarray(actual, np.float64)
    if actual.shape != expected.shape:
        raise ValueError(f"The shapes differ: {actual.shape} and {expected.shape}.")
    if actual.size == 0:
        return Verdict(True, 0.0, BOUND, (), 0.0, 0.0, 0.0, 0)
    distance, reference, noise = distances_of(actual, expected)
    index = np.unravel_index(int(distance.argmax()), distance.shape)
    return Verdict(
        agrees=bool(distance[index] <= BOUND),
        distance=float(distance[index]),
        bound=BOUND,
        index=tuple(int(i) for i in index),
        actual=float(actual[index]),
        expected=float(reference[index]),
        noise=float(noise[index]),
        size=actual.size,
    )


def distances_of(actual: np.ndarray, expected: Noisy) -> tuple[Any, Any, Any]:
    """Return how far each element is from its reference, that reference, and its noise.

    Parameters
    ----------
    actual : array of float64, not empty
    expected : Noisy
        The reference, of the same shape; what is beyond the working precision's range is infinite.
    """
    reference: Any = expected.value
    with np.errstate(all="ignore"):
        noise = noise_of(expected)
        distance = np.abs(actual - reference) / noise
        if not distance.max() <= BOUND:  # something to look at, or something not finite
            largest = LARGEST[expected.unit]
            overflown = np.abs(reference) > largest
            reference = np.where(overflown, np.sign(reference) * np.inf, reference)
            distance = _with_infinities(actual, reference, distance, noise)
            if expected.unit > REFERENCE_UNIT:  # a partial sum may have overflown: no telling,
                # and what it was multiplied by 0 afterwards may be NaN or 0
                unknown = np.isposinf(noise) | (np.isnan(noise) & np.isfinite(reference))
                distance = np.where(unknown, 0.0, distance)
    return distance, reference, noise


def noise_of(expected: Noisy) -> Any:
    """Return one standard deviation of a reference's rounding noise: its own, and float64's."""
    return expected.noise * math.hypot(expected.unit, REFERENCE_UNIT) + SMALLEST[expected.unit]


def may_agree(actual: Any, expected: Noisy) -> Any:
    """Say of each number by itself whether `judge` could find that it agrees.

    Yes as well where either side is not finite, or too large for the working precision.
    """
    noise = noise_of(expected)
    differs = np.abs(actual - expected.value) > BOUND * noise
    return ~(differs & np.isfinite(actual) & (np.abs(expected.value) <= LARGEST[expected.unit]))


def judge_at_kinks(
    actual: Any, expected: Noisy, ends: Sequence[Noisy], *, between: bool, shared_out: bool = False
) -> Verdict | None:
    """Compare a gradient with its reference where kinks leave a choice.

    Parameters
    ----------
    actual : array
    expected : Noisy
        The reference, with the choices of the hand derivation.
    ends : two of Noisy
        The same with every choice made one way, and the other way.
    between : bool
        Whether each element may lie anywhere between the two: so it is where every element
        depends on one choice. Else all of them lie at one end, at the other, or in the middle.
    shared_out : bool
        Whether the choice is only who gets a share, as in a max-pool: their sum stays the same.

    Returns
    -------
    Verdict or None
        One that agrees and counts the kinks; None if the gradient is no subgradient.
    """
    actual, (one, other) = np.asarray(actual, np.float64), ends
    low, high = np.minimum(one.value, other.value), np.maximum(one.value, other.value)
    noise = np.maximum(one.noise, other.noise)
    if not np.isfinite(low).all() or not np.isfinite(high).all() or not (high > low).any():
        return None
    if shared_out and not judge(actual.sum(), expected.sum()).agrees:
        return None
    if between:
        nearest = [np.clip(actual, low, high)]
    else:
        nearest = [one.value, other.value, (one.value + other.value) / 2.0]
    inside = Noisy(np.clip(expected.value, low, high), noise, unit=expected.unit)
    if not judge(expected.value, inside).agrees:
        return None  # what the hand derivation chose is no subgradient either
    for reference in nearest:
        verdict = judge(actual, Noisy(reference, noise, unit=expected.unit))
        if verdict.agrees:
            ruler = Noisy(expected.value, noise, unit=expected.unit)
            return replace(verdict, kinks=_beyond(actual, ruler))
    return None


def _beyond(actual: Any, expected: Noisy) -> int:
    """Count the elements that differ by more than their noise."""
    noise = noise_of(expected)
    return int((np.abs(actual - expected.value) > BOUND * noise).sum())


def judge_all(actual: Sequence[np.ndarray], expected: Noisy) -> list[Verdict]:
    """Compare several arrays with references that lie one after the other in a flat array.

    The same as `judge` on each; small ones are taken together, in a few operations on all of them.
    """
    verdicts: list[Verdict] = []
    start = 0
    for together in _in_blocks(actual):
        stop = start + sum(array.size for array in together)
        verdicts += _judge_block(together, expected[start:stop])
        start = stop
    return verdicts


def _in_blocks(arrays: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Put together arrays that follow each other, as long as they stay in the cache."""
    block: list[np.ndarray] = []
    for array in arrays:
        if block and sum(one.size for one in block) + array.size > BLOCK:
            yield block
            block = []
        block.append(array)
    if block:
        yield block


def _judge_block(actual: Sequence[np.ndarray], expected: Noisy) -> list[Verdict]:
    stops = np.cumsum([array.size for array in actual]).tolist()
    parts = [slice(a, b) for a, b in zip([0, *stops], stops, strict=False)]
    flat = np.concatenate([np.ravel(array) for array in actual]).astype(np.float64)
    with np.errstate(all="ignore"):
        noise = noise_of(expected)
        distance = np.abs(flat - expected.value) / noise
    if not distance.max(initial=0.0) <= BOUND:
        return [
            judge(array, expected[part].reshape(array.shape))
            for array, part in zip(actual, parts, strict=True)
        ]
    verdicts = []
    for array, part in zip(actual, parts, strict=True):
        worst = part.start + int(distance[part].argmax())
        index = tuple(int(i) for i in np.unravel_index(worst - part.start, array.shape))
        numbers = (float(flat[worst]), float(expected.value[worst]), float(noise[worst]))
        verdicts.append(Verdict(True, float(distance[worst]), BOUND, index, *numbers, array.size))
    return verdicts


def _with_infinities(actual: Any, reference: Any, distance: Any, noise: Any) -> Any:
    """Say how far apart two arrays are where one of them or both are not finite.

    Where numbers are so large that their noise is out of float64's range, finite is all they
    need to be.
    """
    distance = np.where(np.isfinite(noise), distance, 0.0)
    finite, also = np.isfinite(actual), np.isfinite(reference)
    distance = np.where(finite != also, np.inf, distance)
    return np.where((actual == reference) | ~(finite | also), 0.0, distance)
