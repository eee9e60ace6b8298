"""Slips in the derivative of normalization."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, combinations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.standardization import (
    Setting,
    in_shape_of,
    is_frozen,
    regrouped,
    remembered,
    setting,
)
from manual.layers import BatchNormalization


@hypothesis("activation gradient")
def input_gradient(place: Place) -> Iterator[Candidate]:
    """Propose dx = r (g − mean g − x̂ · mean (g x̂)) with a share forgotten or changed."""
    of = setting(place)
    if of is None or of.dy is None:
        return
    if is_frozen(place):
        value = _derivative(of, of.scaled(of.dy), of.r)
        slips = iter(
            [Candidate("a gradient flows through statistics, although the layer is frozen", value)]
        )
    else:
        slips = chain(_shares(place, of), _other_statistics(place, of), _without_gamma(place, of))
    yield from in_shape_of(place, slips)


def _without_gamma(place: Place, of: Setting) -> Iterator[Candidate]:
    """Give every slip in a share once more with γ forgotten beside it."""
    if of.gamma is not None:
        for slip in _shares(place, replace(of, gamma=None)):
            sentence = f"{slip.sentence}, and γ is forgotten"
            yield replace(slip, sentence=sentence, slips=slip.slips + 1)


def _derivative(of: Setting, g: Any, r: Any) -> Any:
    """Return the derivative, for one root r throughout."""
    standard = (of.x - of.mu) * r
    return r * (g - of.mean(g) - standard * of.mean(g * standard))


def _shares(place: Place, of: Setting) -> Iterator[Candidate]:
    """Give the derivative with one of its shares forgotten or changed."""
    g, r, mu = of.scaled(of.dy), of.r, of.mu
    deviation = of.x - mu
    standard = deviation * r
    through_mean, through_variance = of.mean(g), standard * of.mean(g * standard)
    yield Candidate(
        "the gradient through the mean is forgotten",
        r * (g - through_variance),
        "dx = r (g − x̂ · mean (g x̂)), g = γ dy",
    )
    yield Candidate(
        "the gradient through the variance is forgotten",
        r * (g - through_mean),
        "dx = r (g − mean g), g = γ dy",
    )
    yield Candidate(
        "mean and variance are taken as constants: no gradient flows through them",
        r * g,
        "dx = γ r dy",
    )
    moving = remembered(place)
    if moving is not None:
        root = 1.0 / np.sqrt(moving[1] + of.epsilon)
        yield Candidate(
            "it is the gradient at inference, by the moving variance",
            root * g,
            "dx = γ dy / √(σ̄² + ε)",
        )
    if of.gamma is not None:
        plain = _derivative(of, of.dy, r)
        yield Candidate("γ is forgotten", plain, "g = dy")
        yield Candidate("γ is divided by", _derivative(of, of.dy / of.gamma, r), "g = dy / γ")
        yield Candidate("γ is multiplied in twice", _derivative(of, g * of.gamma, r), "g = γ² dy")
        yield Candidate(
            "γ is multiplied in after the means, which holds in batch normalization only",
            of.scaled(plain),
            "dx = γ r (dy − mean dy − x̂ · mean (dy x̂))",
        )
    bracket = g - through_mean - through_variance
    yield Candidate(
        "it is not divided by the deviation", bracket, "dx = g − mean g − x̂ · mean (g x̂)"
    )
    yield Candidate("it is divided by the variance", r * r * bracket, "dx = r² (g − …)")
    yield Candidate("it is multiplied by the deviation", bracket / r, "dx = (g − …) / r")
    n = of.n
    for what, share, rest in (
        ("mean", through_mean, g - through_variance),
        ("variance", through_variance, g - through_mean),
    ):
        said = f"in the gradient through the {what}"
        yield Candidate(f"the sign is wrong {said}", r * (rest + share))
        yield Candidate(f"the sum stands for the mean {said}", r * (rest - share * n))
        yield Candidate(f"it is divided by n once too often {said}", r * (rest - share / n))
        yield Candidate(
            f"there is a 2 too many, or a ½ forgotten, {said}", r * (rest - share * 2.0)
        )
        yield Candidate(
            f"there is a ½ too many, or a 2 forgotten, {said}", r * (rest - share * 0.5)
        )
    for letter, wrong in (("x", of.x), ("x − μ", deviation), ("dy", of.dy)):
        yield Candidate(
            f"{letter} stands for x̂ in the gradient through the variance",
            r * (g - through_mean - wrong * of.mean(g * wrong)),
            f"dx = r (g − mean g − ({letter}) · mean (g ({letter})))",
        )
    yield Candidate(
        "x stands for x − μ in the sum of the gradient through the variance",
        r * (g - through_mean - standard * of.mean(g * of.x * r)),
        "dx = r (g − mean g − x̂ · mean (g x r))",
    )
    yield Candidate(
        "x stands for x − μ before the sum of the gradient through the variance",
        r * (g - through_mean - of.x * r * of.mean(g * standard)),
        "dx = r (g − mean g − x r · mean (g x̂))",
    )
    for power, wrong in (("r", 1.0 / r / r), ("r²", 1.0 / r), ("r⁴", r)):
        yield Candidate(
            f"{power} stands for r³ in the gradient through the variance",
            r * (g - through_mean - through_variance * wrong),
            f"dσ² = −½ {power} Σ g (x − μ)",
        )


def _other_statistics(place: Place, of: Setting) -> Iterator[Candidate]:
    """Give the derivative by another root, or with means over other numbers."""
    g, r = of.scaled(of.dy), of.r
    standard = (of.x - of.mu) * r
    bracket = g - of.mean(g) - standard * of.mean(g * standard)
    for sentence, root, formula, slips in of.roots():
        if slips == 1:
            yield Candidate(sentence, _derivative(of, g, root), formula)
            said = f"{sentence}, outside of the brackets"
            yield Candidate(said, root * bracket, formula, slips=2)
    for sentence, other, in_order in regrouped(place, of):
        value = _derivative(other, other.scaled(other.dy), other.r)
        yield Candidate(sentence, in_order(value))
    for sentence, other in of.elsewhere():
        value = r * (g - other.mean(g) - standard * other.mean(g * standard))
        yield Candidate(f"{sentence}: in the sums of the gradient", value)
        yield Candidate(sentence, _derivative(other, g, other.r))


@hypothesis("weight gradient")
def weight_gradient(place: Place) -> Iterator[Candidate]:
    """Propose what else may have been summed to dγ = Σ dy · x̂ and dβ = Σ dy."""
    of = setting(place)
    if of is None or of.dy is None:
        return
    like = of.gamma if place.name.endswith("/gamma") else of.beta
    axes = tuple(axis for axis, size in enumerate(like.shape) if size == 1)
    slips = _gamma(place, of) if place.name.endswith("/gamma") else _beta(of)
    for sentence, terms, formula in slips:
        yield Candidate(sentence, terms.sum(axis=axes).reshape(-1), formula)
    right = of.dy * _standard(place, of) if place.name.endswith("/gamma") else of.dy
    yield from summed_otherwise(right, axes, place.right.shape)


def summed_otherwise(
    terms: Any, axes: tuple[int, ...], shape: tuple[int, ...]
) -> Iterator[Candidate]:
    """Propose that terms are not summed over all of these axes, or over others."""
    for which, sample in (("first", terms[:1]), ("last", terms[-1:])):
        value = sample.sum(axis=axes).reshape(*shape)
        yield Candidate(f"only the {which} sample's share is there", value)
    total = terms.sum(axis=axes).reshape(*shape)
    for size in range(1, len(axes) + 1):
        for some in combinations(axes, size):
            count = float(np.prod([terms.shape[axis] for axis in some]))
            which = "" if some == axes else f" over axis {', '.join(map(str, some))}"
            yield Candidate(f"a mean stands for the sum{which}", total / count, "Σ … / n")
    for axis in range(terms.ndim):
        others = tuple(other for other in range(terms.ndim) if other != axis)
        if others != axes:
            value = terms.sum(axis=others)
            yield Candidate(f"it is summed over the wrong axes: {axis} is kept", value)


def _standard(place: Place, of: Setting) -> Any:
    """Return x̂ as the layer has it: by the moving averages if it is frozen."""
    moving = remembered(place)
    if moving is not None and is_frozen(place):
        return (of.x - moving[0]) / np.sqrt(moving[1] + of.epsilon)
    return (of.x - of.mu) * of.r


def _gamma(place: Place, of: Setting) -> Iterator[tuple[str, Any, str]]:
    dy, x, deviation, r = of.dy, of.x, of.x - of.mu, of.r
    standard = _standard(place, of)
    yield "the normalized input is not multiplied in", dy, "dγ = Σ dy"
    if not isinstance(place.map, BatchNormalization):  # there, Σ x̂ = 0
        yield "the gradient from the right is not multiplied in", standard, "dγ = Σ x̂"
    yield "the input stands for the normalized input", dy * x, "dγ = Σ dy · x"
    yield "x̂ is not divided by the deviation", dy * deviation, "dγ = Σ dy · (x − μ)"
    yield "the mean is not subtracted in x̂", dy * x * r, "dγ = Σ dy · x r"
    yield (
        "the layer's output stands for the normalized input",
        dy * of.shifted(of.scaled(standard)),
        "dγ = Σ dy · y",
    )
    yield "γ is multiplied in", of.scaled(dy * standard), "dγ = Σ γ dy · x̂"
    moving = remembered(place)
    if moving is not None and not is_frozen(place):
        root = 1.0 / np.sqrt(moving[1] + of.epsilon)
        yield "the moving averages are used in x̂", dy * (x - moving[0]) * root, "x̂ = (x − μ̄) / σ̄"
    for sentence, root, formula, slips in of.roots():
        if slips == 1:
            yield f"{sentence}, in x̂", dy * deviation * root, formula
    for sentence, other in of.elsewhere():
        yield f"{sentence}, in x̂", dy * (x - other.mu) * other.r, ""


def _beta(of: Setting) -> Iterator[tuple[str, Any, str]]:
    yield "γ is multiplied in", of.scaled(of.dy), "dβ = Σ γ dy"
    yield "it is divided by the deviation", of.dy * of.r, "dβ = Σ r dy"
    yield "x̂ is multiplied in", of.dy * (of.x - of.mu) * of.r, "dβ = Σ dy · x̂"
    yield "the input is multiplied in", of.dy * of.x, "dβ = Σ dy · x"
    yield "it is that of the layer's input", of.scaled(of.dy) * of.r, "dβ = Σ γ r dy"
    yield "the gradient from the right is not multiplied in", of.dy * 0.0 + 1.0, "dβ = Σ 1"
