"""Reads the pages of `explain` again, and holds each number against where it comes from."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.explain import Step

NUMBER = r"(-?[\d.]+(?:e[-+]\d+)?)"


def unfolded(text: str) -> list[str]:
    """Return the lines as they were before long ones were folded."""
    text = re.sub(r"\n {30,}(?=[-\d–])", "  ", text)
    return re.sub(r"\n {6}", " ", re.sub(r"(?<=\S)\n {4}(?=[^ =])", " ", text)).splitlines()


def row_of(line: str) -> tuple[str, float, float | None] | None:
    """Read a line that ends in two numbers, the hand-derived one and Keras's."""
    match = re.fullmatch(rf"  (.+?)\s+{NUMBER}\s+(?:{NUMBER}|–)", line)
    if match is None:
        return None
    return match[1], float(match[2]), None if match[3] is None else float(match[3])


def sum_in(line: str) -> list[float] | None:
    """Return the terms of a line like ``= 0.1 · 0.2 + (-0.3) · 0.4 + 0.5``."""
    if not line.startswith("    = "):
        return None
    products = line.removeprefix("    = ").split(" + ")
    return [float(np.prod([float(one.strip("()")) for one in p.split(" · ")])) for p in products]


def wrong_sums(text: str, unit: float) -> Iterator[str]:
    """Give the sums of products that don't give the number by hand beside them.

    Each product is rounded a few times, in the precision of that ``unit`` roundoff, and its
    factors are printed to nine digits.
    """
    lines = unfolded(text)
    for place, line in enumerate(lines):
        terms = sum_in(line)
        if terms is None:
            continue
        before, after = row_of(lines[place - 1]), [row_of(one) for one in lines[place + 1 :]]
        row = before or next(one for one in after if one is not None)
        bound = (len(terms) + 3) * unit + 3 * 5e-9
        if not abs(sum(terms) - row[1]) <= bound * sum(map(abs, terms)) + 1e-9 * abs(row[1]):
            yield f"{line} isn't {row[1]}"


def wrong_rows(text: str, step: Step) -> Iterator[str]:
    """Give the rows whose numbers aren't those of the step, and of Keras's record and tape."""
    sample = 0
    for line in unfolded(text):
        which = re.match(r"sample (\d+) of", line)
        sample = int(which[1]) - 1 if which else sample
        row = row_of(line)
        expected = None if row is None else expected_in(row[0], sample, step)
        if row is None or expected is None:
            continue
        for what, printed, array in zip(("by hand", "Keras"), row[1:], expected, strict=True):
            if printed is None:
                assert array is None
            elif array is None or float(f"{array:.10g}") != printed:
                yield f"{row[0]}, {what}: {printed}, not {array}"


def expected_in(label: str, sample: int, step: Step) -> tuple[Any, Any] | None:
    """Look up what a row shows; None where it is no number of a step but derived from some."""
    taken = re.fullmatch(r"∂\S+/∂\S+ = (\S+)", label)
    if taken and not label.startswith("∂E/"):  # what a weight is multiplied by
        return expected_in(taken[1], sample, step)
    match = re.match(r"(∂E/∂)?([\w/@]+)\[([\d,]+)\](⁺ after| before)?(?= \(|,| =|$)(.*)", label)
    if match is None:
        return None
    record, tape, weights = step.record, step.tape, step.weights
    slope, name, numbers, when, rest = match.groups()
    index = tuple(map(int, numbers.split(",")))
    named = re.match(r" \((\d+)\)", rest)
    at = int(named[1]) - 1 if named else sample
    if when == " before":
        return weights[name][index], record.before[name][index]
    if when:
        return step.new_weights[name][index], record.after[name][index]
    if slope and name in weights:
        theirs = record.gradients.get(name)
        return step.weight_gradients[name][index], None if theirs is None else theirs[index]
    if name == "input":
        x = record.x[0] if isinstance(record.x, list) else record.x
        return x[(at, *index)], x[(at, *index)]
    node = next(i for i, one in enumerate(step.network.nodes) if one.name == name)
    mine = step.run.gradients[node] if slope else step.run.values[node]
    assert mine is not None
    theirs = tape["activation gradient" if slope else "activation"][name]
    return mine[(at, *index)], theirs[(at, *index)]


def apart(text: str, relative: float) -> list[str]:
    """Return the rows in which the two halves differ."""
    rows = filter(None, map(row_of, unfolded(text)))
    return [
        what
        for what, mine, theirs in rows
        if theirs is not None and not abs(mine - theirs) <= relative * max(abs(mine), 1e-3)
    ]
