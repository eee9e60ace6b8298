"""The colours of distances: calm up to the bound, alarming beyond."""

from __future__ import annotations

from markupsafe import Markup

from compare.pages.charts.markup import tag

CALM = 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0
"""Shares of the bound up to which a distance has the first colour, the second, and so on."""
ALARMING = 1e2, 1e6
"""Multiples of the bound."""


def level(distance: float, bound: float) -> str:
    """Return the class of a distance: ``ls-0`` for none at all, ``ls-x1`` and on beyond the bound.

    What is not a number is the worst there is.
    """
    if distance == 0.0:
        return "ls-0"
    for number, share in enumerate(CALM, 1):
        if distance <= share * bound:
            return f"ls-{number}"
    return f"ls-x{1 + sum(not distance <= times * bound for times in ALARMING)}"


def scale(bound: float) -> Markup:
    """Return the legend of the colours."""
    calm = [tag("i", class_=f"ls-swatch ls-{number}") for number in range(len(CALM) + 1)]
    alarming = [tag("i", class_=f"ls-swatch ls-x{number}") for number in range(1, 4)]
    agrees = tag("span", "0 ", *calm, f" {bound:g} × noise: agrees", class_="ls-half")
    differs = tag("span", *alarming, " × beyond: disagrees", class_="ls-half")
    return tag("p", agrees, " ", differs, class_="ls-scale")
