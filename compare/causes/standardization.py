"""What batch, layer and group normalization do, with every decision open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place
from manual.layers import BatchNormalization, GroupNormalization, LayerNormalization

EPSILONS = {1e-5: "PyTorch's", 1e-3: "Keras's default", 1e-7: "", 1e-6: "", 1e-8: "", 1e-12: ""}
"""What people add to a variance."""

MOMENTA = {0.9: "PyTorch's, whose momentum of 0.1 is the share of the new", 0.99: "Keras's default"}

IN_MASKED_MEANS = 1e-7
"""Keras adds it to the number of time steps that count."""


@dataclass(frozen=True)
class Setting:
    """What a layer standardizes, and how; groups of channels on an axis of their own.

    Attributes
    ----------
    x, dy : array
        The input, and the gradient from the right (None where there is none).
    gamma, beta : array or None
        In a shape that spreads over x.
    axes : tuple of int
        Over which mean and variance are taken.
    epsilon : float
    mask : array of bool or None
        What counts in the mean and the variance.
    count : array or float, optional
        By which their sums are divided, where that isn't how many numbers there are.
    """

    x: Any
    dy: Any
    gamma: Any
    beta: Any
    axes: tuple[int, ...]
    epsilon: float
    mask: Any = None
    count: Any = None

    @cached_property
    def n(self) -> Any:
        """How many numbers are in each mean."""
        if self.count is not None:
            return self.count
        if self.mask is None:
            return float(np.prod([self.x.shape[axis] for axis in self.axes]))
        everywhere = np.broadcast_to(self.mask, self.x.shape)
        return everywhere.sum(axis=self.axes, keepdims=True) + IN_MASKED_MEANS

    def mean(self, array: Any) -> Any:
        counted = array if self.mask is None else np.where(self.mask, array, 0.0)
        return counted.sum(axis=self.axes, keepdims=True) / self.n

    @cached_property
    def mu(self) -> Any:
        return self.mean(self.x)

    @cached_property
    def variance(self) -> Any:
        return self.mean(np.square(self.x - self.mu))

    @cached_property
    def r(self) -> Any:
        return 1.0 / np.sqrt(self.variance + self.epsilon)

    def scaled(self, array: Any) -> Any:
        return array if self.gamma is None else array * self.gamma

    def shifted(self, array: Any) -> Any:
        return array if self.beta is None else array + self.beta

    def roots(self) -> Iterator[tuple[str, Any, str, int]]:
        """Give what may stand for r: a sentence, its value, its formula, how many slips it takes.

        Another variance and another ε are often made together, as by who takes a library's standard
        deviation and adds ε to it.
        """
        for variance_said, variance, of_what in self.variances():
            for epsilon_said, root, formula in self.inverse_roots(variance):
                said = [part for part in (variance_said, epsilon_said) if part]
                if said:
                    formulas = "; ".join(part for part in (of_what, formula) if part)
                    yield ", and ".join(said), root, formulas, len(said)

        deviation = self.mean(np.abs(self.x - self.mu)) + self.epsilon
        sentence = "the mean absolute deviation stands for the deviation"
        yield sentence, 1.0 / deviation, "r = 1 / (mean |x − μ| + ε)", 1

    def variances(self) -> Iterator[tuple[str, Any, str]]:
        """Give what may stand for the variance; the right one without a sentence."""
        yield "", self.variance, ""
        n = self.n
        if np.ndim(n) or n > 1.0:
            unbiased = self.variance * (n / (n - 1.0))
            yield "the variance is the unbiased one", unbiased, "σ² = Σ (x − μ)² / (n − 1)"
        raw = self.mean(np.square(self.x))
        yield "the variance is taken without subtracting the mean", raw, "σ² = mean x²"

    def inverse_roots(self, variance: Any) -> Iterator[tuple[str, Any, str]]:
        """Give what may be made of a variance and ε; the right r without a sentence."""
        epsilon = self.epsilon
        yield "", 1.0 / np.sqrt(variance + epsilon), ""
        yield "ε is forgotten", 1.0 / np.sqrt(variance), "r = 1 / √σ²"
        outside = 1.0 / (np.sqrt(variance) + epsilon)
        yield "ε is added outside of the root", outside, "r = 1 / (√σ² + ε)"
        for other, whose in EPSILONS.items():
            if other != epsilon:
                said = f"ε is {other:g}{f', {whose},' if whose else ''} instead of {epsilon:g}"
                yield said, 1.0 / np.sqrt(variance + other), f"r = 1 / √(σ² + {other:g})"
        squared = 1.0 / np.sqrt(variance + epsilon * epsilon)
        yield "ε is squared", squared, "r = 1 / √(σ² + ε²)"
        yield "the root is forgotten", 1.0 / (variance + epsilon), "r = 1 / (σ² + ε)"

    def elsewhere(self) -> Iterator[tuple[str, Setting]]:
        """Give the setting with statistics over other axes, or divided by other counts."""
        if self.mask is not None:
            yield "the mask is not applied", replace(self, mask=None)
        ndim = self.x.ndim
        for size in range(1, ndim + 1):
            for axes in combinations(range(ndim), size):
                if axes != self.axes:
                    yield over(axes, ndim), replace(self, axes=axes)
        sizes = [self.x.shape[axis] for axis in self.axes]
        counts = {
            float(np.prod(some)) for k in range(len(sizes)) for some in combinations(sizes, k)
        }
        for count in sorted(counts - {self.n if self.mask is None else -1.0}):
            said = f"sums are divided by {count:g}, and not by how many numbers there are"
            sums = "sums stand for the means"
            yield sums if count == 1.0 else said, replace(self, count=count)


def regrouped(place: Place, of: Setting) -> Iterator[tuple[str, Setting, Callable[[Any], Any]]]:
    """Put the channels into other groups; give also what puts the result back in order."""
    if not isinstance(place.map, GroupNormalization):
        return
    axis = place.map.axis % place.inputs["x"].ndim

    def swapped(array: Any) -> Any:
        if array is None:
            return None
        groups, each = array.shape[axis : axis + 2]
        return array.reshape(*array.shape[:axis], each, groups, *array.shape[axis + 2 :])

    def dealt(array: Any) -> Any:
        return None if array is None else np.moveaxis(swapped(array), axis, axis + 1)

    for sentence, arranged, in_order in (
        (
            "the groups are interleaved: neighbouring channels are in different ones",
            dealt,
            lambda array: np.moveaxis(array, axis + 1, axis),
        ),
        (
            "the number of groups is taken for the number of channels in each",
            swapped,
            lambda array: array,
        ),
    ):
        fields = {name: arranged(getattr(of, name)) for name in ("x", "dy", "gamma", "beta")}
        yield sentence, replace(of, **fields), in_order


def over(axes: tuple[int, ...], ndim: int) -> str:
    """Say over which axes statistics are taken."""
    if axes == tuple(range(ndim)):
        what = "over everything together"
    elif axes == tuple(range(ndim - 1)):
        what = "over the batch, as in batch normalization"
    elif axes == tuple(range(1, ndim)):
        what = "over each sample's features, all of them"
    elif axes == (ndim - 1,):
        what = "over the last axis alone"
    else:
        what = f"over axis {', '.join(map(str, axes))}"
    return f"the statistics are taken {what}"


def of_one_kind(layer: Any) -> bool:
    """Say whether a layer standardizes and does nothing else to x̂."""
    return not getattr(layer, "rms_scaling", False) and not getattr(layer, "renorm", False)


def setting(place: Place) -> Setting | None:
    """Read from a place what is standardized; None where that isn't what its map does."""
    layer, given = place.map, place.inputs
    kinds = (BatchNormalization, LayerNormalization, GroupNormalization)
    if not isinstance(layer, kinds) or not place.has("x") or not of_one_kind(layer):
        return None
    x, mask = given["x"], None
    shape, ndim = list(x.shape), x.ndim
    if isinstance(layer, LayerNormalization):
        written = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
        axes = tuple(sorted(axis % ndim for axis in written))
        spread = [size if axis in axes else 1 for axis, size in enumerate(shape)]
    else:
        channel = layer.axis % ndim
        if isinstance(layer, GroupNormalization):
            groups = shape[channel] if layer.groups == -1 else layer.groups
            shape[channel : channel + 1] = [groups, shape[channel] // groups]
            kept = {0, channel}
            spread = [size if axis - channel in (0, 1) else 1 for axis, size in enumerate(shape)]
        else:
            kept = {channel}
            spread = [size if axis == channel else 1 for axis, size in enumerate(shape)]
            mask = None if given.get("mask") is None else np.expand_dims(given["mask"], -1)
        axes = tuple(axis for axis in range(len(shape)) if axis not in kept)

    def shaped(letter: str, like: list[int]) -> Any:
        return given[letter].reshape(*like) if place.has(letter) else None

    return Setting(
        shaped("x", shape),
        shaped("dz", shape),
        shaped("gamma", spread),
        shaped("beta", spread),
        axes,
        layer.epsilon,
        mask,
    )


def remembered(place: Place) -> tuple[Any, Any] | None:
    """Return the moving mean and variance, spread over x; None if the layer has none."""
    if not isinstance(place.map, BatchNormalization):
        return None
    spread = [1] * place.inputs["x"].ndim
    spread[place.map.axis] = -1
    mean, variance = place.inputs["moving_mean"], place.inputs["moving_variance"]
    return mean.reshape(*spread), variance.reshape(*spread)


def is_frozen(place: Place) -> bool:
    """Whether the moving averages are what a layer standardizes by, in training too."""
    return isinstance(place.map, BatchNormalization) and not place.map.trainable


def in_shape_of(place: Place, slips: Iterator[Candidate]) -> Iterator[Candidate]:
    """Take groups of channels together again."""
    for slip in slips:
        if np.size(slip.value) == place.right.size:
            yield replace(slip, value=slip.value.reshape(*place.right.shape))
