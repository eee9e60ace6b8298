"""What other tools are known to miss."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from compare.score.bugs.base import Bug, Function
from compare.score.bugs.dense import changed_in
from manual import optimizers
from manual.layers import Dense


def traps() -> Iterator[Bug]:
    """Give what other tools are known to miss."""

    def one_element(x: Any, dz: Any, W: Any) -> Any:
        right = x.T @ dz
        right[1:2, 2:3] = right[1:2, 2:3] * 1.001
        return right

    def tiny(x: Any, dz: Any, W: Any) -> Any:
        return (x.T @ dz) + 1e-6 * W

    def same_mean(x: Any, dz: Any, W: Any) -> Any:
        right = x.T @ dz
        return np.concatenate([right[1:], right[:1]], axis=0)

    for layer in ("first", "second", "last"):
        for name, line in (
            ("the same mean: rows rolled by one", same_mean),
            ("one element off by a thousandth", one_element),
            ("off by less than 1e-5", tiny),
        ):
            yield Bug(
                f"trap, {layer}: {name}",
                Dense,
                "backward",
                changed_in(layer, dW=line),
                "weight gradient",
                f"{layer}/kernel",
                (),
            )
    right_adam: Function = optimizers.Adam.update
    for step, what in ((2, "only at step 2"), (3, "only at step 3")):

        def late(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any, step: int = step) -> None:
            at = float(getattr(t, "value", t)) == step
            right_adam(self, w, g * (2.0 if at else 1.0), slots, t, eta)

        yield Bug(
            f"trap: Adam's gradient doubled {what}",
            optimizers.Adam,
            "update",
            late,
            "optimizer slot",
            "",
            (),
            step=step,
            optimizer="Adam",
        )

    def slot_only(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        right_adam(self, w, g, slots, t, eta)
        slots["velocity"] *= 1.0 + 2.0**-10

    yield Bug(
        "trap: only Adam's memory is wrong",
        optimizers.Adam,
        "update",
        slot_only,
        "optimizer slot",
        "",
        (),
        optimizer="Adam",
    )
