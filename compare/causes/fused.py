"""Slips on the way through a sigmoid or softmax that the cross-entropy has already taken in.

The two together give p − y at the logits. Who takes the two derivatives one after the other can
forget one, or take another.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.entropy_rules import smooth, softmax
from compare.causes.loss import letters_of
from compare.causes.loss_rules import sigmoid
from compare.causes.related import related
from compare.causes.shares import share

ACTIVATIONS = {
    "BinaryCrossentropy": "sigmoid",
    "CategoricalCrossentropy": "softmax",
    "SparseCategoricalCrossentropy": "softmax",
}
OF_NUMBERS = ("½ (p − y)²", "(p − y)²", "|p − y|")


@hypothesis("activation gradient")
def one_after_the_other(place: Place) -> Iterator[Candidate]:
    """Propose another derivative of the loss at the probabilities, or none of the activation."""
    around, loss = place.inputs, place.map
    activation = ACTIVATIONS.get(type(loss).__name__)
    letters = letters_of(around, loss) if activation and around.get("logits") else None
    if letters is None or getattr(loss, "along", -1) != -1:
        return
    y, z = letters
    outputs = float(z.shape[-1])
    one_by_one = activation == "sigmoid"
    y = smooth(y, vars(loss), {}, 2.0 if one_by_one else outputs)
    p = sigmoid(z) if one_by_one else softmax(z)
    weight = share(around, loss, z.shape[:-1])[..., None]
    weight = weight / outputs if one_by_one else weight

    def diagonal(dp: Any) -> Any:
        return dp * p * (1.0 - p) * weight

    def whole(dp: Any) -> Any:
        return diagonal(dp) if one_by_one else p * (dp - (dp * p).sum(-1, keepdims=True)) * weight

    def told(dp: str) -> str:
        return f"dz = ({dp}) · p (1 − p)"

    if one_by_one:
        dp = (1.0 - y) / (1.0 - p) - y / p
        yield Candidate("the term of 1 − y is missing", diagonal(-y / p), told("−y/p"))
        added = -((1.0 - y) / (1.0 - p) + y / p)
        yield Candidate(
            "the terms of y and 1 − y have the same sign", diagonal(added), told("−y/p − …")
        )
    else:
        dp = -(y / p)
        only = "only the diagonal of softmax's derivative is used"
        yield Candidate(only, diagonal(dp), told("−y/p"))
    yield Candidate(f"the derivative of the {activation} is missing", dp * weight, "dz = dp")
    for name, _, slopes, formula in related(y, p):
        if name not in OF_NUMBERS:
            continue
        for divisor in (1.0,) if one_by_one else (1.0, outputs):
            sentence = f"this is the derivative of {name} at the probabilities"
            yield Candidate(sentence, whole(slopes / divisor), told(formula))
            if not one_by_one:
                both = f"{sentence}, through the diagonal of softmax's derivative only"
                yield Candidate(both, diagonal(slopes / divisor), told(formula))
