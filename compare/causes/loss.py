"""Slips in a loss and in its derivative: one decision otherwise, or other weights and masks."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.circle_rules import PAIRS
from compare.causes.entropy_rules import PROBABILITIES
from compare.causes.focal_rules import OTHERS
from compare.causes.loss_rules import NUMBERS, Terms
from compare.causes.penalties import penalty_of
from compare.causes.shares import Around, other_shares, share
from compare.causes.shares import plain as bare
from compare.rounding.judge import judge

RULES = {**NUMBERS, **PROBABILITIES, **OTHERS, **PAIRS}
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
    """Return y and p of one shape, with the summed axis last and classes as one-hot rows.

    Where predictions are no probabilities of the classes, a row holds nothing but its class.
    """
    y, p = around.get("y"), around.get("p")
    if y is None or p is None:
        return None
    y = bare(y)
    if getattr(loss, "along", -1) != -1:
        y, p = np.moveaxis(y, loss.along, -1), np.moveaxis(p, loss.along, -1)
    if type(loss).__name__ in PAIRS:
        y = np.broadcast_to(y.reshape(-1, 1), p.shape)
    elif getattr(loss, "takes_classes", False) and y.size == math.prod(p.shape[:-1]):
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
    for sentence, other in _other_targets(y):
        yield sentence, rule(other, p, options, {}), 1
    if p.ndim == 2 and p.shape[-1] == 1 and len(p) > 1:
        each = rule(np.broadcast_to(y.T, (len(y), len(y))), p + y.T * 0.0, options, {})
        slopes = each.slopes.sum(axis=-1, keepdims=True)
        yield (
            "targets of shape (n,) meet predictions of shape (n, 1): each with each",
            (Terms(each.values, slopes)),
            1,
        )
    if type(loss).__name__ in LOGARITHMIC:
        for base in (2, 10):
            factor = 1.0 / math.log(base)
            moved = Terms(plain.values * factor, plain.slopes * factor, plain.counts)
            yield f"the logarithm has the base {base}", moved, 1


def _other_targets(y: Any) -> Iterator[tuple[str, Any]]:
    """Give the targets of other samples than those that belong to the predictions."""
    if len(y) > 1:
        yield "each prediction meets the target of the sample before", np.roll(y, 1, axis=0)
        yield "each prediction meets the target of the sample after", np.roll(y, -1, axis=0)
        yield "the targets are in the reverse order", y[::-1]


# ---------------------------------------------------------------------- the derivative


def at_prediction(loss: Any, slopes: Any, factor: Any) -> Any:
    """Return the gradient at the prediction: each value's slopes, as often as the value counts.

    Where a value depends on other rows too, its slopes are a function of these factors.
    """
    if callable(slopes):
        return slopes(factor)
    if isinstance(getattr(loss, "axis", None), (int, tuple)):  # one value for each other axis
        factor = np.expand_dims(factor, loss.axis)
    wide = np.ndim(factor) == slopes.ndim - 1
    gradient = slopes * (factor[..., None] if wide else factor)
    along = getattr(loss, "along", -1)
    return gradient if along == -1 else np.moveaxis(gradient, -1, along)


@hypothesis("activation gradient")
def own_derivative(place: Place) -> Iterator[Candidate]:
    """Propose the loss's derivative with one decision otherwise, or with other weights."""
    around, loss = place.inputs, place.map
    letters = letters_of(around, loss)
    own = [] if letters is None else list(own_terms(around, loss, letters))
    if not own:
        if place.has("y", "p", "sample_weight"):
            yield from _weights_undone(place)
        return
    plain = own[0][1]
    shape = plain.values.shape
    for sentence, terms, _ in own[1:]:
        right = share(around, loss, shape, valid=terms.counts)
        yield Candidate(sentence, at_prediction(loss, terms.slopes, right))
    for sentence, factor in other_shares(around, loss, shape, plain.counts):
        yield Candidate(sentence, at_prediction(loss, plain.slopes, factor))
    if not around.get("logits") and not around.get("activated", True):
        p = around["p"]
        sentence = "p (1 − p) is multiplied in, as if a sigmoid came before the loss"
        yield Candidate(sentence, place.right * p * (1.0 - p))


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


