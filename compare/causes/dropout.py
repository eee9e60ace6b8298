"""Slips in layers that disturb their input: which elements, how much, and on the way back too.

What was drawn is known, so that all but another draw can be computed. For that, the wrong numbers
themselves are looked at: each has to be either 0 or exactly what an element becomes that is kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.causes.functions import SELU_SCALE
from manual.layers import AlphaDropout, Dropout, GaussianDropout, GaussianNoise

Scale = tuple[str, float, str]


@hypothesis("activation", "activation gradient")
def dropout(place: Place) -> Iterator[Candidate]:
    """Propose y = x · m / (1 − rate) with another mask, another scale, or both."""
    if not isinstance(place.map, Dropout) or not 0.0 < place.map.rate < 1.0:
        return
    passing, letter = _passing(place)
    if passing is None or not place.inputs.get("drawn"):
        return
    (u,), rate = place.inputs["drawn"], place.map.rate
    scales = list(_scales(rate))
    for masked, keep, mask in _masks(place, u, rate):
        for scaled, factor, formula in scales:
            said = " and ".join(part for part in (masked, scaled) if part)
            if not said:
                continue
            slips = bool(masked) + bool(scaled)
            value = passing * factor
            if keep is not None:
                if any(n not in (1, size) for n, size in zip(keep.shape, value.shape, strict=True)):
                    continue
                value = np.where(keep, value, 0.0)
            shown = f"{letter}{mask}{formula}"
            if masked == NOT_APPLIED and scaled == SCALING:
                said, slips = "nothing is dropped, and nothing scaled", 1
            if masked in (SWAPPED, OF_THE_KEPT) and scaled == BY_RATE:
                said, slips = "the rate is taken for the share that is kept", 1
            yield Candidate(said, value, shown, slips=slips)
    yield Candidate("everything is dropped", passing * 0.0, "0")
    yield from _another_draw(place, passing, scales, letter)


NOT_APPLIED = "the mask is not applied"
SWAPPED = "the mask is inverted: what should be kept is dropped"
OF_THE_KEPT = "the rate is taken for the share that is kept, in the mask"
SCALING = "the scaling by 1 / (1 − rate) is missing"
BY_RATE = "the scale is 1 / rate"


def _passing(place: Place) -> tuple[Any, str]:
    """Return what goes through the layer here: the input, or the gradient from the right."""
    if place.phase == "activation":
        return place.inputs.get("x"), "x"
    return place.inputs.get("dz"), "dy"


def _scales(rate: float) -> Iterator[Scale]:
    keep = 1.0 - rate
    yield "", 1.0 / keep, " / (1 − rate)"
    yield SCALING, 1.0, ""
    yield "the scaling multiplies by 1 − rate instead of dividing", keep, " · (1 − rate)"
    if rate != keep:
        yield BY_RATE, 1.0 / rate, " / rate"
        yield "the scale is the rate", rate, " · rate"
    yield "the scaling is applied twice", 1.0 / keep**2, " / (1 − rate)²"
    yield "the scale is the root of 1 / (1 − rate)", keep**-0.5, " / √(1 − rate)"


def _masks(place: Place, u: Any, rate: float) -> Iterator[tuple[str, Any, str]]:
    """Give masks: the slip, where an element is kept (None for everywhere), the formula."""
    kept = u >= rate
    yield "", kept, " · m"
    yield NOT_APPLIED, None, ""
    yield SWAPPED, u < rate, " · (1 − m)"
    yield OF_THE_KEPT, u >= 1.0 - rate, " · [u ≥ 1 − rate]"
    yield "elements are kept where u < 1 − rate", u < 1.0 - rate, " · [u < 1 − rate]"
    for axis, size in enumerate(u.shape):
        if size > 1:
            what = {0: "all samples", u.ndim - 1: "all features"}.get(axis, f"all of axis {axis}")
            first = u[(slice(None),) * axis + (slice(0, 1),)]
            yield f"one mask serves {what}", first >= rate, f" · m, that of the first for {what}"
    for whole, by in permutations(range(1, u.ndim), 2):
        if u.shape[whole] == 1 and u.shape[by] > 1:
            order = list(range(u.ndim))
            order[whole], order[by] = by, whole
            sentence = f"the mask is the same along axis {by} instead of axis {whole}"
            yield sentence, np.transpose(u, order) >= rate, " · m′"


def _another_draw(
    place: Place, passing: Any, scales: list[Scale], letter: str
) -> Iterator[Candidate]:
    """Propose the right rule with another draw, if that is what the wrong numbers look like.

    Which elements were kept is read off the wrong numbers: those that aren't 0. Nothing else is,
    and the judge still holds every one of them against ``x / (1 − rate)``.
    """
    if place.wrong is None:
        return
    kept = place.wrong != 0.0
    if kept.all() or not kept.any():
        return
    back = " in the backward pass" if letter == "dy" else ""
    for scaled, factor, formula in scales:
        said = f"another draw of the mask is used{back}" + (f", and {scaled}" if scaled else "")
        value = np.where(kept, passing * factor, 0.0)
        yield Candidate(said, value, f"{letter} · m′{formula}", slips=3 + bool(scaled))


@hypothesis("activation", "activation gradient")
def gaussian_noise(place: Place) -> Iterator[Candidate]:
    """Propose y = x + stddev · n with another size of the noise."""
    if not isinstance(place.map, GaussianNoise) or not place.inputs.get("drawn"):
        return
    passing, letter = _passing(place)
    if passing is None:
        return
    (n,), sigma = place.inputs["drawn"], place.map.stddev
    if letter == "dy":
        yield Candidate("the noise is added to the gradient too", passing + n * sigma, "dy + σ n")
        yield Candidate("the noise is multiplied in", passing * n * sigma, "dy · σ n")
        yield Candidate("the draw is multiplied in", passing * n, "dy · n")
        yield Candidate("the gradient is scaled by the deviation", passing * sigma, "dy · σ")
        return
    for sentence, size, formula in (
        ("the variance stands for the standard deviation", sigma**2, "x + σ² n"),
        ("stddev is taken for a variance", math.sqrt(sigma), "x + √σ n"),
        ("the standard deviation is forgotten", 1.0, "x + n"),
        ("the noise is subtracted", -sigma, "x − σ n"),
        ("the noise is added twice", 2.0 * sigma, "x + 2 σ n"),
    ):
        yield Candidate(sentence, passing + n * size, formula)
    yield Candidate("no noise is added", passing, "x")
    yield Candidate("the noise multiplies the input", passing * (1.0 + n * sigma), "x (1 + σ n)")
    yield Candidate("the input is forgotten", n * sigma, "σ n")
    yield from _one_for_all(n, lambda draws: passing + draws * sigma)


@hypothesis("activation", "activation gradient")
def gaussian_dropout(place: Place) -> Iterator[Candidate]:
    """Propose y = x (1 + √(rate / (1 − rate)) n) with another size of the noise."""
    if not isinstance(place.map, GaussianDropout) or not place.inputs.get("drawn"):
        return
    passing, letter = _passing(place)
    if passing is None or not 0.0 < place.map.rate < 1.0:
        return
    (n,), rate = place.inputs["drawn"], place.map.rate
    right = math.sqrt(rate / (1.0 - rate))
    for sentence, size, formula in (
        ("the variance stands for the standard deviation", right**2, "rate / (1 − rate)"),
        ("the standard deviation is the rate", rate, "rate"),
        ("the standard deviation is √rate", math.sqrt(rate), "√rate"),
        ("the division by 1 − rate is a product", math.sqrt(rate * (1.0 - rate)), "√(p (1 − p))"),
        ("rate and 1 − rate are swapped", 1.0 / right, "√((1 − rate) / rate)"),
        ("the standard deviation is forgotten", 1.0, "1"),
    ):
        yield Candidate(sentence, passing * (1.0 + n * size), f"{letter} (1 + {formula} · n)")
    yield Candidate("the noise is not applied", passing, letter)
    yield Candidate("the mean of 1 is forgotten", passing * n * right, f"{letter} · σ n")
    yield Candidate(
        "the noise is added instead of multiplied", passing + n * right, f"{letter} + σ n"
    )
    yield Candidate(
        "1 and the noise are added instead of multiplied",
        passing + 1.0 + n * right,
        f"{letter} + m",
    )
    yield from _one_for_all(n, lambda draws: passing * (1.0 + draws * right))


def _one_for_all(draws: Any, noise: Callable[[Any], Any]) -> Iterator[Candidate]:
    if len(draws) > 1:
        yield Candidate("one draw serves all samples", noise(draws[:1]), "n of the first sample")


@hypothesis("activation", "activation gradient")
def alpha_dropout(place: Place) -> Iterator[Candidate]:
    """Propose y = a (x m + α′ (1 − m)) + b with a piece forgotten."""
    if not isinstance(place.map, AlphaDropout) or not place.inputs.get("drawn"):
        return
    passing, letter = _passing(place)
    if passing is None or not 0.0 < place.map.rate < 1.0:
        return
    (u,), rate = place.inputs["drawn"], place.map.rate
    low = -1.7580993408473766  # −λα of Klambauer et al. 2017
    keep = 1.0 - rate

    def stretch(keep: float, low: float) -> float:
        return 1.0 / math.sqrt(keep * (1.0 + (1.0 - keep) * low * low))

    a, m = stretch(keep, low), u >= rate
    b = -a * low * rate
    others = (
        ("1 − rate is missing before rate α′²", (keep + rate * low * low) ** -0.5),
        ("1 − rate is missing", (1.0 + rate * low * low) ** -0.5),
        ("rate and 1 − rate are swapped", stretch(rate, low)),
        ("the root is missing", a * a),
        ("the square of α′ is missing", (keep * (1.0 - rate * low)) ** -0.5),
    )
    if letter == "dy":
        for sentence, value, formula in (
            ("the scaling by a is missing", np.where(m, passing, 0.0), "dy · m"),
            (NOT_APPLIED, passing * a, "a · dy"),
            (SWAPPED, np.where(m, 0.0, passing * a), "a · dy · (1 − m)"),
            ("it is that of dropout", np.where(m, passing / keep, 0.0), "dy · m / (1 − rate)"),
            ("the shift by b is in the gradient", np.where(m, passing * a, 0.0) + b, "a dy m + b"),
        ):
            yield Candidate(sentence, value, formula)
        for sentence, other in others:
            yield Candidate(f"{sentence} in a", np.where(m, passing * other, 0.0), "another a")
        return
    dropped = np.where(m, passing, low)
    for sentence, value, formula in (
        ("the shift by b is missing", dropped * a, "a (x m + α′ (1 − m))"),
        ("the scaling by a is missing", dropped + b, "x m + α′ (1 − m) + b"),
        ("nothing is brought back to mean 0 and variance 1", dropped, "x m + α′ (1 − m)"),
        ("what is dropped becomes 0", np.where(m, passing, 0.0) * a + b, "a x m + b"),
        ("it is dropout", np.where(m, passing / keep, 0.0), "x · m / (1 − rate)"),
        (SWAPPED, np.where(m, low, passing) * a + b, "a (x (1 − m) + α′ m) + b"),
        (
            "what is dropped becomes +λα",
            np.where(m, passing, -low) * a + b,
            "a (x m − α′ (1 − m)) + b",
        ),
        ("the shift has the wrong sign", dropped * a - b, "a (x m + α′ (1 − m)) − b"),
        ("nothing is dropped", passing, "x"),
    ):
        yield Candidate(sentence, value, formula)
    for sentence, other in others:
        value = dropped * other - other * low * rate
        yield Candidate(f"{sentence} in a", value, "another a")
    bare = low / SELU_SCALE
    value = np.where(m, passing, bare) * stretch(keep, bare) - stretch(keep, bare) * bare * rate
    yield Candidate("what is dropped becomes −α, without λ", value, "α′ = −α")
    turned = np.where(m, passing, -low) * a + a * low * rate
    yield Candidate("α′ is +λα throughout", turned, "α′ = λα")
