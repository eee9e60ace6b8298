"""One number off, in whatever is compared: every comparison of a step notices its own.

Keras's numbers are tampered with where the judge gets them, so that each comparison is tried alone.
Which ones there are is read off a step in which everything agrees: none can be left out.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import keras
import numpy as np
import pytest

import compare.steps.following
from compare import lockstep
from compare.steps.checks import compare_step

TAPE, FIT, OWN = "GradientTape", "model.fit", "manual.Network"
Key = tuple[str, str, str]


def step_of_everything() -> tuple[Any, Any, Any, dict[str, Any]]:
    """Return what the judge gets of a step with state, slots, clipping, a rate, frozen weights."""
    layers = keras.layers
    keras.utils.set_random_seed(4)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            layers.Dense(3, "tanh", name="hidden"),
            layers.BatchNormalization(name="norm"),
            layers.Dense(3, bias_initializer="ones", name="frozen", trainable=False),
            layers.Dense(2, name="out"),
        ]
    )
    rate = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model.compile(keras.optimizers.Adam(rate, clipnorm=0.01), "mse", run_eagerly=True)
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(6, 4)), generator.normal(size=(6, 2))
    seen = []

    def looked_at(reference: Any, record: Any, tape: Any, **more: Any) -> Any:
        seen.append((reference, record, tape, more))
        return compare_step(reference, record, tape, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compare.steps.following, "compare_step", looked_at)
        lockstep(model, x, y, batch_size=6).raise_if_different()
    (step,) = seen
    return step


def off(array: Any) -> np.ndarray:
    """Return the array with its largest number off by a thousandth."""
    changed = np.array(array)
    changed[np.unravel_index(np.abs(changed).argmax(), changed.shape)] *= changed.dtype.type(1.001)
    return changed


def tamper(key: Key, record: Any, tape: Any, own: Any) -> None:
    """Put one number of what a comparison gets off: of Keras's, or of the half by itself."""
    phase, name, source = key
    if source == TAPE:
        held: Any = tape["weight" if phase == "state" else phase]
    elif phase == "optimizer slot" and "/" in name:
        name, slot = name.rsplit("/", 1)
        held = record.slots_after[slot]
        if source == OWN:
            layout = own.optimizer.layout(slot, own.tensors)
            held, name = own.slots[slot], next(one.place for one in layout if one.name == name)
    elif source == OWN and name == "iterations":
        own.iterations += 1
        return
    elif source == OWN:
        held, name = vars(own.parameters[name]), "value"
    elif phase in ("weight", "state"):
        held = record.after
    elif phase == "weight gradient":
        held = record.gradients
    else:
        held, name = vars(record), {"total": "loss"}.get(name, name)
    held[name] = off(held[name])


def test_every_comparison_notices_one_number(precision: str) -> None:
    reference, *numbers, more = step_of_everything()
    own = more.pop("own")

    def blamed(key: Key | None = None) -> tuple[list[Key], set[Key]]:
        record, tape, half, others = deepcopy([*numbers, own, more])
        if key == ("loss", "total", OWN):
            others["own_loss"] *= 1.001
        elif key is not None:
            tamper(key, record, tape, half)
        found, _ = compare_step(reference, record, tape, own=half, **others)
        keys = [(one.phase, one.name, one.source) for one in found]
        wrong = [one.verdict.agrees for one in found]
        return keys, {one for one, agrees in zip(keys, wrong, strict=True) if not agrees}

    compared, wrong = blamed()
    assert wrong == set()
    assert {source for _, _, source in compared} == {TAPE, FIT, OWN}
    for key in compared:
        _, wrong = blamed(key)
        assert key in wrong, f"{key} was not noticed"
        if key[0] in ("loss", "weight", "state") or ("/" in key[1] and key[0] == "optimizer slot"):
            assert wrong == {key}  # nothing comes after it in the step