class Costly(NamedTuple):
    """What one output's loss is made of, and what it costs."""

    around: Around
    loss: Any
    letters: tuple[Any, Any]
    own: list[tuple[str, Terms, int]]
    cost: Any
    """Without its loss weight, which may be 0."""
    weight: float
    rest: Any
    """What all else costs: the other outputs, and the weights themselves."""


def outputs_of(place: Place) -> list[Costly]:
    """Take the loss apart into its outputs'; nothing if it isn't what they add up to.

    Then one of them isn't known, or an option is not what it seems to be.
    """
    found = []
    if place.right.ndim:  # values that aren't added up
        return []
    for around in place.inputs.get("heads", ()):
        loss = around["loss"]
        letters = letters_of(around, loss)
        own = [] if letters is None else list(own_terms(around, loss, letters))
        if letters is None or not own:
            return []
        values, _, valid = own[0][1]
        cost = (values * share(around, loss, values.shape, "equal_heads", valid)).sum()
        weight = around.get("loss_weight", 1.0)
        found.append(Costly(around, loss, letters, own, cost, weight, None))
    penalty = penalty_of(place)
    made = []
    for one in found:
        rest: Any = 0.0 if penalty is None else penalty
        for other in found:
            rest = rest if other is one else rest + other.cost * other.weight
        made.append(one._replace(rest=rest))
    known = all(judge(place.right.value, one.rest + one.cost * one.weight).agrees for one in made)
    return made if known else []


@hypothesis("loss")
def own_value(place: Place) -> Iterator[Candidate]:
    """Propose one output's loss with one decision otherwise, all others as they are."""
    outputs = outputs_of(place)
    for around, loss, _, own, _, _, rest in outputs:
        values, _, valid = own[0][1]
        for sentence, terms, _ in own[1:]:
            right = share(around, loss, values.shape, valid=terms.counts)
            yield Candidate(sentence, (terms.values * right).sum() + rest)
        for sentence, factor in other_shares(around, loss, values.shape, valid):
            yield Candidate(sentence, (values * factor).sum() + rest)
    if len(outputs) > 1:
        yield from _added_up(place, outputs)


def _added_up(place: Place, outputs: list[Costly]) -> Iterator[Candidate]:
    """Propose slips in adding up the outputs' losses."""
    weights, n = [one.weight for one in outputs], len(outputs)
    penalty = penalty_of(place)

    def total(factors: list[float]) -> Any:
        made: Any = 0.0 if penalty is None else penalty
        for one, factor in zip(outputs, factors, strict=True):
            made = made + one.cost * factor
        return made

    if any(weight != 1.0 for weight in weights):
        yield Candidate("the loss weights are ignored", total([1.0] * n))
        yield Candidate("the loss weights are applied twice", total([w * w for w in weights]))
        yield Candidate("the loss weights belong to other outputs", total(weights[::-1]))
        by_sum = [w / (sum(weights) or 1.0) for w in weights]
        yield Candidate("the loss weights are divided by their sum", total(by_sum))
    yield Candidate("the mean over the outputs' losses is taken", total([w / n for w in weights]))
    if n == 2 and outputs[0].letters[0].shape == outputs[1].letters[0].shape:
        swapped: Any = 0.0 if penalty is None else penalty
        for one, other in zip(outputs, outputs[::-1], strict=True):
            rule, _ = RULES[type(one.loss).__name__]
            terms = rule(other.letters[0], one.letters[1], options_of(one.around, one.loss), {})
            counted = share(one.around, one.loss, terms.values.shape, valid=terms.counts)
            swapped = swapped + (terms.values * counted).sum()
        yield Candidate("the targets of the two outputs are swapped", swapped)
    for left_out in range(n):
        kept = [0.0 if one == left_out else w for one, w in enumerate(weights)]
        yield Candidate(f"the loss of output {left_out + 1} is left out", total(kept))
