"""Everything off by the same constant: a mean that is missing or taken twice, a 2, a sign."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from compare.causes.base import Candidate, Place, goes_with_any, hypothesis


@hypothesis("loss", "activation gradient", "weight gradient")
def constant_factor(place: Place) -> Iterator[Candidate]:
    """Propose every constant that the step gives reason for, and their products in pairs."""
    for factor, sentence, name in named_constants(place):
        if factor != 1.0:
            yield Candidate(f"{sentence} (factor {name})", place.right * factor)
    single = list(constants(place))
    for (one, first, _), (other, second, _) in combinations(single, 2):
        if one * other != 1.0:
            sentence = f"{first}, and {second} (factor {one * other:.6g})"
            yield Candidate(sentence, place.right * (one * other), slips=2)


@goes_with_any
def constants(place: Place) -> Iterator[tuple[float, str, str]]:
    """Give each constant with the first slip behind it and its name; none is 1."""
    seen = {1.0}
    for factor, sentence, name in named_constants(place):
        if factor not in seen:
            seen.add(factor)
            yield factor, sentence, name


def named_constants(place: Place) -> list[tuple[float, str, str]]:
    """Return every constant with a slip behind it and its name; several may be equal, or 1."""
    facts = place.facts
    outputs = place.inputs.get("outputs", 1)
    named = [
        (-1.0, "the sign is reversed", "−1"),
        (  # before what full batches would have shown already
            facts.samples / facts.batch_size,
            "the last, small batch is averaged with the full batch size",
            f"{facts.samples} / {facts.batch_size}",
        ),
        (float(facts.samples), "the batch mean is missing", f"batch size {facts.samples}"),
        (1.0 / facts.samples, "the batch mean is taken twice", f"1 / batch size {facts.samples}"),
        (2.0, "the ½ of ½ (p − y)² is missing, or a 2 too many", "2"),
        (0.5, "the 2 of the square's derivative is missing, or a ½ too many", "½"),
        (float(outputs), "the mean over the outputs is missing", f"number of outputs {outputs}"),
        (1.0 / outputs, "the mean over the outputs is taken twice", f"1 / {outputs} outputs"),
        (
            facts.learning_rate,
            "the learning rate is already in the gradient",
            f"learning rate {facts.learning_rate:g}",
        ),
        (
            1.0 / facts.learning_rate if facts.learning_rate else 1.0,
            "the gradient is divided by the learning rate",
            f"1 / learning rate {facts.learning_rate:g}",
        ),
    ]
    weights = place.inputs.get("sample_weight")
    if weights is not None and place.phase != "loss":
        total = float(weights.sum())
        if total:
            named.append(
                (
                    facts.samples / total,
                    "the sample weights are divided by their sum",
                    f"batch size / sum of weights {total:.6g}",
                )
            )
    return named
