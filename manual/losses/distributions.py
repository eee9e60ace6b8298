"""Losses of a predicted distribution or rate."""

from __future__ import annotations

from typing import Any

import numpy as np

from manual.arrays import Array
from manual.losses.base import Loss
from manual.losses.probabilities import EPSILON, clipped, unclipped
from manual.registry import twin_of


@twin_of("KLDivergence")
@twin_of("kl_divergence")
class KLDivergence(Loss):
    """The divergence of Kullback & Leibler (1951) of y and p, both clipped to [ε, 1]."""

    derivation = {
        "forward": "E = Σ y log(y/p), averaged over the batch of B",
        "input gradient": "dp = −y / (p B), 0 where p was clipped",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        y, c = clipped(y, 1.0), clipped(p, 1.0)
        return (y * np.log(y / c)).sum(axis=-1), (y, p)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p = saved
        return -dv[..., None] * y / clipped(p, 1.0) * unclipped(p, 1.0)


@twin_of("Poisson")
@twin_of("poisson")
class Poisson(Loss):
    """The negative log-likelihood of counts y with the rate p, without the term log(y!)."""

    derivation = {
        "forward": "E = 1/n Σ (p − y log(p + ε)), averaged over the batch of B",
        "input gradient": "dp = (1 − y/(p + ε)) / (n B)",
    }

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        return self.mean(p - y * np.log(p + EPSILON)), (y, p)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        y, p = saved
        return dv[..., None] * (1.0 - y / (p + EPSILON)) / p.shape[-1]
