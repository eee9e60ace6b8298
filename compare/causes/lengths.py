"""Slips in RMS and unit normalization: what divides by a length.

The map is x̂ = x r with r = 1 / √(S x² + ε), where S is the mean over some axes (RMS, where
y = γ x̂) or the sum (unit, where ε = 0). With g = γ dy its derivative is dx = r (g − x̂ · S (g x̂)):
the direct share, and that through the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.normalization_gradients import summed_otherwise
from compare.causes.standardization import EPSILONS, over
from manual.layers import RMSNormalization, UnitNormalization

SHORTEST = 1e-12
"""Shorter vectors are not brought to length 1."""


@dataclass(frozen=True)
class Length:
    """By which length x is divided.

    Attributes
    ----------
    x, dy : array
        The input, and the gradient from the right (None where there is none).
    gamma : array or None
        In a shape that spreads over x.
    axes : tuple of int
        Over which squares are added up.
    epsilon : float
    mean : bool
        Whether the mean of the squares is taken, and not their sum.
    """

    x: Any
    dy: Any
    gamma: Any
    axes: tuple[int, ...]
    epsilon: float
    mean: bool

    @property
    def n(self) -> float:
        """How many squares are added up."""
        return float(np.prod([self.x.shape[axis] for axis in self.axes]))

    def S(self, array: Any) -> Any:  # noqa: N802 (the formulas' name)
        total = array.sum(axis=self.axes, keepdims=True)
        return total / self.n if self.mean else total

    @cached_property
    def square(self) -> Any:
        return self.S(np.square(self.x))

    @cached_property
    def r(self) -> Any:
        if self.mean:
            return 1.0 / np.sqrt(self.square + self.epsilon)
        return 1.0 / np.maximum(np.sqrt(self.square), SHORTEST)

    def scaled(self, array: Any) -> Any:
        return array if self.gamma is None else array * self.gamma

    def gradient(self, g: Any, r: Any) -> Any:
        """Return the derivative, for one r throughout."""
        standard = self.x * r
        return r * (g - standard * self.S(g * standard))

    def roots(self) -> Iterator[tuple[str, Any, str, int]]:
        """Give what may stand for r: a sentence, its value, its formula, how many slips it is."""
        for square_said, square in self.squares():
            for epsilon_said, root, formula in self.inverse_roots(square):
                said = [part for part in (square_said, epsilon_said) if part]
                if said:
                    yield ", and ".join(said), root, formula, len(said)
        sizes = np.abs(self.x)
        sentence = "absolute values are added up instead of squares (the L1 norm)"
        yield sentence, 1.0 / (self.S(sizes) + self.epsilon), "r = 1 / S |x|", 1
        if len(self.axes) == 1:
            largest = sizes.max(axis=self.axes[0], keepdims=True)
            sentence = "the largest absolute value stands for the length (the maximum norm)"
            yield sentence, 1.0 / largest, "r = 1 / max |x|", 1

    def squares(self) -> Iterator[tuple[str, Any]]:
        """Give what may stand for S x²; the right one without a sentence."""
        yield "", self.square
        if self.n > 1.0:
            yield (
                "the squares are added up, not averaged"
                if self.mean
                else "the mean of the squares is taken, as in RMS normalization, not their sum",
                replace(self, mean=not self.mean).square,
            )
            if self.mean:
                unbiased = self.square * (self.n / (self.n - 1.0))
                yield "the squares are divided by n − 1, as in an unbiased variance", unbiased
            centred = self.S(np.square(self.x - self.x.mean(axis=self.axes, keepdims=True)))
            yield "the mean is subtracted before the squares are taken", centred

    def inverse_roots(self, square: Any) -> Iterator[tuple[str, Any, str]]:
        """Give what may be made of the squares and ε; the right r without a sentence."""
        epsilon = self.epsilon
        yield "", 1.0 / np.sqrt(square + epsilon), ""
        yield "the root is forgotten", 1.0 / (square + epsilon), "r = 1 / (S x² + ε)"
        if epsilon:
            yield "ε is forgotten", 1.0 / np.sqrt(square), "r = 1 / √(S x²)"
            outside = 1.0 / (np.sqrt(square) + epsilon)
            yield "ε is added outside of the root", outside, "r = 1 / (√(S x²) + ε)"
            squared = 1.0 / np.sqrt(square + epsilon * epsilon)
            yield "ε is squared", squared, "r = 1 / √(S x² + ε²)"
        for usual, whose in EPSILONS.items():
            if usual != epsilon:
                said = f"ε is {usual:g}{f', {whose},' if whose else ''} instead of {epsilon:g}"
                yield said, 1.0 / np.sqrt(square + usual), f"r = 1 / √(S x² + {usual:g})"

    def elsewhere(self) -> Iterator[tuple[str, Length]]:
        """Give the length over other axes."""
        ndim = self.x.ndim
        for size in range(1, ndim + 1):
            for axes in combinations(range(ndim), size):
                if axes != self.axes:
                    said = over(axes, ndim).replace("statistics", "squares")
                    yield said, replace(self, axes=axes)


def length(place: Place) -> Length | None:
    """Read from a place by what length is divided; None where that isn't what its map does."""
    layer, given = place.map, place.inputs
    if not isinstance(layer, (RMSNormalization, UnitNormalization)) or not place.has("x"):
        return None
    x, gamma = given["x"], given.get("scale")
    written = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    axes = tuple(sorted(axis % x.ndim for axis in written))
    if gamma is not None:  # it meets the last axes, whichever they are
        gamma = gamma.reshape(*(1,) * (x.ndim - gamma.ndim), *gamma.shape)
    is_mean = isinstance(layer, RMSNormalization)
    epsilon = layer.epsilon if isinstance(layer, RMSNormalization) else 0.0
    return Length(x, given.get("dz"), gamma, axes, epsilon, is_mean)


