"""Slips in batch, layer and group normalization: forward, backward, and in what is remembered.

The map is x̂ = (x − μ) r with r = 1 / √(σ² + ε), and y = γ x̂ + β. With g = γ dy its derivative is
dx = r (g − mean g − x̂ · mean (g x̂)): in the brackets the direct share, that through the mean and
that through the variance.
"""

from __future__ import annotations

from collections.abc import Iterator

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


@hypothesis("activation")
def forward(place: Place) -> Iterator[Candidate]:
    """Propose y = γ x̂ + β with other statistics, another root, or a piece forgotten."""
    of = setting(place)
    if of is None:
        return
    wrong = _frozen_forward(place, of) if is_frozen(place) else _forward(place, of)
    yield from in_shape_of(place, wrong)


def _frozen_forward(place: Place, of: Setting) -> Iterator[Candidate]:
    yield Candidate(
        "the batch's own statistics are used, although the layer is frozen",
        of.shifted(of.scaled((of.x - of.mu) * of.r)),
        "y = γ (x − μ) r + β",
    )


def _forward(place: Place, of: Setting) -> Iterator[Candidate]:
    x, mu, r = of.x, of.mu, of.r
    standard = (x - mu) * r
    moving = remembered(place)
    if moving is not None:
        mean, root = moving[0], 1.0 / np.sqrt(moving[1] + of.epsilon)
        yield Candidate(
            "the moving averages are used in training",
            of.shifted(of.scaled((x - mean) * root)),
            "y = γ (x − μ̄) / √(σ̄² + ε) + β",
        )
        said = "the moving average is used in training, but only"
        value = of.shifted(of.scaled((x - mean) * r))
        yield Candidate(f"{said} of the mean", value, "y = γ (x − μ̄) r + β")
        value = of.shifted(of.scaled((x - mu) * root))
        yield Candidate(f"{said} of the variance", value, "y = γ (x − μ) / √(σ̄² + ε) + β")
    for sentence, other, formula, slips in of.roots():
        yield Candidate(sentence, of.shifted(of.scaled((x - mu) * other)), formula, slips)
    yield Candidate("the mean is not subtracted", of.shifted(of.scaled(x * r)), "y = γ x r + β")
    yield Candidate(
        "only the mean is subtracted", of.shifted(of.scaled(x - mu)), "y = γ (x − μ) + β"
    )
    yield Candidate("the layer does nothing", x, "y = x")
    if of.gamma is not None:
        yield Candidate("γ is forgotten", of.shifted(standard), "y = x̂ + β")
        yield Candidate("γ is divided by", of.shifted(standard / of.gamma), "y = x̂ / γ + β")
        yield Candidate(
            "1 + γ stands for γ", of.shifted(standard * (1.0 + of.gamma)), "y = (1 + γ) x̂ + β"
        )
    if of.beta is not None:
        yield Candidate("β is forgotten", of.scaled(standard), "y = γ x̂")
        yield Candidate("β is subtracted", of.scaled(standard) - of.beta, "y = γ x̂ − β")
    if of.gamma is not None and of.beta is not None:
        yield Candidate("γ and β are forgotten", standard, "y = x̂", slips=2)
        yield Candidate(
            "γ and β are swapped", standard * of.beta + of.gamma, "y = β x̂ + γ", slips=2
        )
        yield Candidate("β is scaled too", (standard + of.beta) * of.gamma, "y = γ (x̂ + β)")
    for sentence, other, in_order in regrouped(place, of):
        value = other.shifted(other.scaled((other.x - other.mu) * other.r))
        yield Candidate(sentence, in_order(value))
    for sentence, other in of.elsewhere():
        value = other.shifted(other.scaled((x - other.mu) * other.r))
        yield Candidate(sentence, value)
        if "divided" in sentence or "sums" in sentence:
            value = of.shifted(
                of.scaled((x - mu) / np.sqrt(other.mean(np.square(x - mu)) + of.epsilon))
            )
            yield Candidate(f"in the variance, {sentence}", value)
