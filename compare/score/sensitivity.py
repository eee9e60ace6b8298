"""The smallest error that is caught, by the size of what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compare.rounding.judge import BOUND
from compare.score.bugs import Bug
from compare.score.bugs.dense import changed_in
from compare.score.measure import Smallest, run
from keras_models.precision import precision
from manual.layers import Dense
from manual.optimizers import Adam

LARGE = 2.0**-6
"""The relative error that is planted first, to see how far it is from agreeing."""


def sensitivity(dtype: str) -> list[Smallest]:
    """Measure the smallest error caught in one element, in a tensor, and in an optimizer slot."""
    found = []
    with precision(dtype):
        for what, bug in KINDS.items():
            with bug(LARGE).planted():
                largest = run(bug(LARGE), dtype).largest
            assert largest is not None
            error = LARGE * BOUND / largest[1].distance
            outcomes = []
            for share in (1.5, 0.5):
                with bug(share * error).planted():
                    outcomes.append(not run(bug(share * error), dtype).ok)
            found.append(Smallest(what, dtype, error, outcomes == [True, False]))
    return found


def one_element(error: float) -> Bug:
    """Plant an error in one element of the last layer's kernel gradient."""

    def line(x: Any, dz: Any, W: Any) -> Any:
        right = x.T @ dz
        right[1:2, 2:3] = right[1:2, 2:3] * (1.0 + error)
        return right

    return _gradient_bug(line)


def whole_tensor(error: float) -> Bug:
    """Plant an error in all of the last layer's kernel gradient."""
    return _gradient_bug(lambda x, dz, W: (x.T @ dz) * (1.0 + error))


def slot(error: float) -> Bug:
    """Plant an error in Adam's velocity, and nowhere else."""
    right: Callable[..., Any] = Adam.update

    def update(self: Any, w: Any, g: Any, slots: Any, t: Any, eta: Any) -> None:
        right(self, w, g, slots, t, eta)
        slots["velocity"] *= 1.0 + error

    return Bug("slot", Adam, "update", update, "optimizer slot", "", (), optimizer="Adam")


def _gradient_bug(line: Callable[..., Any]) -> Bug:
    function = changed_in("last", dW=line)
    return Bug("dW", Dense, "backward", function, "weight gradient", "last/kernel", ())


KINDS: dict[str, Callable[[float], Bug]] = {
    "one element of a gradient": one_element,
    "all of a gradient": whole_tensor,
    "an optimizer slot": slot,
}
