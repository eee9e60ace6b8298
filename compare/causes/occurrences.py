"""What Keras on TensorFlow does to the gradient of a table that was looked up twice in one place.

The gradient arrives as one row for each number that was looked up. Whatever isn't linear in it (a
square, a norm), Keras does to each row by itself, and so does the hand-written half. Who adds up
the rows of a number first, as the papers do, has other moments and norms.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis
from compare.rounding.gathered import Gathered
from compare.rounding.noise import Noisy

TOGETHER = "the rows of a repeated index are added up first; Keras squares each by itself"


@hypothesis("optimizer slot")
def squared_together(place: Place) -> Iterator[Candidate]:
    """Propose moments of (Σ gᵢ)² over the occurrences of an index in place of Σ gᵢ²."""
    state, quantity = place.inputs.get("state"), place.inputs.get("quantity")
    if state is None or not isinstance(state.g, Gathered) or quantity not in SHARES:
        return
    share = SHARES[quantity](state.settings)
    if share is not None:
        g = state.g.summed()
        more = g * g - state.g * state.g
        yield Candidate(TOGETHER, place.right + more * share, "v⁺ of (Σ gᵢ)² instead of Σ gᵢ²")


@hypothesis("processed gradient")
def norm_together(place: Place) -> Iterator[Candidate]:
    """Propose clipping by the norm of the sums in place of that of all rows."""
    state = place.inputs.get("state")
    if state is None or not any(isinstance(one, Gathered) for one in state.gradients.values()):
        return
    summed = {
        name: one.summed() if isinstance(one, Gathered) else one
        for name, one in state.gradients.items()
    }
    g, formula = summed[state.name], "|g|² = Σ (Σ gᵢ)² instead of Σ gᵢ² over the occurrences"
    of_one, of_all = (state.settings.get(bound) for bound in ("clipnorm", "global_clipnorm"))
    if of_one:
        yield Candidate(TOGETHER, _within(g, of_one, (g * g).sum()), formula)
    if of_all:
        squares = sum((one * one).sum() for one in summed.values())
        yield Candidate(TOGETHER, _within(g, of_all, squares), formula)


def _within(g: Noisy, bound: float, squares: Noisy) -> Noisy:
    return g * bound / np.maximum(np.sqrt(squares), bound)  # type: ignore[no-any-return]


SHARES = {
    "velocity": lambda settings: 1.0 - settings.get("beta_2", settings.get("rho", 1.0)),
    "accumulator": lambda settings: 1.0,
    "accumulated_grad": lambda settings: 1.0 - settings["rho"] if "rho" in settings else None,
}
"""With which factor a squared gradient enters a slot."""
