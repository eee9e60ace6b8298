"""What Keras on TensorFlow does to the gradient of an embedding whose indices repeat.

The gradient arrives as one slice for each occurrence of an index. Whatever isn't linear in it (a
square, a norm) has to add them up first. Keras squares, and takes norms of, the slices as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from compare.causes.base import Candidate, Place, hypothesis

EACH = "each occurrence of a repeated index is squared by itself"


@hypothesis("optimizer slot")
def squared_apart(place: Place) -> Iterator[Candidate]:
    """Propose moments of Σ gᵢ² over the occurrences of an index in place of (Σ gᵢ)²."""
    state, quantity = place.inputs.get("state"), place.inputs.get("quantity")
    if state is None or state.squares is None or quantity not in SHARES:
        return
    share = SHARES[quantity](state.settings)
    if share is not None:
        more = state.squares - state.g * state.g
        yield Candidate(EACH, place.right + more * share, "v⁺ of Σ gᵢ² instead of (Σ gᵢ)²")


@hypothesis("processed gradient")
def norm_apart(place: Place) -> Iterator[Candidate]:
    """Propose clipping by the norm of all slices in place of that of their sums."""
    state = place.inputs.get("state")
    if state is None or state.squares is None:
        return
    formula = "|g|² = Σ gᵢ² over the occurrences"
    own = state.squares.sum()
    if state.settings.get("clipnorm"):
        bound = state.settings["clipnorm"]
        clipped = state.g * bound / np.maximum(np.sqrt(own), bound)
        yield Candidate(EACH, clipped, formula)
    if state.settings.get("global_clipnorm"):
        bound = state.settings["global_clipnorm"]
        others = [g for name, g in state.gradients.items() if name != state.name]
        for other in others:
            own = own + (other * other).sum()
        yield Candidate(EACH, state.g * bound / np.maximum(np.sqrt(own), bound), formula)


SHARES = {
    "velocity": lambda settings: 1.0 - settings.get("beta_2", settings.get("rho", 1.0)),
    "accumulator": lambda settings: 1.0,
    "accumulated_grad": lambda settings: 1.0 - settings["rho"] if "rho" in settings else None,
}
"""With which factor a squared gradient enters a slot."""
