"""Slips in a loss and in its derivative: a related loss, one decision otherwise, another mean."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.entropy_rules import PROBABILITIES
from compare.causes.focal_rules import OTHERS
from compare.causes.loss_rules import NUMBERS, Terms
from compare.causes.penalties import penalty_of
from compare.causes.related import related
from compare.causes.shares import Around, other_shares, share
from compare.causes.shares import plain as bare

RULES = {**NUMBERS, **PROBABILITIES, **OTHERS}
LOGARITHMIC = {
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "SparseCategoricalCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalFocalCrossentropy",
    "KLDivergence",
}
"""Losses that are logarithms through and through: another base is a factor."""


def letters_of(around: Around, loss: Any) -> tuple[Any, Any] | None:
    """Return y and p of one shape, with the summed axis last and classes as one-hot rows."""
    y, p = around.get("y"), around.get("p")
    if y is None or p is None:
        return None
    y = bare(y)
    if getattr(loss, "along", -1) != -1:
        y, p = np.moveaxis(y, loss.along, -1), np.moveaxis(p, loss.along, -1)
    if getattr(loss, "takes_classes", False) and y.size == math.prod(p.shape[:-1]):
        y = 1.0 * (y.reshape(p.shape[:-1])[..., None] == np.arange(p.shape[-1]))
    return (y, p) if y.shape == p.shape else None


def options_of(around: Around, loss: Any) -> dict[str, Any]:
    """Return a loss's own options, and whether it reads logits."""
    return {**vars(loss), "logits": around.get("logits", False)}


def own_terms(
    around: Around, loss: Any, letters: tuple[Any, Any]
) -> Iterator[tuple[str, Terms, int]]:
    """Give the loss as it should be (without a sentence), and with one decision otherwise."""
    rule, knobs = RULES.get(type(loss).__name__, (None, {}))
    if rule is None:
        return
    y, p = letters
    options = options_of(around, loss)
    plain = rule(y, p, options, {})
    yield "", plain, 0
    for sentence, turned in knobs.items():
        yield sentence, rule(y, p, options, turned), 1
    if type(loss).__name__ in LOGARITHMIC:
        for base in (2, 10):
            factor = 1.0 / math.log(base)
            moved = Terms(plain.values * factor, plain.slopes * factor)
            yield f"the logarithm has the base {base}", moved, 1


# ---------------------------------------------------------------------- the derivative


@hypothesis("activation gradient")
def other_derivative(place: Place) -> Iterator[Candidate]:
    """Propose the derivatives of related losses, one decision otherwise, and other weights."""
    around, loss = place.inputs, place.map
    letters = letters_of(around, loss)
    if letters is None:
        if place.has("y", "p", "sample_weight"):
            yield from _weights_undone(place)
        return
    y, p = letters
    own = list(own_terms(around, loss, letters))
    shape = own[0][1].values.shape if own else p.shape[:-1]
    right = share(around, loss, shape)

    def at_prediction(slopes: Any, factor: Any) -> Any:
        gradient = slopes * (factor[..., None] if np.ndim(factor) == p.ndim - 1 else factor)
        along = getattr(loss, "along", -1)
        return gradient if along == -1 else np.moveaxis(gradient, -1, along)

    if isinstance(getattr(loss, "axis", None), (int, tuple)):  # one value for each other axis
        right = np.expand_dims(right, loss.axis)
    for sentence, terms, _ in own[1:]:
        yield Candidate(sentence, at_prediction(terms.slopes, right))
    if not around.get("logits") and not around.get("activated", True):
        yield Candidate(
            "p (1 − p) is multiplied in, as if a sigmoid came before the loss",
            place.right * p * (1.0 - p),
        )
    if type(loss).__name__ == "MeanSquaredError":
        cost = (own[0][1].values * right).sum()
        rooted = place.right / (2.0 * np.sqrt(cost))
        yield Candidate("the root of the mean is differentiated", rooted, "dL / (2 √L)")
    if shape == p.shape[:-1]:
        plain = share({**around, "sample_weight": None, "mask": None}, loss, shape)
        n, samples = float(p.shape[-1]), float(place.facts.samples)
        for name, _, slopes, formula in related(y, p):
            for outputs, over in ((n, " / outputs"), (1.0, "")):
                for factor, batch in ((right, " / batch"), (right * samples, "")):
                    yield Candidate(
                        f"this is the derivative of {name}",
                        at_prediction(slopes / outputs, factor),
                        f"({formula}){over}{batch}",
                    )
                if around.get("sample_weight") is not None or around.get("mask") is not None:
                    yield Candidate(
                        f"this is the derivative of {name}, without sample weights",
                        at_prediction(slopes / outputs, plain),
                        slips=2,
                    )
        if own:
            for sentence, factor in other_shares(around, loss, shape):
                yield Candidate(sentence, at_prediction(own[0][1].slopes, factor))
    if not own:
        yield from _weights_undone(place)


