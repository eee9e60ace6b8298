"""Connectionist temporal classification (Graves et al. 2006): labels without their times."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from manual.activations import log_softmax
from manual.arrays import Array, in_any_way, in_single_precision
from manual.losses.base import Loss
from manual.registry import twin_of

NEVER = -1e9
"""The logarithm of what can't be: e to this is 0 in every precision."""
HARDLY_EVER = float(np.float32(math.log(1e-307)))
"""TensorFlow's logarithm of a probability of 0 at either end: where the steps are too few for the
labels, the loss is some 700 and not infinite."""


@in_any_way
def log_sum_exp(x: Array) -> Array:
    """Return log Σ eˣ over the last axis."""
    largest = x.max(axis=-1, keepdims=True)
    return (np.log(np.exp(x - largest).sum(axis=-1, keepdims=True)) + largest)[..., 0]


@twin_of("CTC")
@twin_of("ctc")
class CTC(Loss):
    """How surprising the labels are, however they are spread over the time steps.

    Targets are class numbers from 1 on, in rows of one length, filled up with 0; p holds logits of
    shape (samples, time, classes), and class 0 is the blank. A path goes through the states blank,
    first label, blank, second label, … blank: at each step it stays, goes on by one state, or
    leaves out a blank between two different labels. Keras computes it in float32 always.
    """

    derivation = {
        "forward": "E = −log Σ over all paths of Π p_t(label of the state), with p = softmax(z): "
        "E = −log Σ α_T over the last label and blank, "
        "α_t(s) = p_t(s) (α_t₋₁(s) + α_t₋₁(s − 1) + [may leave out a blank] α_t₋₁(s − 2))",
        "input gradient": "dz_t(k) = (p_t(k) − Σ γ_t(s) over the states of k) / B, with "
        "γ_t(s) = α_t(s) β_t(s) e^E, the probability that a path is in s at the time t",
    }
    takes_classes = True

    def values(self, y: Array, p: Array, logits: bool) -> tuple[Array, Any]:
        return _surprise(p, y), (p, y)

    def values_gradient(self, dv: Array, saved: Any) -> Array:
        p, y = saved
        return dv[:, None, None] * _slope(p, y)


@in_single_precision
def _surprise(z: Array, y: Array) -> Array:
    """Return −log of the probability of each sample's labels."""
    states = _States(y)
    seen = states.log_probabilities(log_softmax(z))
    return -log_sum_exp(seen[:, 0] + states.begins + states.to_the_end(seen)[0])


@in_single_precision
def _slope(z: Array, y: Array) -> Array:
    """Return the derivative of `_surprise` by the logits."""
    states = _States(y)
    log_p = log_softmax(z)
    seen = states.log_probabilities(log_p)
    path = np.stack(states.from_the_start(seen), axis=1) + np.stack(states.to_the_end(seen), axis=1)
    gamma = np.exp(path - log_sum_exp(path)[..., None])
    labels = (states.of_state[..., None] == np.arange(z.shape[-1])) * states.counts[..., None]
    return np.exp(log_p) - gamma @ (labels * np.ones((), z.dtype))


class _States:
    """The states that a path goes through: blank, label, blank, …, blank.

    Attributes
    ----------
    of_state : array, shape (samples, states)
        The class that each state shows.
    counts : array of the same shape
        Which of them are told apart at all: a label 0 is none.
    begins : array, shape (states,)
        Logarithm: whether a path may begin there.
    first, last : arrays of the shape of ``of_state``
        Logarithms: what TensorFlow grants a path that begins, or ends, in a state.
    skips : array of the same shape
        Logarithm: whether the blank before a state may be left out.
    """

    def __init__(self, y: Array) -> None:
        number = np.arange(2 * y.shape[1] + 1)
        is_label = number % 2 == 1
        # of the blank after the last label there is none: any label will do in its place
        own = np.concatenate([np.repeat(y, 2, axis=1), y[:, :1]], axis=1)
        self.of_state = np.where(is_label, own, 0.0)
        self.counts = ~is_label | (self.of_state != 0.0)
        before = np.concatenate([y[:, :1], y[:, :1], own[:, :-2]], axis=1)
        may_skip = (number >= 3) & is_label & (own != before)
        self.skips = np.where(may_skip, 0.0, NEVER).astype(y.dtype)
        length = ((y != 0.0) * 1.0).sum(axis=1)[:, None]
        at_end = (number == 2.0 * length) | (number == 2.0 * length - 1.0)
        self.last = np.where(at_end, 0.0, HARDLY_EVER).astype(y.dtype)
        self.begins = np.where(number < 2, 0.0, NEVER).astype(y.dtype)
        self.first = np.where(number < 2, 0.0, self._first_if_late()).astype(y.dtype)

    def _first_if_late(self) -> Array:
        """Return the logarithm of what TensorFlow leaves for paths that begin elsewhere."""
        ways = np.full(self.skips.shape, HARDLY_EVER)
        return log_sum_exp(np.stack([ways, self._moved(ways, 1), self._skipped(ways)], axis=-1))

    def log_probabilities(self, log_p: Array) -> Array:
        """Return for every time step how probable what each state shows is: log p."""
        shows = self.of_state[:, :, None] == np.arange(log_p.shape[-1])
        return log_p @ np.moveaxis(shows * np.ones((), log_p.dtype), 1, 2)

    def from_the_start(self, seen: Array) -> list[Array]:
        """Return log α of each time step."""
        alpha = [seen[:, 0] + self.first]
        for t in range(1, seen.shape[1]):
            a = alpha[-1]
            ways = np.stack([a, self._moved(a, 1), self._skipped(a)], axis=-1)
            alpha.append(seen[:, t] + log_sum_exp(ways))
        return alpha

    def to_the_end(self, seen: Array) -> list[Array]:
        """Return log β of each time step: of all that comes after it."""
        beta = [self.last + seen[:, 0] * 0.0]
        for t in range(seen.shape[1] - 1, 0, -1):
            b = beta[0] + seen[:, t]
            ways = np.stack([b, self._moved(b, -1), self._moved(b + self.skips, -2)], axis=-1)
            beta.insert(0, log_sum_exp(ways))
        return beta

    def _skipped(self, a: Array) -> Array:
        return self._moved(a, 2) + self.skips

    @staticmethod
    def _moved(a: Array, by: int) -> Array:
        """Move numbers on by a few states, or back; nothing comes from beyond the ends."""
        none = np.full((a.shape[0], abs(by)), NEVER, a.dtype)
        parts = [none, a[:, :-by]] if by > 0 else [a[:, -by:], none]
        return np.concatenate(parts, axis=1)
