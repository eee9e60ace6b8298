"""Slips in adding up gradients: over the calls of a layer, and over the branches of a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, candidates, hypothesis
from compare.rounding.judge import judge


@hypothesis("weight gradient")
def some_calls(place: Place) -> Iterator[Candidate]:
    """Propose that a call's share is missing, or that shares are averaged."""
    shares: list[Any] = place.inputs.get("call_shares", [])
    n = len(shares)
    if n < 2:
        return
    averaged = f"the shares of the {n} calls are averaged instead of summed"
    yield Candidate(averaged, place.right / float(n), f"dW = 1/{n} Σ its shares")
    total = sum(shares[1:], shares[0])
    if not judge(place.right.value, total).agrees:  # the share of a call is wrong by itself
        return
    for told, share in (("first", shares[0]), ("last", shares[-1])):
        yield Candidate(
            f"only the {told} call's share is there: the {n} calls of a shared layer add up",
            share,
            f"dW = its share from the {told} of {n} calls",
        )
    for number, share in enumerate(shares, 1) if n > 2 else ():
        yield Candidate(f"the share of call {number} of {n} is missing", total - share)


@hypothesis("weight gradient")
def every_call(place: Place) -> Iterator[Candidate]:
    """Propose one slip in the layer, which shows in each of its calls."""
    calls = place.inputs.get("calls", [])
    if len(calls) < 2:
        return
    unknown = place.right * float("nan")  # of one call alone, only what it took is known
    made: dict[tuple[str, str], list[Candidate]] = {}
    for call in calls:
        for one in candidates(replace(place, right=unknown, inputs=call)):
            if not np.isnan(one.value.value).any():  # else it was made of what is unknown
                made.setdefault((one.sentence, one.formula), []).append(one)
    for found in made.values():
        if len(found) == len(calls):
            value = sum((one.value for one in found[1:]), found[0].value)
            yield replace(found[0], sentence=f"{found[0].sentence}, in every call", value=value)


@hypothesis("weight gradient")
def put_together(place: Place) -> Iterator[Candidate]:
    """Propose what comes of slips between the maps, where each map agrees by itself."""
    for sentence, gradient in place.inputs.get("assembled", {}).items():
        yield Candidate(sentence, gradient)
