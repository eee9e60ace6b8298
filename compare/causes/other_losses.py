"""Slips in a loss that name another one, or another mean: what may be true of any loss."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.circle_rules import PAIRS
from compare.causes.loss import Costly, at_prediction, letters_of, outputs_of, own_terms
from compare.causes.related import related
from compare.causes.shares import share


@hypothesis("activation gradient")
def other_derivative(place: Place) -> Iterator[Candidate]:
    """Propose the derivatives of related losses, with this one's means and weights or others."""
    around, loss = place.inputs, place.map
    letters = letters_of(around, loss)
    if letters is None:
        return
    y, p = letters
    own = list(own_terms(around, loss, letters))
    shape = own[0][1].values.shape if own else p.shape[:-1]
    right = share(around, loss, shape, valid=own[0][1].counts if own else None)
    if own:
        root = np.sqrt((own[0][1].values * right).sum())
        yield Candidate(
            "the root is taken of the mean", place.right / (2.0 * root), "∂√E = ∂E / (2 √E)"
        )
    if shape != p.shape[:-1] or type(loss).__name__ in PAIRS:
        return
    plain = share({**around, "sample_weight": None, "mask": None}, loss, shape)
    n, samples = float(p.shape[-1]), float(place.facts.samples)
    for name, _, slopes, formula in related(y, p):
        for outputs, over in ((n, " / outputs"), (1.0, "")):
            for factor, batch in ((right, " / batch"), (right * samples, "")):
                yield Candidate(
                    f"this is the derivative of {name}",
                    at_prediction(loss, slopes / outputs, factor),
                    f"({formula}){over}{batch}, and the loss is the {in_words(loss)}",
                )
            if around.get("sample_weight") is not None or around.get("mask") is not None:
                yield Candidate(
                    f"this is the derivative of {name}, without sample weights",
                    at_prediction(loss, slopes / outputs, plain),
                    slips=2,
                )


def in_words(loss: Any) -> str:
    """Return a loss's name as one says it: the mean absolute error."""
    return re.sub(r"(?<!^)(?=[A-Z])", " ", type(loss).__name__).lower()


@hypothesis("loss")
def other_value(place: Place) -> Iterator[Candidate]:
    """Propose that one output's loss is another one, or is averaged otherwise."""
    for output in outputs_of(place):
        yield from _other_means(place, output)


def _other_means(place: Place, output: Costly) -> Iterator[Candidate]:
    around, loss, (y, p), own, unweighted, weight, rest = output
    cost = unweighted * weight
    shape = own[0][1].values.shape
    n, samples = float(p.shape[-1]), float(place.facts.samples)
    for factor, sentence in (
        (n, "the sum over the outputs stands for their mean"),
        (1.0 / n, "the mean over the outputs stands for their sum"),
        (samples, "the batch mean is missing"),
        (1.0 / samples, "the batch mean is taken twice"),
        (n * samples, "neither outputs nor samples are averaged"),
        (2.0, "everything is doubled: a ½ is missing"),
        (0.5, "everything is halved: a ½ too many"),
        (-1.0, "the sign is reversed"),
    ):
        yield Candidate(sentence, cost * factor + rest)
    yield Candidate("the root is taken of the mean", np.sqrt(cost) + rest)
    if shape == p.shape[:-1] and type(loss).__name__ not in PAIRS:
        right = share(around, loss, shape)
        for name, values, _, _ in related(y, p):
            summed = (values.sum(axis=-1) * right).sum()
            yield Candidate(f"this is {name}", summed + rest, "summed over the outputs")
            yield Candidate(f"this is {name}", summed / n + rest, "averaged over the outputs")