def _weights_undone(place: Place) -> Iterator[Candidate]:
    """Propose that weights are ignored or applied twice, whatever the loss."""
    weights = place.inputs.get("sample_weight")
    p: Any = place.inputs["p"]
    if weights is None or np.size(weights) != p.shape[0]:
        return
    each = np.reshape(weights, (-1,) + (1,) * (p.ndim - 1))
    yield Candidate("the sample weights are ignored", place.right / each)
    yield Candidate("the sample weights are applied twice", place.right * each)


# ---------------------------------------------------------------------- the value


@hypothesis("loss")
def other_value(place: Place) -> Iterator[Candidate]:
    """Propose one output's loss otherwise, all others as they are."""
    heads = place.inputs.get("heads", ())
    found = []
    for around in heads:
        loss = around["loss"]
        letters = letters_of(around, loss)
        own = [] if letters is None else list(own_terms(around, loss, letters))
        if letters is None or not own:
            return
        values = own[0][1].values
        cost = (values * share(around, loss, values.shape)).sum()
        found.append((around, loss, letters, own, cost))
    for around, loss, letters, own, cost in found:
        rest = _rest(place, [one[-1] for one in found], cost)
        yield from _values_of_one(place, around, loss, letters, own, rest)
    if len(found) > 1:
        yield from _all_heads(place, found)


def _rest(place: Place, costs: list[Any], without: Any) -> Any:
    """Return what all else costs: the other outputs, and the weights themselves."""
    rest: Any = 0.0
    for cost in costs:
        rest = rest if cost is without else rest + cost
    penalty = penalty_of(place)
    return rest if penalty is None else rest + penalty


def _values_of_one(
    place: Place, around: Around, loss: Any, letters: tuple[Any, Any], own: Any, rest: Any
) -> Iterator[Candidate]:
    y, p = letters
    plain = own[0][1].values
    right = share(around, loss, plain.shape)
    for sentence, terms, _ in own[1:]:
        yield Candidate(sentence, (terms.values * right).sum() + rest)
    for sentence, factor in other_shares(around, loss, plain.shape):
        yield Candidate(sentence, (plain * factor).sum() + rest)
    n, samples = float(p.shape[-1]), float(place.facts.samples)
    cost = (plain * right).sum()
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
    if plain.shape == p.shape[:-1]:
        for name, values, _, _ in related(y, p):
            summed = (values.sum(axis=-1) * right).sum()
            yield Candidate(f"this is {name}", summed + rest, "summed over the outputs")
            yield Candidate(f"this is {name}", summed / n + rest, "averaged over the outputs")
        root = np.sqrt(cost)
        yield Candidate("the root is taken of the mean", root + rest)


def _all_heads(place: Place, found: list[Any]) -> Iterator[Candidate]:
    """Propose slips in adding up the outputs' losses."""
    costs = [one[-1] for one in found]
    weights = [one[0]["loss_weight"] for one in found]
    penalty = penalty_of(place)
    regular = 0.0 if penalty is None else penalty

    def total(factors: list[float]) -> Any:
        made: Any = regular
        for cost, factor in zip(costs, factors, strict=True):
            made = made + cost * factor
        return made

    if any(weight != 1.0 for weight in weights):
        yield Candidate("the loss weights are ignored", total([1.0 / one for one in weights]))
        yield Candidate("the loss weights are applied twice", total(weights))
        turned = [other / one for one, other in zip(weights, weights[::-1], strict=True)]
        yield Candidate("the loss weights belong to other outputs", total(turned))
    count = float(len(costs))
    yield Candidate("the mean over the outputs' losses is taken", total([1.0 / count] * len(costs)))
    for left_out in range(len(costs)):
        kept = [0.0 if one == left_out else 1.0 for one in range(len(costs))]
        yield Candidate(f"the loss of output {left_out + 1} is left out", total(kept))