@hypothesis("activation")
def forward(place: Place) -> Iterator[Candidate]:
    """Propose y = γ x r with another length, or a piece forgotten."""
    of = length(place)
    if of is None:
        return
    x, r = of.x, of.r
    for sentence, other, formula, slips in of.roots():
        yield Candidate(sentence, of.scaled(x * other), formula, slips)
    for sentence, elsewhere in of.elsewhere():
        yield Candidate(sentence, of.scaled(x * elsewhere.r))
    deviation = x - x.mean(axis=of.axes, keepdims=True)
    whole = replace(of, x=deviation)
    yield Candidate(
        "the mean is subtracted, as in layer normalization",
        of.scaled(deviation * whole.r),
        "y = γ (x − μ) / √(σ² + ε)" if of.mean else "y = (x − μ) / ‖x − μ‖",
    )
    yield Candidate("the mean is subtracted, but not in r", of.scaled(deviation * r), "γ (x − μ) r")
    yield Candidate("the layer does nothing", x, "y = x")
    yield Candidate("it is multiplied by the length", of.scaled(x / r), "y = γ x / r")
    if of.gamma is not None:
        yield Candidate("γ is forgotten", x * r, "y = x r")
        yield Candidate("γ is divided by", x * r / of.gamma, "y = x r / γ")
        yield Candidate("1 + γ stands for γ", x * r * (1.0 + of.gamma), "y = (1 + γ) x r")


