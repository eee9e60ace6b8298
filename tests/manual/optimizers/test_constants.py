"""Hyper-parameters that Keras on TensorFlow rounds to float32, in float64 too."""

from __future__ import annotations

from typing import Any

import pytest

from compare.rounding.judge import judge
from manual.optimizers import as_float32

ROUNDED: dict[str, tuple[str, dict[str, Any], float, str]] = {
    "momentum": ("SGD", {"momentum": 0.9}, 0.9, "momentum"),
    "momentum, Nesterov": ("SGD", {"momentum": 0.9, "nesterov": True}, 0.9, "momentum"),
    "weight_decay": ("SGD", {"weight_decay": 0.03}, 0.03, "weight"),
    "weight_decay, AdamW": ("AdamW", {}, 0.004, "weight"),
    "beta_2, Lion": ("Lion", {"beta_1": 0.7, "beta_2": 0.6}, 0.6, "momentum"),
}


@pytest.mark.parametrize("name", ROUNDED)
def test_so_does_the_twin(name: str, ruler: Any, side_by_side: Any) -> None:
    """With what was asked for instead, the judge says no."""
    family, options, asked, quantity = ROUNDED[name]
    side, attribute = side_by_side(family, options), name.split(",")[0]
    assert getattr(side.by_hand, attribute) == as_float32(asked) != asked
    exact = side.twin()
    setattr(exact, attribute, asked)
    agreed = True
    for taken in side.steps():
        side.agree(taken.after, *side.again(taken), "")
        after, slots_after = side.flat_state(taken.after)
        w, slots = side.again(taken, exact)
        of_weight = quantity == "weight"
        actual, expected = (after, w) if of_weight else (slots_after[quantity], slots[quantity])
        agreed &= judge(actual, expected).agrees
    assert agreed == (ruler.precision == "float32")


def test_adams_betas_are_rounded_in_their_powers_only(
    ruler: Any, side_by_side: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """β₁ᵗ and β₂ᵗ with rounded betas; 1 − β₁ and 1 − β₂ with those asked for."""
    side = side_by_side("Adam", {})
    everywhere = side.twin(beta_1=as_float32(0.9), beta_2=as_float32(0.999))
    agreed = {"nowhere": True, "everywhere": True}
    for taken in side.steps():
        side.agree(taken.after, *side.again(taken), "")
        after, slots_after = side.flat_state(taken.after)
        _, slots = side.again(taken, everywhere)
        agreed["everywhere"] &= judge(slots_after["velocity"], slots["velocity"]).agrees
        with monkeypatch.context() as patch:
            patch.setattr("manual.optimizers.adam.as_float32", float)
            w, _ = side.again(taken)
        agreed["nowhere"] &= judge(after, w).agrees
    if ruler.precision == "float64":
        assert agreed == {"nowhere": False, "everywhere": False}