@hypothesis("activation gradient")
def input_gradient(place: Place) -> Iterator[Candidate]:
    """Propose dx = r (g − x̂ · S (g x̂)) with a share forgotten or changed."""
    of = length(place)
    if of is None or of.dy is None:
        return
    x, dy, r, n = of.x, of.dy, of.r, of.n
    g, standard = of.scaled(dy), x * r
    through = standard * of.S(g * standard)
    yield Candidate(
        "the length is taken for a constant: no gradient flows through it", r * g, "dx = r g"
    )
    yield Candidate("only the gradient through the length is there", r * -through)
    said = "in the gradient through the length"
    for sentence, share in (
        (f"the sign is wrong {said}", -through),
        (
            f"{'the sum stands for the mean' if of.mean else 'the mean stands for the sum'} {said}",
            through * n if of.mean else through / n,
        ),
        (f"there is a 2 too many, or a ½ forgotten, {said}", through * 2.0),
        (f"there is a ½ too many, or a 2 forgotten, {said}", through * 0.5),
        (f"it is divided by n once too often {said}", through / n if of.mean else through / n / n),
        (f"r stands for r³ {said}", through / r / r),
        (f"r² stands for r³ {said}", through / r),
        (f"r⁴ stands for r³ {said}", through * r),
        (f"dy stands for x̂ before the sum {said}", dy * of.S(g * standard)),
        (f"x̂ is not multiplied in before the sum {said}", of.S(g * standard)),
        (f"x̂ is not multiplied in within the sum {said}", standard * of.S(g)),
    ):
        yield Candidate(sentence, r * (g - share))
    bracket = g - through
    yield Candidate("it is not divided by the length", bracket, "dx = g − x̂ · S (g x̂)")
    yield Candidate("it is divided by the squared length", r * r * bracket, "dx = r² (g − …)")
    yield Candidate("it is multiplied by the length", bracket / r, "dx = (g − …) / r")
    centred = of.S(g) if of.mean else g.mean(axis=of.axes, keepdims=True)
    yield Candidate(
        "there is a gradient through a mean, as in layer normalization",
        r * (bracket - centred),
        "dx = r (g − mean g − x̂ · S (g x̂))",
    )
    if of.gamma is not None:
        yield Candidate("γ is forgotten", of.gradient(dy, r), "g = dy")
        yield Candidate("γ is divided by", of.gradient(dy / of.gamma, r), "g = dy / γ")
        yield Candidate("γ is multiplied in twice", of.gradient(g * of.gamma, r), "g = γ² dy")
        inner = standard * of.S(dy * standard)
        yield Candidate(f"γ is forgotten {said}", r * (g - inner), "dx = r (g − x̂ · S (dy x̂))")
        yield Candidate(
            "γ is multiplied in after the sum instead of within",
            r * of.scaled(dy - inner),
            "dx = γ r (dy − x̂ · S (dy x̂))",
        )
    for sentence, root, formula, slips in of.roots():
        yield Candidate(sentence, of.gradient(g, root), formula, slips)
    for sentence, other in of.elsewhere():
        value = r * (g - standard * other.S(g * standard))
        yield Candidate(f"{sentence}: in the sum of the gradient", value)
        yield Candidate(sentence, other.gradient(g, other.r))


@hypothesis("weight gradient")
def scale_gradient(place: Place) -> Iterator[Candidate]:
    """Propose what else may have been summed to dγ = Σ dy · x r."""
    of = length(place)
    if of is None or of.dy is None or not place.name.endswith("/scale"):
        return
    x, dy, r = of.x, of.dy, of.r
    shape = place.right.shape
    axes = tuple(range(x.ndim - len(shape)))
    axes += tuple(a for a in range(len(axes), x.ndim) if of.gamma.shape[a] < x.shape[a])
    slips: list[tuple[str, Any, str]] = [
        ("the normalized input is not multiplied in", dy, "dγ = Σ dy"),
        ("the gradient from the right is not multiplied in", x * r, "dγ = Σ x r"),
        ("the input stands for the normalized input", dy * x, "dγ = Σ dy · x"),
        ("the layer's output stands for the normalized input", of.scaled(dy * x * r), "Σ dy · y"),
        ("r² stands for r", dy * x * r * r, "dγ = Σ dy · x r²"),
    ]
    slips += [
        (f"{said}, in x̂", dy * x * root, formula) for said, root, formula, n in of.roots() if n < 2
    ]
    slips += [(f"{said}, in x̂", dy * x * other.r, "") for said, other in of.elsewhere()]
    for sentence, terms, formula in slips:
        yield Candidate(sentence, terms.sum(axis=axes).reshape(*shape), formula)
    yield from summed_otherwise(dy * x * r, axes, shape)
